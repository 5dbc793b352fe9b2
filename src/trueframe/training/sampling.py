"""Which crops train, which validate, and the balanced order of each epoch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from trueframe.dataset import SAMPLE, UNKNOWN, Draw, generator
from trueframe.errors import UserError

if TYPE_CHECKING:
    from trueframe.params import Models

_MOST = 0.5  # of a track's masks
_FACE = ["part", "video", "track"]


@dataclass(frozen=True)
class Training:
    """Rows that may train; how many crops more are left out as unswapped, and how many whole tracks are among them."""

    rows: NDArray[np.int64]
    dropped_crops: int
    dropped_tracks: int


def training_rows(table: pd.DataFrame, params: Models) -> Training:
    """What may train, of the rows of dataset.faces. Raises UserError when a class is absent.

    With params.min_changed_pixels, a crop whose mask has fewer is left out, and so is every crop of a track most of
    whose masks have fewer, since it is the person of a fake that was not swapped: noise changes some of those masks.
    """
    rows = np.flatnonzero(table["fold"].to_numpy() != params.holdout_fold)
    found = Training(rows, 0, 0)
    if params.min_changed_pixels is not None:
        crops = table.iloc[rows]
        masked = crops["changed_px"] != UNKNOWN
        unchanged = (masked & (crops["changed_px"] < params.min_changed_pixels)).rename("unchanged")
        share = unchanged[masked].groupby([crops.loc[masked, column] for column in _FACE]).mean()
        tracks = share.index[share > _MOST]
        dropped = unchanged.to_numpy() | pd.MultiIndex.from_frame(crops[_FACE]).isin(tracks)
        found = Training(rows[~dropped], int(dropped.sum()), len(tracks))
    where = f"outside fold {params.holdout_fold}"
    _need_both_classes(table, found.rows, "train on", where, "folds.count or models.min_changed_pixels")
    return found


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
        self,
        rows: NDArray[np.int64],
        labels: NDArray[np.int8],
        seed: int,
        size: int,
        most: int | None,
        rank: int = 0,
        ranks: int = 1,
    ) -> None:
        """rows, labels: as for balanced_epoch; size: draws in a batch; most: batches in an epoch, None for all.

        An incomplete last batch is left out, unless it is the only one. Of each batch, `rank` takes every `ranks`-th
        draw from its own number on, so that together the ranks take each once.
        """
        self._rows, self._labels, self._seed, self._size = rows, labels, seed, size
        self._rank, self._ranks = rank, ranks
        full = max(1, 2 * int((labels[rows] == 0).sum()) // size)
        self._count = full if most is None else min(most, full)
        self.epoch = 0

    def __len__(self) -> int:
        return self._count

    def draws(self, epoch: int | None = None) -> NDArray[np.int64]:
        """An epoch's draws of all ranks, shape (n, 2): row, repeat. None: of the epoch that is set."""
        number = self.epoch if epoch is None else epoch
        return balanced_epoch(self._rows, self._labels, self._seed, number)[: self._count * self._size]

    def classes(self) -> NDArray[np.int64]:
        """How many fakes and reals each batch of all ranks has, shape (batches, 2)."""
        labels = self._labels[self.draws()[:, 0]]
        starts = range(0, len(labels), self._size)
        fakes = np.add.reduceat(labels.astype(np.int64), starts)
        return np.stack([fakes, np.diff([*starts, len(labels)]) - fakes], axis=1)

    def __iter__(self) -> Iterator[list[Draw]]:
        draws = self.draws()
        for start in range(0, len(draws), self._size):
            mine = draws[start : start + self._size][self._rank :: self._ranks]
            yield [(int(row), self.epoch, int(repeat)) for row, repeat in mine]
