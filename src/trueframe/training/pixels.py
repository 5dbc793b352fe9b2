"""albumentations' noise and FancyPCA, at a small part of their time: the same values from the same random numbers.

Theirs make both in float64 of several passes over the image; here whole numbers stay whole.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from trueframe.dataset import Image


def noisy(image: Image, deviation: float, seed: int) -> Image:
    """The image with normal noise of its own in every value: albumentations' GaussNoise.

    image: uint8 of shape (height, width, 3); deviation: of the noise, in levels; seed: of OpenCV's generator, 0..2**31.
    As there, the noise is cut towards 0 before it is added.
    """
    cv2.setRNGSeed(seed)
    noise = cv2.randn(np.empty(image.shape, np.float32), np.zeros(3), np.full(3, deviation))
    return np.asarray(cv2.add(image, noise.astype(np.int16), dtype=cv2.CV_8U), np.uint8)


def fancy_pca(image: Image, strengths: NDArray[np.float32]) -> Image:
    """The image stretched along the principal components of its colours: albumentations' FancyPCA.

    image: uint8 of shape (height, width, 3) with two pixels or more. strengths: of each component, largest first, shape
    (3,). With colours in 0..1, their mean m, and their covariance's eigenvectors V and values l, a colour x becomes
    x + V diag(strengths * l) (x - m), clipped and rounded. (Krizhevsky et al. 2012, "ImageNet classification with deep
    convolutional neural networks", after whom it is named, add V (strengths * l) to every colour.)
    """
    pixels = image.shape[0] * image.shape[1]
    mean = np.array(cv2.sumElems(image)[:3]) / pixels
    covariance = (_products(image) - pixels * np.outer(mean, mean)) / ((pixels - 1) * 255**2)
    values, vectors = np.linalg.eigh(covariance)  # by growing value
    stretch = vectors[:, ::-1] @ np.diag(strengths * values[::-1])
    matrix = np.column_stack([np.eye(3) + stretch, -stretch @ mean])
    moved = cv2.transform(image.astype(np.float32), matrix)  # of whole numbers it rounds the matrix to 10 bits
    return np.asarray(cv2.add(moved, np.zeros(4), dtype=cv2.CV_8U), np.uint8)


def _products(image: Image) -> NDArray[np.float64]:
    """The sums of the products of each two channels over all pixels, exact, shape (3, 3).

    OpenCV sums squares of whole numbers fast, and 2ab = a² + b² - (a - b)².
    """
    planes = cv2.split(image)
    # it gives the square of a root, which errs far less than a half
    squares = [round(cv2.norm(plane, cv2.NORM_L2SQR)) for plane in planes]
    found = np.diag(np.array(squares, np.float64))
    for i, j in ((0, 1), (0, 2), (1, 2)):
        between = round(cv2.norm(planes[i], planes[j], cv2.NORM_L2SQR))
        found[i, j] = found[j, i] = (squares[i] + squares[j] - between) / 2
    return found
