"""Figures of groups of videos: by fold and part, status, face size, and original."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from trueframe import tables
from trueframe.figures.metrics import DIGITS, auc, log_loss, losses
from trueframe.figures.sets import arrays, seeds

_FOLD_COLUMNS = ["set", "kind", "held_out", "videos", "model", "log_loss"]
_GROUP_COLUMNS = ["set", "by", "group", "videos", "unscored", "fakes", "log_loss", "auc"]
_NO_BOX = "no face"


def by_fold(train: pd.DataFrame, labelled: pd.DataFrame) -> pd.DataFrame:
    """A row per fold or test part and model: its videos' log loss. Of a test part's, all labelled videos count."""
    rows: list[tuple[str, str, bool, int, str, float | None]] = []
    groups = [(f"fold {fold}", frame) for fold, frame in train[train["scored"]].groupby("fold", sort=True)]
    groups += [(str(part), frame) for part, frame in labelled.groupby("part", sort=True)]
    for name, frame in groups:
        fold = name.startswith("fold ")
        held_out = not fold or bool(frame["held_out"].any())
        kind = "test part" if not fold else "held-out fold" if held_out else "training fold"
        columns = {"ensemble": "score"} | {str(seed): f"score_{seed}" for seed in seeds(frame)}
        for model, column in columns.items():
            rows.append((name, kind, held_out, len(frame), model, log_loss(*arrays(frame, column))))
    return pd.DataFrame(rows, columns=_FOLD_COLUMNS)


def face_sizes(boxes: Path) -> pd.Series[float]:
    """A video's face size, by name: the median over its boxes of the longer side, in pixels of the full frame.

    boxes: a part's table of tables.BBOXES. A video without boxes has none.
    """
    found = tables.read(boxes, ["video", "x0", "y0", "x1", "y1"])
    sides = pd.DataFrame({axis: found[f"{axis}1"].astype(np.float64) - found[f"{axis}0"] for axis in "xy"})
    return sides.max(axis=1).groupby(found["video"], sort=True).median()


def by_status_and_size(
    sets: Mapping[str, pd.DataFrame], bboxes: Mapping[str, Path], edges_px: Sequence[float]
) -> pd.DataFrame:
    """A row per set and group: how many labelled videos, how many of them unscored, and the scored ones' figures.

    sets: labelled videos (part, video, label, status, scored, score); bboxes: tables of tables.BBOXES by part;
    edges_px: between the sizes, growing, each in the group above it. Log loss and AUC are null where not defined.
    """
    known = [frame.assign(set=name) for name, frame in sets.items() if len(frame)]
    if not known:
        return pd.DataFrame(columns=_GROUP_COLUMNS)
    videos = pd.concat(known, ignore_index=True)
    sizes = pd.concat({part: face_sizes(bboxes[part]) for part in sorted(videos["part"].unique())})
    of_video = sizes.reindex(pd.MultiIndex.from_frame(videos[["part", "video"]])).reset_index(drop=True)
    rows = [
        {"set": name, "by": by, "group": group} | _figures(found)
        for by, groups in (("status", videos["status"]), ("face size", _size_names(of_video, edges_px)))
        for (group, name), found in videos.groupby([groups.rename("group"), "set"], sort=True, observed=True)
    ]
    return pd.DataFrame(rows, columns=_GROUP_COLUMNS)


def _size_names(sizes_px: pd.Series[float], edges_px: Sequence[float]) -> pd.Series[Any]:
    """Each size's group, the groups ordered as their sizes are."""
    names = [f"below {edges_px[0]:g} px"] if edges_px else ["any size"]
    names += [f"{low:g} to {high:g} px" for low, high in pairwise(edges_px)]
    names += [f"{edge:g} px or more" for edge in edges_px[-1:]]
    groups = pd.cut(sizes_px, [-np.inf, *edges_px, np.inf], right=False, labels=names)
    return groups.cat.add_categories(_NO_BOX).fillna(_NO_BOX)


def _figures(frame: pd.DataFrame) -> dict[str, int | float | None]:
    labels, scores = arrays(frame[frame["scored"]])
    counts = {"videos": len(frame), "unscored": len(frame) - len(labels), "fakes": int(frame["label"].sum())}
    return counts | {"log_loss": log_loss(labels, scores), "auc": auc(labels, scores)}


def by_original(held_out: pd.DataFrame) -> pd.DataFrame:
    """A row per original of the held-out fold and its fakes, by part and name.

    Columns: part, original, videos (itself among them), unscored, fakes, mean score of the reals and of the fakes, and
    log loss, null where there are none.
    """
    labels, scores = arrays(held_out)
    fake = labels == 1
    each = held_out[["part", "original"]].assign(
        unscored=~held_out["scored"],
        fake=fake,
        real_score=np.where(fake, np.nan, scores),
        fake_score=np.where(fake, scores, np.nan),
        log_loss=losses(labels, scores),  # of no score: NaN, which no mean counts
    )
    return (
        each.groupby(["part", "original"], sort=True, as_index=False)
        .agg(
            videos=("fake", "size"),
            unscored=("unscored", "sum"),
            fakes=("fake", "sum"),
            real_score=("real_score", "mean"),
            fake_score=("fake_score", "mean"),
            log_loss=("log_loss", "mean"),
        )
        .round(DIGITS)
    )
