"""Videos whose label is known, as two tables: those of the train parts and those of the test parts.

Columns of both: part, video, label (0 real, 1 fake, null unknown), status, cluster (an original with its fakes, which
share their fate; a test video is its own), scored, score (the ensemble's) and score_<seed> of each model.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from trueframe import tables
from trueframe.figures.metrics import Labels, Scores


def train(
    index: Mapping[str, Path], videos: Mapping[str, Path], folds: Path, scores: Mapping[str, pd.DataFrame]
) -> pd.DataFrame:
    """A row per file of a train part. Further columns: original, fold (null without crops) and held_out.

    index, videos (the crops' videos), scores (as pooling.ensemble gives them): by part unit; folds: tables.FOLDS.
    """
    dealt = tables.read(folds, ["part", "video", "fold"]).drop_duplicates()
    frames = []
    for part in sorted(index):
        frame = tables.read(index[part], ["video", "label", "original"]).assign(part=part)
        frame["original"] = frame["original"].fillna(frame["video"])
        frame["cluster"] = frame["part"] + "/" + frame["original"]
        frame["status"] = frame["video"].map(statuses(videos[part]))
        frame = frame.merge(dealt, on=["part", "video"], how="left")
        frames.append(frame.merge(scores[part], on="video", how="left"))
    found = pd.concat(frames, ignore_index=True)
    found["fold"] = found["fold"].astype("Int32")
    # Every fold that the models left out, also its videos that have no score.
    left_out = found.loc[found["held_out"].eq(True), "fold"].unique()
    return found.assign(held_out=found["fold"].isin(left_out) & found["fold"].notna(), scored=found["score"].notna())


def test(
    videos: Mapping[str, Path],
    labels: Mapping[str, Mapping[str, int] | None],
    scores: Mapping[str, pd.DataFrame],
    unknown_score: float,
) -> pd.DataFrame:
    """A row per file of a test part. A video that is not scored has unknown_score in each of the scores.

    A withdrawn video is not judged: it has no label, whatever labels.csv says. labels: of each part's videos by name,
    None where nobody told; the others are as in `train`.
    """
    frames = []
    for part in sorted(labels):
        known = statuses(videos[part])
        frame = pd.DataFrame({"part": part, "video": list(known), "status": list(known.values())})
        frame["label"] = frame["video"].map(labels[part] or {}).astype("Int8")
        frame.loc[frame["status"] == tables.WITHDRAWN, "label"] = pd.NA
        frame["cluster"] = frame["part"] + "/" + frame["video"]
        frame = frame.merge(scores[part], on="video", how="left")
        frames.append(frame.assign(scored=frame["score"].notna()))
    if not frames:
        columns = ["part", "video", "status", "label", "cluster", "score", "scored"]
        return pd.DataFrame(columns=columns).astype({"scored": bool})
    found = pd.concat(frames, ignore_index=True)
    columns = ["score", *(f"score_{seed}" for seed in seeds(found))]
    found[columns] = found[columns].fillna(unknown_score)
    return found


def statuses(videos: Path) -> dict[str, str]:
    """Status by name of a table of tables.VIDEOS."""
    return {row["video"]: row["status"] for row in tables.read_rows(videos, ["video", "status"])}


def seeds(frame: pd.DataFrame) -> list[int]:
    """The seeds whose scores a table has, sorted."""
    return sorted(int(str(column).removeprefix("score_")) for column in frame if str(column).startswith("score_"))


def arrays(frame: pd.DataFrame, column: str = "score") -> tuple[Labels, Scores]:
    """Labels and one column's scores, shape (n,) each."""
    return frame["label"].to_numpy(dtype=np.int64), frame[column].to_numpy(dtype=np.float64)


def models(frame: pd.DataFrame) -> dict[int, Scores]:
    """Each seed's scores, shape (n,)."""
    return {seed: arrays(frame, f"score_{seed}")[1] for seed in seeds(frame)}


def train_coverage(found: pd.DataFrame) -> dict[str, Any]:
    """Where the files of the train parts are: videos = held_out + trained + the sums of without_crops and unlabelled.

    A video without crops is in no fold, so it is told by its status alone. scored: how many of held_out have a score.
    """
    labelled = found["label"].notna()
    dealt = labelled & found["fold"].notna()
    held_out = found["held_out"]
    return {
        "videos": len(found),
        "folds": " ".join(map(str, sorted(found.loc[held_out, "fold"].unique()))),
        "held_out": int(held_out.sum()),
        "scored": int((held_out & found["scored"]).sum()),
        "trained": int((dealt & ~held_out).sum()),
        "without_crops": _by_status(found[labelled & ~dealt]),
        "unlabelled": _by_status(found[~labelled]),
    }


def test_coverage(found: pd.DataFrame, labels: Mapping[str, Mapping[str, int] | None]) -> dict[str, Any]:
    """videos = labelled + unlabelled + withdrawn; labelled = scored + the sum of unscored, which is told by status."""
    labelled, withdrawn = found["label"].notna(), found["status"] == tables.WITHDRAWN
    return {
        "videos": len(found),
        "labelled": int(labelled.sum()),
        "unlabelled": int((~labelled & ~withdrawn).sum()),
        "withdrawn": int(withdrawn.sum()),
        "scored": int((labelled & found["scored"]).sum()),
        "unscored": _by_status(found[labelled & ~found["scored"]]),
        "parts": len(labels),
        "parts_without_labels_csv": [part for part, known in labels.items() if known is None],
    }


def _by_status(frame: pd.DataFrame) -> dict[str, int]:
    return {str(status): int(count) for status, count in frame["status"].value_counts().sort_index().items()}
