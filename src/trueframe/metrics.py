"""How good scores are: figures per set of videos, of each model and of the ensemble, and the curves behind them.

The figures are scikit-learn's. A figure that a set of videos does not define (an AUC of fakes alone) is None, and
`undefined` says why.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

LOSSES = ("log_loss", "log_loss_clipped")  # lower is better
GAINS = ("auc", "average_precision", "accuracy")  # higher is better
_DIGITS = 6  # beyond these, sums may differ from one processor to another
Labels = NDArray[np.int64]
Scores = NDArray[np.float64]


def log_loss(labels: Labels, scores: Scores) -> float | None:
    """Mean log loss in nats; None for no videos.

    As in scikit-learn, scores are kept one float64 epsilon from 0 and 1.
    labels: 0 or 1, shape (n,); scores: 0..1, shape (n,).
    """
    from sklearn.metrics import log_loss as of_sklearn

    return rounded(of_sklearn(labels, scores, labels=[0, 1])) if len(labels) else None


def figures(labels: Labels, scores: Scores, threshold: float, clip: float) -> dict[str, Any]:
    """videos, fakes, and the figures LOSSES and GAINS, rounded to six decimals; `undefined` when one of them is None.

    labels, scores: shape (n,). log_loss_clipped keeps scores within [clip, 1 - clip]; for the accuracy a score of at
    least `threshold` says fake.
    """
    from sklearn.metrics import accuracy_score, average_precision_score, roc_auc_score

    fakes = int(labels.sum())
    found: dict[str, Any] = {"videos": len(labels), "fakes": fakes, **dict.fromkeys(LOSSES + GAINS)}
    if not len(labels):
        return found | {"undefined": "no videos"}
    found["log_loss"] = log_loss(labels, scores)
    found["log_loss_clipped"] = log_loss(labels, np.clip(scores, clip, 1 - clip))
    found["accuracy"] = rounded(accuracy_score(labels, scores >= threshold))
    if fakes in (0, len(labels)):
        return found | {"undefined": f"auc and average_precision: all videos are {'fake' if fakes else 'real'}"}
    found["auc"] = rounded(roc_auc_score(labels, scores))
    found["average_precision"] = rounded(average_precision_score(labels, scores))
    return found


def compare(
    labels: Labels, scores: Scores, seeds: Mapping[int, Scores], threshold: float, clip: float
) -> dict[str, Any]:
    """The figures of the ensemble and of each seed's model, the models' mean and standard deviation, and the gain.

    scores: of the ensemble. std is the sample's (n - 1), None for a single model. gain: how much better the ensemble is
    than the mean model, positive when better, whichever way the figure counts.
    """
    together = figures(labels, scores, threshold, clip)
    alone = {str(seed): figures(labels, seeds[seed], threshold, clip) for seed in sorted(seeds)}
    result: dict[str, Any] = {"ensemble": together, "seeds": alone, "mean": {}, "std": {}, "gain": {}}
    for name in LOSSES + GAINS:
        values = [model[name] for model in alone.values() if model[name] is not None]
        mean = rounded(np.mean(values)) if values else None
        result["mean"][name] = mean
        result["std"][name] = rounded(np.std(values, ddof=1)) if len(values) > 1 else None
        better = None if mean is None else (mean - together[name]) * (1 if name in LOSSES else -1)
        result["gain"][name] = None if better is None else rounded(better)
    if len(alone) == 1:
        result["std"]["undefined"] = "one model has no spread"
    return result


def roc(labels: Labels, scores: Scores) -> pd.DataFrame:
    """The ROC curve from (0, 0) to (1, 1): columns fpr and tpr, 0..1; no rows when a class is missing."""
    from sklearn.metrics import roc_curve

    if len(np.unique(labels)) < 2:
        return pd.DataFrame({"fpr": np.empty(0), "tpr": np.empty(0)})
    fpr, tpr, _ = roc_curve(labels, scores)
    return pd.DataFrame({"fpr": np.round(fpr, _DIGITS), "tpr": np.round(tpr, _DIGITS)})


def calibration(labels: Labels, scores: Scores, bins: int) -> pd.DataFrame:
    """How often videos of like score are fake: a row per bin of equal width that holds a video.

    Columns: bin_centre, mean_score, fraction_fake (all 0..1) and videos. A bin holds its lower edge; the last, 1 too.
    """
    number = np.minimum((scores * bins).astype(np.int64), bins - 1)
    frame = pd.DataFrame({"bin_centre": (number + 0.5) / bins, "score": scores, "label": labels})
    rows = frame.groupby("bin_centre", as_index=False).agg(
        mean_score=("score", "mean"), fraction_fake=("label", "mean"), videos=("label", "size")
    )
    return rows.round({"bin_centre": _DIGITS, "mean_score": _DIGITS, "fraction_fake": _DIGITS})


def rounded(value: Any) -> float:
    """A figure as a plain float with six decimals, and no minus before a zero."""
    return math.fsum([round(float(value), _DIGITS), 0.0])
