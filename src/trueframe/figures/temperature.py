"""Temperature scaling: one number that makes scores say how sure they may be. What it would change is told, no more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from trueframe.figures.metrics import Labels, Scores, calibration_error, log_loss, rounded
from trueframe.pooling import tempered


def effect(sets: Mapping[str, tuple[Labels, Scores]], bins: int, wanted: bool) -> dict[str, Any]:
    """The temperature that fits `held_out`, and log loss and calibration error of each set before it and after.

    sets: labels and the ensemble's scores of the scored videos, shape (n,). The held-out fold's figures are in-sample,
    of one number fitted on it; those of the test parts are not. Nothing is applied here; submission.temperature is.
    Where there is no temperature, or none is wanted, it is None and `undefined` says why.
    """
    value, reason = fit(*sets["held_out"]) if wanted else (None, "evaluation.fit_temperature is false")
    if value is None:
        return {"temperature": None, "undefined": reason}
    report: dict[str, Any] = {"temperature": rounded(value), "fitted_on": "held_out"}
    for name, (labels, scores) in sets.items():
        when = {"before": scores, "after": tempered(scores, value)}
        report[name] = {"videos": len(labels)}
        report[name]["log_loss"] = {time: log_loss(labels, found) for time, found in when.items()}
        report[name]["calibration_error"] = {
            time: calibration_error(labels, found, bins) for time, found in when.items()
        }
    return report


def fit(labels: Labels, scores: Scores) -> tuple[float | None, str]:
    """The temperature of least log loss; or None, and why there is none.

    labels: 0 or 1; scores: 0..1, kept one float64 epsilon from 0 and 1 as in the log loss; shape (n,). The log loss is
    convex in 1 / temperature, so it is least where its slope is 0. Source: Guo et al., On Calibration of Modern Neural
    Networks, 2017.
    """
    from scipy.optimize import brentq
    from scipy.special import expit, logit

    if len(np.unique(labels)) < 2:
        return None, f"all videos are {'fake' if labels.any() else 'real'}" if len(labels) else "no videos"
    kept = np.clip(scores, np.finfo(np.float64).eps, 1 - np.finfo(np.float64).eps)
    towards = np.where(labels == 1, 1, -1) * logit(kept)  # above 0 where the score is on its label's side
    if towards.min() >= 0:
        return None, "no score is on the wrong side of 0.5, so that the log loss falls with the temperature without end"
    if towards.sum() <= 0:
        return None, "the scores do not lean to their labels, so that no temperature beats a score of 0.5 for all"

    def slope(sharpness: float) -> float:
        return float(-np.mean(towards * expit(-sharpness * towards)))

    highest = 1.0
    while slope(highest) <= 0:
        highest *= 2
    return float(1 / brentq(slope, 0, highest, xtol=1e-12)), ""
