"""What training makes small, and what it is judged by."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

# Keeps a log loss finite where a score is 0 or 1 in float64.
_LEAST = 1e-7


def balanced_bce(logits: Tensor, labels: Tensor, smoothing: float, counts: tuple[int, int]) -> Tensor:
    """The mean of two means: binary cross-entropy over a batch's fakes, and over its reals. A scalar.

    logits: float, of shape (n,); labels: 0 or 1, of shape (n,). Targets are `smoothing` and 1 - `smoothing`.
    counts: how many fakes and how many reals the batch has; where several processes share a batch, each gives its own
    logits and the counts of the whole, and the sum over the processes is the batch's loss. Where a class is absent from
    the batch, the other's mean alone.
    """
    from torch.nn.functional import binary_cross_entropy_with_logits

    fakes = labels.float()
    each = binary_cross_entropy_with_logits(logits.float(), fakes.clamp(smoothing, 1 - smoothing), reduction="none")
    present = sum(count > 0 for count in counts)
    # Sums and no masks, so that nothing has to wait for the accelerator.
    classes = [
        (each * of).sum() / (max(1, count) * present) for of, count in zip((fakes, 1 - fakes), counts, strict=True)
    ]
    return classes[0] + classes[1]


def log_losses(scores: NDArray[np.float64], labels: NDArray[np.int8]) -> tuple[float, float]:
    """The mean log loss of the fakes and that of the reals, each over its own.

    scores: probability of fake; labels: 0 or 1, both present.
    """
    kept = np.clip(scores, _LEAST, 1 - _LEAST)
    return float(-np.log(kept[labels == 1]).mean()), float(-np.log1p(-kept[labels == 0]).mean())
