"""Parameters of evaluations, and their tables as plain rows."""

from __future__ import annotations

from typing import Any

import pandas as pd

from trueframe.params import Evaluation, Pooling

POOLING = Pooling(rule="mean", high=0.8, high_share=0.4, high_count=11, low=0.2, low_share=0.9, trim=0.25)
_PARAMS = Evaluation(
    pooling=POOLING,
    unknown_score=0.5,
    threshold=0.5,
    log_loss_clip=0.001,
    calibration_bins=10,
    prevalence=0.2,
    fit_temperature=True,
    bootstrap_samples=20,
    bootstrap_seed=0,
    face_size_px=[100.0, 200.0],
)


def params(**changes: Any) -> Evaluation:
    """An evaluation's parameters, with some changed."""
    return _PARAMS.model_copy(update=changes)


def rows(table: pd.DataFrame) -> list[list[Any]]:
    """A table's rows, a missing value as None."""
    found: list[list[Any]] = table.astype(object).where(table.notna(), None).to_numpy().tolist()
    return found
