"""The learning rate, batch by batch."""

from __future__ import annotations


def polynomial(start: float, batch: int, batches: int, power: float) -> float:
    """The rate of a batch, counted from 0: start * (1 - batch / batches) ** power, and 0 from `batches` on."""
    return start * max(0.0, 1 - batch / batches) ** power if batch < batches else 0.0
