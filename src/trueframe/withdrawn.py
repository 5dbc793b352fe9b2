"""data/withdrawn.csv: the videos that nobody may use any more, versioned in git, a line each.

A line names a content by its digests, and the file's name, by which fakes in other parts name their original. What
follows from the lines for a part is a set of names; the reasons are for people and rerun nothing.
"""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from trueframe.errors import UserError
from trueframe.files import write_text

PATH = Path("data/withdrawn.csv")
DIGEST = re.compile(r"[0-9a-f]{8,64}")  # a SHA-256 or its start, long enough to mean one
_MD5 = "md5:"  # how DVC's digest of a file begins in a recipe
# Control characters, half characters, and what ends a line or a paragraph.
_NOT_ON_A_LINE = {"Cc", "Cs", "Zl", "Zp"}


@dataclass(frozen=True, order=True)
class Withdrawn:
    """sha256, md5: of the file's content, in hexadecimal; video: its name; reason: free text on one line."""

    sha256: str
    md5: str
    video: str
    reason: str

    def trouble(self) -> str | None:
        """What is wrong with a value, in words; None where nothing is."""
        if not re.fullmatch("[0-9a-f]{64}", self.sha256):
            return f"sha256 {self.sha256!r}: expected 64 digits, 0-9 and a-f"
        if not re.fullmatch("[0-9a-f]{32}", self.md5):
            return f"md5 {self.md5!r}: expected 32 digits, 0-9 and a-f"
        if not self.video:
            return "video '': expected the name of its file"
        if not self.reason.strip() or any(unicodedata.category(sign) in _NOT_ON_A_LINE for sign in self.reason):
            return f"reason {self.reason!r}: expected a text on one line, without control characters"
        return None


_HEADER = [field.name for field in fields(Withdrawn)]


def read(path: Path) -> tuple[Withdrawn, ...]:
    """The lines of a data/withdrawn.csv in their order; none where there is no such file.

    Raises UserError with file, line and value for other columns than sha256,md5,video,reason, for what is no digest, no
    name or no line of text, and for a content that comes twice under one name.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise UserError(f"{path}: can't be read ({error.strerror}); `git checkout {path}` brings it back") from error
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path}: expected a text in UTF-8, found byte {error.object[error.start]:#x}; save it as UTF-8"
        ) from error
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    found: dict[tuple[str, str], Withdrawn] = {}
    try:
        header = next(reader, [])
        if header != _HEADER:
            raise UserError(f"{path}: line 1: {','.join(header)!r}: expected the columns {','.join(_HEADER)}; mend it")
        for row in filter(None, reader):
            line = _line(row, f"{path}: line {reader.line_num}")
            if (line.sha256, line.video) in found:
                raise UserError(
                    f"{path}: line {reader.line_num}: {line.video!r}: expected each video once, found it on an earlier "
                    "line too; remove one"
                )
            found[line.sha256, line.video] = line
    except csv.Error as error:
        raise UserError(f"{path}: line {reader.line_num}: not a CSV: {error}; mend it") from error
    return tuple(found.values())


def _line(row: list[str], where: str) -> Withdrawn:
    if len(row) != len(_HEADER):
        raise UserError(f"{where}: {','.join(row)!r}: expected the {len(_HEADER)} values {','.join(_HEADER)}; mend it")
    line = Withdrawn(*row)
    if trouble := line.trouble():
        raise UserError(f"{where}: {trouble}; mend the line or remove it")
    return line


def add(path: Path, lines: Iterable[Withdrawn]) -> tuple[Withdrawn, ...]:
    """Write the lines that the file does not have yet, all sorted by digest and name; returns those.

    A line for the same content and name stays as it is, with its reason. Raises UserError as `read` does, and for a
    line that could not be read back.
    """
    before = read(path)
    known = {(line.sha256, line.video) for line in before}
    new = []
    for line in lines:
        if trouble := line.trouble():
            raise UserError(f"{path}: {trouble}; say it otherwise")
        if (line.sha256, line.video) not in known:
            new.append(line)
    if new:
        write_text(path, _text(sorted((*before, *new))))
    return tuple(new)


def _text(lines: Iterable[Withdrawn]) -> str:
    """The lines as CSV by RFC 4180, but with LF as line ends."""
    rows = [_HEADER, *map(list, map(astuple, lines))]
    # Left to itself, csv quotes no bare CR, and readers would take it for the end of a line.
    odd = any("\r" in value for row in rows for value in row)
    file = io.StringIO(newline="")
    csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL if odd else csv.QUOTE_MINIMAL).writerows(rows)
    return file.getvalue()


def find(lines: Iterable[Withdrawn], asked: str) -> tuple[Withdrawn, ...]:
    """The lines of the content that `asked` means: a file's name, a path that ends in it, a SHA-256 or its start."""
    name = asked.rpartition("/")[2]
    lines = tuple(lines)
    found = [line for line in lines if name and name == line.video]
    if not found and DIGEST.fullmatch(asked):
        found = [line for line in lines if line.sha256.startswith(asked)]
    contents = {line.sha256 for line in found}
    return tuple(line for line in lines if line.sha256 in contents)


def names(lines: Iterable[Withdrawn], files: Mapping[str, str], originals: Iterable[str]) -> frozenset[str]:
    """What the lines withdraw in a part: files of a withdrawn content, and withdrawn originals that are not files here.

    files: name to "md5:<digest>" of what the folder holds, anything else where it is no file; originals: what its fakes
    were made from. A name is withdrawn by a line for it only where the part has no such file: another part's file of
    the same name may be another video.
    """
    lines = tuple(lines)
    contents = {f"{_MD5}{line.md5}" for line in lines}
    there = {name for name, digest in files.items() if digest.startswith(_MD5)}
    absent = {line.video for line in lines}.intersection(originals) - there
    return frozenset(absent | {name for name in there if files[name] in contents})
