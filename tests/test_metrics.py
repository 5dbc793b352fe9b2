from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluations import params
from trueframe.figures import metrics

LABELS = np.array([1, 0, 1])
SCORES = np.array([0.8, 0.6, 0.5])
VIDEOS = st.lists(st.tuples(st.integers(0, 1), st.floats(0, 1)), max_size=30)


@pytest.fixture(autouse=True)
def _no_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def arrays(videos: list[tuple[int, float]]) -> tuple[metrics.Labels, metrics.Scores]:
    return np.array([label for label, _ in videos], np.int64), np.array([score for _, score in videos], np.float64)


def test_the_figures_of_three_videos_worked_by_hand() -> None:
    # log loss: -(ln 0.8 + ln 0.4 + ln 0.5) / 3 = -ln 0.16 / 3 = 1.832581 / 3
    # AUC: of the pairs (0.8, 0.6) and (0.5, 0.6) one is in order
    # average precision: half of the fakes at precision 1, the other half at 2 of 3
    # accuracy: 0.6 is a false alarm, 0.5 is not below the threshold
    # EER: from the threshold 0.8 (no false alarm, half missed) to 0.6 (all false alarms, half missed)
    # calibration error: three bins with a video each, (0.2 + 0.6 + 0.5) / 3
    # weighted precision: everything counts as fake, so it is the prevalence; so too at the recall 0.9, which takes all;
    # up to the recall 0.5 there is no false alarm
    assert metrics.figures(LABELS, SCORES, params(log_loss_clip=0.01)) == {
        "videos": 3,
        "fakes": 2,
        "log_loss": 0.61086,
        "log_loss_clipped": 0.61086,
        "auc": 0.5,
        "average_precision": 0.833333,
        "accuracy": 0.666667,
        "eer": 0.5,
        "calibration_error": 0.433333,
        "weighted_precision": 0.2,
        "weighted_precision_at_recall_10": 1.0,
        "weighted_precision_at_recall_50": 1.0,
        "weighted_precision_at_recall_90": 0.2,
    }


def test_the_clip_bounds_what_one_sure_mistake_costs() -> None:
    found = metrics.figures(np.array([0, 1]), np.array([1.0, 1.0]), params(log_loss_clip=0.001))
    # plain: -ln(2^-52) / 2; clipped: -(ln 0.001 + ln 0.999) / 2
    assert found["log_loss"] == pytest.approx(52 * np.log(2) / 2, abs=1e-6)
    assert found["log_loss_clipped"] == pytest.approx((6.907755 + 0.001001) / 2, abs=1e-6)


@given(VIDEOS.filter(bool))
def test_the_mean_of_the_losses_is_scikit_learns_log_loss(videos: list[tuple[int, float]]) -> None:
    labels, scores = arrays(videos)
    assert metrics.losses(labels, scores).mean() == pytest.approx(metrics.log_loss(labels, scores), rel=1e-6, abs=1e-6)


@pytest.mark.parametrize(
    ("labels", "scores", "rate"),
    [
        ([0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9], 0.0),
        ([1, 1, 0, 0], [0.1, 0.2, 0.8, 0.9], 1.0),
        ([0, 1], [0.5, 0.5], 0.5),  # one threshold: from nothing to everything, half way
        ([0, 1, 0, 1], [0.1, 0.4, 0.6, 0.9], 0.5),  # at 0.6: one of two reals is an alarm, one of two fakes missed
        # torchmetrics' own example, where two thresholds are equally near and it takes one of them: 0.5833
        ([0, 0, 1, 1, 1], [0.13, 0.26, 0.08, 0.19, 0.34], 0.5),
    ],
)
def test_the_equal_error_rate_is_where_alarms_are_as_frequent_as_misses(
    labels: list[int], scores: list[float], rate: float
) -> None:
    assert metrics.figures(np.array(labels), np.array(scores), params())["eer"] == pytest.approx(rate, abs=1e-6)


def test_the_weighted_precision_is_that_of_a_world_with_few_fakes() -> None:
    # 8 of 10 fakes and 1 of 10 reals count as fake. In a world with 1 fake in 101: 0.8 / (0.8 + 100 * 0.1)
    assert metrics.weighted_precision(0.8, 0.1, 1 / 101) == pytest.approx(0.8 / 10.8, abs=1e-6)
    # as many fakes as reals: plain precision
    assert metrics.weighted_precision(0.8, 0.1, 0.5) == pytest.approx(8 / 9, abs=1e-6)


def test_the_recall_of_a_weighted_precision_is_reached_at_the_highest_threshold_that_does() -> None:
    labels = np.array([1, 0, 1, 0, 1, 0, 1, 0, 1, 0])
    scores = np.linspace(1, 0.1, 10)
    found = metrics.figures(labels, scores, params(prevalence=0.5))
    # recall 0.2 (0 alarms) is the first above 0.1; 0.6 (2 of 5 alarms) above 0.5; 1.0 (4 of 5) above 0.9
    expected = [1, 0.6 / (0.6 + 0.4), 1 / (1 + 0.8)]
    assert [found[name] for name in metrics.RECALLS] == pytest.approx(expected, abs=1e-6)


def test_a_score_of_one_shares_the_last_bin_of_the_calibration_error() -> None:
    # One bin: mean score 0.975, half are fake. torchmetrics has 0.525, with a bin for the score of 1 alone.
    assert metrics.calibration_error(np.array([1, 0]), np.array([0.95, 1.0]), bins=10) == 0.475


