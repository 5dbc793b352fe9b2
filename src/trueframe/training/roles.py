"""What a training did with each video: which it learned from, which chose its epochs, which it left aside and why."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

if TYPE_CHECKING:
    from trueframe.params import Models

TRAINED, VALIDATED, UNUSED = "trained", "validated", "unused"


def roles(
    table: pd.DataFrame,
    train: NDArray[np.int64],
    held: NDArray[np.int64],
    draws: Iterable[NDArray[np.int64]],
    params: Models,
) -> pd.DataFrame:
    """A row per video that has crops (tables.ROLES), by part and name.

    table: of all crops (dataset.faces); train, held: its rows that may train and that validate; draws: of each epoch up
    to the last one whose weights were kept (sampling.Batches.draws). What was drawn later has left no trace in them.
    """
    seen = np.zeros(len(table), np.int64)
    for epoch in draws:
        np.add.at(seen, epoch[:, 0], 1)
    may = np.zeros(len(table), bool)
    may[train] = may[held] = True
    counted = table[["part", "video", "label", "original", "fold"]].assign(crops=1, used=may, draws=seen)
    keys = ["part", "video", "label", "original", "fold"]
    videos = counted.groupby(keys, sort=True, as_index=False).sum()
    holdout = (videos["fold"] == params.holdout_fold).to_numpy()
    trained, validated = (videos["draws"] > 0).to_numpy(), holdout & (videos["used"] > 0).to_numpy()
    chances = [trained, validated, holdout, (videos["used"] == 0).to_numpy()]
    reasons = [
        "",
        "",
        f"in the fold held out, with no crop of a frame that {params.validation_every_n_frames} divides",
        f"unswapped: its masks have fewer than {params.min_changed_pixels} changed pixels",
    ]
    return videos.assign(
        role=np.select([trained, validated], [TRAINED, VALIDATED], UNUSED),
        reason=np.select(chances, reasons, "never drawn before the kept weights"),
    )
