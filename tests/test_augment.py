"""What a training crop goes through, and what erasing takes away, worked out on small faces."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from trueframe import erasing, params
from trueframe.augment import Augment
from trueframe.dataset import generator

ROOT = Path(__file__).parents[1]
ERASING = ("erase_landmarks", "erase_eyes", "erase_mouth", "erase_nose", "erase_hull", "erase_half")
CHANGES = ("jpeg", "noise", "blur", "flip", "colour", "grey", "move")
SIZES = {"jpeg_quality_min": 60, "shift": 0.1, "scale": 0.1, "rotate_deg": 10.0}
SHAPE = (100, 80)  # height and width differ, so that one taken for the other shows
POINTS = np.array([[30, 40], [50, 40], [40, 50], [31, 60], [49, 60]], np.int32)


def chances(**values: float) -> params.Augmentation:
    return params.Augmentation.model_validate(dict.fromkeys(ERASING + CHANGES, 0.0) | SIZES | values)


def box(kept: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """First and last row, first and last column of what is erased."""
    rows, columns = np.nonzero(~kept)
    return rows.min(), rows.max(), columns.min(), columns.max()


def image() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(1, 256, (*SHAPE, 3)).astype(np.uint8)


def test_eyes_go_in_a_band_a_quarter_of_their_distance_wide_on_every_side() -> None:
    kept = erasing.without_eyes(SHAPE, POINTS)  # 20 apart: 5 to every side
    assert box(kept) == (35, 45, 25, 55)
    assert not kept[35:46, 30:51].any()
    assert kept[35, 25]  # the ends are round


def test_mouth_goes_in_a_band_a_third_of_its_width_on_every_side() -> None:
    kept = erasing.without_mouth(SHAPE, POINTS)  # 18 wide: 6 to every side
    assert box(kept) == (54, 66, 25, 55)


def test_nose_goes_up_to_between_the_eyes() -> None:
    kept = erasing.without_nose(SHAPE, POINTS)  # from (40, 50) to (40, 40), 5 to every side
    assert box(kept) == (35, 55, 35, 45)


def test_the_hull_doubles_the_outer_points_about_their_middle() -> None:
    # About (40, 50) the eyes lie at (-10, -10) and (10, -10), the mouth's corners at (-9, 10) and (9, 10).
    assert {tuple(point) for point in erasing.hull(POINTS).tolist()} == {(20, 30), (60, 30), (22, 70), (58, 70)}


@pytest.mark.parametrize(
    ("side", "expected"), [(0, (30, 48, 20, 60)), (1, (49, 70, 21, 59)), (2, (30, 70, 20, 39)), (3, (30, 70, 40, 60))]
)
def test_half_the_hull_goes_up_to_its_centroid(side: int, expected: tuple[int, int, int, int]) -> None:
    # The trapezoid is 40 wide above and 36 below: its centroid lies at y = 30 + 40 / 3 * (40 + 2 * 36) / 76 = 49.6.
    assert box(erasing.without_half_hull(SHAPE, POINTS, side)) == expected


def test_a_hull_outside_the_crop_erases_nothing() -> None:
    assert erasing.without_half_hull(SHAPE, POINTS + 1000, 0).all()


def test_halves_and_quadrants_are_cut_at_half_the_height_and_half_the_width() -> None:
    upper, lower, left, right, down, up = (~kept for kept in erasing.regions(SHAPE))
    assert upper[:50].all()
    assert not upper[50:].any()
    assert np.array_equal(lower, ~upper)
    assert left[:, :40].all()
    assert not left[:, 40:].any()
    assert np.array_equal(right, ~left)
    assert np.array_equal(down, (upper & left) | (lower & right))
    assert np.array_equal(up, ~down)


def test_a_fake_keeps_more_than_20_changed_pixels() -> None:
    mask = np.zeros(SHAPE, np.uint8)
    mask[:2, :11] = 21  # 22 pixels in the upper left
    mask[60:, :] = 20  # unchanged
    always = chances(erase_half=1.0)
    erased = 0
    for number in range(60):
        found = erasing.erase(image(), None, lambda: mask, 1, always, generator(3, number))
        assert np.count_nonzero((mask > 20) & found.any(axis=2)) == 22
        erased += not found.all()
    assert erased > 50  # three of six regions fit, so that six draws fail once in 64


def test_a_fake_with_too_few_changed_pixels_or_no_mask_stays_whole() -> None:
    few = np.zeros(SHAPE, np.uint8)
    few[0, :20] = 255
    always = chances(erase_half=1.0)
    for number in range(20):
        for mask in (few, None):
            found = erasing.erase(image(), None, lambda mask=mask: mask, 1, always, generator(3, number))
            assert np.array_equal(found, image())


def test_a_real_crop_loses_half_whatever_is_seen() -> None:
    found = erasing.erase(image(), None, lambda: None, 0, chances(erase_half=1.0), generator(3, 0))
    assert np.count_nonzero(found.any(axis=2)) == SHAPE[0] * SHAPE[1] / 2


def test_the_first_kind_that_is_drawn_is_the_only_one() -> None:
    # A feature is tried and none is picked: the hull and the halves are not tried after it.
    every = chances(erase_landmarks=1.0, erase_hull=1.0, erase_half=1.0)
    assert np.array_equal(erasing.erase(image(), POINTS, lambda: None, 0, every, generator(3, 0)), image())


def test_kinds_come_as_often_as_the_recipe_says() -> None:
    recipe = chances(
        erase_landmarks=0.7, erase_eyes=0.5, erase_mouth=0.5, erase_nose=0.5, erase_hull=0.2, erase_half=0.1
    )
    plain = np.full((*SHAPE, 3), 255, np.uint8)
    kinds = {
        "eyes": [erasing.without_eyes(SHAPE, POINTS)],
        "mouth": [erasing.without_mouth(SHAPE, POINTS)],
        "nose": [erasing.without_nose(SHAPE, POINTS)],
        "hull": [erasing.without_half_hull(SHAPE, POINTS, side) for side in range(4)],
        "half": erasing.regions(SHAPE),
    }
    names = {kept.tobytes(): name for name, all_kept in kinds.items() for kept in all_kept}
    counts = dict.fromkeys([*kinds, "nothing"], 0)
    for number in range(4000):
        found = erasing.erase(plain, POINTS, lambda: None, 0, recipe, generator(3, number))
        counts[names.get((found[..., 0] > 0).tobytes(), "nothing")] += 1
    expected = {"eyes": 0.35, "mouth": 0.175, "nose": 0.0875, "hull": 0.06, "half": 0.024}
    for name, share in expected.items():
        assert counts[name] / 4000 == pytest.approx(share, abs=0.025)


def test_without_chances_a_crop_only_gets_its_size() -> None:
    plain = np.full((*SHAPE, 3), 200, np.uint8)
    found = Augment(chances(), 50)(plain, POINTS, lambda: None, 1, generator(3, 0))
    expected = np.zeros((50, 50, 3), np.uint8)
    expected[:, 5:45] = 200
    assert np.array_equal(found, expected)


def test_the_stream_alone_decides() -> None:
    everything = params.load(ROOT / "presets" / "dfdc.yaml").models.augmentation
    one, other = Augment(everything, 64), Augment(everything, 64)
    for _ in range(5):  # what was changed before leaves no trace
        one(image(), POINTS, lambda: None, 0, generator(3, 99))
    found = [augment(image(), POINTS, lambda: None, 0, generator(3, 7)) for augment in (one, other)]
    assert np.array_equal(*found)
    assert found[0].shape == (64, 64, 3)
    assert found[0].dtype == np.uint8
    assert not np.array_equal(found[0], one(image(), POINTS, lambda: None, 0, generator(3, 8)))


def test_changes_come_independently_of_each_other() -> None:
    """With one seed for all of them, as albumentations' own Compose does it, a flip would always come with grey."""
    augment = Augment(chances(flip=0.5, grey=0.5), 64)
    wedge = np.zeros((64, 64, 3), np.uint8)
    wedge[:, :32, 0] = 200  # red on the left
    seen = set()
    for number in range(40):
        found = augment(wedge, None, lambda: None, 0, generator(3, number))
        flipped, grey = not found[:, :32].any(), bool(found[..., 2].any())
        seen.add((flipped, grey))
    assert seen == {(False, False), (False, True), (True, False), (True, True)}


@pytest.mark.parametrize("name", CHANGES)
def test_each_chance_changes_the_crop(name: str) -> None:
    square = np.random.default_rng(1).integers(60, 200, (64, 64, 3)).astype(np.uint8)
    always, never = Augment(chances(**{name: 1.0}), 64), Augment(chances(), 64)
    streams = [(3, number) for number in range(5)]  # a drawn change may be too small to see in one
    assert not all(np.array_equal(always(square, None, lambda: None, 0, generator(*key)), square) for key in streams)
    assert all(np.array_equal(never(square, None, lambda: None, 0, generator(*key)), square) for key in streams)
