from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trueframe.figures import unseen


def frame(**parts: list[tuple[int, float]]) -> pd.DataFrame:
    """Scored videos, by part: label and score."""
    rows = [(part, label, score) for part, videos in parts.items() for label, score in videos]
    return pd.DataFrame(rows, columns=["part", "label", "score"])


def test_each_part_is_compared_with_all_others_together() -> None:
    found = unseen.leave_one_part_out(
        frame(a=[(1, 0.5), (0, 0.5)], b=[(1, 0.8), (0, 0.2)], c=[(1, 0.8), (0, 0.2), (1, 0.1)])
    )
    assert list(found["parts"]) == ["a", "b", "c"]
    half, fifth, tenth = math.log(2), -math.log(0.8), -math.log(0.1)
    elsewhere = (4 * fifth + tenth) / 5
    assert found["parts"]["a"] == {
        "videos": 2,
        "log_loss": pytest.approx(half, abs=1e-6),
        "log_loss_elsewhere": pytest.approx(elsewhere, abs=1e-6),
        "log_loss_shift": pytest.approx(half - elsewhere, abs=2e-6),
        "auc": 0.5,
        # Of 3 fakes and 2 reals elsewhere, the fake of 0.1 is below both reals.
        "auc_elsewhere": pytest.approx(4 / 6, abs=1e-6),
        "auc_shift": pytest.approx(0.5 - 4 / 6, abs=2e-6),
    }
    shifts = [found["parts"][part]["log_loss_shift"] for part in "abc"]
    assert found["log_loss_shift"] == {
        "parts": 3,
        "mean": pytest.approx(sum(shifts) / 3, abs=2e-6),
        "std": pytest.approx(np.std(shifts, ddof=1), abs=2e-6),
    }


def test_two_parts_mirror_each_other() -> None:
    found = unseen.leave_one_part_out(frame(a=[(1, 0.5), (0, 0.5)], b=[(1, 0.75), (0, 0.25)]))
    shift = math.log(2) + math.log(0.75)
    assert found["log_loss_shift"] == {"parts": 2, "mean": 0, "std": pytest.approx(shift * math.sqrt(2), abs=2e-6)}


def test_fewer_than_two_parts_have_no_shift_and_a_reason() -> None:
    one = unseen.leave_one_part_out(frame(a=[(1, 0.5), (0, 0.5)]))
    assert one["log_loss_shift"] == {
        "parts": 0, "mean": None, "std": None, "undefined": "1 unseen part; a shift takes two",
    }  # fmt: skip
    assert one["parts"]["a"]["log_loss_elsewhere"] is one["parts"]["a"]["log_loss_shift"] is None
    assert unseen.leave_one_part_out(frame())["auc_shift"]["undefined"] == "0 unseen parts; a shift takes two"


def test_a_part_of_one_class_has_a_log_loss_and_no_auc() -> None:
    found = unseen.leave_one_part_out(frame(a=[(1, 0.5)], b=[(1, 0.75), (0, 0.25)]))
    assert (found["parts"]["a"]["auc"], found["parts"]["a"]["auc_elsewhere"]) == (None, 1)
    assert found["log_loss_shift"]["parts"] == 2
    assert found["auc_shift"]["undefined"] == "fewer than two parts have fakes and reals"


PART = st.lists(st.tuples(st.integers(0, 1), st.floats(0.01, 0.99)), min_size=4, max_size=4)


@settings(max_examples=30)
@given(st.lists(PART, min_size=2, max_size=5), st.integers(0, 99))
def test_shifts_of_equal_parts_offset_each_other_whatever_the_order_of_rows(
    parts: list[list[tuple[int, float]]], seed: int
) -> None:
    rows = frame(**{f"p{number}": videos for number, videos in enumerate(parts)})
    found = unseen.leave_one_part_out(rows)
    assert found["log_loss_shift"]["mean"] == pytest.approx(0, abs=1e-5)
    again = unseen.leave_one_part_out(rows.sample(frac=1, random_state=seed))
    assert again["log_loss_shift"]["std"] == pytest.approx(found["log_loss_shift"]["std"], abs=1e-5)


def test_a_part_of_which_models_know_some_videos_is_not_unseen() -> None:
    train = pd.DataFrame(
        [
            ("new", "a", 0, True, True),
            ("new", "b", 0, True, False),
            ("new", "no face", None, False, False),
            ("known", "c", 0, True, True),
            ("known", "d", 1, False, True),
        ],
        columns=["part", "video", "fold", "held_out", "scored"],
    )
    test = pd.DataFrame({"part": ["test/q"], "video": ["e"]})
    assert list(unseen.parts(train, test)["video"]) == ["a", "e"]
    assert list(unseen.parts(train, test[:0])["video"]) == ["a"]
