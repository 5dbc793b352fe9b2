"""The two engines always agree: real Snakemake and DVC, in clones in temporary folders, with the clones' own code."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

import workspaces
from trueframe.dag import STAGES, downstream
from trueframe.workspace import Workspace
from workspaces import (
    UNPRIVILEGED,
    as_another,
    call,
    clean,
    commit,
    digests,
    edit_params,
    environment,
    git,
    planned,
    snakemake,
    stages,
)

# What follows from other crops in a train part: all models, and all that they score.
AFTER_TRAIN = {"folds", "models", "predictions", "submission", "evaluation"}


def _append(path: Path, text: str) -> None:
    path.write_text(path.read_text() + text)


def _video(workspace: Path, part: str, position: int = 0) -> Path:
    return sorted((workspace / "data/raw" / part).glob("*.mp4"))[position]


def _units(jobs: set[tuple[str, str]], stage: str) -> set[str]:
    return {unit for name, unit in jobs if name == stage}


def test_after_a_run_of_snakemake_both_engines_have_nothing_to_do(finished: Path) -> None:
    clean(finished)
    assert git(finished, "status", "--porcelain") == ""


def test_either_engine_does_a_change_and_the_bytes_are_the_same(finished: Path) -> None:
    edit_params(finished, {"predictions.batch_size": 3})
    other = Path(shutil.copytree(finished, finished.parent / "other", symlinks=True))
    call(finished, "dvc", "repro")
    clean(finished)
    snakemake(other, "submission")
    clean(other)
    assert digests(finished) == digests(other)


@pytest.mark.long
def test_dvc_repro_from_raw_videos_makes_the_same_bytes(raw: Path, finished_workspace: Path) -> None:
    call(raw, "dvc", "repro")
    clean(raw)
    assert digests(raw) == digests(finished_workspace)


@pytest.mark.long
def test_a_run_on_one_core_makes_the_same_bytes(raw: Path, finished_workspace: Path) -> None:
    snakemake(raw, "submission", cores=1)
    assert digests(raw) == digests(finished_workspace)


@pytest.mark.parametrize("part", ["train/part_01", "test/part_00"])
@pytest.mark.parametrize("change", ["added", "replaced", "removed"])
def test_a_changed_video_reruns_its_part_and_the_whole_set_stages(finished: Path, part: str, change: str) -> None:
    victim = _video(finished, part)
    other = _video(finished, "train/part_00")
    match change:
        case "added":
            shutil.copy(other, victim.with_name("zzzzzzzzzz.mp4"))
        case "replaced":
            shutil.copy(other, victim)
        case "removed":
            victim.unlink()
    jobs = planned(finished)
    of_part = {"index", "bboxes", "crops"} | ({"landmarks", "masks"} if part.startswith("train") else set())
    for stage in of_part:
        assert _units(jobs, stage) == {part}
    if part.startswith("train"):
        assert set(stages(jobs)) == of_part | AFTER_TRAIN
        assert _units(jobs, "models") == {"1"}
    else:
        assert set(stages(jobs)) == of_part | {"predictions", "submission", "evaluation"}
        assert _units(jobs, "predictions") == {f"1/{part}"}


def test_dvc_reruns_a_replaced_test_video_and_both_engines_agree_again(finished: Path) -> None:
    before = digests(finished)
    shutil.copy(_video(finished, "train/part_00"), _video(finished, "test/part_00"))
    call(finished, "dvc", "repro")
    clean(finished)
    assert "data/raw.dvc" in git(finished, "status", "--porcelain")
    after = digests(finished)
    changed = {path for path in before if before[path] != after[path]}
    assert all("test/part_00" in path or path.startswith("reports/") for path in changed)
    assert "reports/submission.csv" in changed


def test_what_a_removed_part_and_seed_left_is_removed(finished: Path) -> None:
    for stage in ("index", "bboxes", "crops", "landmarks", "masks"):
        as_another(finished, stage, "train/part_00", "train/part_09")
    as_another(finished, "models", "1", "9")
    for unit in Workspace(finished).layout.units("predictions"):
        if unit.startswith("1/"):
            as_another(finished, "predictions", unit, f"9{unit[1:]}")
    (finished / "models/notes.txt").write_text("a user's own file")
    told = snakemake(finished, "--dry-run", "submission").stdout
    assert told.count("rule prune:") == 7
    snakemake(finished, "submission")
    assert not [*(finished / "data").rglob("part_09*"), *(finished / "models").glob("9")]
    assert (finished / "models/notes.txt").exists()
    clean(finished)


def test_files_that_a_user_puts_beside_the_artifacts_stay(finished: Path) -> None:
    for folder, name in (("models/best", "weights_1.safetensors"), ("data/crops/train", "backup_2024.zip")):
        (finished / folder).mkdir(exist_ok=True)
        (finished / folder / name).write_bytes(b"a user's own file")
    shutil.copytree(finished / "models/1", finished / "models/1_before")  # with a record, which is seed 1's
    assert planned(finished) == set()
    call(finished, "trueframe", "prune", "models", PYTHONPATH="src")
    call(finished, "trueframe", "prune", "crops", PYTHONPATH="src")
    assert (finished / "models/best/weights_1.safetensors").exists()
    assert (finished / "models/1_before/weights_1.safetensors").exists()
    assert (finished / "data/crops/train/backup_2024.zip").exists()


def test_what_a_killed_training_left_goes_with_its_seed_and_when_it_is_trained(finished: Path) -> None:
    for seed in ("1", "7"):
        (finished / f".trueframe/partial/models/{seed}/digest").mkdir(parents=True)
    call(finished, "trueframe", "commit", PYTHONPATH="src")
    assert not list((finished / ".trueframe/partial/models").iterdir())


@pytest.mark.long
def test_a_part_that_comes_and_goes_leaves_no_files_behind(finished: Path) -> None:
    shutil.copytree(finished / "data/raw/test/part_00", finished / "data/raw/test/part_01")
    for video in (finished / "data/raw/test/part_01").glob("*.mp4"):
        video.rename(video.with_name(f"second_{video.name}"))
    (finished / "data/raw/test/part_01/labels.csv").unlink()
    snakemake(finished, "submission")
    clean(finished)
    assert (finished / "data/crops/test/part_01.zip").exists()
    shutil.rmtree(finished / "data/raw/test/part_01")
    snakemake(finished, "submission")
    clean(finished)
    left = [path for stage in STAGES for path in (finished / "data" / stage).rglob("test/part_01*")]
    assert left == []


def test_a_new_seed_runs_its_own_model_and_what_pools_all(finished: Path) -> None:
    edit_params(finished, {"models.seeds": [1, 3]})
    jobs = planned(finished)
    assert jobs == {
        ("models", "3"),
        *(("predictions", f"3/{part}") for part in ("train/part_00", "train/part_01", "test/part_00")),
        ("submission", "all"),
        ("evaluation", "all"),
    }


def test_a_run_killed_before_dvc_was_told_is_told_by_the_next(finished: Path) -> None:
    edit_params(finished, {"submission.unknown_score": 0.4})
    call(finished, "trueframe", "submission", PYTHONPATH="src")
    (finished / ".snakemake/owed").touch()
    assert "rule commit:" in snakemake(finished, "--dry-run", "submission").stdout
    snakemake(finished, "submission")
    clean(finished)


def test_a_comment_in_a_stage_reruns_nothing(finished: Path) -> None:
    _append(finished / "src/trueframe/stages/crops.py", "\n\n# Only a comment.\n")
    assert planned(finished) == set()


def test_an_edit_that_keeps_the_bytes_runs_its_stage_and_ends_the_others_at_once(finished: Path) -> None:
    before = digests(finished)
    _append(finished / "src/trueframe/stages/landmarks.py", "\n\n_ANOTHER_CONSTANT = 1\n")
    assert stages(planned(finished)) == downstream(["landmarks"])
    snakemake(finished, "submission")
    assert "fresh, nothing to do" in (finished / "logs/models/1.log").read_text()
    assert "fresh" not in (finished / "logs/landmarks/train/part_00.log").read_text()
    after = digests(finished)
    assert {path for path in before if before[path] != after[path]} == {
        "data/landmarks/train/part_00.json",
        "data/landmarks/train/part_01.json",
    }
    clean(finished)


def test_touching_everything_reruns_nothing(finished: Path) -> None:
    for path in finished.rglob("*"):
        if ".git" not in path.parts and ".dvc" not in path.parts:
            path.touch()
    clean(finished)


def test_checkout_to_an_older_commit_and_back_reruns_nothing(finished: Path) -> None:
    first = git(finished, "rev-parse", "HEAD").strip()
    old = digests(finished)
    edit_params(finished, {"evaluation.threshold": 0.4})
    snakemake(finished, "submission")
    commit(finished, "another threshold")
    second = git(finished, "rev-parse", "HEAD").strip()
    new = digests(finished)
    for revision, made in ((first, old), (second, new)):
        git(finished, "checkout", "--quiet", revision)
        call(finished, "dvc", "checkout", "--quiet")
        clean(finished)
        assert digests(finished) == made


@pytest.mark.long
def test_the_same_change_made_twice_is_seen_twice(finished: Path) -> None:
    for threshold in (0.4, 0.5):
        edit_params(finished, {"evaluation.threshold": threshold})
        assert planned(finished) == {("evaluation", "all")}
        snakemake(finished, "submission")
        assert planned(finished) == set()
    edit_params(finished, {"evaluation.threshold": 0.4})
    assert planned(finished) == {("evaluation", "all")}


def _pulled_clone(finished: Path, cache: str) -> Path:
    """A fresh clone, as an ordinary user has it, that has pulled everything with the given kind of cache link."""
    call(finished, "dvc", "remote", "add", "--default", "--quiet", "shared", str(finished.parent / "remote"))
    call(finished, "dvc", "push", "--quiet")
    commit(finished, "a remote")
    copy = finished.parent / "clone"
    git(finished.parent, "clone", "--quiet", str(finished), str(copy))
    call(copy, "dvc", "config", "--local", "cache.type", cache)
    call(copy, *UNPRIVILEGED, "dvc", "pull", "--quiet")
    return copy


def _reflinks(folder: Path) -> bool:
    (folder / "a").write_text("a")
    return call(folder, "cp", "--reflink=always", "a", "b", check=False).returncode == 0


@pytest.mark.parametrize("cache", [pytest.param("copy", marks=pytest.mark.long), "symlink", "reflink"])
def test_a_pulled_clone_has_nothing_to_do_and_reruns_what_a_change_asks_for(
    finished: Path, cache: str, tmp_path: Path
) -> None:
    if cache == "reflink" and not _reflinks(tmp_path):
        pytest.skip("the file system of the temporary folder has no reflinks")
    copy = _pulled_clone(finished, cache)
    assert (copy / "data/crops/train/part_00.zip").is_symlink() == (cache == "symlink")
    assert digests(copy) == digests(finished)
    clean(copy)
    edit_params(copy, {"evaluation.threshold": 0.4})
    assert planned(copy) == {("evaluation", "all")}
    call(copy, *UNPRIVILEGED, "snakemake", "--cores", "2", "submission")
    clean(copy)
    edit_params(copy, {"submission.unknown_score": 0.4})
    assert planned(copy) == {("submission", "all")}
    told = call(copy, *UNPRIVILEGED, "dvc", "repro").stdout
    assert "Running stage 'submission'" in told
    assert "Running stage 'evaluation'" not in told
    clean(copy)


def test_a_failed_job_leaves_what_was_there(finished: Path) -> None:
    copy = _pulled_clone(finished, "symlink")
    before = digests(copy)
    (copy / "data/raw/test/part_00/labels.csv").unlink()
    (copy / "data/raw/test/part_00/labels.csv").write_text("filename,label\nnobody.mp4,1\n")
    done = call(copy, *UNPRIVILEGED, "snakemake", "--cores", "2", "submission", check=False)
    assert done.returncode != 0
    assert "nobody.mp4" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert digests(copy) == before


def test_a_hardlink_cache_is_refused_with_one_message(finished: Path) -> None:
    call(finished, "dvc", "config", "cache.type", "hardlink,copy")
    told = snakemake(finished, "--dry-run", "submission", check=False)
    assert told.returncode != 0
    assert "hardlink" in told.stdout
    assert "symlink" in told.stdout
    assert "Traceback" not in told.stdout + told.stderr


def test_status_tells_what_snakemake_would_run(finished: Path) -> None:
    edit_params(finished, {"masks.window_px": 9})
    told = call(finished, "trueframe", "status", PYTHONPATH="src").stdout
    assert "params.window_px" in told
    assert "upstream.masks" in told
    assert set(Workspace(finished).stale_units()) == planned(finished)


def test_an_experiment_reruns_its_change_and_dvc_compares_the_figures(finished: Path) -> None:
    call(finished, "dvc", "exp", "run", "--quiet", "-S", "evaluation.threshold=0.3")
    clean(finished)
    assert "threshold: 0.3" in (finished / "params.yaml").read_text()
    assert "accuracy" in call(finished, "dvc", "metrics", "show").stdout
    assert "reports/evaluation/metrics.json" in call(finished, "dvc", "metrics", "diff", "--all", "HEAD").stdout
    assert "index.html" in call(finished, "dvc", "plots", "show").stdout
    assert "submission" in call(finished, "dvc", "dag").stdout


def test_the_runs_are_in_mlflow(finished: Path) -> None:
    code = (
        "import mlflow; c = mlflow.MlflowClient('sqlite:///mlflow.db');"
        "e = c.get_experiment_by_name('trueframe');"
        "print([(r.info.run_name, r.info.status, 'recipe_digest' in r.data.tags, 'final.val_figure' in r.data.metrics,"
        " len(c.get_metric_history(r.info.run_id, 'val_figure')), [d.dataset.digest for d in r.inputs.dataset_inputs])"
        " for r in sorted(c.search_runs([e.experiment_id]), key=lambda r: r.info.run_name)])"
    )
    told = call(finished, "python", "-c", code).stdout
    files = ["data/folds/folds.parquet", "data/crops/train/part_00.zip", "data/crops/train/part_01.zip"]
    data = [hashlib.md5((finished / file).read_bytes(), usedforsecurity=False).hexdigest() for file in files]
    data += [yaml.safe_load((finished / "data/raw.dvc").read_text())["outs"][0]["md5"]]
    runs = [("ensemble", "FINISHED", True, False, 0, []), ("seed 1", "FINISHED", True, True, 2, data)]
    assert told.strip().endswith(str(runs))
    assert call(finished, "trueframe", "mlflow", "rebuild", PYTHONPATH="src").stdout == (
        "seed 1: is there\nensemble: is there\n"
    )
    champion = call(finished, "trueframe", "mlflow", "champion", PYTHONPATH="src").stdout
    assert re.fullmatch(r"version 1 \(seed 1, figure \S+\) is the champion now, the first\n", champion)
    told = call(finished, "trueframe", "mlflow", "champion", "--seed", "1", PYTHONPATH="src", check=False)
    assert told.returncode == 1
    assert "is the champion already" in told.stderr


def test_training_needs_nothing_of_a_test_part(finished: Path) -> None:
    """The same bytes where no file of a test part is there to be read, and none of the stages that follow."""
    before = {path: digest for path, digest in digests(finished).items() if path.startswith("models/")}
    for kept in ("raw", "index", "bboxes", "crops"):
        shutil.rmtree(finished / f"data/{kept}/test")
    for gone in ("data/predictions", "reports", "models"):
        shutil.rmtree(finished / gone)
    call(finished, "trueframe", "models", "1", PYTHONPATH="src")
    assert {path: hashlib.sha256((finished / path).read_bytes()).hexdigest() for path in before} == before
    read = json.loads((finished / "models/1/record.json").read_text())["recipe"]["inputs"]
    assert read
    assert not [path for path in read if "test" in path]


@pytest.mark.long
def test_a_killed_training_goes_on_and_another_recipe_begins_anew(finished: Path) -> None:
    edit_params(finished, {"models.epochs": 40})
    undisturbed = Path(shutil.copytree(finished, finished.parent / "undisturbed", symlinks=True))
    call(undisturbed, "trueframe", "models", "1", PYTHONPATH="src")
    kept = finished / ".trueframe/partial/models/1"
    program = [sys.executable, "-m", "trueframe", "models", "1"]
    training = subprocess.Popen(program, cwd=finished, env=environment(finished) | {"PYTHONPATH": "src"})
    while not list(kept.glob("*/state.safetensors")):
        assert training.poll() is None
        time.sleep(0.02)
    training.kill()
    training.wait()
    other = Path(shutil.copytree(finished, finished.parent / "other", symlinks=True))
    again = call(finished, "trueframe", "models", "1", PYTHONPATH="src")
    assert "goes on after epoch" in again.stderr
    assert not kept.exists()
    for name in ("weights_1.safetensors", "weights_2.safetensors", "history.csv", "selection.json", "record.json"):
        assert (finished / "models/1" / name).read_bytes() == (undisturbed / "models/1" / name).read_bytes()
    edit_params(other, {"models.epochs": 3})
    assert "goes on" not in call(other, "trueframe", "models", "1", PYTHONPATH="src").stderr


@pytest.mark.long
def test_trainings_take_turns_at_the_gpus_and_one_may_have_several(finished: Path) -> None:
    """Without a GPU, two processes stand for two GPUs; each of two new seeds takes both, so they train in turn."""
    edit_params(finished, {"models.seeds": [1, 2, 3]})
    told = snakemake(finished, "--resources", "gpu=2", "--set-resources", "models_unit:gpu=2", "--", "models").stderr
    events = re.findall(
        r"^(?:local)?(rule models_unit)|(Finished jobid: \d+ \(Rule: models_unit\))", told, re.MULTILINE
    )
    assert [bool(started) for started, _ in events] == [True, False, True, False]
    for seed in (2, 3):
        assert len((finished / f"models/{seed}/history.csv").read_text().splitlines()) == 3
    assert not list((finished / ".trueframe").rglob("*.safetensors"))  # what a killed run would have gone on from


def test_workspaces_helper_sees_jobs(raw: Path) -> None:
    jobs = planned(raw)
    assert jobs == {(stage, unit) for stage in STAGES for unit in Workspace(raw).layout.units(stage)}
    assert workspaces.stages(jobs) == list(STAGES)
