"""The schedule, the loss and the samples, against numbers worked out by hand."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import small_data
from trueframe import dataset, params
from trueframe.training import sampling
from trueframe.training.loss import balanced_bce, log_losses
from trueframe.training.schedule import polynomial


@pytest.mark.parametrize(
    ("batch", "power", "expected"),
    [(0, 0.9, 0.1), (50, 1.0, 0.05), (75, 2.0, 0.00625), (99, 0.5, 0.01), (100, 0.9, 0.0), (101, 0.0, 0.0)],
)
def test_the_rate_decays_by_the_power_of_what_is_left(batch: int, power: float, expected: float) -> None:
    assert polynomial(0.1, batch, 100, power) == pytest.approx(expected, abs=1e-15)


def test_fakes_and_reals_weigh_the_same_however_many_there_are() -> None:
    # sigmoid(0) = 1/2 costs ln 2; sigmoid(ln 3) = 3/4 costs ln 4 for a real.
    logits = torch.tensor([0.0, math.log(3), math.log(3), math.log(3)])
    labels = torch.tensor([1, 0, 0, 0])
    assert balanced_bce(logits, labels, 0.0, (1, 3)).item() == pytest.approx((math.log(2) + math.log(4)) / 2)


@pytest.mark.parametrize("label", [0, 1])
def test_a_batch_of_one_class_has_that_class_mean(label: int) -> None:
    logits = torch.tensor([0.0, math.log(3) * (1 if label else -1)])
    expected = (math.log(2) + math.log(4 / 3)) / 2
    assert balanced_bce(logits, torch.tensor([label, label]), 0.0, (2 * label, 2 - 2 * label)).item() == pytest.approx(
        expected
    )


def test_smoothing_moves_both_targets_off_0_and_1() -> None:
    # Targets 0.9 and 0.1 at logits ±ln 3, scores 3/4 and 1/4: both cost 0.9 ln(4/3) + 0.1 ln 4.
    logits = torch.tensor([math.log(3), -math.log(3)])
    expected = 0.9 * math.log(4 / 3) + 0.1 * math.log(4)
    assert balanced_bce(logits, torch.tensor([1, 0]), 0.1, (1, 1)).item() == pytest.approx(expected)


def test_log_losses_are_told_apart_and_stay_finite() -> None:
    scores, labels = np.array([0.5, 0.25, 0.0, 0.75]), np.array([1, 1, 1, 0], np.int8)
    fake, real = log_losses(scores, labels)
    assert fake == pytest.approx((math.log(2) + math.log(4) + 7 * math.log(10)) / 3)
    assert real == pytest.approx(math.log(4))


@given(reals=st.integers(1, 40), fakes=st.integers(1, 40), seed=st.integers(0, 2**31 - 1), epoch=st.integers(0, 100))
def test_an_epoch_has_every_real_crop_and_as_many_fakes_evenly_used(
    reals: int, fakes: int, seed: int, epoch: int
) -> None:
    labels = np.array([0] * reals + [1] * fakes + [0, 1], np.int8)
    rows = np.arange(reals + fakes)  # the last two may not be drawn
    draws = sampling.balanced_epoch(rows, labels, seed, epoch)
    counts = np.bincount(draws[:, 0], minlength=len(labels))
    assert (counts[:reals] == 1).all()
    assert counts[reals:-2].sum() == reals
    assert np.ptp(counts[reals:-2]) <= 1
    assert (counts[-2:] == 0).all()
    assert len({tuple(draw) for draw in draws.tolist()}) == len(draws)  # no draw comes twice: repeats are numbered


def test_fakes_are_drawn_anew_in_each_epoch_and_for_each_seed() -> None:
    labels = np.array([0] * 50 + [1] * 500, np.int8)
    rows = np.arange(550)
    first, again, later, other = (
        sampling.balanced_epoch(rows, labels, seed, epoch) for seed, epoch in ((1, 0), (1, 0), (1, 1), (2, 0))
    )
    assert (first == again).all()
    for different in (later, other):
        shared = set(first[:, 0]) & set(different[:, 0])
        assert 50 <= len(shared) < 65  # the reals, and of 50 fakes out of 500 about 5


@pytest.mark.parametrize(
    ("reals", "size", "most", "sizes"),
    [(10, 8, None, [8, 8]), (10, 8, 1, [8]), (10, 8, 9, [8, 8]), (3, 8, None, [6]), (4, 8, None, [8])],
)
def test_batches_are_full_unless_there_is_only_one(reals: int, size: int, most: int | None, sizes: list[int]) -> None:
    labels = np.array([0] * reals + [1] * 30, np.int8)
    batches = sampling.Batches(np.arange(len(labels)), labels, 5, size, most)
    drawn = list(batches)
    assert [len(batch) for batch in drawn] == sizes
    assert len(batches) == len(sizes)
    assert [draw[0] for batch in drawn for draw in batch] == batches.draws()[:, 0].tolist()
    batches.epoch = 3
    assert {draw[1] for batch in batches for draw in batch} == {3}


def test_a_fake_has_the_landmarks_of_its_original_and_its_own_mask(tmp_path: Path) -> None:
    data = small_data.write(tmp_path)
    table = dataset.faces(data.folds, data.landmarks, data.changes)
    crops = dataset.Crops.of(table, data.crops, data.masks)
    assert table["video"].tolist()[:9] == ["fake0.mp4"] * 3 + ["real0.mp4"] * 3 + ["swap0.mp4"] * 3
    expected = np.array(small_data.POINTS).reshape(5, 2)
    for row in (0, 2, 3, 5, 6, 8):
        assert np.array_equal(crops.landmarks(row), expected)
    for row in (1, 4, 7):  # not found in frame 10
        assert crops.landmarks(row) is None
    assert np.array_equal(crops.mask(2), small_data.mask(20))
    assert [crops.mask(row) is None for row in range(9)] == [False] * 3 + [True] * 6
    assert np.array_equal(crops.image(9 + 4), small_data.crop(1, 10, 0))
    crops.close()


def test_a_landmark_left_of_the_crop_is_a_landmark(tmp_path: Path) -> None:
    data = small_data.write(tmp_path)
    table = dataset.faces(data.folds, data.landmarks, data.changes)
    table.loc[0, "eye_0_x"] = -1
    points = dataset.Crops.of(table, data.crops, data.masks).landmarks(0)
    assert points is not None
    assert points[0].tolist() == [-1, 12]


def test_streams_of_different_purposes_differ() -> None:
    # numpy takes (7, 1) and (7, 1, 0) for one seed; our keys begin with the purpose, so that they don't meet.
    firsts = {dataset.generator(purpose, 7, 0).integers(2**62) for purpose in range(4)}
    assert len(firsts) == 4


@pytest.mark.parametrize(
    ("height", "width", "top", "left", "new_height", "new_width"),
    [
        (100, 50, 0, 16, 64, 32),
        (30, 90, 21, 0, 21, 64),
        (64, 64, 0, 0, 64, 64),
        (16, 8, 0, 16, 64, 32),
        (500, 1, 0, 31, 64, 1),
    ],
)
def test_letterbox_keeps_the_shape_and_centres_it_on_black(
    height: int, width: int, top: int, left: int, new_height: int, new_width: int
) -> None:
    square = dataset.letterbox(np.full((height, width, 3), 200, np.uint8), 64)
    expected = np.zeros((64, 64, 3), np.uint8)
    expected[top : top + new_height, left : left + new_width] = 200
    assert np.array_equal(square, expected)


def test_letterbox_averages_when_it_shrinks() -> None:
    image = np.zeros((4, 4, 3), np.uint8)
    image[::2, ::2] = 200  # one pixel of each four
    assert (dataset.letterbox(image, 2) == 50).all()


def _table(faces: list[tuple[str, int, int | None]], label: int = 1) -> pd.DataFrame:
    """Crops of (video, track, changed pixels of the mask) in a training fold, and a real one."""
    rows = [
        {"part": "train/a", "video": video, "frame": 10 * number, "track": track, "label": label, "changed_px": changed}
        for number, (video, track, changed) in enumerate(faces)
    ]
    rows.append({"part": "train/a", "video": "real", "frame": 0, "track": 0, "label": 0, "changed_px": None})
    table = pd.DataFrame(rows).assign(fold=1)
    return table.assign(changed_px=table["changed_px"].fillna(dataset.UNKNOWN).astype("int64"))


def test_the_unswapped_person_of_a_fake_does_not_train_and_the_swapped_one_does() -> None:
    swapped = [("two.mp4", 0, px) for px in (900, 800, 10, 700)]
    # Not swapped, but noise changed some pixels of one crop, and one has no mask.
    other = [("two.mp4", 1, px) for px in (0, 3, 60, None, 2)]
    found = sampling.training_rows(_table([*swapped, *other]), settings(min_changed_pixels=33))
    assert found.rows.tolist() == [0, 1, 3, 9]  # the swapped person's but for one crop, and the real one
    assert (found.dropped_crops, found.dropped_tracks) == (6, 1)


def test_a_track_of_as_many_changed_crops_as_unchanged_ones_keeps_the_changed() -> None:
    found = sampling.training_rows(_table([("a.mp4", 0, 100), ("a.mp4", 0, 0)]), settings(min_changed_pixels=33))
    assert found.rows.tolist() == [0, 2]
    assert (found.dropped_crops, found.dropped_tracks) == (1, 0)


def test_the_same_track_of_another_video_or_part_is_another() -> None:
    table = _table([("a.mp4", 0, 0), ("b.mp4", 0, 100), ("a.mp4", 0, 100)])
    table.loc[2, "part"] = "train/b"
    found = sampling.training_rows(table, settings(min_changed_pixels=33))
    assert found.rows.tolist() == [1, 2, 3]


def test_crops_without_masks_train_and_without_the_parameter_all_do() -> None:
    table = _table([("a.mp4", 0, None), ("a.mp4", 1, 0), ("b.mp4", 0, 5)])
    assert sampling.training_rows(table, settings(min_changed_pixels=33)).rows.tolist() == [0, 3]
    assert sampling.training_rows(table, settings(min_changed_pixels=None)).rows.tolist() == [0, 1, 2, 3]


def settings(**changes: object) -> params.Models:
    values = params.load(Path(__file__).parents[1] / "params.yaml").models.model_dump()
    return params.Models.model_validate(values | {"holdout_fold": 0} | changes)


def test_epoch_rates_of_the_winners_schedule() -> None:
    """0.01 over 100,500 batches to the power of 0.9, by Python's own logarithm."""
    for batch in (0, 1, 2499, 50_000, 99_999):
        expected = 0.01 * math.exp(0.9 * math.log((100_500 - batch) / 100_500))
        assert polynomial(0.01, batch, 100_500, 0.9) == pytest.approx(expected, rel=1e-12)
