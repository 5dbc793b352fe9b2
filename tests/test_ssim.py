"""The levels of `ssim` are scikit-image's, byte for byte."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import product
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from skimage.data import astronaut
from skimage.metrics import structural_similarity

from trueframe import ssim, video
from workspaces import REPO

CLIPS = REPO.parent / "shared/data/clips"
Image = NDArray[np.uint8]


def expected(one: Image, other: Image, window_px: int) -> Image:
    """The plain way: scikit-image's similarity, turned to levels."""
    _, similarity = structural_similarity(one, other, win_size=window_px, channel_axis=2, full=True)
    return np.clip((1 - similarity) * 255, 0, 255).astype(np.uint8)


def check(one: Image, other: Image, window_px: int = 7) -> None:
    found = ssim.levels(one, other, window_px)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, expected(one, other, window_px))


def kind(name: str, shape: tuple[int, int], seed: int) -> Image:
    """An image of a kind: where rounding shows most, windows are flat, or jump from black to white."""
    stream = np.random.default_rng(seed)
    full = (*shape, 3)
    drawn = {
        "noise": lambda: stream.integers(0, 256, full),
        "flat": lambda: np.broadcast_to(stream.integers(0, 256, 3), full),
        "extremes": lambda: 255 * stream.integers(0, 2, full),
        "blocks": lambda: np.kron(stream.integers(0, 256, (*(-(-side // 8) for side in shape), 3)), np.ones((8, 8, 1))),
        "ramp": lambda: np.add.outer(np.arange(shape[0]), np.arange(shape[1]))[..., None] + np.arange(3),
        "nearly flat": lambda: 128 + (stream.random(full) < 0.02),
    }[name]()
    return np.ascontiguousarray(drawn[: shape[0], : shape[1]] % 256).astype(np.uint8)


KINDS = ("noise", "flat", "extremes", "blocks", "ramp", "nearly flat")


@settings(max_examples=150)
@given(
    window_px=st.integers(1, 15).map(lambda reach: 2 * reach + 1),
    beyond=st.tuples(st.integers(0, 40), st.integers(0, 40)),
    kinds=st.tuples(st.sampled_from(KINDS), st.sampled_from(KINDS)),
    seed=st.integers(0, 2**32),
)
@example(window_px=3, beyond=(0, 0), kinds=("noise", "extremes"), seed=0)
@example(window_px=31, beyond=(0, 0), kinds=("noise", "noise"), seed=0)
def test_levels_are_scikit_images(window_px: int, beyond: tuple[int, int], kinds: tuple[str, str], seed: int) -> None:
    shape = (window_px + beyond[0], window_px + beyond[1])
    check(kind(kinds[0], shape, seed), kind(kinds[1], shape, seed + 1), window_px)


def test_a_crop_and_what_became_of_it() -> None:
    crop = cv2.resize(astronaut()[0:240, 130:322], (320, 400), interpolation=cv2.INTER_CUBIC)
    changed = crop.copy()
    changed[100:300, 80:240] = cv2.GaussianBlur(crop[100:300, 80:240], (9, 9), 2)
    done, data = cv2.imencode(".jpg", changed, [cv2.IMWRITE_JPEG_QUALITY, 80])
    assert done
    for fake in (changed, cv2.imdecode(data, cv2.IMREAD_COLOR), crop):
        check(np.asarray(fake, np.uint8), np.asarray(crop, np.uint8))


def test_flat_images() -> None:
    """Their levels are 255 (a - b)² / (a² + b² + C1): the nearer to a whole number, the more the rounding decides."""
    for one, other in product(range(0, 254, 5), (0, 1, 2, 51, 85, 128, 254, 255)):
        image = np.broadcast_to(np.arange(one, one + 3), (8, 9, 3)).astype(np.uint8)
        check(image, np.full_like(image, other))


def test_real_fakes_and_their_originals() -> None:
    if not CLIPS.is_dir():
        pytest.skip(f"the real clips are not here ({CLIPS})")
    for names in (("part_00/519_515.mp4", "part_00/519.mp4"), ("part_01/000_reenacted.mp4", "part_01/000.mp4")):
        pairs = zip(*(video.frames(CLIPS / "train" / name, range(0, 100, 30)) for name in names), strict=True)
        for (_, fake), (_, original) in pairs:
            assert not np.array_equal(fake, original)
            check(fake[: original.shape[0] // 2], original[: original.shape[0] // 2])


@pytest.mark.parametrize("window_px", range(3, 32, 2))
def test_an_inverse_divides_to_the_last_bit(window_px: int) -> None:
    high, low = ssim.inverse(window_px)
    whole = np.arange(-(255**2), 255**2 + 1, dtype=np.float64)
    np.testing.assert_array_equal(whole * high + whole * low, whole / window_px)
    assert not np.array_equal(whole * (1 / window_px), whole / window_px)  # which is why there are two


def test_parts_of_images_need_not_be_copied_first() -> None:
    image = kind("noise", (40, 50), 1)
    part = image[3:30, 5:41]
    assert not part.flags.c_contiguous
    check(part, part[::-1, ::-1])


@pytest.mark.parametrize(
    ("shapes", "window_px"),
    [
        (((9, 9, 3), (9, 8, 3)), 7),
        (((9, 9), (9, 9)), 7),
        (((9, 9, 4), (9, 9, 4)), 7),
        (((9, 9, 3), (9, 9, 3)), 11),
        (((9, 9, 3), (9, 9, 3)), 4),
        (((9, 9, 3), (9, 9, 3)), 1),
        (((40, 40, 3), (40, 40, 3)), 33),
    ],
)
def test_images_that_cannot_be_compared_are_refused(shapes: tuple[tuple[int, ...], ...], window_px: int) -> None:
    one, other = (np.zeros(shape, np.uint8) for shape in shapes)
    with pytest.raises(ValueError, match="images of the shape"):
        ssim.levels(one, other, window_px)


def test_values_of_another_type_are_refused() -> None:
    with pytest.raises(TypeError):
        ssim.levels(np.zeros((9, 9, 3), np.float64), np.zeros((9, 9, 3), np.float64), 7)  # type: ignore[arg-type]


def test_it_works_where_nothing_can_be_kept(tmp_path: Path) -> None:
    """As in a package that is read only, for a user without a home: files stand where numba would make its folders."""
    (tmp_path / "alone.py").write_text(Path(ssim.__file__).read_text())
    (tmp_path / "__pycache__").touch()
    code = "import alone, numpy as np; print(alone.levels(*np.zeros((2, 9, 9, 3), np.uint8), 7).max())"
    kept = {name: value for name, value in os.environ.items() if not name.startswith("NUMBA_")}
    nowhere = {"HOME": str(tmp_path / "alone.py"), "XDG_CACHE_HOME": str(tmp_path / "alone.py"), "NUMBA_OPT": "0"}
    environment = kept | nowhere | {"PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("0\n", "")
