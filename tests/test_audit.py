"""Where a file came from and where a video went, asked of a finished workspace."""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from trueframe import tables, withdraw
from trueframe.audit import journey, subject
from trueframe.audit.trail import Auditor, Trail
from trueframe.errors import UserError
from trueframe.workspace import Workspace
from workspaces import call, commit, digests, edit_params, git

# Neither Snakemake, MLflow nor the network is there.
ALONE = (
    "import socket, sys\n"
    "sys.modules.update(dict.fromkeys(('mlflow', 'snakemake', 'torch')))\n"
    "def refuse(*_): raise AssertionError('the network was asked for')\n"
    "socket.socket.connect = refuse\n"
    "from trueframe.cli import main\n"
    "main()\n"
)


def audit(root: Path, *words: str) -> tuple[int, Any]:
    """The exit status and the answer in JSON."""
    done = call(root, sys.executable, "-c", ALONE, "audit", *words, "--json", check=False, PYTHONPATH="src")
    assert done.returncode in (0, 1), done.stderr
    return done.returncode, json.loads(done.stdout) if done.stdout else done.stderr


def trail(root: Path, asked: str) -> Trail:
    auditor = Auditor(Workspace(root))
    return auditor.trail(asked, subject.find(root, auditor.graph, asked))


def metadata(root: Path, part: str) -> dict[str, dict[str, str]]:
    entries: dict[str, dict[str, str]] = json.loads((root / f"data/raw/{part}/metadata.json").read_text())
    return entries


def test_a_model_leads_down_to_its_raw_videos(finished_workspace: Path) -> None:
    status, found = audit(finished_workspace, "models/1", "--videos")
    assert status == 0
    assert [step["stage"] for step in found["steps"]] == [
        "models", "folds", "masks", "landmarks", "crops", "bboxes", "index",
    ]  # fmt: skip
    named = {
        f"{part}/{name}": part
        for part in ("train/part_00", "train/part_01")
        for name in metadata(finished_workspace, part)
    }
    assert {video["part"] + "/" + video["video"] for video in found["videos"]} == set(named)
    for video in found["videos"]:
        raw = finished_workspace / "data/raw" / video["part"] / video["video"]
        assert video["sha256"] == hashlib.sha256(raw.read_bytes()).hexdigest()
    assert [(part["part"], part["raw_files"], part["videos"]) for part in found["parts"]] == [
        ("train/part_00", 5, 4), ("train/part_01", 5, 4),
    ]  # fmt: skip
    assert found["seeds"] == ["1"]
    assert found["problems"] == []


def test_it_tells_the_parameters_the_code_and_the_commits_that_made_it(finished_workspace: Path) -> None:
    found = trail(finished_workspace, "models/1")
    steps = {step.stage: step for step in found.steps}
    (models,), (boxes,) = steps["models"].variants, steps["bboxes"].variants
    assert models.params["models.size_px"] == 64
    assert models.params["models.augmentation.flip"] == 0.5
    assert "models.seeds" not in models.params
    assert boxes.params["bboxes.train.every_n_frames"] == 10
    assert not any(name.startswith("bboxes.test") for name in boxes.params)  # no test part made this model
    project = git(finished_workspace, "rev-list", "--max-parents=0", "HEAD").strip()
    assert (models.code_commits.first, models.code_commits.absent) == (project, ())
    assert models.lock_commits.first == project
    lock = hashlib.sha256((finished_workspace / "requirements.lock").read_bytes()).hexdigest()
    assert models.environment["lock"] == f"sha256:{lock}"
    assert "src/trueframe/training/loss.py" in models.code


def test_it_tells_which_videos_trained_and_which_validated(finished_workspace: Path) -> None:
    found = trail(finished_workspace, "models/1")
    selection = json.loads((finished_workspace / "models/1/selection.json").read_text())
    validated = sum(len(names) for names in selection["validation_videos"].values())
    by_role = {(fold.fold, fold.role): fold.real + fold.fake for fold in found.folds}
    assert by_role == {(0, "validated"): validated, (1, "trained"): 4}
    batches = sum(fold.draws for fold in found.folds)
    kept = max(row["epoch"] for row in selection["kept"])
    with (finished_workspace / "models/1/history.csv").open(newline="") as file:
        drawn = [int(row["train_fakes"]) + int(row["train_reals"]) for row in csv.DictReader(file)]
    assert batches == sum(drawn[: kept + 1])


