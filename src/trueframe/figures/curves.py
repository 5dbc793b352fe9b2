"""The curves behind the figures, as tables that a plot is drawn from."""

from __future__ import annotations

import numpy as np
import pandas as pd

from trueframe.figures.metrics import DIGITS, Labels, Scores, bin_numbers

_HISTOGRAM_BINS = 20


def roc(labels: Labels, scores: Scores) -> pd.DataFrame:
    """The ROC curve from (0, 0) to (1, 1): columns fpr and tpr, 0..1; no rows when a class is missing."""
    from sklearn.metrics import roc_curve

    if len(np.unique(labels)) < 2:
        return pd.DataFrame({"fpr": np.empty(0), "tpr": np.empty(0)})
    fpr, tpr, _ = roc_curve(labels, scores)
    return pd.DataFrame({"fpr": fpr, "tpr": tpr}).round(DIGITS)


def precision_recall(labels: Labels, scores: Scores) -> pd.DataFrame:
    """The precision-recall curve from recall 0 to 1: columns recall and precision; no rows when a class is missing."""
    from sklearn.metrics import precision_recall_curve

    if len(np.unique(labels)) < 2:
        return pd.DataFrame({"recall": np.empty(0), "precision": np.empty(0)})
    precision, recall, _ = precision_recall_curve(labels, scores, drop_intermediate=True)
    return pd.DataFrame({"recall": recall[::-1], "precision": precision[::-1]}).round(DIGITS)


def calibration(labels: Labels, scores: Scores, bins: int) -> pd.DataFrame:
    """How often videos of like score are fake: a row per bin of equal width that holds a video.

    Columns: bin_centre, mean_score, fraction_fake (all 0..1) and videos. A bin holds its lower edge; the last, 1 too.
    """
    centres = (bin_numbers(scores, bins) + 0.5) / bins
    frame = pd.DataFrame({"bin_centre": centres, "score": scores, "label": labels})
    rows = frame.groupby("bin_centre", as_index=False).agg(
        mean_score=("score", "mean"), fraction_fake=("label", "mean"), videos=("label", "size")
    )
    return rows.round({"bin_centre": DIGITS, "mean_score": DIGITS, "fraction_fake": DIGITS})


def histogram(labels: Labels, scores: Scores) -> pd.DataFrame:
    """How many reals and fakes have which score: a row per bin of width 0.05, columns bin_centre, real and fake.

    Bins hold their edges as calibration's do; no rows for no videos.
    """
    numbers = bin_numbers(scores, _HISTOGRAM_BINS)
    counts = [np.bincount(numbers[labels == label], minlength=_HISTOGRAM_BINS) for label in (0, 1)]
    centres = ((np.arange(_HISTOGRAM_BINS) + 0.5) / _HISTOGRAM_BINS).round(DIGITS)
    rows = pd.DataFrame({"bin_centre": centres, "real": counts[0], "fake": counts[1]})
    return rows if len(labels) else rows.iloc[:0]
