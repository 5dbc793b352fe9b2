"""Any videos, scored by the trained models: the scores of a submission, whatever the files are called."""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from trueframe import listing, predict, tables
from trueframe.errors import UserError
from trueframe.params import Pooling, Submission
from trueframe.predict import Bands, Prediction, Track
from trueframe.workspace import Workspace
from workspaces import UNPRIVILEGED, call, edit_params

BANDS = Bands(fake_above=0.8, real_below=0.2)
PART = "data/raw/test/part_00"
HOSTILE = [" a b .mp4", "--format.mp4", "<img src=x>.mp4", "[bold]b.mp4", "new\nline.MP4", "\x1b[31m.mp4", "\udcff.mp4"]


def contents(folder: Path) -> dict[str, str]:
    """Every file, but for those that Python and DVC keep to be faster."""
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "no file"
        for path in sorted(folder.rglob("*"))
        if not {"__pycache__", ".dvc", ".git"} & set(path.parts)
    }


def submitted(workspace: Path) -> dict[str, dict[str, str]]:
    """A row of the submission's detail by filename."""
    with (workspace / "reports/submission_detail.csv").open(newline="") as file:
        return {row["filename"]: row for row in csv.DictReader(file)}


def told(workspace: Path, *words: str, status: int, **environment: str) -> list[dict[str, Any]]:
    """What the command prints as JSON."""
    done = call(
        workspace, "trueframe", "predict", "--format", "json", *words, check=False, PYTHONPATH="src", **environment
    )
    assert done.returncode == status, done.stderr
    assert all(line.startswith("predict: ") for line in done.stderr.splitlines())
    rows: list[dict[str, Any]] = json.loads(done.stdout)
    return rows


def test_a_test_part_gets_the_scores_of_its_submission_to_the_last_bit(finished_workspace: Path) -> None:
    rows = told(finished_workspace, PART, status=0)
    expected = submitted(finished_workspace)
    assert [row["file"] for row in rows] == sorted(expected)
    for row in rows:
        detail = expected[row["file"]]
        assert repr(row["score"]) == detail["score"]
        assert (row["status"], row["reason"]) == (detail["status"], detail["reason"])
        assert (row["faces"], len(row["tracks"])) == (int(detail["crops"]), int(detail["tracks"]))
        assert row["frames"] == 2  # bboxes.test.frames


def test_a_video_by_itself_gets_what_it_gets_among_others(finished_workspace: Path) -> None:
    workspace = Workspace(finished_workspace)
    for name, detail in submitted(finished_workspace).items():
        (row,) = predict.predict(workspace, finished_workspace / PART / name, BANDS, device="cpu")
        assert (row.file, repr(row.score)) == (name, detail["score"])
        if len(row.tracks) == 1:
            assert row.tracks == (Track(0, row.faces, row.score),)


def test_names_change_nothing_and_nothing_is_left_behind(finished_workspace: Path, tmp_path: Path) -> None:
    name, detail = next(iter(submitted(finished_workspace).items()))
    folder, scratch = tmp_path / "in", tmp_path / "scratch"
    folder.mkdir()
    scratch.mkdir()
    for hostile in HOSTILE:
        shutil.copy(finished_workspace / PART / name, folder / hostile)
    (folder / "broken.mp4").write_bytes(b"no video")
    (folder / "gone.mp4").symlink_to(tmp_path / "nowhere")
    (folder / "notes.txt").write_text("no video")
    (folder / "below.mp4").mkdir()
    (folder / ".hidden.mp4").write_bytes(b"not looked at")
    # Taken for truth, these would be labels.
    (folder / "metadata.json").write_text(json.dumps({hostile: {"label": "REAL"} for hostile in HOSTILE}))
    (folder / "labels.csv").write_text("filename,label\n")
    before = contents(finished_workspace), contents(folder)
    rows = {row["file"]: row for row in told(finished_workspace, str(folder), status=1, TMPDIR=str(scratch))}
    assert (contents(finished_workspace), contents(folder)) == before
    assert list(scratch.iterdir()) == []
    assert list(rows) == sorted([*HOSTILE, "broken.mp4", "gone.mp4", "notes.txt", "below.mp4"])
    assert {repr(rows[hostile]["score"]) for hostile in HOSTILE} == {detail["score"]}
    others = {name: (row["score"], row["verdict"], row["status"]) for name, row in rows.items() if name not in HOSTILE}
    assert others == {
        "broken.mp4": (0.5, "unknown", tables.DECODE_ERROR),
        "gone.mp4": (None, "unknown", tables.MISSING_FILE),
        "notes.txt": (None, "unknown", tables.NOT_A_VIDEO),
        "below.mp4": (None, "unknown", tables.NOT_A_VIDEO),
    }


