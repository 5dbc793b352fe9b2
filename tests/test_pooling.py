from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trueframe import pooling, tables
from trueframe.params import Pooling

WINNER = Pooling(rule="confident", high=0.8, high_share=0.4, high_count=11, low=0.2, low_share=0.9, trim=0.1)
MEAN = WINNER.model_copy(update={"rule": "mean"})


def winners_branch(scores: np.ndarray[Any, Any]) -> str:
    """confident_strategy of selimsef/dfdc_deepfake_challenge at 89c6290, with the branch in the place of the mean."""
    fakes = np.count_nonzero(scores > 0.8)
    if fakes > len(scores) // 2.5 and fakes > 11:
        return "high"
    return "low" if np.count_nonzero(scores < 0.2) > 0.9 * len(scores) else "mean"


@pytest.mark.parametrize(
    ("scores", "score", "branch"),
    [
        ([0.9] * 12 + [0.5] * 8, 0.9, "high"),  # 12 of 20: more than 8 and more than 11
        ([0.9] * 11 + [0.5] * 8, (11 * 0.9 + 8 * 0.5) / 19, "mean"),  # enough of a share, too few
        ([0.9] * 12 + [0.5] * 18, (12 * 0.9 + 18 * 0.5) / 30, "mean"),  # 12 of 30 are not more than 12
        ([0.9] * 13 + [0.5] * 17, 0.9, "high"),
        ([1.0, 0.9] * 6 + [0.1] * 3, 0.95, "high"),  # the mean of the high ones alone
        ([0.1] * 10, 0.1, "low"),
        ([0.1] * 9 + [0.5], (9 * 0.1 + 0.5) / 10, "mean"),  # 9 of 10 are not more than 0.9 of them
        ([0.1] * 19 + [1.0], 0.1, "low"),  # 19 of 20 are
        ([0.8] * 20, 0.8, "mean"),  # 0.8 is not above 0.8
        ([0.2] * 20, 0.2, "mean"),  # nor 0.2 below 0.2
        ([0.7], 0.7, "mean"),
        ([0.1], 0.1, "low"),
        ([0.99], 0.99, "mean"),
    ],
)
def test_the_confident_rule_worked_by_hand(scores: list[float], score: float, branch: str) -> None:
    found, used = pooling.pool(np.array(scores), WINNER)
    assert found == pytest.approx(score, abs=1e-15)
    assert used == branch


def test_the_shares_are_the_winners_for_every_number_of_crops_up_to_200() -> None:
    for crops in range(1, 201):
        for many in range(crops + 1):
            for value in (0.9, 0.1):
                scores = np.array([value] * many + [0.5] * (crops - many))
                assert pooling.pool(scores, WINNER)[1] == winners_branch(scores), (crops, many, value)


def test_the_mean_rule_takes_all_scores() -> None:
    assert pooling.pool(np.array([0.9] * 19 + [0.5]), MEAN) == (pytest.approx(0.88), "mean")


def test_the_max_rule_takes_the_highest_score() -> None:
    assert pooling.pool(np.array([0.25, 0.75, 0.5]), WINNER.model_copy(update={"rule": "max"})) == (0.75, "max")


@pytest.mark.parametrize(
    ("crops", "kept"),
    [
        (1, [0]),  # floor(0.25 * n) go at each end: none of 3,
        (3, [0, 1, 2]),
        (4, [1, 2]),  # one of 4
        (7, [1, 2, 3, 4, 5]),
        (8, [2, 3, 4, 5]),
    ],
)
def test_the_trimmed_rule_leaves_out_as_many_at_each_end(crops: int, kept: list[int]) -> None:
    scores = np.arange(crops) ** 2 / 64
    rule = WINNER.model_copy(update={"rule": "trimmed", "trim": 0.25})
    assert pooling.pool(scores, rule) == (pytest.approx(np.mean([number**2 / 64 for number in kept])), "trimmed")


def test_no_scores_are_an_error() -> None:
    with pytest.raises(ValueError, match="no scores"):
        pooling.pool(np.array([]), WINNER)


@given(
    st.lists(st.floats(0, 1, width=32), min_size=1, max_size=60),
    st.randoms(use_true_random=False),
    st.sampled_from(pooling.RULES),
    st.floats(0, 0.49),
)
def test_the_order_of_the_crops_changes_no_bit_and_the_score_stays_in_range(
    scores: list[float], random: Any, rule: str, trim: float
) -> None:
    params = WINNER.model_copy(update={"rule": rule, "trim": trim})
    score, branch = pooling.pool(np.array(scores, np.float32), params)
    assert min(scores) <= score <= max(scores) or np.isclose(score, scores).any()
    random.shuffle(scores)
    assert pooling.pool(np.array(scores, np.float32), params) == (score, branch)


def test_the_rules_are_those_that_a_parameter_may_name() -> None:
    assert set(pooling.RULES) == set(get_args(Pooling.model_fields["rule"].annotation))


def write(path: Path, rows: list[tuple[str, int, int, float, bool]], epoch: int = 3) -> Path:
    names = ("video", "frame", "track", "score", "held_out")
    found = [dict(zip(names, row, strict=True)) | {"epoch": epoch} for row in rows]
    tables.write(path, found, tables.PREDICTIONS)
    return path


def two_epochs(path: Path, first: list[float], second: list[float]) -> Path:
    """The scores of a video's crops by the weights of two epochs."""
    rows = [
        {"video": "a", "frame": frame, "track": 0, "epoch": epoch, "score": score, "held_out": True}
        for epoch, scores in ((2, first), (7, second))
        for frame, score in enumerate(scores)
    ]
    tables.write(path, rows, tables.PREDICTIONS)
    return path


