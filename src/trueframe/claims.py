"""What DFDC's metadata.json claims of a train part's videos: labels, and which was made from which."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from trueframe.errors import UserError

METADATA = "metadata.json"
_LABELS = {"REAL": 0, "FAKE": 1}


def read(raw: Path) -> dict[str, Any]:
    """A train part's metadata.json, file name to entry. Raises UserError when it is absent or no such thing."""
    path = raw / METADATA
    if path.exists() and not path.is_file() and not path.is_dir():
        raise UserError(f"{path}: can't be read (a pipe or device, not a file); put DFDC's metadata.json there")
    try:
        metadata = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_unambiguous)
    except FileNotFoundError as error:
        raise UserError(
            f"{path}: not there; a train part needs DFDC's metadata.json, one without labels belongs in data/raw/test"
        ) from error
    except OSError as error:
        raise UserError(f"{path}: can't be read ({error.strerror}); put DFDC's metadata.json there") from error
    except _TwiceError as error:
        raise UserError(f"{path}: names {str(error)!r} twice in one object; keep the right one") from error
    except (ValueError, RecursionError) as error:  # ValueError: no UTF-8, no JSON, or a number of 5,000 digits
        raise UserError(f"{path}: not JSON: {error}; mend the file") from error
    if not isinstance(metadata, dict):
        raise UserError(f"{path}: expected an object from file name to entry, found {type(metadata).__name__}")
    for name, entry in metadata.items():
        require_text(name, path)
        if isinstance(entry, dict) and isinstance(entry.get("original"), str):
            require_text(entry["original"], path)
    return metadata


class _TwiceError(Exception):
    """A name that an object has twice."""


def _unambiguous(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # JSON's own reader keeps the last of two in silence, and two entries of one video may have different labels.
    found = dict(pairs)
    if len(found) < len(pairs):
        raise _TwiceError(next(name for name, count in Counter(name for name, _ in pairs).items() if count > 1))
    return found


def require_text(name: str, where: Path) -> None:
    """Raise UserError for half a character, of JSON's "\\ud800" or a file name that is no UTF-8: no table takes it."""
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise UserError(f"{where}: {name!r}: expected a name in UTF-8; give it another name") from error


def label(entry: Any) -> int | None:
    """0 real, 1 fake; None where an entry does not tell."""
    found = entry.get("label") if isinstance(entry, dict) else None
    return _LABELS.get(found) if isinstance(found, str) else None


def original(name: str, entry: Any) -> str | None:
    """What a fake was made from; None for a real video, and where the entry names none or the fake itself."""
    found = entry.get("original") if label(entry) == 1 else None
    return found if isinstance(found, str) and found != name else None


def originals(metadata: Mapping[str, Any]) -> dict[str, str]:
    """Each fake's original, where its entry names one."""
    found = {name: original(name, entry) for name, entry in metadata.items()}
    return {name: source for name, source in found.items() if source is not None}


def made_from(names: Collection[str], originals: Mapping[str, str]) -> dict[str, str]:
    """Each fake that goes back to one of the videos `names`, directly or not, and what it was made from."""
    found: dict[str, str] = {}
    reached = set(names)
    while reached:
        step = {fake: original for fake, original in originals.items() if original in reached and fake not in found}
        found |= step
        reached = set(step)
    return {fake: original for fake, original in found.items() if fake not in names}
