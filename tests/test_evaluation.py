from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from pydantic import ValidationError

from evaluations import OUTPUTS, PARAMS, PLOTS, POOLING, TABLES, Row, Workspace, params
from trueframe import tables
from trueframe.errors import UserError
from trueframe.figures import metrics
from trueframe.params import Evaluation


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path)


@pytest.fixture(autouse=True)
def _no_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


OK = tables.OK
TRAIN: list[Row] = [
    ("f", 1, OK, 0, (0.875, 0.625)),
    ("r", 0, OK, 0, (0.125, 0.375)),
    ("seen", 1, OK, 1, (0.9375, 0.9375)),
]


def loss(*chances: float) -> float:
    """Log loss of videos, each by the chance that was given to its true label."""
    return -sum(math.log(chance) for chance in chances) / len(chances)


def test_the_held_out_fold_is_scored_by_hand(workspace: Workspace) -> None:
    report = workspace.train("p", TRAIN).run()
    found = report["held_out"]["scored"]
    assert found["ensemble"]["log_loss"] == pytest.approx(loss(0.75, 0.75), abs=1e-6)
    assert found["seeds"]["1"]["log_loss"] == pytest.approx(loss(0.875, 0.875), abs=1e-6)
    assert found["seeds"]["2"]["log_loss"] == pytest.approx(loss(0.625, 0.625), abs=1e-6)
    mean = (loss(0.875) + loss(0.625)) / 2
    assert found["mean"]["log_loss"] == pytest.approx(mean, abs=1e-6)
    assert found["gain"]["log_loss"] == pytest.approx(mean - loss(0.75), abs=2e-6)
    assert (found["ensemble"]["auc"], found["ensemble"]["accuracy"], found["ensemble"]["videos"]) == (1, 1, 2)


def test_labelled_test_videos_without_a_score_count_with_unknown_score_and_apart(workspace: Workspace) -> None:
    rows: list[Row] = [
        ("a", 1, OK, None, (0.75, 0.75)),
        ("b", 0, tables.NO_FACE, None, None),
        ("c", None, OK, None, (0.5, 0.5)),
    ]
    found = workspace.train("p", TRAIN).test("q", rows).run(params(unknown_score=0.25))["test"]
    assert found["all"]["ensemble"]["log_loss"] == pytest.approx(loss(0.75, 0.75), abs=1e-6)
    assert found["all"]["seeds"]["1"]["auc"] == 1
    assert found["scored"]["ensemble"]["videos"] == 1
    assert found["scored"]["ensemble"]["auc"] is None
    assert found["scored"]["ensemble"]["undefined"]["auc"] == "all videos are fake"


def test_a_withdrawn_test_video_is_not_judged_though_labels_csv_names_it(workspace: Workspace) -> None:
    rows: list[Row] = [("a", 1, OK, None, (0.75, 0.75)), ("b", 0, tables.WITHDRAWN, None, None)]
    found = workspace.train("p", TRAIN).test("q", rows).run(params(unknown_score=0.25))["test"]
    assert found["all"]["ensemble"]["log_loss"] == pytest.approx(loss(0.75), abs=1e-6)
    told = {"videos": 2, "labelled": 1, "unlabelled": 0, "withdrawn": 1, "scored": 1, "unscored": {}}
    assert found["coverage"] == told | {"parts": 1, "parts_without_labels_csv": []}
    assert workspace.report("metrics")["test"]["videos"] == 1


