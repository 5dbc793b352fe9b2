"""Our noise and FancyPCA are albumentations', value by value and over many draws."""

from __future__ import annotations

from typing import Any

import albumentations
import numpy as np
import pytest
from albumentations.augmentations.pixel import functional
from numpy.typing import NDArray
from scipy.stats import norm
from skimage.data import astronaut

from trueframe.dataset import letterbox
from trueframe.training import pixels

FACE = np.ascontiguousarray(astronaut()[0:240, 130:322])
KINDS: dict[str, NDArray[np.uint8]] = {
    "face": FACE,
    "with black edges": letterbox(FACE, 100),
    "noise": np.random.default_rng(0).integers(0, 256, (37, 53, 3)).astype(np.uint8),
    "grey": np.repeat(FACE[..., :1], 3, axis=2),
    "flat": np.full((9, 8, 3), (10, 200, 90), np.uint8),
    "white": np.full((400, 400, 3), 255, np.uint8),
    "black and white": (255 * np.random.default_rng(1).integers(0, 2, (64, 64, 3))).astype(np.uint8),
    "two pixels": np.array([[[0, 10, 200], [90, 20, 100]]], np.uint8),
}


@pytest.mark.parametrize("kind", KINDS)
def test_fancy_pca_is_albumentations_given_the_same_strengths(kind: str) -> None:
    image = KINDS[kind]
    for strengths in ((0.0, 0.0, 0.0), (0.1, -0.2, 0.05), (-1.0, 2.0, 3.0), (30.0, -20.0, 50.0)):
        drawn = np.array(strengths, np.float32)
        found, theirs = pixels.fancy_pca(image, drawn), functional.fancy_pca(image, drawn)
        assert (found.shape, found.dtype) == (image.shape, np.uint8)
        difference = np.abs(found.astype(int) - theirs)
        assert difference.max() <= 1  # where float32, in which they work, decides the rounding
        assert np.count_nonzero(difference) <= 0.02 * difference.size
        assert any(strengths) or np.array_equal(found, image)


def test_fancy_pca_by_hand() -> None:
    """Red alone differs: 0 or 250, with mean 125 and, of 4 pixels, variance 4 / 3 * 125². It is the one component."""
    image = np.full((2, 2, 3), 50, np.uint8)
    image[0, :, 0], image[1, :, 0] = 0, 250
    share = 4 / 3 * 125**2 / 255**2  # of the distance from the mean, for a strength of 1: 0.32
    found = pixels.fancy_pca(image, np.array([-0.5, 7, 7], np.float32))
    moved = 0.5 * share * 125
    assert found[0, 0].tolist() == [round(moved), 50, 50]
    assert found[1, 0].tolist() == [round(250 - moved), 50, 50]


def theirs_of(image: NDArray[np.uint8], share: float, seed: int) -> NDArray[np.uint8]:
    """albumentations' noise of a deviation, in 0..1, from a seed of OpenCV's generator."""

    class Given:
        def integers(self, *_: int) -> int:
            return seed

    how: dict[str, Any] = {"mean_range": (0.0, 0.0), "std_range": (share, share)}
    noise = functional.generate_noise("gaussian", "per_pixel", image.shape, how, 255.0, 1.0, Given())
    changed: NDArray[np.uint8] = functional.add_noise(image, noise)
    return changed


@pytest.mark.parametrize("kind", KINDS)
def test_noise_is_albumentations_given_the_same_seed(kind: str) -> None:
    image = KINDS[kind]
    for deviation, seed in ((10**0.5, 0), (50**0.5, 65535), (0.01, 1), (200.0, 2)):
        found, theirs = pixels.noisy(image, deviation, seed), theirs_of(image, deviation / 255, seed)
        assert (found.shape, found.dtype) == (image.shape, np.uint8)
        difference = np.abs(found.astype(int) - theirs)
        assert difference.max() <= 1  # where float32 decides the cut
        assert np.count_nonzero(difference) <= 0.001 * difference.size


def test_noise_has_its_moments() -> None:
    """Cut towards 0, a number is k above 0 with the chance of k to k + 1; 300,000 draws."""
    steps = np.arange(1, 40)
    variance = 2 * np.sum(steps**2 * np.diff(norm.cdf(np.arange(1, 41) / 5)))
    assert variance == pytest.approx(21, abs=1)  # less than the 25 of what is not cut
    grey = np.full((250, 400, 3), 128, np.uint8)
    noise = pixels.noisy(grey, 5.0, 7).astype(float) - 128
    assert noise.mean() == pytest.approx(0, abs=4 * 5 / 300_000**0.5)
    assert noise.var() == pytest.approx(variance, abs=4 * 25 * (2 / 300_000) ** 0.5)
    assert np.abs(np.corrcoef(noise.reshape(-1, 3).T)[np.triu_indices(3, 1)]).max() < 4 / 100_000**0.5
    assert not np.array_equal(pixels.noisy(grey, 5.0, 8).astype(float) - 128, noise)


def test_what_is_compared_with_is_what_albumentations_transforms_do() -> None:
    pca = albumentations.FancyPCA(alpha=0.1, p=1)
    pca.set_random_seed(3)
    found = pca(image=FACE)["image"]
    strengths = np.random.default_rng(3).normal(0, 0.1, 3).astype(np.float32)
    assert not np.array_equal(found, FACE)
    assert np.abs(found.astype(int) - pixels.fancy_pca(FACE, strengths)).max() <= 1
    noise = albumentations.GaussNoise(std_range=(0.02, 0.02), p=1)
    noise.set_random_seed(3)
    found = noise(image=FACE)["image"].astype(int) - FACE
    ours = pixels.noisy(FACE, 0.02 * 255, 3).astype(int) - FACE
    assert (ours.mean(), ours.std()) == pytest.approx((found.mean(), found.std()), abs=0.1)
