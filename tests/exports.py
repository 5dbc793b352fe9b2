"""What tests of the exports share: sources, changes that leave the records true, hostile names, no network."""

from __future__ import annotations

import hashlib
import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from trueframe.audit.export.source import Source
from trueframe.dag import STAGES
from trueframe.workspace import Workspace

HOSTILE = '<img src=x onerror=alert(1)> "%41|#?[b] ü'
# Neither Snakemake, MLflow nor the network is there.
ALONE = (
    "import socket, sys\n"
    "sys.modules.update(dict.fromkeys(('mlflow', 'snakemake', 'torch')))\n"
    "def refuse(*_): raise AssertionError('the network was asked for')\n"
    "socket.socket.connect = socket.getaddrinfo = refuse\n"
    "from trueframe.cli import main\n"
    "main()\n"
)


def disconnect(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let whoever asks for the network fail."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the network was asked for")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def source(root: Path) -> Source:
    """What exporters read of a workspace, anew."""
    return Source(Workspace(root))


def records(root: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Every record of a workspace as it lies there: path and content."""
    patterns = {STAGES[stage].record.replace("{unit}", "**/*") for stage in STAGES}
    for path in sorted({path for pattern in patterns for path in root.glob(pattern)}):
        value = json.loads(path.read_text())
        if "recipe" in value:
            yield path, value


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def rewrite(root: Path, path: str, data: bytes) -> None:
    """Give an artifact other bytes, and tell every record so, as if a run had made them."""
    (root / path).write_bytes(data)
    for place, record in records(root):
        if path in record["outputs"]:
            record["outputs"][path] |= {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
        if path in record["recipe"]["inputs"]:
            record["recipe"]["inputs"][path] = f"sha256:{hashlib.sha256(data).hexdigest()}"
        place.write_text(json.dumps(record))


def rewrite_json(root: Path, path: str, change: Callable[[Any], None]) -> None:
    """The same with a change of a JSON's value."""
    value = json.loads((root / path).read_text())
    change(value)
    rewrite(root, path, json.dumps(value).encode())


def rename_part(root: Path, old: str, new: str) -> None:
    """Call a part otherwise, in every record and path; tables that name it are left as they are."""

    def renamed(value: Any) -> Any:
        if isinstance(value, dict):
            return {renamed(key): renamed(child) for key, child in value.items()}
        if isinstance(value, list):
            return [renamed(child) for child in value]
        return value.replace(old, new) if isinstance(value, str) else value

    for place, record in records(root):
        place.write_text(json.dumps(renamed(record)))
    for folder in ("data", "models", "reports"):
        for place in sorted((root / folder).rglob(f"{old}*"), key=lambda path: -len(path.parts)):
            place.rename(place.with_name(place.name.replace(old, new)))
