"""Prediction as one writes it with timm and OpenCV: video by video, model by model, images prepared one by one."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from numpy.typing import NDArray


def image(png: bytes, size_px: int) -> torch.Tensor:
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
            batch = torch.stack([image(png, size_px) for png in video]).to(device)
            of_video.append(torch.sigmoid(model(batch)[:, 0]).cpu().numpy())
        found.append(of_video)
    return found
