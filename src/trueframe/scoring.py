"""Scores of many crops by some networks, each crop loaded once."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray

from trueframe import devices
from trueframe.dataset import Image, one_thread

# Of uint8 images of shape (n, side, side, 3), RGB, to their logits of fake, of shape (n,).
Logits = Callable[[Image], NDArray[np.float64]]


def prepare(device: str, threads: int) -> str:
    """Make torch's arithmetic repeatable in this process; returns "cpu" or "cuda" for "cpu", "cuda" or "auto".

    threads: CPU threads of the arithmetic, on which sums depend. Raises UserError for a cuda that is not there.
    """
    # cuBLAS repeats itself only with a workspace of fixed size, which it reads when it is first used.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True)
    one_thread()
    return devices.resolved(device)


def batches(videos: Sequence[object], size: int) -> list[range]:
    """Numbers of images in batches of at most `size`, none over two videos; videos: the one of each image, in runs.

    Torch on a CPU gives an image other last bits in another batch, so a video gets the same scores among any others.
    """
    starts = [number for number in range(len(videos)) if number == 0 or videos[number] != videos[number - 1]]
    runs = pairwise([*starts, len(videos)])
    return [range(at, min(at + size, end)) for start, end in runs for at in range(start, end, size)]


def by_torch(network: Callable[[torch.Tensor], torch.Tensor], device: str | torch.device, bf16: bool = False) -> Logits:
    """What torch makes of images on a device. bf16: in mixed precision, bfloat16 where torch.autocast thinks it fit."""
    kind = torch.device(device).type

    def logits(images: Image) -> NDArray[np.float64]:
        with torch.inference_mode(), torch.autocast(kind, torch.bfloat16, enabled=bf16):
            found: NDArray[np.float64] = network(torch.from_numpy(images).to(device)).double().cpu().numpy()
        return found

    return logits


def scores(
    networks: Sequence[Logits],
    load: Callable[[int], Image],
    numbers: Sequence[range],
    *,
    workers: int,
    advance: Callable[[int], None],
) -> NDArray[np.float64]:
    """Probability of fake by each network, float64 of shape (networks, images), in the order of the batches.

    load: gives the image of a number and runs in `workers` threads, a batch ahead (OpenCV lets them work at once);
    numbers: of the images, batch by batch; advance: hears how many more are scored.
    """
    logits = [np.empty((len(networks), 0))]
    for images in _loaded(load, numbers, workers):
        logits.append(np.stack([network(images) for network in networks]))
        advance(len(images))
    found: NDArray[np.float64] = torch.from_numpy(np.concatenate(logits, axis=1)).sigmoid().numpy()
    return found


def _loaded(load: Callable[[int], Image], numbers: Sequence[range], workers: int) -> Iterator[Image]:
    waiting: deque[list[Future[Image]]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        for batch in numbers:
            waiting.append([pool.submit(load, number) for number in batch])
            if len(waiting) > 1:
                yield np.stack([image.result() for image in waiting.popleft()])
        while waiting:
            yield np.stack([image.result() for image in waiting.popleft()])