def test_the_headline_is_the_ensembles_over_scored_held_out_videos_and_over_all_labelled_test_videos(
    workspace: Workspace,
) -> None:
    train: list[Row] = [*TRAIN, ("unscored", 1, OK, 0, None)]
    test: list[Row] = [
        ("a", 1, OK, None, (0.9375, 0.8125)),
        ("b", 0, OK, None, (0.125, 0.125)),
        ("c", 0, tables.NO_FACE, None, None),
        ("d", None, OK, None, (0.5, 0.5)),
    ]
    report = workspace.train("p", train).test("q", test).run(params(unknown_score=0.25, log_loss_clip=0.25))
    found = workspace.report("metrics")
    perfect = {"auc": 1, "average_precision": 1, "accuracy": 1, "eer": 0, "weighted_precision": 1}
    interval = report["test"]["all"]["intervals"]["ensemble"]["log_loss"]
    assert interval["low"] < loss(0.875, 0.875, 0.75) < interval["high"]
    models = [loss(0.9375, 0.875, 0.75), loss(0.8125, 0.875, 0.75)]
    assert found["test"] == perfect | {
        "log_loss": pytest.approx(loss(0.875, 0.875, 0.75), abs=1e-6),
        "log_loss_clipped": pytest.approx(loss(0.75, 0.75, 0.75), abs=1e-6),
        "log_loss_low": interval["low"],
        "log_loss_high": interval["high"],
        # three bins with a video each
        "calibration_error": pytest.approx((0.125 + 0.125 + 0.25) / 3, abs=1e-6),
        "log_loss_gain": pytest.approx(sum(models) / 2 - loss(0.875, 0.875, 0.75), abs=2e-6),
        "videos": 3,
        "scored": 2,
    }
    assert found["held_out"] == perfect | {
        "log_loss": pytest.approx(loss(0.75, 0.75), abs=1e-6),
        "log_loss_clipped": pytest.approx(loss(0.75, 0.75), abs=1e-6),
        "log_loss_low": pytest.approx(loss(0.75), abs=1e-6),
        "log_loss_high": pytest.approx(loss(0.75), abs=1e-6),
        "calibration_error": 0.25,
        "log_loss_gain": pytest.approx((loss(0.875) + loss(0.625)) / 2 - loss(0.75), abs=2e-6),
        "videos": 3,
        "scored": 2,
    }


@pytest.mark.parametrize("labels", ["filename,label\n", "filename,label\na,1\n"])
def test_the_headline_has_the_same_numbers_or_nulls_whatever_is_known(workspace: Workspace, labels: str) -> None:
    workspace.train("p", [("seen", 1, OK, 1, None)]).test("q", [("a", None, OK, None, (0.5, 0.5))], labels).run()
    found = workspace.report("metrics")
    names = {*metrics.FIGURES, "log_loss_low", "log_loss_high", "log_loss_gain", "videos", "scored"}
    names -= metrics.RECALLS.keys()
    assert {part: set(numbers) for part, numbers in found.items()} == {"held_out": names, "test": names}
    assert {name for name in names if found["held_out"][name] is not None} == {"videos", "scored"}
    assert all(type(value) in (int, float, type(None)) for numbers in found.values() for value in numbers.values())
    assert found["test"]["auc"] is None


def test_coverage_counts_every_file_once(workspace: Workspace) -> None:
    train: list[Row] = [
        *TRAIN,
        ("seen2", 0, OK, 2, None),
        ("x", 1, tables.NO_FACE, None, None),
        ("y", 0, tables.DECODE_ERROR, None, None),
        ("z", 0, tables.NO_FACE, None, None),
        ("who", None, tables.BAD_METADATA, None, None),
    ]
    test: list[Row] = [
        ("a", 1, OK, None, (0.75, 0.75)),
        ("b", 0, tables.NO_FACE, None, None),
        ("c", 1, tables.NO_FACE, None, None),
        ("d", 0, tables.DECODE_ERROR, None, None),
        ("e", None, OK, None, (0.5, 0.5)),
        ("notes.txt", None, tables.NOT_A_VIDEO, None, None),
    ]
    report = workspace.train("p", train).test("q", test).test("bare", [("g", None, OK, None, (0.5, 0.5))]).run()
    assert report["held_out"]["coverage"] == {
        "videos": 8,
        "folds": "0",
        "held_out": 2,
        "scored": 2,
        "trained": 2,
        "without_crops": {"decode_error": 1, "no_face": 2},
        "unlabelled": {"bad_metadata": 1},
    }
    assert report["test"]["coverage"] == {
        "videos": 7,
        "labelled": 4,
        "unlabelled": 3,
        "withdrawn": 0,
        "scored": 1,
        "unscored": {"decode_error": 1, "no_face": 2},
        "parts": 2,
        "parts_without_labels_csv": ["test/bare"],
    }


