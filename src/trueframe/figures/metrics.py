"""How good scores are: figures per set of videos or crops, of each model and of the ensemble.

The figures are scikit-learn's where it has them. A figure that a set does not define (an AUC of fakes alone) is None,
and `undefined` says why.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from trueframe.params import Evaluation

DIGITS = 6  # beyond these, sums may differ from one processor to another
RECALLS = {f"weighted_precision_at_recall_{percent}": percent / 100 for percent in (10, 50, 90)}
LOSSES = ("log_loss", "log_loss_clipped", "eer", "calibration_error")  # lower is better
GAINS = ("auc", "average_precision", "accuracy", "weighted_precision", *RECALLS)  # higher is better
FIGURES = LOSSES + GAINS
Labels = NDArray[np.int64]
Scores = NDArray[np.float64]


def log_loss(labels: Labels, scores: Scores) -> float | None:
    """Mean log loss in nats; None for no videos.

    As in scikit-learn, scores are kept one float64 epsilon from 0 and 1.
    labels: 0 or 1, shape (n,); scores: 0..1, shape (n,).
    """
    from sklearn.metrics import log_loss as of_sklearn

    return rounded(of_sklearn(labels, scores, labels=[0, 1])) if len(labels) else None


def losses(labels: Labels, scores: Scores) -> Scores:
    """What log_loss is the mean of: each video's, not rounded, shape (n,)."""
    kept = np.clip(scores, np.finfo(np.float64).eps, 1 - np.finfo(np.float64).eps)
    return -np.log(np.where(labels == 1, kept, 1 - kept))


def auc(labels: Labels, scores: Scores) -> float | None:
    """Area under the ROC curve; None where a class is missing."""
    from sklearn.metrics import roc_auc_score

    return rounded(roc_auc_score(labels, scores)) if len(np.unique(labels)) > 1 else None


def calibration_error(labels: Labels, scores: Scores, bins: int) -> float | None:
    """Expected calibration error, 0..1: how far the share of fakes is from the mean score in bins of equal width.

    The mean over the bins that calibration's table shows, each by its number of videos; None for no videos. Source:
    Naeini et al., Obtaining Well Calibrated Probabilities Using Bayesian Binning, 2015. torchmetrics gives scores of
    exactly 1 a bin of their own, so its figure is not the one of the plot.
    """
    if not len(labels):
        return None
    gaps = np.bincount(bin_numbers(scores, bins), weights=scores - labels)
    return rounded(np.abs(gaps).sum() / len(labels))


def bin_numbers(scores: Scores, bins: int) -> Labels:
    """The bin of each score, 0..bins - 1. A bin holds its lower edge; the last, 1 too."""
    return np.minimum((scores * bins).astype(np.int64), bins - 1)


def weighted_precision(tpr: float, fpr: float, prevalence: float) -> float | None:
    """The share of fakes among what counts as fake where `prevalence` of all videos are; None where nothing does.

    tpr, fpr: the share of the fakes and of the reals that count as fake. Source: Dolhansky et al., The Deepfake
    Detection Challenge (DFDC) Preview Dataset, 2019, where a weight of the false alarms stands for the prevalence.
    """
    [share] = weighted_precisions(np.array([tpr]), np.array([fpr]), prevalence)
    return None if np.isnan(share) else rounded(share)


def weighted_precisions(tpr: Scores, fpr: Scores, prevalence: float) -> Scores:
    """weighted_precision of many pairs, shape (n,), not rounded; NaN where nothing counts as fake."""
    found, alarms = prevalence * tpr, (1 - prevalence) * fpr
    shares = np.full(len(tpr), np.nan)
    np.divide(found, found + alarms, out=shares, where=found + alarms > 0)
    return shares


