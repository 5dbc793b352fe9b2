"""Where an answer may be written: never over what a run made, what git versions, or what is no plain file."""

from __future__ import annotations

from pathlib import Path

from trueframe.audit import git
from trueframe.audit.snapshot import Folder
from trueframe.dag import STAGES
from trueframe.errors import UserError
from trueframe.files import write_text

_MADE = ("data", "models")  # folders that hold nothing but artifacts


def write(root: Path, out: Path, text: str, own: bool = False) -> Path:
    """Write a text to `out`, in one step, and return `out`.

    root: the workspace; own: whether `out` is a name of ours, which git may version. Raises UserError where something
    else would be lost, or where the file can't be written.
    """
    refuse(root, out, own)
    try:
        write_text(out.absolute(), text)
    except OSError as error:
        raise UserError(f"{out}: can't be written ({error.strerror}); name another file") from error
    return out


def refuse(root: Path, out: Path, own: bool = False) -> None:
    """Raise UserError where `out` is no place to write to: at once, before an answer is worked out."""
    if trouble := _trouble(root, out.absolute(), own):
        raise UserError(f"{out}: {trouble}; name another file, such as {Path('reports', out.name or 'answer')}")


def _trouble(root: Path, place: Path, own: bool) -> str | None:
    if place.is_dir():
        return "is a folder; expected the file to write"
    if place.exists() and not place.is_file():
        return "is no plain file"
    base = root.resolve()
    inside = place.parent.resolve() / place.name
    if not inside.is_relative_to(base):
        return None
    path = inside.relative_to(base)
    records = Folder(root).records
    made = {Path(name) for record in records.values() for name in record.outputs}
    made |= {STAGES[stage].record_path(unit) for stage, unit in records}
    if path in made or path.parts[0] in _MADE:
        return "is where runs write what they make"
    return None if own or not git.versioned(root, path) else "is versioned by git"