def test_errors_of_one_bin_offset_each_other_and_those_of_two_do_not() -> None:
    labels = np.array([1, 0, 1, 0])
    # bins of 0.5: (0.1 + 0.3 - 1) / 4 below, (0.6 + 0.8 - 1) / 4 above
    assert metrics.calibration_error(labels, np.array([0.1, 0.3, 0.6, 0.8]), bins=2) == pytest.approx(0.25, abs=1e-6)


@pytest.mark.parametrize(("label", "kind", "loss"), [(1, "fake", 0.458145), (0, "real", 1.151293)])
def test_a_set_of_one_class_has_no_auc_and_says_why(label: int, kind: str, loss: float) -> None:
    # -(ln 0.8 + ln 0.5) / 2 and -(ln 0.2 + ln 0.5) / 2
    found = metrics.figures(np.array([label] * 2), np.array([0.8, 0.5]), params(), "crops")
    assert (found["log_loss"], found["crops"]) == (loss, 2)
    of_both = ("auc", "average_precision", "eer", "weighted_precision", *metrics.RECALLS)
    assert found["undefined"] == dict.fromkeys(of_both, f"all crops are {kind}")


def test_a_set_of_no_videos_has_no_figures() -> None:
    found = metrics.figures(np.array([], np.int64), np.array([]), params())
    assert found["videos"] == 0
    assert found["undefined"] == dict.fromkeys(metrics.FIGURES, "no videos")


def test_where_no_score_reaches_the_threshold_there_is_no_precision() -> None:
    found = metrics.figures(np.array([0, 1]), np.array([0.5, 0.625]), params(threshold=0.75))
    assert found["undefined"] == {"weighted_precision": "no score is 0.75 or above"}


@given(VIDEOS, st.randoms(use_true_random=False))
def test_a_figure_is_in_its_range_or_has_a_reason_and_the_order_of_videos_is_none(
    videos: list[tuple[int, float]], random: Any
) -> None:
    found = metrics.figures(*arrays(videos), params())
    assert {name for name in metrics.FIGURES if found[name] is None} == found.get("undefined", {}).keys()
    for name in metrics.FIGURES:
        assert found[name] is None or 0 <= found[name] <= (math.inf if "loss" in name else 1), name
    random.shuffle(videos)
    again = metrics.figures(*arrays(videos), params())
    assert again == {name: pytest.approx(value, abs=2e-6) for name, value in found.items() if name != "undefined"} | {
        name: value for name, value in found.items() if name == "undefined"
    }


def test_seeds_are_compared_with_their_ensemble() -> None:
    labels = np.array([1, 0])
    seeds = {9: np.array([0.8, 0.2]), 1: np.array([0.4, 0.2])}
    found = metrics.compare(labels, np.array([0.6, 0.2]), seeds, params())
    # seed 9: -ln 0.8 = 0.223144; seed 1: -(ln 0.4 + ln 0.8) / 2 = 0.569717; ensemble: -(ln 0.6 + ln 0.8) / 2 = 0.366985
    assert list(found["seeds"]) == ["1", "9"]
    assert found["ensemble"]["log_loss"] == 0.366985
    assert found["mean"]["log_loss"] == pytest.approx(0.39643, abs=1e-6)
    assert found["std"]["log_loss"] == pytest.approx((0.569717 - 0.223144) / 2**0.5, abs=2e-6)
    assert found["gain"]["log_loss"] == pytest.approx(0.39643 - 0.366985, abs=2e-6)
    # accuracies 1 and 0.5, together 1
    assert (found["mean"]["accuracy"], found["gain"]["accuracy"]) == (0.75, 0.25)
    # calibration errors 0.2 and (0.6 + 0.2) / 2, together (0.4 + 0.2) / 2: no gain
    assert (found["mean"]["calibration_error"], found["gain"]["calibration_error"]) == (0.3, 0)
    # Seed 1 calls nothing fake: the mean is over those that do.
    assert (found["mean"]["weighted_precision"], found["gain"]["weighted_precision"]) == (1, 0)


def test_one_model_has_no_spread() -> None:
    found = metrics.compare(LABELS, SCORES, {1: SCORES}, params())
    assert found["std"] == {**dict.fromkeys(metrics.FIGURES), "undefined": "one model has no spread"}
    assert found["gain"]["log_loss"] == 0


def test_figures_that_no_model_has_have_no_mean_and_no_gain() -> None:
    found = metrics.compare(np.array([1]), np.array([0.5]), {1: np.array([0.5]), 2: np.array([0.5])}, params())
    assert found["mean"]["auc"] is found["std"]["auc"] is found["gain"]["auc"] is None
    assert found["gain"]["log_loss"] == 0


def test_a_figure_that_models_have_and_their_ensemble_has_not_has_no_gain() -> None:
    seeds = {1: np.array([0.25, 0.625]), 2: np.array([0.25, 0.125])}
    found = metrics.compare(np.array([0, 1]), np.array([0.25, 0.375]), seeds, params())
    assert (found["mean"]["weighted_precision"], found["gain"]["weighted_precision"]) == (1, None)


def test_rounding_leaves_no_minus_before_a_zero() -> None:
    assert str(metrics.rounded(-1e-9)) == "0.0"
    assert metrics.rounded(-0.1234567) == -0.123457
