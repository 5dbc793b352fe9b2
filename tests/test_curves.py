from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trueframe.figures import curves

LABELS = np.array([1, 0, 1])
SCORES = np.array([0.8, 0.6, 0.5])
VIDEOS = st.lists(st.tuples(st.integers(0, 1), st.floats(0, 1)), max_size=30)


def test_the_roc_curve_goes_from_nothing_found_to_everything_found() -> None:
    # from the surest score down: a fake is found, then a false alarm, then the second fake
    assert curves.roc(LABELS, SCORES).to_numpy().tolist() == [[0, 0], [0, 0.5], [1, 0.5], [1, 1]]


def test_the_precision_recall_curve_goes_from_the_surest_score_to_the_share_of_fakes() -> None:
    expected = [[0, 1], [0.5, 1], [0.5, 0.5], [1, 0.666667]]
    assert curves.precision_recall(LABELS, SCORES).to_numpy().tolist() == expected


@pytest.mark.parametrize("curve", [curves.roc, curves.precision_recall])
def test_one_class_has_no_curve(curve: Any) -> None:
    assert curve(np.array([1, 1]), np.array([0.1, 0.2])).empty
    assert curve(np.array([], np.int64), np.array([])).empty


def test_bins_hold_their_lower_edge_and_the_last_one_both() -> None:
    labels, scores = np.array([0, 1, 1, 0, 1]), np.array([0.0, 0.25, 0.45, 0.5, 1.0])
    found = curves.calibration(labels, scores, bins=4)
    assert found.to_numpy().tolist() == [
        [0.125, 0.0, 0.0, 1],
        [0.375, 0.35, 1.0, 2],
        [0.625, 0.5, 0.0, 1],
        [0.875, 1.0, 1.0, 1],
    ]


def test_no_videos_fill_no_bins() -> None:
    nothing = np.array([], np.int64), np.array([])
    assert curves.calibration(*nothing, bins=4).empty
    assert curves.histogram(*nothing).empty


def test_the_histogram_counts_reals_and_fakes_apart() -> None:
    found = curves.histogram(np.array([0, 0, 1, 1]), np.array([0.0, 0.0625, 0.0625, 1.0])).set_index("bin_centre")
    assert len(found) == 20
    assert found[(found != 0).any(axis=1)].to_dict("index") == {
        0.025: {"real": 1, "fake": 0},
        0.075: {"real": 1, "fake": 1},
        0.975: {"real": 0, "fake": 1},
    }


@given(VIDEOS, st.integers(2, 20))
def test_every_video_is_in_one_bin_and_near_its_centre(videos: list[tuple[int, float]], bins: int) -> None:
    labels = np.array([label for label, _ in videos], np.int64)
    scores = np.array([score for _, score in videos], np.float64)
    found = curves.calibration(labels, scores, bins)
    assert found["videos"].sum() == len(videos)
    assert ((found["mean_score"] - found["bin_centre"]).abs() <= 0.5 / bins + 1e-5).all()
    assert curves.histogram(labels, scores)[["real", "fake"]].to_numpy().sum() == len(videos)
