"""What a training crop goes through, and what erasing takes away, worked out on small faces."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import albumentations
import cv2
import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch.utils.data import DataLoader

import small_data
from trueframe import dataset, params
from trueframe.dataset import generator
from trueframe.training import erasing, pixels
from trueframe.training.augment import Augment

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


# A face turned a quarter in a crop that is wider than high: the eyes one above the other, 24 apart, the mouth 18 high.
WIDE = (60, 120)
TURNED = np.array([[70, 18], [70, 42], [60, 30], [46, 21], [46, 39]], np.int32)


@pytest.mark.parametrize(
    ("kept", "expected"),
    [
        (erasing.without_eyes(WIDE, TURNED), (12, 48, 64, 76)),  # 6 to every side
        (erasing.without_mouth(WIDE, TURNED), (15, 45, 40, 52)),  # 6 to every side
        (erasing.without_nose(WIDE, TURNED), (24, 36, 54, 76)),  # from x 60 to x 70, 6 to every side
        # The middle is (58, 30): the hull has the corners (82, 6), (82, 54), (34, 12) and (34, 48). Its centroid lies
        # at x = 34 + 48 / 3 * (36 + 2 * 48) / 84 = 59.1.
        (erasing.without_half_hull(WIDE, TURNED, 0), (6, 29, 34, 82)),
        (erasing.without_half_hull(WIDE, TURNED, 1), (30, 54, 34, 82)),
        (erasing.without_half_hull(WIDE, TURNED, 2), (9, 51, 34, 58)),  # its slopes rise by 1 in 8
        (erasing.without_half_hull(WIDE, TURNED, 3), (6, 54, 59, 82)),
        *zip(
            erasing.regions((61, 121)),
            [(0, 29, 0, 120), (30, 60, 0, 120), (0, 60, 0, 59), (0, 60, 60, 120), (0, 60, 0, 120), (0, 60, 0, 120)],
            strict=True,
        ),
    ],
)
def test_each_kind_takes_its_place_in_a_crop_wider_than_high(
    kept: NDArray[np.bool_], expected: tuple[int, int, int, int]
) -> None:
    assert box(kept) == expected


def test_quadrants_of_an_odd_crop_leave_no_gap() -> None:
    # 61 × 121 is cut into 30 + 31 rows and 60 + 61 columns.
    down, up = erasing.regions((61, 121))[4:]
    assert np.count_nonzero(~down) == 30 * 60 + 31 * 61
    assert np.count_nonzero(~up) == 30 * 61 + 31 * 60
    assert not down[0, 0]
    assert not down[60, 120]
    assert not up[0, 120]
    assert not up[60, 0]


def test_what_lies_outside_the_crop_is_not_erased_in_it() -> None:
    points = POINTS - np.array([40, 0], np.int32)  # the left eye and mouth corner at x = -10 and -9
    assert box(erasing.without_eyes(SHAPE, points)) == (35, 45, 0, 15)
    assert box(erasing.without_mouth(SHAPE, points)) == (54, 66, 0, 15)
    assert box(erasing.without_nose(SHAPE, points)) == (35, 55, 0, 5)
    # Of the hull, from x = -20 to 20, half is left, 21 wide: the centroid of that half lies at x = 9.8.
    assert box(erasing.without_half_hull(SHAPE, points, 2)) == (30, 70, 0, 8)
    assert box(erasing.without_half_hull(SHAPE, points, 3)) == (30, 70, 9, 20)


SIDE = st.integers(1, 40)
POINT = st.tuples(st.integers(-100, 140), st.integers(-100, 140))


@given(height=SIDE, width=SIDE, places=st.lists(POINT, min_size=5, max_size=5))
@example(height=1, width=1, places=[(0, 0)] * 5)
@example(height=1, width=40, places=[(-100, 0), (140, 0), (0, 0), (0, -100), (0, 140)])
def test_no_landmarks_are_too_odd(height: int, width: int, places: list[tuple[int, int]]) -> None:
    points, shape = np.array(places, np.int32), (height, width)
    found = [kind(shape, points) for kind in (erasing.without_eyes, erasing.without_mouth, erasing.without_nose)]
    halves = [erasing.without_half_hull(shape, points, side) for side in range(4)]
    assert {(kept.shape, kept.dtype) for kept in found + halves} == {(shape, np.dtype(np.bool_))}
    for one, other in (halves[:2], halves[2:]):  # together they are the hull, and nothing is in both
        assert (one | other).all()
    assert np.array_equal(halves[0] & halves[1], halves[2] & halves[3])


@given(height=SIDE, width=SIDE, share=st.sampled_from([0.0, 0.02, 0.1, 0.5, 1.0]), seed=st.integers(0, 2**32))
def test_a_fake_is_whole_or_keeps_more_than_20_changed_pixels(height: int, width: int, share: float, seed: int) -> None:
    stream = generator(3, seed)
    changed = stream.random((height, width)) < share
    mask = np.where(changed, stream.integers(21, 256, (height, width)), stream.integers(0, 21, (height, width)))
    plain = np.full((height, width, 3), 255, np.uint8)
    found = erasing.erase(plain, None, lambda: mask.astype(np.uint8), 1, chances(erase_half=1.0), stream)
    kept = found[..., 0] > 0
    assert kept.all() or np.count_nonzero(kept & changed) > 20
    assert kept.all() or any(np.array_equal(kept, region) for region in erasing.regions((height, width)))


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


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (2, 3)])
def test_a_crop_of_a_pixel_gets_its_size_like_any_other(shape: tuple[int, int]) -> None:
    crop = np.full((*shape, 3), 200, np.uint8)
    everything = chances(**dict.fromkeys(ERASING + CHANGES, 1.0))
    for number in range(20):
        points = POINTS if number % 2 else None
        found = Augment(everything, 32)(crop, points, lambda: None, number % 2, generator(3, number))
        assert (found.shape, found.dtype) == ((32, 32, 3), np.uint8)


class Seen:
    """Stands for the transforms, albumentations' and ours, and hears their order, and each crop's shape and colour."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.steps: list[tuple[str, tuple[int, ...], int]] = []
        self.drawn: list[tuple[str, tuple[Any, ...]]] = []
        names = ["ImageCompression", "GaussianBlur", "HorizontalFlip", "RandomBrightnessContrast"]
        for name in [*names, "HueSaturationValue", "ToGray", "Affine"]:
            monkeypatch.setattr(albumentations, name, self._stand_in(name))
        monkeypatch.setattr(pixels, "noisy", self._hear("GaussNoise"))
        monkeypatch.setattr(pixels, "fancy_pca", self._hear("FancyPCA"))

    def _hear(self, name: str) -> Any:
        def changed(image: NDArray[np.uint8], *drawn: Any) -> NDArray[np.uint8]:
            self.steps.append((name, image.shape, int((image == 0).all(axis=2).sum())))
            self.drawn.append((name, drawn))
            return image

        return changed

    def _stand_in(self, name: str) -> Any:
        heard = self.steps

        class StandIn:
            def __init__(self, **_: Any) -> None: ...

            def set_random_seed(self, seed: int) -> None: ...

            def __call__(self, image: NDArray[np.uint8]) -> dict[str, NDArray[np.uint8]]:
                heard.append((name, image.shape, int((image == 0).all(axis=2).sum())))
                return {"image": image}

        return StandIn