def test_the_run_in_mlflow_is_known_without_mlflow(finished_workspace: Path) -> None:
    import mlflow

    (run,) = trail(finished_workspace, "models/1").runs["models 1"]
    client = mlflow.MlflowClient(f"sqlite:///{finished_workspace}/mlflow.db")
    told = client.get_run(run.run_id)
    assert told.data.tags["recipe_digest"] == Workspace(finished_workspace).recipe("models", "1").digest
    assert (run.name, run.status) == ("seed 1", "FINISHED")


def test_a_file_is_known_by_many_names(finished_workspace: Path, tmp_path: Path) -> None:
    auditor = Auditor(Workspace(finished_workspace))
    copy = Path(shutil.copy(finished_workspace / "models/1/weights_2.safetensors", tmp_path / "from-a-friend.bin"))
    digest = hashlib.sha256(copy.read_bytes()).hexdigest()
    names = {
        "models/1": ("models", "1"),
        "1": ("models", "1"),
        "models/1/record.json": ("models", "1"),
        str(finished_workspace / "models/1/history.csv"): ("models", "1"),
        str(copy): ("models", "1"),
        digest: ("models", "1"),
        "submission": ("submission", "all"),
        "reports/submission.csv": ("submission", "all"),
        "data/crops/train/part_00": ("crops", "train/part_00"),
        "data/predictions/1/test/part_00.parquet": ("predictions", "1/test/part_00"),
        "data/raw/train/part_00": ("index", "train/part_00"),
        "folds": ("folds", "all"),
    }
    for name, node in names.items():
        assert subject.find(finished_workspace, auditor.graph, name).node == node, name
    strangers = (
        "nothing.bin",
        "x" * 300,
        "\x1b",
        "",
        "222",
        "²",
        "models/222",
        "models/1/model.safetensors",
        "crops/x",
    )
    for stranger in (*strangers, "submission/foo", "data/crops/train/nowhere.zip/a.mp4/0_0.png"):
        with pytest.raises(UserError, match="no record knows this file"):
            subject.find(finished_workspace, auditor.graph, stranger)


def test_a_crop_in_an_archive_is_told_with_its_video_and_its_face(finished_workspace: Path) -> None:
    archive = finished_workspace / "data/crops/train/part_00.zip"
    with zipfile.ZipFile(archive) as crops:
        member = crops.namelist()[0]
        digest = hashlib.sha256(crops.read(member)).hexdigest()
    video = member.partition("/")[0]
    raw = (finished_workspace / "data/raw/train/part_00" / video).read_bytes()
    for asked in (f"{archive}/{member}", f"data/crops/train/part_00/{member}"):
        crop = trail(finished_workspace, asked).crop
        assert crop is not None
        assert (crop["member"], crop["sha256"]) == (member, digest)
        assert crop["sha256_of_video"] == hashlib.sha256(raw).hexdigest()
        assert (crop["box"]["frame"], crop["box"]["track"]) == (crop["frame"], crop["track"])
    with pytest.raises(UserError, match="has no"):
        trail(finished_workspace, f"data/crops/train/part_00.zip/{video}/999999_0.webp")


def test_a_link_that_is_missing_or_stale_is_named_and_ends_in_status_1(finished: Path) -> None:
    edit_params(finished, {"crops.margin": 0.25})
    status, found = audit(finished, "models/1")
    assert status == 1
    assert {(problem["stage"], *problem["reasons"]) for problem in found["problems"]} == {("crops", "params.margin")}
    edit_params(finished, {"crops.margin": 0.3333})
    (finished / "data/bboxes/train/part_01.json").unlink()
    status, found = audit(finished, "models/1")
    assert status == 1
    problems = {(problem["stage"], problem["unit"]): problem["reasons"] for problem in found["problems"]}
    assert set(problems) == {("crops", "train/part_01")}
    assert any("data/bboxes/train/part_01.parquet" in reason for reason in problems["crops", "train/part_01"])