def test_each_epoch_is_pooled_by_itself_and_the_score_is_their_mean(tmp_path: Path) -> None:
    # Together, 13 of 28 are high, and what the second epoch says would not count.
    path = two_epochs(tmp_path / "t", [0.875] * 13 + [0.5], [0.5] * 13 + [0.375])
    found = pooling.pool_videos(tables.read(path), WINNER)
    second = (13 * 0.5 + 0.375) / 14
    assert found.to_dict("index") == {
        "a": {
            "score": pytest.approx((0.875 + second) / 2),
            "pooling": "high+mean",
            "crops": 14,
            "tracks": 1,
            "held_out": True,
        }
    }


def test_epochs_that_scored_different_crops_are_a_bug(tmp_path: Path) -> None:
    path = two_epochs(tmp_path / "t", [0.5, 0.5], [0.5])
    with pytest.raises(ValueError, match="do not score the same crops"):
        pooling.pool_videos(tables.read(path), WINNER)


def test_a_crops_score_is_the_mean_over_epochs_then_over_models(tmp_path: Path) -> None:
    one = two_epochs(tmp_path / "1", [0.25, 0.5], [0.75, 1.0])
    two = write(tmp_path / "2", [("a", 1, 0, 0.25, True), ("a", 0, 0, 1.0, True)])
    assert pooling.crops({777: two, 111: one}).to_dict("records") == [
        {"video": "a", "frame": 0, "track": 0, "score": 0.75, "score_111": 0.5, "score_777": 1.0},
        {"video": "a", "frame": 1, "track": 0, "score": 0.5, "score_111": 0.75, "score_777": 0.25},
    ]


def test_a_temperature_divides_the_logit() -> None:
    # odds of 9 and of 3, logits of 2 ln 3 and ln 3
    assert pooling.tempered(0.9, 2) == pytest.approx(0.75)
    assert pooling.tempered(0.25, 0.5) == pytest.approx(0.1)
    assert pooling.tempered(np.array([0.9, 0.5, 0.1]), 2.0) == pytest.approx([0.75, 0.5, 0.25])


@given(st.floats(0, 1), st.floats(0.01, 100))
def test_a_tempered_score_is_a_float_on_its_side_of_a_half_and_one_and_sure_scores_stay(
    score: float, temperature: float
) -> None:
    found = pooling.tempered(score, temperature)
    assert type(found) is float
    assert 0 <= found <= 1
    assert (found - 0.5) * (score - 0.5) >= 0
    assert pooling.tempered(score, 1) == score
    assert [pooling.tempered(sure, temperature) for sure in (0.0, 1.0)] == [0, 1]


def test_a_part_without_crops_has_none(tmp_path: Path) -> None:
    assert pooling.crops({1: write(tmp_path / "t", [])}).empty


def test_a_video_is_pooled_over_all_its_tracks(tmp_path: Path) -> None:
    rows = [("a", 0, 0, 0.25, True), ("a", 0, 1, 0.75, True), ("a", 5, 0, 0.5, True), ("b", 0, 0, 0.0, False)]
    found = pooling.pool_videos(tables.read(write(tmp_path / "t", rows)), WINNER)
    assert found.to_dict("index") == {
        "a": {"score": 0.5, "pooling": "mean", "crops": 3, "tracks": 2, "held_out": True},
        "b": {"score": 0.0, "pooling": "low", "crops": 1, "tracks": 1, "held_out": False},
    }


def test_a_part_without_scores_gives_no_videos(tmp_path: Path) -> None:
    path = write(tmp_path / "t", [])
    assert list(pooling.ensemble({1: path, 2: path}, WINNER).columns)[:2] == ["score", "crops"]
    assert pooling.ensemble({1: path, 2: path}, WINNER).empty


def test_a_video_of_which_some_crops_are_held_out_is_a_bug(tmp_path: Path) -> None:
    path = write(tmp_path / "t", [("a", 0, 0, 0.5, True), ("a", 1, 0, 0.5, False)])
    with pytest.raises(ValueError, match="a: only some"):
        pooling.pool_videos(tables.read(path), WINNER)


def test_the_ensemble_is_the_mean_of_the_models_pooled_scores(tmp_path: Path) -> None:
    one = write(tmp_path / "1", [("a", 0, 0, 0.25, True), ("a", 1, 0, 0.5, True)])
    two = write(tmp_path / "2", [("a", 0, 0, 1.0, True), ("a", 1, 0, 1.0, True)])
    found = pooling.ensemble({777: two, 111: one}, MEAN)
    assert list(found.columns) == [
        "score", "crops", "tracks", "held_out", "score_111", "pooling_111", "score_777", "pooling_777",
    ]  # fmt: skip
    assert found.loc["a", ["score_111", "score_777", "score"]].tolist() == [0.375, 1.0, 0.6875]


def test_models_that_scored_different_crops_are_a_bug(tmp_path: Path) -> None:
    one = write(tmp_path / "1", [("a", 0, 0, 0.25, True)])
    two = write(tmp_path / "2", [("b", 0, 0, 0.25, True)])
    with pytest.raises(ValueError, match="same crops"):
        pooling.ensemble({1: one, 2: two}, MEAN)


def test_units_are_sorted_by_part_and_by_the_seeds_number() -> None:
    units = ["9/test/b", "111/test/b", "9/test/a", "111/test/a"]
    found = pooling.by_part({unit: Path(unit) for unit in units})
    assert [(part, list(seeds)) for part, seeds in found.items()] == [("test/a", [9, 111]), ("test/b", [9, 111])]
