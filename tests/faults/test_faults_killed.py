"""Killed or without power at any moment: never a false "fresh", and a rerun ends in the undisturbed run's bytes."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from befallen import OTHER, End, Fault, Job, Made, copy, falsely_fresh, first_units, killed_at, leftovers, run
from power import power_cut
from trueframe import upkeep
from trueframe.dag import STAGES
from trueframe.workspace import Workspace
from workspaces import clean, digests, edit_params, environment, snakemake

_PATIENCE_S = 600


@dataclass(frozen=True)
class Work:
    """A unit that is made with other parameters than those it was made with: its files before and after, undisturbed.

    moments: how often it changes files; seconds: how long it takes.
    """

    stage: str
    unit: str
    before: Made
    after: Made
    moments: int
    seconds: float

    def either(self) -> tuple[tuple[Mapping[str, Any], Made], tuple[Mapping[str, Any], Made]]:
        return ({}, self.before), (OTHER[self.stage], self.after)


@pytest.fixture(scope="module")
def workspace(finished_workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy(finished_workspace, tmp_path_factory.mktemp("killed") / "w")


@pytest.fixture(scope="module")
def works(workspace: Path) -> list[Work]:
    """A unit of every stage."""
    found = []
    text = (workspace / "params.yaml").read_text()
    for stage, unit in first_units(workspace):
        before = Made.of(workspace, stage, unit)
        edit_params(workspace, dict(OTHER[stage]))
        begun = time.monotonic()
        end = run(workspace, stage, unit, killed_at(None))
        seconds = time.monotonic() - begun
        assert end.how == "ran", end
        found.append(Work(stage, unit, before, Made.of(workspace, stage, unit), end.moments, seconds))
        assert found[-1].after != before
        (workspace / "params.yaml").write_text(text)
        before.put(workspace)
    return found


def disturb(root: Path, work: Work, fault: Fault, chance: random.Random, after_s: float | None, replay: bool) -> End:
    """Make a unit anew with other parameters and let it be disturbed; then see to it and make it by either.

    after_s: SIGKILL after so long.
    """
    text = (root / "params.yaml").read_text()
    edit_params(root, dict(OTHER[work.stage]))
    job = Job(root, work.stage, work.unit, fault, replay=work.after if replay else None)
    if after_s is not None:
        job.process.join(after_s)
        job.process.kill()
    end = job.end()
    (root / "params.yaml").write_text(text)
    assert falsely_fresh(root, work.stage, work.unit, work.either()) == []
    changes, made = chance.choice(work.either())
    edit_params(root, dict(changes))
    again = run(root, work.stage, work.unit, replay=made if replay else None)
    assert again.how in ("ran", "fresh"), again
    assert Made.of(root, work.stage, work.unit) == made
    if again.how == "fresh":  # the change was taken back, and no job replaces what the one before left
        upkeep.commit(Workspace(root))
    assert leftovers(root) == []
    (root / "params.yaml").write_text(text)
    work.before.put(root)
    return end


def run_replayed(root: Path, work: Work) -> int:
    """At how many moments the power may fail when a unit is made anew with other parameters."""
    text = (root / "params.yaml").read_text()
    edit_params(root, dict(OTHER[work.stage]))
    end = run(root, work.stage, work.unit, power_cut(None, 0), replay=work.after)
    (root / "params.yaml").write_text(text)
    work.before.put(root)
    return end.moments


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("kills", [10, pytest.param(100, marks=pytest.mark.long)])
def test_sigkill_at_moments_spread_over_the_stages(
    workspace: Path, works: list[Work], kills: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every other kill is before a change to a file, the others are at any time."""
    monkeypatch.setenv("DVC_STAGE", "none")  # DVC need not be told each time
    moments = [(work, number) for work in works for number in range(work.moments)]
    chance = random.Random(kills)
    killed = 0
    for number in range(kills):
        work, at = moments[len(moments) * number // kills]
        if number % 2:
            end = disturb(workspace, work, Fault(), chance, chance.uniform(0, work.seconds), replay=False)
        else:
            end = disturb(workspace, work, killed_at(at), chance, None, replay=False)
            assert end.how == "killed"
        killed += end.how == "killed"
    print(f"killed {killed} of {kills} jobs at work, {len(moments)} moments in {len(works)} stages")
    assert killed >= kills * 0.8


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("stages", "rounds"),
    [(("models",), 1), pytest.param(tuple(STAGES), 3, marks=pytest.mark.long)],
)
def test_power_that_fails_at_any_change_to_a_file(
    workspace: Path, works: list[Work], stages: tuple[str, ...], rounds: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DVC_STAGE", "none")
    cuts = 0
    for work in works:
        if work.stage not in stages:
            continue
        last = run_replayed(workspace, work)
        assert last > len(work.before.files)
        moments = [(at, seed) for at in range(last) for seed in range(rounds)]
        # Once the record has its name, what is lost of the artifacts would be missed most.
        for at, seed in moments + [(last - 1, rounds + more) for more in range(8)]:
            end = disturb(workspace, work, power_cut(at, seed), random.Random(seed), None, replay=True)
            assert end.how == "killed"
            cuts += 1
    print(f"the power failed {cuts} times, in {len(stages)} stages")


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


_RUNS = 20


@pytest.mark.timeout(1800)
@pytest.mark.long
def test_killed_runs_end_in_the_undisturbed_runs_bytes(raw: Path, finished_workspace: Path) -> None:
    """SIGKILL to all of a run of Snakemake, at moments spread over it. The undisturbed run had two cores, these have
    one: the number of cores changes no byte either.
    """
    total = _finished_units(finished_workspace)
    chance = random.Random(_RUNS)
    killed = 0
    for number in range(_RUNS):
        killed += _run_until(raw, total * (2 * number + 1) // (2 * _RUNS), chance.uniform(0.0, 6.0))
    snakemake(raw, "submission", cores=1)
    print(f"killed {killed} of {_RUNS} runs at work, {total} units in all")
    assert killed >= _RUNS - 1
    assert digests(raw) == digests(finished_workspace)
    clean(raw)
    assert leftovers(raw) == []
