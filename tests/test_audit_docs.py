"""docs/audit.md is a session in the demo. The long test plays it and compares; `UPDATE_DOCS=1` writes it anew."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path

import pytest
import typer

from trueframe.cli import app
from workspaces import REPO, call, clone, commit

PAGE = REPO / "docs/audit.md"
_BLOCK = re.compile(r"```console\n(.*?)```", re.DOTALL)
_SKIPPED = "…"
_SHOWN = 60  # lines of an answer that the page shows; of a longer one the first and the last
_LAST = 8
# What another commit of the project, another run or another processor changes.
_VOLATILE = (
    (re.compile(r"[0-9a-f]{8,}"), "<hex>"),
    (re.compile(r"\d{4}-\d\d-\d\d, .*"), "<commit>"),
    (re.compile(r"\d+\.\d+"), "<number>"),
    (re.compile(r"version \d+"), "version <n>"),
    (re.compile(r"'\"'\"'\d+'\"'\"'"), "<n>"),
    (re.compile(r" {2,}"), "  "),
)


def commands() -> list[str]:
    found = [line[2:] for block in _BLOCK.findall(PAGE.read_text()) for line in block.splitlines() if line[:2] == "$ "]
    assert len(found) > 15
    return found


def plain(text: str) -> str:
    for pattern, stand_in in _VOLATILE:
        text = pattern.sub(stand_in, text)
    return text.rstrip()


def test_its_commands_and_their_options_are_there() -> None:
    root = typer.main.get_command(app)
    for line in commands():
        words = shlex.split(line.partition("|")[0])
        if words[0] != "trueframe":
            continue
        command = root
        while isinstance(command, typer.core.TyperGroup):
            command = command.commands[words.pop(1)]
        options = {name for param in command.params for name in param.opts}
        assert {word for word in words if word.startswith("--")} <= options, line


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_the_session_is_as_the_page_shows_it(tmp_path: Path) -> None:
    demo = clone(tmp_path / "demo")
    call(demo, "trueframe", "demo-data", PYTHONPATH="src")
    call(demo, "dvc", "add", "--quiet", "data/raw")
    commit(demo, "The demo's videos")
    call(demo, "snakemake", "--cores", "2", "submission")
    commit(demo, "The demo, finished")
    text = PAGE.read_text()
    played = _BLOCK.sub(lambda block: f"```console\n{_play(demo, block[1])}```", text)
    if os.environ.get("UPDATE_DOCS"):
        PAGE.write_text(played)
        return
    assert [plain(line) for line in played.splitlines()] == [plain(line) for line in text.splitlines()]


def _play(demo: Path, block: str) -> str:
    told = []
    for line in block.splitlines():
        if line.startswith("$ "):
            done = call(demo, "bash", "-c", line[2:], check=False, PYTHONPATH="src")
            assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
            told += [line, *_shortened(done.stdout.splitlines())]
    return "\n".join([*told, ""])


def _shortened(lines: list[str]) -> list[str]:
    if len(lines) <= _SHOWN:
        return lines
    return [*lines[: _SHOWN - _LAST], _SKIPPED, *lines[-_LAST:]]
