"""Scores of many crops by one network, in batches that are the same each time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray

from trueframe.dataset import Image, one_thread
from trueframe.errors import UserError


def prepare(device: str, threads: int) -> str:
    """Make torch's arithmetic repeatable; returns "cpu" or "cuda" for "cpu", "cuda" or "auto".

    threads: CPU threads of the arithmetic, on which sums depend. Raises UserError for a cuda that is not there.
    """
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True)
    one_thread()
    if device == "cuda" and not torch.cuda.is_available():
        raise UserError("--device cuda: torch sees no CUDA device here; use --device cpu, or auto")
    return device if device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"


def scores(
    network: torch.nn.Module,
    load: Callable[[int], Image],
    count: int,
    *,
    batch_size: int,
    device: str | torch.device,
    workers: int,
    advance: Callable[[int], None],
) -> NDArray[np.float64]:
    """Probability of fake, float64 of shape (count,), for the images load(0) to load(count - 1).

    network: gives logits for uint8 of shape (n, side, side, 3), in evaluation mode; load: runs in `workers` threads, one
    batch ahead, which OpenCV's decoding lets work at once; advance: hears how many more are scored.
    """
    logits = []
    with torch.inference_mode():
        for images in _batches(load, count, batch_size, workers):
            logits.append(network(torch.from_numpy(images).to(device)).double().cpu().numpy())
            advance(len(images))
    found: NDArray[np.float64] = 1 / (1 + np.exp(-np.concatenate(logits)))
    return found


def _batches(load: Callable[[int], Image], count: int, size: int, workers: int) -> Iterator[Image]:
    waiting: deque[list[Future[Image]]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        for start in range(0, count, size):
            waiting.append([pool.submit(load, number) for number in range(start, min(start + size, count))])
            if len(waiting) > 1:
                yield np.stack([image.result() for image in waiting.popleft()])
        while waiting:
            yield np.stack([image.result() for image in waiting.popleft()])
