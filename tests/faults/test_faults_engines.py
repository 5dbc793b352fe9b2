"""Two engines at once, a cache that is swept or spoilt between: both end where one undisturbed run ends."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
import yaml

from befallen import Made, copy, leftovers, run
from trueframe.audit.verify import verify
from trueframe.progress import Quiet
from trueframe.upkeep import OWED
from trueframe.workspace import Workspace
from workspaces import call, clean, commit, digests, edit_params, environment, snakemake

CROPS = "data/crops/train/part_00.zip"


def wrong(root: Path) -> list[str]:
    """What `trueframe audit --verify` finds wrong: it reads every artifact and every object of the cache."""
    return [finding.path for finding in verify(Workspace(root), None, Quiet()).findings if finding.kind.wrong]


def cached(root: Path, path: str) -> Path:
    """DVC's object of an artifact that a folder's listing names."""
    out = next(out for out in yaml.safe_load((root / "dvc.lock").read_text())["stages"]["crops"]["outs"])
    listing = yaml.safe_load((root / f".dvc/cache/files/md5/{out['md5'][:2]}/{out['md5'][2:]}").read_text())
    md5 = next(entry["md5"] for entry in listing if f"data/crops/{entry['relpath']}" == path)
    return root / f".dvc/cache/files/md5/{md5[:2]}/{md5[2:]}"


def test_snakemake_and_dvc_gc_during_dvc_repro(finished: Path) -> None:
    edit_params(finished, {"evaluation.threshold": 0.4})
    alone = copy(finished, finished.parent / "alone")
    assert run(alone, "evaluation", "all").how == "ran"
    log = finished / "logs/evaluation/all.log"
    log.unlink()
    first = subprocess.Popen(
        ("dvc", "repro"),
        cwd=finished,
        env=environment(finished),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    while not log.exists():
        time.sleep(0.02)
        assert first.poll() is None, first.communicate()
    os.killpg(first.pid, signal.SIGSTOP)  # so that it is still at work, however long the others take
    second = snakemake(finished, "submission", check=False)
    swept = call(finished, "dvc", "gc", "--workspace", "--force", "--quiet", check=False)
    os.killpg(first.pid, signal.SIGCONT)
    told, _ = first.communicate(timeout=300)
    assert first.returncode == 0, told
    assert second.returncode != 0
    assert "another run (process" in second.stdout + second.stderr
    assert "Traceback" not in second.stdout + second.stderr
    print(f"dvc gc ended with {swept.returncode}")
    clean(finished)
    assert Made.of(finished, "evaluation", "all") == Made.of(alone, "evaluation", "all")
    assert wrong(finished) == []
    assert leftovers(finished) == []


@pytest.mark.long
def test_dvc_gc_after_a_run_was_killed_and_links_into_the_cache(finished: Path) -> None:
    """What is made and not told to DVC is no link: the sweep takes nothing that is needed."""
    call(finished, "dvc", "config", "cache.type", "symlink")
    call(finished, "dvc", "checkout", "--relink", "--quiet")
    commit(finished, "links")
    assert (finished / CROPS).is_symlink()
    edit_params(finished, {"submission.unknown_score": 0.4})
    alone = copy(finished, finished.parent / "alone")
    for root in (alone, finished):
        assert run(root, "submission", "all").how == "ran"
    (finished / OWED).touch()
    call(finished, "dvc", "gc", "--workspace", "--force", "--quiet")
    snakemake(finished, "submission")
    clean(finished)
    assert Made.of(finished, "submission", "all") == Made.of(alone, "submission", "all")
    assert wrong(finished) == []


def test_an_object_of_the_cache_that_lost_its_end_is_not_taken_for_the_artifact(finished: Path) -> None:
    """DVC puts it in place all the same. A run makes the artifact again; the object stays, and the audit names it."""
    before = digests(finished)
    place = cached(finished, CROPS)
    place.chmod(0o644)
    os.truncate(place, place.stat().st_size // 2)
    place.chmod(0o444)
    (finished / CROPS).unlink()
    call(finished, "dvc", "checkout", CROPS)
    assert (finished / CROPS).stat().st_size == place.stat().st_size
    assert ("crops", "train/part_00") in Workspace(finished).stale_units()
    assert run(finished, "crops", "train/part_00").how == "ran"
    assert Workspace(finished).stale_units() == {}
    assert digests(finished) == before
    assert wrong(finished) == [str(place.relative_to(finished))]
    assert leftovers(finished) == []
