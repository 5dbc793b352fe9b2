"""Records: what made a unit's artifacts. They lie beside them, travel with them, and hold no times or hosts."""

from __future__ import annotations

import functools
import io
import json
import platform
import tokenize
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from trueframe import formats
from trueframe.files import canonical_json, partial, publish, sha256_file, sha256_text

LOCK = Path("requirements.lock")


@dataclass(frozen=True)
class Recipe:
    """All that may change a unit's bytes.

    params: the stage's section; code: module path to digest; inputs: artifact path to "sha256:…", taken from the
    artifact's own record ("md5:…", DVC's, for raw files; "missing" where there is no record). What is withdrawn in a
    part stands under data/withdrawn.csv as "names:…", a digest of the names; where nothing is, that path is absent.
    """

    params: Mapping[str, Any]
    code: Mapping[str, str]
    inputs: Mapping[str, str]

    @property
    def digest(self) -> str:
        """SHA-256 of the recipe, the name of this work."""
        return sha256_text(canonical_json(asdict(self)))


@dataclass(frozen=True)
class Output:
    """An artifact: SHA-256, size in bytes, number of items (rows, images, …) in it."""

    sha256: str
    size: int
    items: int


@dataclass(frozen=True)
class Record:
    """A unit's record. environment is told, and no reason to run again; a unit that finds faces tells there by what."""

    stage: str
    unit: str
    recipe: Recipe
    outputs: Mapping[str, Output]
    environment: Mapping[str, str]

    def prepare(self, path: Path) -> None:
        """Write the record under its temporary name, to be published there."""
        path.parent.mkdir(parents=True, exist_ok=True)
        partial(path).write_text(canonical_json({"format": formats.FORMAT, **asdict(self)}), encoding="utf-8")

    def write(self, path: Path) -> None:
        """Write the record, in one step."""
        self.prepare(path)
        publish(path)


_RECORD = TypeAdapter(Record)


def read(path: Path) -> Record | None:
    """The record at `path`; None where there is none or where what lies there is no record.

    Raises formats.OtherFormatError for a record of another format: counted as none, all of it would be made anew.
    """
    try:
        return parse(path.read_bytes(), path)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None  # the unit counts as never made, and is made again


def parse(data: bytes, path: Path) -> Record | None:
    """The record that the bytes of `path` are; None where they are no record. Raises as `read` does."""
    try:
        value = json.loads(data)
    except (RecursionError, ValueError):
        return None  # no UTF-8, no JSON
    if not isinstance(value, dict) or type(number := value.pop("format", None)) is not int:
        return None
    formats.require(path, number)
    try:
        return _RECORD.validate_python(value)
    except (RecursionError, ValueError):
        return None


def environment(root: Path) -> dict[str, str]:
    """What the work ran on: the lock's digest, Python's version, the kind of machine."""
    lock = root / LOCK
    return {
        "lock": f"sha256:{sha256_file(lock)}" if lock.is_file() else "missing",
        "python": platform.python_version(),
        "platform": f"{platform.system()}-{platform.machine()}".lower(),
    }


@functools.cache
def code_digest(path: Path) -> str:
    """SHA-256 of a Python module without its comments and blank lines: an edit there is no reason to run again."""
    try:
        source = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return "missing"
    return source_digest(source)


def source_digest(source: str) -> str:
    """The same of a module's text."""
    return f"sha256:{sha256_text(bare(source))}"


def bare(source: str) -> str:
    """Python source without comments and lines that are blank outside strings. Raises SyntaxError on bad source."""
    lines = source.split("\n")  # as tokenize counts them: splitlines also splits at form feeds and U+2028
    inside_string: set[int] = set()
    for token in _tokens(source):
        (first, start), (last, _) = token.start, token.end
        if token.type == tokenize.COMMENT:
            lines[first - 1] = lines[first - 1][:start].rstrip()
        elif last > first and token.type not in (tokenize.NEWLINE, tokenize.NL, tokenize.INDENT, tokenize.DEDENT):
            inside_string.update(range(first, last + 1))
    kept = [line for number, line in enumerate(lines, 1) if line.strip() or number in inside_string]
    return "\n".join(kept) + "\n"


def _tokens(source: str) -> list[tokenize.TokenInfo]:
    try:
        return list(tokenize.generate_tokens(io.StringIO(source).readline))
    except tokenize.TokenError as error:
        raise SyntaxError(str(error)) from error