def test_without_labels_there_are_no_test_figures_and_coverage_says_so(workspace: Workspace) -> None:
    report = workspace.train("p", TRAIN).test("q", [("a", None, OK, None, (0.5, 0.5))]).run()
    assert list(report["test"]) == ["coverage"]
    assert report["test"]["coverage"]["parts_without_labels_csv"] == ["test/q"]
    assert set(workspace.table("roc")["set"]) == {"held_out"}


def test_without_a_test_part_the_held_out_fold_is_still_scored(workspace: Workspace) -> None:
    report = workspace.train("p", TRAIN).run()
    assert report["test"] == {
        "coverage": {
            "videos": 0, "labelled": 0, "unlabelled": 0, "withdrawn": 0, "scored": 0, "unscored": {},
            "parts": 0, "parts_without_labels_csv": [],
        }
    }  # fmt: skip
    assert report["held_out"]["scored"]["ensemble"]["videos"] == 2


def test_labels_of_videos_that_were_all_without_a_face_still_give_figures(workspace: Workspace) -> None:
    rows: list[Row] = [("a", 1, tables.NO_FACE, None, None), ("b", 0, tables.NO_FACE, None, None)]
    found = workspace.train("p", TRAIN).test("q", rows).run()["test"]
    assert found["all"]["ensemble"]["log_loss"] == 0.693147
    assert set(found["scored"]["ensemble"]["undefined"].values()) == {"no videos"}
    assert set(found["crops"]["ensemble"]["undefined"].values()) == {"no crops"}
    assert found["scored"]["intervals"] == {"undefined": "no videos"}


def test_nothing_scored_at_all_gives_empty_tables_and_plots(workspace: Workspace) -> None:
    report = workspace.train("p", [("f", 1, OK, 1, None)]).run()
    assert report["held_out"]["coverage"]["held_out"] == 0
    assert set(report["held_out"]["scored"]["ensemble"]["undefined"].values()) == {"no videos"}
    assert report["temperature"] == {"temperature": None, "undefined": "no videos"}
    for name in TABLES:
        assert workspace.table(name).empty
    for name in PLOTS:
        with Image.open(workspace.folder / "out" / OUTPUTS[name]) as image:
            assert min(image.size) > 300


def test_folds_and_test_parts_are_listed_with_each_models_log_loss(workspace: Workspace) -> None:
    rows: list[Row] = [("a", 1, OK, None, (0.75, 0.5))]
    workspace.train("p", TRAIN).test("q", rows).run()
    found = workspace.table("folds_table")
    assert list(found["set"]) == ["fold 0"] * 3 + ["fold 1"] * 3 + ["test/q"] * 3
    assert list(found["model"]) == ["ensemble", "1", "2"] * 3
    assert list(found["kind"][::3]) == ["held-out fold", "training fold", "test part"]
    assert list(found["held_out"][::3]) == [True, False, True]
    assert list(found["videos"][::3]) == [2, 1, 1]
    expected = [loss(0.75), loss(0.875), loss(0.625), *[loss(0.9375)] * 3, loss(0.625), loss(0.75), loss(0.5)]
    assert list(found["log_loss"]) == pytest.approx(expected, abs=1e-6)


def test_the_curves_are_the_ensembles(workspace: Workspace) -> None:
    workspace.train("p", TRAIN).run()
    assert workspace.table("roc").to_numpy().tolist() == [
        ["held_out", 0, 0], ["held_out", 0, 1], ["held_out", 1, 1],
    ]  # fmt: skip
    # Scores 0.75 and 0.25, with ten bins.
    assert workspace.table("calibration").to_numpy().tolist() == [
        ["held_out", 0.25, 0.25, 0, 1],
        ["held_out", 0.75, 0.75, 1, 1],
    ]


