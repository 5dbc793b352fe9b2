"""How far the figures might have come out otherwise: 95 % intervals by the bootstrap.

What is drawn anew are clusters of videos that share their fate, an original with its fakes, and not videos: they are no
independent witnesses, and the intervals would be too narrow. Source: Efron and Tibshirani, An Introduction to the
Bootstrap, 1993 (percentile intervals); Field and Welsh, Bootstrapping clustered data, 2007. Models are not trained
anew, so what another training would change is not in the intervals; the spread of the seeds tells of that.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from trueframe.figures.metrics import (
    FIGURES,
    RECALLS,
    Labels,
    Scores,
    bin_numbers,
    losses,
    rounded,
    sign,
    weighted_precisions,
)

if TYPE_CHECKING:
    from trueframe.params import Evaluation

_QUANTILES = (0.025, 0.975)
_BATCH = 50  # samples at once: 4 MB per array for 10,000 videos
Weights = NDArray[np.float64]


def intervals(
    labels: Labels, scores: Scores, seeds: Mapping[int, Scores], clusters: NDArray[np.str_], params: Evaluation
) -> dict[str, Any]:
    """The intervals of the ensemble's figures, of each seed's and of the gain, as metrics.compare names them.

    labels, scores, clusters (what videos of a name belong together): shape (n,). Each figure has low and high;
    left_out, where it is not 0, is how many samples do not define it, having no fakes, no reals or nothing above the
    threshold, and are left out; where all are, low and high are None. Every model meets the same samples. A
    sample's calibration error is raised by its doubled videos, so that its interval lies high.
    """
    samples = params.bootstrap_samples
    if not samples or not len(labels):
        return {"undefined": "no videos" if samples else "evaluation.bootstrap_samples is 0"}
    models = [scores, *(seeds[seed] for seed in sorted(seeds))]
    batches = [
        np.stack([weighted_figures(labels, model, weights, params) for model in models])
        for weights in draws(clusters, samples, params.bootstrap_seed)
    ]
    together, *alone = np.concatenate(batches, axis=1)
    signs = np.array([sign(name) for name in FIGURES])
    return {
        "samples": samples,
        "clusters": len(np.unique(clusters)),
        "ensemble": _ends(together),
        "seeds": {str(seed): _ends(values) for seed, values in zip(sorted(seeds), alone, strict=True)},
        "gain": _ends(signs * (together - np.mean(alone, axis=0))),
    }


def draws(clusters: NDArray[np.str_], samples: int, seed: int) -> Iterator[Weights]:
    """How often each video is in each sample, in batches of shape (samples of the batch, n): whole numbers.

    A sample has as many clusters as there are, drawn with replacement. What a cluster gets hangs on seed, sample and
    its place among the sorted names, and not on the order of the videos.
    """
    names, numbers = np.unique(clusters, return_inverse=True)
    generator = np.random.default_rng(seed)
    for start in range(0, samples, _BATCH):
        drawn = [generator.integers(len(names), size=len(names)) for _ in range(min(_BATCH, samples - start))]
        yield np.stack([np.bincount(one, minlength=len(names)) for one in drawn])[:, numbers].astype(np.float64)


def weighted_figures(labels: Labels, scores: Scores, weights: Weights, params: Evaluation) -> NDArray[np.float64]:
    """metrics.FIGURES of many samples at once, of shape (samples, figures), not rounded; NaN where undefined.

    labels, scores: shape (n,); weights: how often each video counts, shape (samples, n), none of the sums 0. A figure
    is what metrics.figures, and so scikit-learn, gives for the videos repeated as often as the weights say.
    """
    total = weights.sum(axis=1)
    right = (scores >= params.threshold) == labels
    found = {name: np.full(len(weights), np.nan) for name in FIGURES}
    clipped = np.clip(scores, params.log_loss_clip, 1 - params.log_loss_clip)
    found["log_loss"] = weights @ losses(labels, scores) / total
    found["log_loss_clipped"] = weights @ losses(labels, clipped) / total
    found["accuracy"] = weights @ right / total
    gaps = np.zeros((len(labels), params.calibration_bins))
    gaps[np.arange(len(labels)), bin_numbers(scores, params.calibration_bins)] = scores - labels
    found["calibration_error"] = np.abs(weights @ gaps).sum(axis=1) / total
    fakes = weights @ labels
    both = (fakes > 0) & (fakes < total)
    for name, values in _of_both_classes(labels, scores, weights[both], params).items():
        found[name][both] = values
    return np.stack([found[name] for name in FIGURES], axis=1)


def _of_both_classes(
    labels: Labels, scores: Scores, weights: Weights, params: Evaluation
) -> dict[str, NDArray[np.float64]]:
    found, alarms = _counts(labels, scores, weights)
    tpr, fpr = found / found[:, -1:], alarms / alarms[:, -1:]
    steps = np.diff(tpr, axis=1)
    # Where nothing is found yet the step is 0, whatever the precision is said to be.
    precision = found[:, 1:] / np.maximum(found + alarms, 1)[:, 1:]
    called = scores >= params.threshold
    at_threshold = (
        weights @ (called & (labels == 1)) / found[:, -1],
        weights @ (called & (labels == 0)) / alarms[:, -1],
    )
    at_recall = {
        name: weighted_precisions(_at(places, tpr), _at(places, fpr), params.prevalence)
        for name, places in ((name, np.argmax(tpr >= recall, axis=1)) for name, recall in RECALLS.items())
    }
    return {
        "auc": np.trapezoid(tpr, fpr, axis=1),
        "average_precision": (steps * precision).sum(axis=1),
        "eer": _eer(tpr, fpr),
        "weighted_precision": weighted_precisions(*at_threshold, params.prevalence),
    } | at_recall


def _counts(labels: Labels, scores: Scores, weights: Weights) -> tuple[Weights, Weights]:
    """Fakes found and false alarms at each threshold, from above all scores down, shape (samples, thresholds)."""
    order = np.argsort(-scores, kind="stable")
    ends = np.flatnonzero(np.diff(scores[order], append=-1.0))  # videos of one score come together
    ordered, fake = weights[:, order], labels[order] == 1
    counts = [np.cumsum(ordered * kind, axis=1)[:, ends] for kind in (fake, ~fake)]
    found, alarms = (np.pad(count, ((0, 0), (1, 0))) for count in counts)
    return found, alarms


def _at(places: NDArray[np.int64], curve: Weights) -> NDArray[np.float64]:
    """Each sample's value at its own place in the curve."""
    found: NDArray[np.float64] = np.take_along_axis(curve, places[:, None], axis=1)[:, 0]
    return found


def _eer(tpr: Weights, fpr: Weights) -> NDArray[np.float64]:
    excess = tpr + fpr - 1  # of false alarms over missed fakes
    after = np.argmax(excess >= 0, axis=1)
    before = after - 1
    way = _at(before, excess) / (_at(before, excess) - _at(after, excess))
    return _at(before, fpr) + way * (_at(after, fpr) - _at(before, fpr))


def _ends(values: NDArray[np.float64]) -> dict[str, dict[str, float | None]]:
    """values: shape (samples, figures)."""
    result: dict[str, dict[str, float | None]] = {}
    for name, column in zip(FIGURES, values.T, strict=True):
        known = column[~np.isnan(column)]
        low, high = map(rounded, np.quantile(known, _QUANTILES)) if len(known) else (None, None)
        left_out = {"left_out": len(column) - len(known)} if len(known) < len(column) else {}
        result[name] = {"low": low, "high": high, **left_out}
    return result
