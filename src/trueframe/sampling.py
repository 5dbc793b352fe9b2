"""Which crops train, which validate, and the balanced order of each epoch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from trueframe import pool
from trueframe.dataset import SAMPLE, Crops, Draw, generator
from trueframe.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

    from trueframe.params import Models

# Counted in this process up to here: starting others takes longer.
_MASKS_AT_ONCE = 2000


def training_rows(table: pd.DataFrame, faces: Crops, params: Models, workers: int) -> tuple[NDArray[np.int64], int]:
    """Rows that may train, and how many more are left out because they probably show an unswapped face.

    table: dataset.faces; faces: the same rows as arrays. Raises UserError when a class is absent.
    """
    rows = np.flatnonzero(table["fold"].to_numpy() != params.holdout_fold)
    kept = rows
    if params.least_changed_px is not None:
        masked = rows[faces.has_mask(rows)]
        chunks = np.array_split(masked, len(masked) // _MASKS_AT_ONCE + 1)
        counts = pool.ordered(faces.changed_px, chunks, min(workers, len(chunks)))
        kept = np.setdiff1d(rows, masked[np.concatenate(list(counts)) < params.least_changed_px])
    where = f"outside fold {params.holdout_fold}"
    _need_both_classes(table, kept, "train on", where, "folds.count or models.least_changed_px")
    return kept, len(rows) - len(kept)


def validation_rows(table: pd.DataFrame, params: Models) -> NDArray[np.int64]:
    """Rows of the fold held out whose frames validate. Raises UserError when a class is absent."""
    every = params.validation_every_n_frames
    rows = np.flatnonzero((table["fold"] == params.holdout_fold) & (table["frame"] % every == 0))
    where = f"in fold {params.holdout_fold}, on frames that {every} divides"
    _need_both_classes(table, rows, "validate on", where, "models.holdout_fold or models.validation_every_n_frames")
    return rows


def _need_both_classes(table: pd.DataFrame, rows: NDArray[np.int64], purpose: str, where: str, keys: str) -> None:
    labels = table["label"].to_numpy()[rows]
    fakes, reals = int((labels == 1).sum()), int((labels == 0).sum())
    if fakes and reals:
        return
    counts = table.groupby(["fold", "label"]).size()
    there = "; ".join(
        f"fold {fold}: {counts.get((fold, 1), 0)} fake, {counts.get((fold, 0), 0)} real"
        for fold in sorted(table["fold"].unique())
    )
    raise UserError(
        f"data/folds/folds.parquet: {fakes} fake and {reals} real crops to {purpose} {where}; both classes are needed. "
        f"Crops there ({there or 'none'}). Change {keys} in params.yaml, or add videos to data/raw/train"
    )


def balanced_epoch(rows: NDArray[np.int64], labels: NDArray[np.int8], seed: int, epoch: int) -> NDArray[np.int64]:
    """An epoch's rows in random order: every real one and as many fakes, drawn anew. Shape (2 * reals, 2): row, repeat.

    rows: what may be drawn; labels: of all rows. Where there are fewer fakes than reals, each is used as many
    times as all fit and the rest is drawn without replacement: no fake comes more than once oftener than another.
    """
    reals, fakes = rows[labels[rows] == 0], rows[labels[rows] == 1]
    stream = generator(SAMPLE, seed, epoch)
    whole, rest = divmod(len(reals), len(fakes))
    drawn = np.concatenate([np.tile(fakes, whole), stream.choice(fakes, rest, replace=False), reals])
    repeats = np.concatenate([np.repeat(np.arange(whole), len(fakes)), np.full(rest, whole), np.zeros(len(reals), int)])
    return np.stack([drawn, repeats], axis=1)[stream.permutation(len(drawn))]


class Batches:
    """An epoch's draws, batch by batch, for torch's DataLoader. Set `epoch` before each pass."""

    def __init__(
        self, rows: NDArray[np.int64], labels: NDArray[np.int8], seed: int, size: int, most: int | None
    ) -> None:
        """rows, labels: as for balanced_epoch; size: draws in a batch; most: batches in an epoch, None for all.

        An incomplete last batch is left out, unless it is the only one.
        """
        self._rows, self._labels, self._seed, self._size = rows, labels, seed, size
        full = max(1, 2 * int((labels[rows] == 0).sum()) // size)
        self._count = full if most is None else min(most, full)
        self.epoch = 0

    def __len__(self) -> int:
        return self._count

    def draws(self) -> NDArray[np.int64]:
        """The epoch's draws, shape (n, 2): row, repeat."""
        return balanced_epoch(self._rows, self._labels, self._seed, self.epoch)[: self._count * self._size]

    def __iter__(self) -> Iterator[list[Draw]]:
        draws = self.draws()
        for start in range(0, len(draws), self._size):
            yield [(int(row), self.epoch, int(repeat)) for row, repeat in draws[start : start + self._size]]
