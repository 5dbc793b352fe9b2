from __future__ import annotations

import warnings
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trueframe import metrics

LABELS = np.array([1, 0, 1])
SCORES = np.array([0.8, 0.6, 0.5])


@pytest.fixture(autouse=True)
def _no_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def test_the_figures_of_three_videos_worked_by_hand() -> None:
    # log loss: -(ln 0.8 + ln 0.4 + ln 0.5) / 3 = -ln 0.16 / 3 = 1.832581 / 3
    # AUC: of the pairs (0.8, 0.6) and (0.5, 0.6) one is in order
    # average precision: half of the fakes at precision 1, the other half at 2 of 3
    # accuracy: 0.6 is a false alarm, 0.5 is not below the threshold
    assert metrics.figures(LABELS, SCORES, threshold=0.5, clip=0.01) == {
        "videos": 3,
        "fakes": 2,
        "log_loss": 0.61086,
        "log_loss_clipped": 0.61086,
        "auc": 0.5,
        "average_precision": 0.833333,
        "accuracy": 0.666667,
    }


def test_the_clip_bounds_what_one_sure_mistake_costs() -> None:
    found = metrics.figures(np.array([0, 1]), np.array([1.0, 1.0]), threshold=0.5, clip=0.001)
    # plain: -ln(2^-52) / 2; clipped: -(ln 0.001 + ln 0.999) / 2
    assert found["log_loss"] == pytest.approx(52 * np.log(2) / 2, abs=1e-6)
    assert found["log_loss_clipped"] == pytest.approx((6.907755 + 0.001001) / 2, abs=1e-6)


@pytest.mark.parametrize(("label", "kind", "loss"), [(1, "fake", 0.458145), (0, "real", 1.151293)])
def test_a_set_of_one_class_has_no_auc_and_says_why(label: int, kind: str, loss: float) -> None:
    # -(ln 0.8 + ln 0.5) / 2 and -(ln 0.2 + ln 0.5) / 2
    found = metrics.figures(np.array([label] * 2), np.array([0.8, 0.5]), threshold=0.5, clip=0.001)
    assert found["log_loss"] == loss
    assert found["auc"] is None
    assert found["average_precision"] is None
    assert found["undefined"] == f"auc and average_precision: all videos are {kind}"


def test_a_set_of_no_videos_has_no_figures() -> None:
    found = metrics.figures(np.array([], np.int64), np.array([]), threshold=0.5, clip=0.001)
    assert (found["videos"], found["undefined"]) == (0, "no videos")
    assert [found[name] for name in metrics.LOSSES + metrics.GAINS] == [None] * 5


def test_seeds_are_compared_with_their_ensemble() -> None:
    labels = np.array([1, 0])
    seeds = {9: np.array([0.8, 0.2]), 1: np.array([0.4, 0.2])}
    found = metrics.compare(labels, np.array([0.6, 0.2]), seeds, threshold=0.5, clip=0.001)
    # seed 9: -ln 0.8 = 0.223144; seed 1: -(ln 0.4 + ln 0.8) / 2 = 0.569717; ensemble: -(ln 0.6 + ln 0.8) / 2 = 0.366985
    assert list(found["seeds"]) == ["1", "9"]
    assert found["ensemble"]["log_loss"] == 0.366985
    assert found["mean"]["log_loss"] == pytest.approx(0.39643, abs=1e-6)
    assert found["std"]["log_loss"] == pytest.approx((0.569717 - 0.223144) / 2**0.5, abs=2e-6)
    assert found["gain"]["log_loss"] == pytest.approx(0.39643 - 0.366985, abs=2e-6)
    # accuracies 1 and 0.5, together 1
    assert (found["mean"]["accuracy"], found["gain"]["accuracy"]) == (0.75, 0.25)


def test_one_model_has_no_spread() -> None:
    found = metrics.compare(LABELS, SCORES, {1: SCORES}, threshold=0.5, clip=0.001)
    assert found["std"] == {**dict.fromkeys(metrics.LOSSES + metrics.GAINS), "undefined": "one model has no spread"}
    assert found["gain"]["log_loss"] == 0


def test_figures_that_no_model_has_have_no_mean_and_no_gain() -> None:
    found = metrics.compare(np.array([1]), np.array([0.5]), {1: np.array([0.5]), 2: np.array([0.5])}, 0.5, 0.001)
    assert found["mean"]["auc"] is found["std"]["auc"] is found["gain"]["auc"] is None
    assert found["gain"]["log_loss"] == 0


def test_the_roc_curve_goes_from_nothing_found_to_everything_found() -> None:
    # from the surest score down: a fake is found, then a false alarm, then the second fake
    assert metrics.roc(LABELS, SCORES).to_numpy().tolist() == [[0, 0], [0, 0.5], [1, 0.5], [1, 1]]


def test_one_class_has_no_roc_curve() -> None:
    assert metrics.roc(np.array([1, 1]), np.array([0.1, 0.2])).empty
    assert metrics.roc(np.array([], np.int64), np.array([])).empty


def test_bins_hold_their_lower_edge_and_the_last_one_both() -> None:
    labels, scores = np.array([0, 1, 1, 0, 1]), np.array([0.0, 0.25, 0.45, 0.5, 1.0])
    found = metrics.calibration(labels, scores, bins=4)
    assert found.to_numpy().tolist() == [
        [0.125, 0.0, 0.0, 1],
        [0.375, 0.35, 1.0, 2],
        [0.625, 0.5, 0.0, 1],
        [0.875, 1.0, 1.0, 1],
    ]


def test_no_videos_fill_no_bins() -> None:
    assert metrics.calibration(np.array([], np.int64), np.array([]), bins=4).empty


@given(st.lists(st.tuples(st.integers(0, 1), st.floats(0, 1)), max_size=30), st.integers(2, 20))
def test_every_video_is_in_one_bin_and_near_its_centre(videos: list[tuple[int, float]], bins: int) -> None:
    labels = np.array([label for label, _ in videos], np.int64)
    scores = np.array([score for _, score in videos], np.float64)
    found = metrics.calibration(labels, scores, bins)
    assert found["videos"].sum() == len(videos)
    assert ((found["mean_score"] - found["bin_centre"]).abs() <= 0.5 / bins + 1e-5).all()


def test_rounding_leaves_no_minus_before_a_zero() -> None:
    assert str(metrics.rounded(-1e-9)) == "0.0"
    assert metrics.rounded(-0.1234567) == -0.123457
