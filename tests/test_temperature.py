from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from trueframe.figures import metrics, temperature
from trueframe.pooling import tempered

LABELS = np.array([1, 1, 1, 0])


def test_scores_of_nine_tenths_that_are_right_three_times_in_four_want_a_temperature_of_two() -> None:
    # logit(0.9) = ln 9 = 2 ln 3 and logit(0.75) = ln 3
    assert temperature.fit(LABELS, np.full(4, 0.9)) == (pytest.approx(2, abs=1e-9), "")


def test_its_effect_is_told_of_every_set() -> None:
    sets = {"held_out": (LABELS, np.full(4, 0.9)), "test": (np.array([1, 0]), np.array([0.9, 0.9]))}
    # 0.9 becomes 0.75
    assert temperature.effect(sets, bins=10, wanted=True) == {
        "temperature": 2,
        "fitted_on": "held_out",
        "held_out": {
            "videos": 4,
            "log_loss": {
                "before": pytest.approx(-(3 * math.log(0.9) + math.log(0.1)) / 4, abs=1e-6),
                "after": pytest.approx(-(3 * math.log(0.75) + math.log(0.25)) / 4, abs=1e-6),
            },
            "calibration_error": {"before": 0.15, "after": 0},
        },
        "test": {
            "videos": 2,
            "log_loss": {
                "before": pytest.approx(-(math.log(0.9) + math.log(0.1)) / 2, abs=1e-6),
                "after": pytest.approx(-(math.log(0.75) + math.log(0.25)) / 2, abs=1e-6),
            },
            "calibration_error": {"before": 0.4, "after": 0.25},
        },
    }


def test_the_test_parts_have_no_say() -> None:
    held_out = LABELS, np.full(4, 0.9)
    values = {
        temperature.effect({"held_out": held_out, "test": test}, bins=10, wanted=True)["temperature"]
        for test in (held_out, (1 - LABELS, np.full(4, 0.6)), (LABELS[:0], np.array([])))
    }
    assert values == {2}


@given(
    st.lists(st.tuples(st.integers(0, 1), st.floats(0.01, 0.99)), min_size=3, max_size=30),
    st.floats(0.25, 4),
)
def test_no_temperature_nearby_is_better_and_one_applied_before_is_made_up_for(
    videos: list[tuple[int, float]], before: float
) -> None:
    labels, scores = np.array([label for label, _ in videos]), np.array([score for _, score in videos])
    value, _ = temperature.fit(labels, scores)
    assume(value is not None and value < 1e6)
    best = metrics.losses(labels, tempered(scores, value)).mean()
    for other in (value * 0.9, value * 1.1):
        assert best <= metrics.losses(labels, tempered(scores, other)).mean() + 1e-9
    again, _ = temperature.fit(labels, tempered(scores, before))
    assert again == pytest.approx(value / before, rel=1e-4)


@pytest.mark.parametrize(
    ("labels", "scores", "reason"),
    [
        ([], [], "no videos"),
        ([1, 1], [0.9, 0.4], "all videos are fake"),
        ([0, 0], [0.9, 0.4], "all videos are real"),
        ([0, 1], [0.4, 0.6], "no score is on the wrong side of 0.5"),
        ([0, 1], [0.0, 1.0], "no score is on the wrong side of 0.5"),
        ([0, 1], [0.6, 0.4], "the scores do not lean to their labels"),
        ([0, 1], [0.9, 0.9], "the scores do not lean to their labels"),
    ],
)
def test_where_there_is_no_best_temperature_it_says_why(labels: list[int], scores: list[float], reason: str) -> None:
    value, told = temperature.fit(np.array(labels, np.int64), np.array(scores, np.float64))
    assert value is None
    assert told.startswith(reason)
    report = temperature.effect({"held_out": (np.array(labels), np.array(scores))}, bins=10, wanted=True)
    assert report == {"temperature": None, "undefined": told}


def test_scores_of_exactly_one_that_are_wrong_once_are_as_sure_as_the_log_loss_takes_them() -> None:
    value, _ = temperature.fit(LABELS, np.ones(4))
    # One epsilon from 1, and ln 3 in the end.
    assert value == pytest.approx(52 * math.log(2) / math.log(3), rel=1e-6)


def test_none_is_fitted_where_none_is_wanted() -> None:
    report = temperature.effect({"held_out": (LABELS, np.full(4, 0.9))}, bins=10, wanted=False)
    assert report == {"temperature": None, "undefined": "evaluation.fit_temperature is false"}