def test_a_video_that_can_not_be_opened_has_unknown_score_and_the_reason(
    finished_workspace: Path, tmp_path: Path
) -> None:
    (tmp_path / "a.mp4").write_bytes(b"no video")
    (row,) = predict.predict(Workspace(finished_workspace), tmp_path / "a.mp4", BANDS)
    assert (row.score, row.verdict, row.frames, row.faces, row.tracks) == (0.5, "unknown", 0, 0, ())
    assert row.reason.startswith("decode_error: can't be decoded: ")
    assert row.reason.endswith("; unknown_score 0.5")


def test_a_missing_model_is_named(finished: Path) -> None:
    (finished / "models/1/weights_1.safetensors").unlink()
    with pytest.raises(UserError, match=r"^models/1/weights_1\.safetensors: not there; run `snakemake .* models`"):
        predict.predict(Workspace(finished), finished / PART, BANDS)


def test_stale_models_score_with_a_warning(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    edit_params(finished, {"models.lr": 0.0125})
    name, detail = next(iter(submitted(finished).items()))
    (row,) = predict.predict(Workspace(finished), finished / PART / name, BANDS, device="cpu")
    assert repr(row.score) == detail["score"]
    warnings = [line for line in capsys.readouterr().err.splitlines() if "would train now" in line]
    assert len(warnings) == 1
    assert "(params.lr)" in warnings[0]


def test_fresh_models_come_without_a_warning(finished_workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    predict.weights_of(Workspace(finished_workspace))
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("files", "path", "message"),
    [
        ([], "gone.mp4", r"gone\.mp4: not there; expected a video or a folder"),
        (["in/notes.txt"], "in", r"in: no video in it, no file that ends in \.avi, .*\.webm$"),
        (["in/b/x.mp4", "in/a/x.mp4"], "in", r"subfolders are not searched: name one of them, for one 'a'"),
        (["in/.x.mp4", "in/metadata.json", "in/labels.csv"], "in", "no video in it"),
        (["notes.txt"], "notes.txt", r"notes\.txt: not a video; expected a file that ends in"),
        (["a.mp4"], "a.mp4/b.mp4", "not there"),
        ([], "x" * 300 + ".mp4", "can't be read"),
    ],
)
def test_what_can_not_be_searched_is_one_message(tmp_path: Path, files: list[str], path: str, message: str) -> None:
    for file in files:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    with pytest.raises(UserError, match=message):
        predict.files_of(tmp_path / path)


def test_a_file_that_may_not_be_read_is_named(finished_workspace: Path, tmp_path: Path) -> None:
    (tmp_path / "a.mp4").touch(mode=0o000)
    done = call(finished_workspace, *UNPRIVILEGED, "trueframe", "predict", str(tmp_path), check=False, PYTHONPATH="src")
    assert done.returncode == 1
    assert done.stderr == f"trueframe: {tmp_path}/a.mp4: can't be read; give read permission or remove it\n"


def test_a_score_on_an_edge_is_uncertain() -> None:
    scores = {0.0: "real", 0.1999: "real", 0.2: "uncertain", 0.8: "uncertain", 0.8001: "fake", 1.0: "fake"}
    assert {score: BANDS.verdict(score) for score in scores} == scores


@pytest.mark.parametrize(("fake_above", "real_below"), [(0.2, 0.3), (1.1, 0.5), (0.5, -0.1), (float("nan"), 0.2)])
def test_edges_out_of_order_are_refused(fake_above: float, real_below: float) -> None:
    with pytest.raises(UserError, match=r"--real-below .* --fake-above .*: expected numbers of 0 to 1"):
        Bands(fake_above, real_below)


def test_a_track_is_pooled_by_itself_and_its_score_is_the_mean_over_the_models(tmp_path: Path) -> None:
    pooling = Pooling(rule="max", high=0.8, high_share=0.4, high_count=11, low=0.2, low_share=0.9, trim=0.0)
    params = Submission(pooling=pooling, temperature=0.5, unknown_score=0.5)
    scores = {1: {(0, 0): 0.25, (0, 2): 0.125, (9, 2): 0.5, (0, 10): 0.5}, 2: {(0, 0): 0.75, (0, 2): 1.0, (9, 2): 0.0}}
    scores[2][0, 10] = 0.75
    paths = {}
    for seed, of_seed in scores.items():
        rows = [
            {"video": "a.mp4", "frame": frame, "track": track, "epoch": 3, "score": score, "held_out": True}
            for (frame, track), score in sorted(of_seed.items())
        ]
        paths[seed] = tmp_path / str(seed)
        tables.write(paths[seed], rows, tables.PREDICTIONS)
    # Track 2: the mean of 0.5 and 1.0; track 10: of 0.5 and 0.75. A temperature of 1/2 squares the odds: 3 to 9, 5/3 to
    # 25/9.
    tracks = predict.tracks_of(paths, params)["a.mp4"]
    assert [(track.track, track.faces) for track in tracks] == [(0, 1), (2, 2), (10, 1)]
    assert [track.score for track in tracks] == pytest.approx([0.5, 9 / 10, 25 / 34])


ROWS = [
    Prediction('a\rb,"c"\n.mp4', 0.1 + 0.2, "uncertain", 8, 9, (Track(0, 8, 0.25), Track(1, 1, 1.0)), "ok", "why"),
    Prediction("x" * 200 + "\x1b[31m[red]\u2028.mp4", 0.5, "unknown", 8, 0, (), "no_face", "no_face: none in 8 frames"),
    Prediction("\udcff.txt", None, "unknown", 0, 0, (), "not_a_video", ""),
]


def printed(form: str, capsysbinary: pytest.CaptureFixture[bytes]) -> str:
    listing.show(ROWS, form)
    return capsysbinary.readouterr().out.decode()


def test_csv_reads_back(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    rows = list(csv.DictReader(printed("csv", capsysbinary).splitlines(keepends=True)))
    assert [row["file"] for row in rows] == [ROWS[0].file, ROWS[1].file, "\\udcff.txt"]
    assert [row["score"] for row in rows] == ["0.30000000000000004", "0.5", ""]
    assert rows[0]["tracks"] == "0:0.25 1:1.0"
    assert rows[1]["tracks"] == ""


def test_json_reads_back(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    rows = json.loads(printed("json", capsysbinary))
    assert [row["file"] for row in rows] == [row.file for row in ROWS]
    assert [row["score"] for row in rows] == [0.1 + 0.2, 0.5, None]
    assert rows[0]["tracks"] == [{"track": 0, "faces": 8, "score": 0.25}, {"track": 1, "faces": 1, "score": 1.0}]


def test_a_table_in_a_pipe_has_a_line_per_row_whole_and_without_steering_signs(
    capsysbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "40")
    lines = printed("table", capsysbinary).splitlines()
    assert lines[0].split() == ["file", "score", "verdict", "frames", "faces", "tracks", "status", "reason"]
    assert lines[1].startswith('a\\rb,"c"\\n.mp4 ')
    assert lines[1].endswith("0.3000  uncertain       8      9  0: 0.2500, 1: 1.0000  ok           why")
    assert lines[2].startswith("x" * 200 + "\\x1b[31m[red]\\u2028.mp4 ")
    assert lines[2].endswith("no_face      no_face: none in 8 frames")
    assert len(lines) == 4
    assert all(sign.isprintable() for line in lines for sign in line)


def test_only_videos_count_as_not_scored() -> None:
    assert predict.unscored(ROWS) == [ROWS[1]]


def test_a_gpu_that_is_not_there_is_a_message(finished_workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(UserError, match="--device cuda: torch sees no CUDA device here"):
        predict.predict(Workspace(finished_workspace), finished_workspace / PART, BANDS, device="cuda")
