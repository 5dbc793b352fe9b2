"""`trueframe doctor` as a whole: green where all is well, nothing changed by asking, and what stops it is told."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from examination import ask, facts, only, own, troubles
from trueframe.cli import doctor
from trueframe.doctor import checkup
from trueframe.doctor.case import Case
from trueframe.doctor.findings import Finding
from workspaces import call, edit_params


def test_a_finished_workspace_is_well_and_asking_changes_nothing(finished: Path) -> None:
    before = facts(finished)
    done = ask(finished)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert done.stdout.splitlines()[-1] == "all is well"
    assert all(line.startswith("ok ") for line in done.stdout.splitlines()[:-1])
    assert facts(finished) == before
    told = json.loads(ask(finished, "--json").stdout)
    assert told["ok"] is True
    assert {one["what"] for one in told["findings"]} == set(checkup.CHECKS)
    assert all(set(one) == {"what", "state", "detail", "advice", "paths"} for one in told["findings"])


def test_before_the_first_run_all_is_well_and_the_disk_is_guessed(tmp_path: Path, raw_workspace: Path) -> None:
    new = own(raw_workspace, tmp_path / "w")
    before = facts(new)
    findings = checkup.examine(new)
    assert troubles(findings) == set()
    (space,) = [one for one in findings if one.what == "disk space"]
    assert "guessed from DFDC's" in space.detail
    assert "without" in space.detail
    assert "models" in space.detail
    assert facts(new) == before


def test_an_empty_folder_is_told_in_full_and_left_empty(tmp_path: Path) -> None:
    folder = tmp_path / "empty"
    folder.mkdir()
    done = call(
        folder, "python", "-m", "trueframe", "doctor", "--json", check=False, PYTHONPATH=os.pathsep.join(sys.path)
    )
    assert (done.returncode, done.stderr) == (1, "")
    told = {one["what"]: one for one in json.loads(done.stdout)["findings"]}
    bad = {what for what, one in told.items() if one["state"] == "bad"}
    assert bad == {"Python", "packages", "git", "workspace", "DVC's cache"}
    assert all(told[what]["advice"] for what in bad)
    assert {told[what]["state"] for what in ("raw videos", "records", "disk space", "DVC remote", "checkpoints")} == {
        "skipped"
    }
    assert list(folder.iterdir()) == []


def test_a_check_that_fails_itself_is_told_with_its_traceback_and_the_others_are_shown(
    well: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def fail(case: Case) -> Iterator[Finding]:
        raise KeyError("http://me:hush@host\nmore")

    monkeypatch.chdir(well)
    monkeypatch.setitem(checkup.CHECKS, "git", fail)
    with pytest.raises(typer.Exit) as caught:
        doctor(offline=True)
    assert caught.value.exit_code == 1
    shown = capfd.readouterr()
    (told,) = [line for line in shown.out.splitlines() if line.startswith("bad ")]
    assert "this check itself failed: KeyError: " in told
    assert "hush" not in shown.out
    assert "in fail\n" in shown.err
    assert len(shown.out.splitlines()) == len(checkup.CHECKS) + 2


@pytest.mark.parametrize(
    ("path", "text", "what"),
    [
        ("params.yaml", "index: [", "workspace"),
        ("params.yaml", None, "workspace"),
        ("dvc.yaml", "stages: [", "workspace"),
        ("dvc.yaml", "stages: {}", "workspace"),
        ("dvc.yaml", None, "workspace"),
        ("data/withdrawn.csv", "nonsense\n", "records"),
    ],
)
def test_a_file_that_cant_be_read_is_told_once_and_what_is_not_known_without_it(
    well: Path, path: str, text: str | None, what: str
) -> None:
    (well / path).unlink() if text is None else (well / path).write_text(text)
    findings = checkup.examine(well)
    (bad,) = [one for one in findings if one.state == "bad"]
    assert (bad.what, path in bad.detail, bool(bad.advice)) == (what, True, True)
    skipped = {one.what for one in findings if one.state == "skipped"}
    assert "disk space" in skipped


@pytest.mark.parametrize(
    ("key", "value", "told", "planned"),
    [
        ("weights", "nope.pt", "a pickle", False),
        ("weights", "nope.safetensors", "no such file", False),
        ("encoder", "no_such_net", "has none such", True),
        ("encoder", "test_efficientnet.nope", "no such weights", True),
    ],
)
def test_what_no_training_can_start_from_is_told(
    finished: Path, monkeypatch: pytest.MonkeyPatch, key: str, value: str, told: str, planned: bool
) -> None:
    """A run is refused for a file; to know encoders takes it too long."""
    edit_params(finished, {f"models.{key}": value})
    one = only(finished, "training")
    assert one.state == "bad"
    assert f"params.yaml: models.{key}: {value}: " in one.detail
    assert told in one.detail
    run = call(finished, "snakemake", "--dry-run", check=False)
    assert (run.returncode == 0) == planned
    assert (one.detail in run.stdout) != planned


def test_code_of_another_workspace_is_told(finished: Path) -> None:
    one = only(finished, "workspace")
    assert one.state == "bad"
    assert "PYTHONPATH" in one.advice


def test_a_clone_without_raw_videos_is_told(well: Path) -> None:
    shutil.rmtree(well / "data/raw")
    findings = checkup.examine(well)
    assert troubles(findings) == {("raw videos", "warn")}


def test_a_name_from_outside_stays_on_its_line(
    well: Path, capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    (well / "data/crops/train/.a\n\x1b[31mb.zip.partial").touch()
    checkup.show(checkup.examine(well), json=False)
    told = capfdbinary.readouterr().out.decode()
    assert "\x1b" not in told
    assert r".a\n\x1b[31mb.zip.partial" in told
    assert told.splitlines()[-1] == "0 things must be done, 1 thing may be done"
