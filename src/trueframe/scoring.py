"""Scores of many crops by one network, in batches that are the same each time."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

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

    network: gives logits for uint8 of shape (n, side, side, 3), in evaluation mode; load: runs in `workers` threads, a
    batch ahead (OpenCV lets them work at once); advance: hears how many more are scored.
    """
    logits = []
    with torch.inference_mode():
        for images in _batches(load, count, batch_size, workers):
            logits.append(network(torch.from_numpy(images).to(device)).double().cpu())
            advance(len(images))
    found: NDArray[np.float64] = torch.cat(logits).sigmoid().numpy()
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