def test_changed_code_that_no_commit_holds_is_named(finished: Path) -> None:
    loss = finished / "src/trueframe/training/loss.py"
    loss.write_text(loss.read_text() + "\nNEW = 1\n")
    found = trail(finished, "models/1")
    assert [problem.reasons for problem in found.problems] == [("code.loss.py",)]
    assert next(step for step in found.steps if step.stage == "models").variants[0].code_commits.absent == ()
    record = json.loads((finished / "models/1/record.json").read_text())
    record["recipe"]["code"]["src/trueframe/training/loss.py"] = "sha256:" + "0" * 64
    (finished / "models/1/record.json").write_text(json.dumps(record))
    models = next(step for step in trail(finished, "models/1").steps if step.stage == "models")
    assert models.variants[0].code_commits.newest is None
    assert models.variants[0].code_commits.absent == ("src/trueframe/training/loss.py",)


def test_it_works_in_a_clone_without_the_videos(finished: Path) -> None:
    remote = finished.parent / "remote"
    call(finished, "dvc", "remote", "add", "--default", "there", str(remote))
    call(finished, "dvc", "push", "--quiet")
    commit(finished, "remote")
    clone = finished.parent / "clone"
    git(finished.parent, "clone", "--quiet", str(finished), str(clone))
    call(
        clone,
        "dvc",
        "pull",
        "--quiet",
        "models",
        "submission",
        "folds",
        "crops",
        "bboxes",
        "index",
        "landmarks",
        "masks",
    )
    call(clone, "dvc", "pull", "--quiet", "predictions")
    assert not (clone / "data/raw").exists()
    before, after = trail(finished, "submission"), trail(clone, "submission")
    assert after.problems == ()
    assert (after.parts, after.folds, after.outputs) == (before.parts, before.folds, before.outputs)
    assert [step.variants for step in after.steps] == [step.variants for step in before.steps]


def test_a_train_video_leads_to_its_files_and_its_role_in_each_model(finished_workspace: Path) -> None:
    roles = tables.read(finished_workspace / "models/1/videos.parquet").set_index(["part", "video"])
    for part in ("train/part_00", "train/part_01"):
        for name, entry in metadata(finished_workspace, part).items():
            status, (found,) = audit(finished_workspace, "--video", name)
            assert status == 0
            (model,) = found["models"]
            assert (model["role"], model["draws"]) == tuple(roles.loc[(part, name), ["role", "draws"]])
            places = {place["stage"]: place["number"] for place in found["places"]}
            with zipfile.ZipFile(finished_workspace / f"data/crops/{part}.zip") as crops:
                assert places["crops"] == sum(member.startswith(f"{name}/") for member in crops.namelist())
            assert ("masks" in places) == (entry["label"] == "FAKE")
            assert ("landmarks" in places) == (entry["label"] == "REAL")
            fakes = [fake for fake, its in metadata(finished_workspace, part).items() if its.get("original") == name]
            assert found["fakes"] == [f"{part}/{fake}" for fake in sorted(fakes)]
            assert found["dependents"]["models"] == 1


def test_a_test_video_leads_to_its_row_of_the_submission_and_trains_nothing(finished_workspace: Path) -> None:
    with (finished_workspace / "reports/submission.csv").open(newline="") as file:
        rows = {row["filename"]: row["label"] for row in csv.DictReader(file)}
    auditor = Auditor(Workspace(finished_workspace))
    for name, score in rows.items():
        digest = hashlib.sha256((finished_workspace / "data/raw/test/part_00" / name).read_bytes()).hexdigest()
        for asked in (name, f"test/part_00/{name}", f"data/raw/test/part_00/{name}", digest, digest[:8]):
            (video,) = journey.find(auditor, asked)
            found = journey.follow(auditor, video)
            assert found.row is not None
            assert found.row["score"] == score
            assert [model.role for model in found.models] == ["tested"]
            assert "models" not in found.dependents
    with pytest.raises(UserError, match="no index knows this video"):
        journey.find(auditor, "nobody.mp4")


