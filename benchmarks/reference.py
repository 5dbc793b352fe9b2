"""What a competent user of the public libraries would write instead: the figures' references, with one thread each."""

from __future__ import annotations

import io
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import albumentations as alb
import av
import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from skimage.metrics import structural_similarity

# Frames: OpenCV and PyAV.


def by_opencv(path: Path, wanted: Collection[int]) -> int:
    """How many of the wanted frames came: every frame is grabbed, the wanted ones retrieved, up to the last of them."""
    cv2.setNumThreads(1)
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
    found = 0
    for number in range(max(wanted) + 1):
        if not capture.grab():
            break
        if number in wanted:
            found += capture.retrieve()[0]
    capture.release()
    return found


def by_pyav(path: Path, wanted: Collection[int]) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Number and RGB pixels of the wanted frames: every frame is decoded."""
    with av.open(str(path)) as container:
        container.streams.video[0].codec_context.thread_count = 1
        for number, frame in enumerate(container.decode(video=0)):
            if number in wanted:
                yield number, np.rot90(frame.to_ndarray(format="rgb24"), round(frame.rotation / 90) % 4)


# Masks and formats: scikit-image, OpenCV and Pillow.


def mask(fake: Any, original: Any, window_px: int) -> Any:
    """(1 - SSIM) * 255 of two RGB images, in grey."""
    _, similarity = structural_similarity(fake, original, win_size=window_px, channel_axis=2, full=True)
    return cv2.cvtColor(np.clip((1 - similarity) * 255, 0, 255).astype(np.uint8), cv2.COLOR_RGB2GRAY)


def written(extension: str, options: tuple[int, ...], image: Any) -> bytes:
    """An image of OpenCV's writers."""
    done, data = cv2.imencode(extension, image if image.ndim == 2 else image[..., ::-1], options)
    assert done
    return data.tobytes()


def webp(method: int, image: Any) -> bytes:
    """Lossless WebP of Pillow's."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "WEBP", lossless=True, quality=0, method=method)
    return file.getvalue()


def decoded(data: bytes) -> Any:
    """The image as it was stored: grey or BGR."""
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)


_LEVEL, _FILTER, _STRATEGY = cv2.IMWRITE_PNG_COMPRESSION, cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_STRATEGY
_PAETH, _RLE = cv2.IMWRITE_PNG_FILTER_PAETH, cv2.IMWRITE_PNG_STRATEGY_RLE
WRITERS: dict[str, Callable[[Any], bytes]] = {
    "PNG, OpenCV's own choice": partial(written, ".png", ()),
    "PNG, level 6": partial(written, ".png", (_LEVEL, 6)),
    "PNG, filter up": partial(written, ".png", (_LEVEL, 1, _FILTER, cv2.IMWRITE_PNG_FILTER_UP)),
    "PNG, filter Paeth, run lengths": partial(written, ".png", (_LEVEL, 1, _FILTER, _PAETH, _STRATEGY, _RLE)),
    "lossless WebP, OpenCV": partial(written, ".webp", (cv2.IMWRITE_WEBP_QUALITY, 101)),
    "lossless WebP, method 0": partial(webp, 0),
    "lossless WebP, method 1": partial(webp, 1),
    "lossless WebP, method 4": partial(webp, 4),
}


# Prediction: timm's networks in torch, video by video, model by model, images prepared one by one by OpenCV.


def network_input(png: bytes, size_px: int) -> torch.Tensor:
    """A crop as timm's networks want it: float32 of shape (3, size_px, size_px), ImageNet's mean and deviation."""
    bgr = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)
    rgb = cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)
    height, width = rgb.shape[:2]
    scale = size_px / max(height, width)
    size = round(width * scale), round(height * scale)
    resized = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    square = np.zeros((size_px, size_px, 3), np.uint8)
    top, left = (size_px - size[1]) // 2, (size_px - size[0]) // 2
    square[top : top + size[1], left : left + size[0]] = resized
    normal = (square.astype(np.float32) / 255 - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225)
    return torch.from_numpy(np.ascontiguousarray(normal.transpose(2, 0, 1), np.float32))


@torch.no_grad()
def scores(
    models: Sequence[torch.nn.Module], videos: Sequence[Sequence[bytes]], size_px: int, device: str = "cpu"
) -> list[list[NDArray[np.float32]]]:
    """Probability of fake of each video's crops by each model, in eager float32; videos: their crops' PNGs."""
    cv2.setNumThreads(1)
    found = []
    for video in videos:
        of_video = []
        for model in models:
            batch = torch.stack([network_input(png, size_px) for png in video]).to(device)
            of_video.append(torch.sigmoid(model(batch)[:, 0]).cpu().numpy())
        found.append(of_video)
    return found


# Training crops: albumentations.


_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's


class Loader:
    """Decodes and changes crops one at a time, all but the winner's erasing, and normalizes each."""

    def __init__(self, size_px: int) -> None:
        """size_px: side of the square that comes out."""
        resizes = [
            alb.LongestMaxSize(size_px, interpolation=how, p=1)
            for how in (cv2.INTER_AREA, cv2.INTER_AREA, cv2.INTER_LINEAR)
        ]
        move = {"translate_percent": (-0.1, 0.1), "scale": (0.8, 1.2), "keep_ratio": True, "rotate": (-10, 10)}
        self._change = alb.Compose(
            [
                alb.ImageCompression(quality_range=(60, 100), p=0.5),
                alb.GaussNoise(std_range=(10**0.5 / 255, 50**0.5 / 255), p=0.1),
                alb.GaussianBlur(blur_limit=(3, 3), p=0.05),
                alb.HorizontalFlip(p=0.5),
                alb.OneOf(resizes, p=1),
                alb.PadIfNeeded(size_px, size_px, border_mode=cv2.BORDER_CONSTANT, p=1),
                alb.OneOf([alb.RandomBrightnessContrast(p=1), alb.FancyPCA(p=1), alb.HueSaturationValue(p=1)], p=0.7),
                alb.ToGray(p=0.2),
                alb.Affine(**move, p=0.5),
                alb.Normalize(mean=_MEAN, std=_STD, p=1),
            ],
            seed=0,
        )

    def batch(self, files: Sequence[bytes]) -> Any:
        """The changed crops of PNG files, float32 of shape (files, 3, size_px, size_px)."""
        return np.stack([self._one(data).transpose(2, 0, 1) for data in files])

    def _one(self, data: bytes) -> Any:
        image = cv2.cvtColor(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
        return self._change(image=image)["image"]