def test_crops_are_measured_one_by_one(workspace: Workspace) -> None:
    # Each video has two crops, a sixteenth above and below its score.
    found = workspace.train("p", TRAIN).test("q", [("a", 1, OK, None, (0.75, 0.5))]).run()
    crops = found["held_out"]["crops"]
    assert crops["ensemble"]["crops"] == 4
    assert crops["ensemble"]["log_loss"] == pytest.approx(loss(0.8125, 0.6875, 0.6875, 0.8125), abs=1e-6)
    assert crops["seeds"]["1"]["log_loss"] == pytest.approx(loss(0.9375, 0.8125, 0.8125, 0.9375), abs=1e-6)
    assert found["test"]["crops"]["ensemble"]["log_loss"] == pytest.approx(loss(0.6875, 0.5625), abs=1e-6)


def test_an_original_and_its_fakes_are_drawn_together_and_test_videos_one_by_one(workspace: Workspace) -> None:
    train: list[Row] = [*TRAIN, ("f2", 1, OK, 0, (0.75, 0.75)), ("r2", 0, OK, 0, (0.25, 0.25))]
    workspace.originals = {"f": "r", "f2": "r", "seen": "r2"}
    test: list[Row] = [("f", 1, OK, None, (0.75, 0.75)), ("r", 0, OK, None, (0.25, 0.25))]
    found = workspace.train("p", train).test("q", test).run()
    assert found["held_out"]["scored"]["intervals"]["clusters"] == 2
    assert found["test"]["all"]["intervals"]["clusters"] == 2
    originals = workspace.table("originals_table")
    assert originals[["part", "original", "videos", "fakes"]].to_numpy().tolist() == [
        ["train/p", "r", 3, 2],
        ["train/p", "r2", 1, 0],
    ]
    assert originals["fake_score"][0] == 0.75


def test_the_pooling_rules_are_compared_and_the_held_out_fold_chooses(workspace: Workspace) -> None:
    report = workspace.train("p", TRAIN).test("q", [("a", 1, OK, None, (0.75, 0.75))]).run()
    found = workspace.table("pooling_table").set_index(["set", "rule"])["log_loss"].to_dict()
    assert found == {
        ("held_out", "mean"): pytest.approx(loss(0.75, 0.75), abs=1e-6),
        # Both crops of r are low to seed 1, so their mean is the mean of the low ones.
        ("held_out", "confident"): pytest.approx(loss(0.75, 0.75), abs=1e-6),
        ("held_out", "max"): pytest.approx(loss(0.8125, 0.6875), abs=1e-6),
        ("held_out", "trimmed"): pytest.approx(loss(0.75, 0.75), abs=1e-6),
        ("test", "mean"): pytest.approx(loss(0.75), abs=1e-6),
        ("test", "confident"): pytest.approx(loss(0.75), abs=1e-6),
        ("test", "max"): pytest.approx(loss(0.8125), abs=1e-6),
        ("test", "trimmed"): pytest.approx(loss(0.75), abs=1e-6),
    }
    assert report["pooling"] == {"configured": "mean", "chosen": "mean", "configured_is_chosen": True}
    highest = workspace.run(params(pooling=POOLING.model_copy(update={"rule": "max"})))
    assert highest["pooling"] == {"configured": "max", "chosen": "mean", "configured_is_chosen": False}
    assert highest["held_out"]["scored"]["ensemble"]["log_loss"] == found["held_out", "max"]


def test_the_temperature_is_fitted_on_the_held_out_fold_and_changes_no_score(workspace: Workspace) -> None:
    train: list[Row] = [(name, 1, OK, 0, (0.875, 0.925)) for name in "abc"] + [("d", 0, OK, 0, (0.875, 0.925))]
    report = workspace.train("p", train).test("q", [("a", 1, OK, None, (0.875, 0.925))]).run()
    found = report["temperature"]
    # 0.9, which is right three times in four, becomes 0.75.
    assert found["temperature"] == pytest.approx(2, abs=1e-5)
    assert found["test"]["log_loss"] == pytest.approx({"before": loss(0.9), "after": loss(0.75)}, abs=1e-5)
    assert report["test"]["all"]["ensemble"]["log_loss"] == pytest.approx(loss(0.9), abs=1e-6)
    assert workspace.run(params(fit_temperature=False))["temperature"]["temperature"] is None