def test_a_video_without_crops_is_unused_and_it_says_why(finished: Path) -> None:
    path = finished / "data/crops/train/part_00.videos.parquet"
    rows = tables.read_rows(path)
    rows[0] |= {"status": tables.NO_FACE, "reason": "in none of 2 frames", "items": 0}
    tables.write(path, rows, tables.VIDEOS)
    roles = [row for row in tables.read_rows(finished / "models/1/videos.parquet") if row["video"] != rows[0]["video"]]
    tables.write(finished / "models/1/videos.parquet", roles, tables.ROLES)
    auditor = Auditor(Workspace(finished))
    (video,) = journey.find(auditor, f"train/part_00/{rows[0]['video']}")
    (model,) = journey.follow(auditor, video).models
    assert (model.role, model.reason) == ("unused", "no_face: in none of 2 frames")


def test_names_from_outside_cannot_steer_the_terminal(finished: Path) -> None:
    path = finished / "data/crops/train/part_00.videos.parquet"
    rows = tables.read_rows(path)
    rows[0] |= {"status": tables.NO_FACE, "reason": "\x1b[2Jgone", "items": 0}
    tables.write(path, rows, tables.VIDEOS)
    done = call(
        finished, sys.executable, "-m", "trueframe", "audit", "--video", rows[0]["video"], check=False, PYTHONPATH="src"
    )
    assert "\x1b" not in done.stdout
    assert "\\x1b[2Jgone" in done.stdout


def trueframe(root: Path, *words: str, **environment: str) -> str:
    """The one line that a user's mistake ends in."""
    code = "from trueframe.cli import main; main()"
    done = call(root, sys.executable, "-c", code, *words, check=False, PYTHONPATH="src", **environment)
    assert done.returncode == 1, done.stdout
    assert done.stderr.startswith("trueframe: "), done.stderr
    return done.stderr


@pytest.mark.parametrize("out", ["reports/submission.csv", "models/1/page.html", "params.yaml", "/dev/full", "reports"])
def test_an_answer_is_not_written_over_something_else(finished_workspace: Path, out: str) -> None:
    before = digests(finished_workspace)
    for words in (("audit", "--html", out), ("export", "prov", "--out", out)):
        assert "name another file" in trueframe(finished_workspace, *words)
    assert digests(finished_workspace) == before
    assert Path("/dev/full").is_char_device()


def test_damaged_files_end_in_a_message(finished: Path) -> None:
    archive = finished / "data/crops/train/part_00.zip"
    archive.write_bytes(archive.read_bytes()[:-40])
    name = next(iter(metadata(finished, "train/part_00")))
    assert "expected an archive as trueframe writes it" in trueframe(
        finished, "audit", f"data/crops/train/part_00/{name}/0_0.png"
    )
    index = finished / "data/index/train/part_00.parquet"
    index.write_bytes(index.read_bytes()[:-4])
    other = next(iter(metadata(finished, "train/part_01")))
    assert "expected a parquet table" in trueframe(finished, "withdraw", other, "--reason", "x")
    (finished / "params.yaml").write_text("a: [")
    assert "params.yaml" in trueframe(finished, "diff", ".", "1")


def test_outside_a_repository_it_says_so(finished: Path) -> None:
    shutil.rmtree(finished / ".git")
    assert "not a repository of git and DVC" in trueframe(finished, "audit")


def test_a_terminal_without_our_signs_gets_escapes(finished_workspace: Path) -> None:
    name = next(iter(sorted(path.name for path in (finished_workspace / "data/raw/test/part_00").glob("*.mp4"))))
    words = (sys.executable, "-m", "trueframe", "audit", "--video", name)
    done = call(finished_workspace, *words, PYTHONPATH="src", PYTHONIOENCODING="ascii")
    assert "\\u2013" in done.stdout  # no fold of a test video


def test_a_video_of_a_part_that_is_gone_from_raw_can_be_withdrawn(finished: Path) -> None:
    names = metadata(finished, "train/part_01")
    original = next(name for name, entry in names.items() if entry["label"] == "REAL")
    shutil.rmtree(finished / "data/raw/train/part_01")
    outcome = withdraw.withdraw(Workspace(finished), original, "consent withdrawn")
    fakes = [f"train/part_01/{name}" for name, entry in names.items() if entry.get("original") == original]
    assert set(outcome.videos) == {f"train/part_01/{original}", *fakes}
