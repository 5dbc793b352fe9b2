"""SIGKILL to all of a run, at moments spread over it, and a rerun each time: the bytes are the undisturbed run's.

The undisturbed run had two cores, these have one: the number of cores changes no byte either.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

from trueframe.dag import STAGES
from trueframe.workspace import Workspace
from workspaces import clean, digests, environment, snakemake

_PATIENCE_S = 600


def _finished_units(workspace: Path) -> int:
    layout = Workspace(workspace).layout
    return sum((workspace / STAGES[s].record_path(unit)).exists() for s in STAGES for unit in layout.units(s))


def _run_until(workspace: Path, units: int, delay_s: float) -> bool:
    """Run until so many units are finished and a moment longer, then kill all of it; whether it was still at work."""
    command = ("snakemake", "--cores", "1", "submission")
    log = workspace.with_name("killed.log").open("ab")
    run = subprocess.Popen(
        command, cwd=workspace, env=environment(workspace), stdout=log, stderr=log, start_new_session=True
    )
    end = time.monotonic() + _PATIENCE_S
    while run.poll() is None and _finished_units(workspace) < units and time.monotonic() < end:
        time.sleep(0.05)
    time.sleep(delay_s)
    alive = run.poll() is None
    if alive:
        os.killpg(run.pid, signal.SIGKILL)
    run.wait()
    return alive


@pytest.mark.parametrize("kills", [4, pytest.param(20, marks=pytest.mark.long)])
def test_killed_runs_end_in_the_undisturbed_runs_bytes(raw: Path, finished_workspace: Path, kills: int) -> None:
    total = _finished_units(finished_workspace)
    chance = random.Random(kills)
    killed = 0
    for number in range(kills):
        killed += _run_until(raw, total * number // kills, chance.uniform(0.0, 6.0))
    snakemake(raw, "submission", cores=1)
    print(f"killed {killed} of {kills} runs at work, {total} units in all")
    assert killed >= kills - 1
    assert digests(raw) == digests(finished_workspace)
    clean(raw)
    left = [path for path in raw.rglob(".*") if path.name.endswith((".partial", ".spool")) and ".dvc" not in path.parts]
    assert left == []
    assert not list((raw / ".trueframe").rglob("*.safetensors"))