def figures(labels: Labels, scores: Scores, params: Evaluation, noun: str = "videos") -> dict[str, Any]:
    """How many there are (by the noun), fakes, and FIGURES, with six decimals; `undefined`: figure to why it is None.

    labels, scores: shape (n,), of what the noun says. log_loss_clipped keeps scores within [clip, 1 - clip]; for
    accuracy and weighted_precision a score of at least `threshold` says fake. weighted_precision_at_recall_50 is that
    at the highest threshold that finds half of the fakes. eer: where the ROC curve's share of false alarms is that of
    missed fakes, on the line between the two nearest thresholds (torchmetrics takes the nearer, and there may be two).
    """
    fakes = int(labels.sum())
    found: dict[str, Any] = {noun: len(labels), "fakes": fakes, **dict.fromkeys(FIGURES)}
    reason = f"no {noun}"
    if len(labels):
        found |= _of_any(labels, scores, params)
        reason = f"all {noun} are {'fake' if fakes else 'real'}"
    if 0 < fakes < len(labels):
        found |= _of_both_classes(labels, scores, params)
        reason = f"no score is {params.threshold:g} or above"
    missing = [name for name in FIGURES if found[name] is None]
    return found | ({"undefined": dict.fromkeys(missing, reason)} if missing else {})


def _of_any(labels: Labels, scores: Scores, params: Evaluation) -> dict[str, float | None]:
    from sklearn.metrics import accuracy_score

    return {
        "log_loss": log_loss(labels, scores),
        "log_loss_clipped": log_loss(labels, np.clip(scores, params.log_loss_clip, 1 - params.log_loss_clip)),
        "calibration_error": calibration_error(labels, scores, params.calibration_bins),
        "accuracy": rounded(accuracy_score(labels, scores >= params.threshold)),
    }


def _of_both_classes(labels: Labels, scores: Scores, params: Evaluation) -> dict[str, float | None]:
    from sklearn.metrics import average_precision_score, roc_curve

    fpr, tpr, _ = roc_curve(labels, scores, drop_intermediate=False)
    called = scores >= params.threshold
    first = {name: int(np.searchsorted(tpr, recall)) for name, recall in RECALLS.items()}
    return {
        "auc": auc(labels, scores),
        "average_precision": rounded(average_precision_score(labels, scores)),
        "eer": rounded(np.interp(0, fpr + tpr - 1, fpr)),
        "weighted_precision": weighted_precision(
            called[labels == 1].mean(), called[labels == 0].mean(), params.prevalence
        ),
    } | {name: weighted_precision(tpr[at], fpr[at], params.prevalence) for name, at in first.items()}


def compare(
    labels: Labels, scores: Scores, seeds: Mapping[int, Scores], params: Evaluation, noun: str = "videos"
) -> dict[str, Any]:
    """The figures of the ensemble and of each seed's model, the models' mean and standard deviation, and the gain.

    scores: of the ensemble. std is the sample's (n - 1), None for a single model. gain: how much better the ensemble is
    than the mean model, positive when better, whichever way the figure counts.
    """
    together = figures(labels, scores, params, noun)
    alone = {str(seed): figures(labels, seeds[seed], params, noun) for seed in sorted(seeds)}
    result: dict[str, Any] = {"ensemble": together, "seeds": alone, "mean": {}, "std": {}, "gain": {}}
    for name in FIGURES:
        values = [model[name] for model in alone.values() if model[name] is not None]
        mean = rounded(np.mean(values)) if values else None
        result["mean"][name] = mean
        result["std"][name] = rounded(np.std(values, ddof=1)) if len(values) > 1 else None
        known = mean is not None and together[name] is not None
        result["gain"][name] = rounded(sign(name) * (together[name] - mean)) if known else None
    if len(alone) == 1:
        result["std"]["undefined"] = "one model has no spread"
    return result


def sign(name: str) -> int:
    """-1 for a figure that is better when lower, 1 for the others."""
    return -1 if name in LOSSES else 1


def rounded(value: Any) -> float:
    """A figure as a plain float with six decimals, and no minus before a zero."""
    return math.fsum([round(float(value), DIGITS), 0.0])
