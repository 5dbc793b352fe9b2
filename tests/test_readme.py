"""The README is true: its commands run, as they stand, in a finished workspace, and what it names is there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from workspaces import REPO, call

README = (REPO / "README.md").read_text()
COMMANDS = [line for block in re.findall(r"```console\n(.*?)```", README, re.DOTALL) for line in block.splitlines()]


def test_the_two_commands_are_targets_of_the_makefile() -> None:
    assert COMMANDS[:2] == ["make demo", "make test"]
    makefile = (REPO / "Makefile").read_text()
    for target in [*re.findall(r"`make ([\w-]+)`", README), "demo", "test"]:
        assert f"\n{target}:" in makefile


def test_the_commands_run(finished: Path) -> None:
    for command in COMMANDS[2:]:
        call(finished, *shlex.split(command), PYTHONPATH="src")


def test_the_files_that_it_names_are_there(finished: Path) -> None:
    named = re.findall(r"^\| `([^|]*?)` \|", README, re.MULTILINE)
    assert len(named) == 5
    for cell in named:
        for name in cell.split("`, `"):
            assert (finished / name.replace("111", "1")).exists(), name
    for link in re.findall(r"\]\(([^)]+)\)", README):
        assert (REPO / link).exists(), link


def test_the_commands_for_real_data_run_too(raw: Path) -> None:
    call(raw, "cp", "presets/dfdc.yaml", "params.yaml")
    call(raw, "dvc", "config", "cache.type", "symlink")
    call(raw, "dvc", "add", "data/raw")
    told = call(raw, "snakemake", "--cores", "16", "submission", "--dry-run")
    assert re.search(r"models_unit +5", told.stdout + told.stderr)
    told = call(raw, "snakemake", "--profile", "profiles/gpu", "--cores", "16", "submission", "--dry-run")
    assert "threads: 8" in told.stdout + told.stderr