def test_parts_that_no_model_knows_are_compared_with_each_other(workspace: Workspace) -> None:
    new: list[Row] = [("f", 1, OK, 0, (0.75, 0.75)), ("r", 0, OK, 0, (0.25, 0.25))]
    test: list[Row] = [("a", 1, OK, None, (0.5, 0.5)), ("b", 1, tables.NO_FACE, None, None)]
    found = workspace.train("known", TRAIN).train("new", new).test("q", test).run()["unseen_parts"]
    assert list(found["parts"]) == ["test/q", "train/new"]
    assert found["parts"]["test/q"]["videos"] == 1
    assert found["parts"]["test/q"]["log_loss_shift"] == pytest.approx(loss(0.5) - loss(0.75), abs=2e-6)


def test_videos_are_grouped_by_status_and_face_size(workspace: Workspace) -> None:
    test: list[Row] = [("a", 1, tables.TRUNCATED, None, (0.75, 0.75)), ("b", 0, tables.NO_FACE, None, None)]
    workspace.train("p", TRAIN).test("q", test).run()
    found = workspace.table("groups_table")
    assert found[["set", "by", "group", "videos", "unscored"]].to_numpy().tolist() == [
        ["test", "status", "no_face", 1, 1],
        ["held_out", "status", "ok", 2, 0],
        ["test", "status", "truncated", 1, 0],
        ["held_out", "face size", "100 to 200 px", 2, 0],
        ["test", "face size", "100 to 200 px", 1, 0],
        ["test", "face size", "no face", 1, 1],
    ]


@pytest.mark.parametrize("edges", [[200.0, 100.0], [100.0, 100.0]])
def test_face_sizes_that_do_not_grow_are_refused(edges: list[float]) -> None:
    with pytest.raises(ValidationError, match=r"face_size_px: \[.*\] must grow from edge to edge"):
        Evaluation.model_validate(PARAMS.model_dump() | {"face_size_px": edges})


def test_a_second_run_writes_the_same_bytes(workspace: Workspace) -> None:
    workspace.train("p", TRAIN).test("q", [("a", 1, OK, None, (0.75, 0.5)), ("b", 0, OK, None, (0.5, 0.5))])
    workspace.run()
    before = {file: (workspace.folder / "out" / file).read_bytes() for file in OUTPUTS.values()}
    for name, mapping in workspace.inputs.items():
        workspace.inputs[name] = dict(reversed(mapping.items()))
    workspace.run()
    assert before == {file: (workspace.folder / "out" / file).read_bytes() for file in OUTPUTS.values()}
    assert all(b"atplotlib" not in data for data in before.values())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,label\na,1\n", r"line 1: 'file,label': expected the columns filename,label"),
        ("", r"line 1: '': expected the columns filename,label"),
        ("filename,label\na,1\nb,FAKE\n", r"line 3: label 'FAKE' of b: expected 0 \(real\) or 1 \(fake\)"),
        ("filename,label\na,1\n\nb,0.5\n", r"line 4: label '0\.5' of b"),
        ("filename,label\nzzz,1\n", r"line 2: 'zzz': expected the name of a file of this part"),
        ("filename,label\na,1\na,0\n", r"line 3: 'a': expected each name once"),
        ("filename,label\na,1,2\n", r"line 2: 'a,1,2': expected 2 values"),
        (b"filename,label\n\xff,1\n", r"expected a text in UTF-8, found byte 0xff"),
    ],
)
def test_a_wrong_labels_csv_is_named_with_line_and_value(workspace: Workspace, text: str | bytes, message: str) -> None:
    rows: list[Row] = [("a", None, OK, None, None), ("b", None, OK, None, None)]
    with pytest.raises(UserError, match=r"raw/q/labels\.csv: " + message):
        workspace.train("p", TRAIN).test("q", rows, text).run()


def test_labels_may_start_with_a_byte_order_mark_end_lines_with_crlf_and_name_a_part_of_the_files(
    workspace: Workspace,
) -> None:
    rows: list[Row] = [("a,b", None, OK, None, None), ("c", None, OK, None, None)]
    report = workspace.train("p", TRAIN).test("q", rows, '\ufefffilename,label\r\n"a,b",1\r\n').run()
    assert report["test"]["coverage"]["labelled"] == 1
