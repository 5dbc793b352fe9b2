"""Scores of many crops by one network, in batches that are the same each time."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray

from trueframe.dataset import Image, one_thread
from trueframe.errors import UserError


def prepare(device: str, threads: int) -> str:
    """Make torch's arithmetic repeatable in this process; returns "cpu" or "cuda" for "cpu", "cuda" or "auto".

    threads: CPU threads of the arithmetic, on which sums depend. Raises UserError for a cuda that is not there.
    """
    # cuBLAS repeats itself only with a workspace of fixed size, which it reads when it is first used.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True)
    one_thread()
    if device == "cuda" and not torch.cuda.is_available():
        raise UserError("--device cuda: torch sees no CUDA device here; use --device cpu, or auto")
    return device if device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"


def batches(videos: Sequence[object], size: int) -> list[range]:
    """Numbers of images in batches of at most `size`, none over two videos; videos: the one of each image, in runs.

    The last bits of a score depend on what is in its batch, so a video scored alone gets what it gets among others.
    """
    starts = [number for number in range(len(videos)) if number == 0 or videos[number] != videos[number - 1]]
    runs = pairwise([*starts, len(videos)])
    return [range(at, min(at + size, end)) for start, end in runs for at in range(start, end, size)]


def scores(
    networks: Sequence[torch.nn.Module],
    load: Callable[[int], Image],
    numbers: Sequence[range],
    *,
    device: str | torch.device,
    workers: int,
    advance: Callable[[int], None],
) -> NDArray[np.float64]:
    """Probability of fake by each network, float64 of shape (networks, images), in the order of the batches.

    networks: give logits for uint8 of shape (n, side, side, 3), in evaluation mode; load: gives the image of a number
    and runs in `workers` threads, a batch ahead (OpenCV lets them work at once); numbers: of the images, batch by
    batch; advance: hears how many more are scored.
    """
    logits = []
    with torch.inference_mode():
        for images in _loaded(load, numbers, workers):
            batch = torch.from_numpy(images).to(device)
            logits.append(torch.stack([network(batch).double() for network in networks]).cpu())
            advance(len(images))
    found: NDArray[np.float64] = torch.cat(logits, dim=1).sigmoid().numpy() if logits else np.empty((len(networks), 0))
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