def test_changes_are_made_in_the_recipes_order(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = Seen(monkeypatch)
    augment = Augment(chances(erase_half=1.0, **dict.fromkeys(CHANGES, 1.0)), 50)
    augment(np.full((*SHAPE, 3), 200, np.uint8), None, lambda: None, 0, generator(3, 0))
    names = [name for name, _, _ in seen.steps]
    assert names[:4] == ["ImageCompression", "GaussNoise", "GaussianBlur", "HorizontalFlip"]
    assert names[4] in ("RandomBrightnessContrast", "FancyPCA", "HueSaturationValue")
    assert names[5:] == ["ToGray", "Affine"]
    # The first already sees half of the crop erased; what comes after the flip sees the square with its black edges.
    assert [(shape, black) for _, shape, black in seen.steps[:4]] == [((*SHAPE, 3), SHAPE[0] * SHAPE[1] // 2)] * 4
    assert [shape for _, shape, _ in seen.steps[4:]] == [(50, 50, 3)] * 3
    assert all(black >= 25 * 40 + 10 * 50 for _, _, black in seen.steps[4:])


def test_changes_come_as_often_as_the_recipe_says(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = Seen(monkeypatch)
    recipe = params.load(ROOT / "presets" / "dfdc.yaml").models.augmentation
    augment = Augment(recipe, 8)
    for number in range(3000):
        augment(np.full((8, 8, 3), 200, np.uint8), None, lambda: None, 0, generator(3, number))
    counts = {name: 0 for name, _, _ in seen.steps} | Counter(name for name, _, _ in seen.steps)
    expected = {"ImageCompression": 0.5, "GaussNoise": 0.1, "GaussianBlur": 0.05, "HorizontalFlip": 0.5}
    expected |= dict.fromkeys(("RandomBrightnessContrast", "FancyPCA", "HueSaturationValue"), 0.7 / 3)
    expected |= {"ToGray": 0.2, "Affine": 0.5}
    # Four standard deviations of a share of 3000 are 0.037 at most.
    assert {name: count / 3000 for name, count in counts.items()} == pytest.approx(expected, abs=0.037)
    noises = np.array([drawn for name, drawn in seen.drawn if name == "GaussNoise"])
    assert noises[:, 0].min() == pytest.approx(10**0.5, abs=0.1)  # uniform in between, as albumentations 2 draws it
    assert noises[:, 0].max() == pytest.approx(50**0.5, abs=0.1)
    assert noises[:, 0].mean() == pytest.approx((10**0.5 + 50**0.5) / 2, abs=0.3)
    assert len(set(noises[:, 1])) == len(noises)  # seeds
    strengths = np.array([drawn[0] for name, drawn in seen.drawn if name == "FancyPCA"])
    # Four standard deviations of the mean and the deviation of 2100 normal numbers of deviation 0.1.
    assert strengths.mean() == pytest.approx(0, abs=0.009)
    assert strengths.std() == pytest.approx(0.1, abs=0.0065)


@pytest.mark.parametrize(
    ("size_px", "expected"),
    [
        (45, {cv2.INTER_AREA: 2 / 3, cv2.INTER_LINEAR: 1 / 3}),
        (150, {cv2.INTER_CUBIC: 1 / 3, cv2.INTER_LINEAR: 2 / 3}),
    ],
)
def test_a_crop_is_resized_in_one_of_the_recipes_ways(size_px: int, expected: dict[int, float]) -> None:
    ways = {dataset.letterbox(image(), size_px, way, way).tobytes(): way for way in expected}
    augment = Augment(chances(), size_px)
    found = Counter(
        ways[augment(image(), None, lambda: None, 0, generator(3, number)).tobytes()] for number in range(600)
    )
    # Four standard deviations of a share of 600 are 0.077.
    assert {way: count / 600 for way, count in found.items()} == pytest.approx(expected, abs=0.077)


def test_a_crop_becomes_the_same_whoever_changes_it_and_in_whatever_order(tmp_path: Path) -> None:
    data = small_data.write(tmp_path)
    table = dataset.faces(data.folds, data.landmarks, data.changes)
    crops = dataset.Crops.of(table, data.crops, data.masks)
    recipe = params.load(ROOT / "presets" / "dfdc.yaml").models.augmentation
    draws = [(row, epoch, repeat) for row in range(0, 27, 4) for epoch in (0, 1) for repeat in (0, 1)]
    found = []
    for workers, order in ((0, draws), (2, draws), (2, draws[::-1])):
        training = dataset.TrainingSet(crops, Augment(recipe, 48), seed=111)
        loader = DataLoader(
            training,
            sampler=order,
            batch_size=None,
            num_workers=workers,
            multiprocessing_context="spawn" if workers else None,
        )
        images = [torch.as_tensor(image).numpy().tobytes() for image, _ in loader]
        found.append(dict(zip(order, images, strict=True)))
    assert found[0] == found[1] == found[2]
    other = dataset.TrainingSet(crops, Augment(recipe, 48), seed=555)
    assert len({*found[0].values(), *(other[draw][0].tobytes() for draw in draws)}) == 2 * len(draws)
