"""evaluation: how good the scores are, on videos whose label is known and that no model was trained on.

Two sets: `held_out`, the videos of the fold that the models did not train on, and `test`, the videos that labels.csv in
the test parts name. Figures of `test` come twice: over all labelled videos, where one without a usable face counts with
unknown_score as it does in the submission, and over the scored ones. The curves are the ensemble's, over scored videos.
Training folds have a place in folds.csv and its plot alone, to show by how much models flatter what they have seen.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from trueframe import metrics as figures
from trueframe import plots, pooling, tables
from trueframe.errors import UserError
from trueframe.files import canonical_json

if TYPE_CHECKING:
    from trueframe.params import Evaluation, Pooling
    from trueframe.tools import Tools

LABELS = "labels.csv"
_HEADER = ["filename", "label"]
_FOLD_COLUMNS = ["set", "kind", "held_out", "videos", "model", "log_loss"]


def run(
    *,
    unit: str,
    index: Mapping[str, Path],
    videos: Mapping[str, Path],
    folds: Path,
    predictions: Mapping[str, Path],
    raw: Mapping[str, Path],
    metrics: Path,
    details: Path,
    roc: Path,
    calibration: Path,
    folds_table: Path,
    roc_plot: Path,
    calibration_plot: Path,
    folds_plot: Path,
    params: Evaluation,
    tools: Tools,
) -> dict[str, int]:
    """Write the headline (metrics), all figures (details), three curves as CSV and a plot of each.

    index: of train parts; videos: the crops' videos of all parts; predictions: "<seed>/<part unit>" to table; raw: the
    test parts' folders, where a labels.csv (filename,label with 0 real, 1 fake) may lie. Raises UserError when a
    labels.csv is wrong.
    """
    labels = {part: read_labels(raw[part], set(_statuses(videos[part]))) for part in sorted(raw)}
    scores = _scores(predictions, params.pooling, tools)
    train = _train(index, videos, folds, scores)
    test = _test(videos, labels, scores, params.unknown_score)
    held_out = train[train["held_out"] & train["score"].notna()]
    labelled = test[test["label"].notna()]
    sets = {"held_out": held_out, "test": labelled[labelled["scored"]]}
    report: dict[str, Any] = {"held_out": {"coverage": _train_coverage(train), "scored": _compare(held_out, params)}}
    report["test"] = {"coverage": _test_coverage(test, labels)}
    if len(labelled):
        report["test"] |= {"all": _compare(labelled, params), "scored": _compare(sets["test"], params)}
    metrics.write_text(canonical_json(_headline(report)), encoding="utf-8")
    details.write_text(canonical_json(report), encoding="utf-8")
    roc_rows = _stack({name: figures.roc(*_arrays(frame)) for name, frame in sets.items()})
    bins = {name: figures.calibration(*_arrays(frame), params.calibration_bins) for name, frame in sets.items()}
    calibration_rows = _stack(bins)
    fold_rows = _fold_rows(train, labelled)
    for path, rows in ((roc, roc_rows), (calibration, calibration_rows), (folds_table, fold_rows)):
        rows.to_csv(path, index=False, lineterminator="\n")
    plots.roc(
        roc_plot, roc_rows, {name: report[name].get("scored", {}).get("ensemble", {}).get("auc") for name in sets}
    )
    plots.calibration(calibration_plot, calibration_rows, params.calibration_bins)
    plots.folds(folds_plot, fold_rows)
    counts = {
        "metrics": len(report),
        "details": len(report),
        "roc": len(roc_rows),
        "calibration": len(calibration_rows),
    }
    return counts | {"folds_table": len(fold_rows), "roc_plot": 1, "calibration_plot": 1, "folds_plot": 1}


def read_labels(part: Path, names: set[str]) -> dict[str, int] | None:
    """Labels of a test part by filename, 0 real, 1 fake; None where its folder has no labels.csv.

    names: the part's files. Raises UserError with file, line and value for other columns than filename,label, for
    another label, a name that is not in the part, or one that comes twice.
    """
    path = part / LABELS
    labels: dict[str, int] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            header = next(reader, [])
            if header != _HEADER:
                raise UserError(
                    f"{path}: line 1: {','.join(header)!r}: expected the columns {','.join(_HEADER)}; mend it"
                )
            for row in filter(None, reader):
                name, label = _labelled(row, names, labels, f"{path}: line {reader.line_num}")
                labels[name] = label
    except FileNotFoundError:
        return None
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path}: expected a text in UTF-8, found byte {error.object[error.start]:#x}; save it as UTF-8"
        ) from error
    except csv.Error as error:
        raise UserError(f"{path}: line {reader.line_num}: not a CSV: {error}; mend it") from error
    return labels


def _labelled(row: list[str], names: set[str], before: Mapping[str, int], where: str) -> tuple[str, int]:
    if len(row) != len(_HEADER):
        raise UserError(
            f"{where}: {','.join(row)!r}: expected {len(_HEADER)} values, filename and label; mend the line"
        )
    name, label = row
    if label not in ("0", "1"):
        raise UserError(f"{where}: label {label!r} of {name}: expected 0 (real) or 1 (fake); mend the line")
    if name not in names:
        raise UserError(f"{where}: {name!r}: expected the name of a file of this part; add the file or remove the line")
    if name in before:
        raise UserError(f"{where}: {name!r}: expected each name once, found it on an earlier line too; remove one")
    return name, int(label)


def _statuses(videos: Path) -> dict[str, str]:
    return {row["video"]: row["status"] for row in tables.read_rows(videos, ["video", "status"])}


def _scores(predictions: Mapping[str, Path], pooled: Pooling, tools: Tools) -> dict[str, pd.DataFrame]:
    """The ensemble's and each model's scores of every part's videos, as pooling.ensemble gives them."""
    parts = pooling.by_part(predictions)
    scores = {}
    with tools.progress.task(len(parts), "parts") as advance:
        for part, paths in parts.items():
            scores[part] = pooling.ensemble(paths, pooled).reset_index()
            advance(1)
    return scores


def _train(
    index: Mapping[str, Path], videos: Mapping[str, Path], folds: Path, scores: Mapping[str, pd.DataFrame]
) -> pd.DataFrame:
    """A row per file of a train part: label, status, fold (null without crops), held_out and scores."""
    dealt = tables.read(folds, ["part", "video", "fold"]).drop_duplicates()
    frames = []
    for part in sorted(index):
        frame = tables.read(index[part], ["video", "label"]).assign(part=part)
        frame["status"] = frame["video"].map(_statuses(videos[part]))
        frame = frame.merge(dealt, on=["part", "video"], how="left")
        frames.append(frame.merge(scores[part], on="video", how="left"))
    train = pd.concat(frames, ignore_index=True)
    train["fold"] = train["fold"].astype("Int32")
    # Every fold that the models left out, also its videos that have no score.
    left_out = train.loc[train["held_out"].eq(True), "fold"].unique()
    return train.assign(held_out=train["fold"].isin(left_out) & train["fold"].notna())


def _test(
    videos: Mapping[str, Path],
    labels: Mapping[str, Mapping[str, int] | None],
    scores: Mapping[str, pd.DataFrame],
    unknown_score: float,
) -> pd.DataFrame:
    """A row per file of a test part: label (may be null), status, scored and scores.

    A video that is not scored has unknown_score in each of them.
    """
    frames = []
    for part in sorted(labels):
        statuses = _statuses(videos[part])
        frame = pd.DataFrame({"video": list(statuses), "status": list(statuses.values()), "part": part})
        frame["label"] = frame["video"].map(labels[part] or {}).astype("Int8")
        frame = frame.merge(scores[part], on="video", how="left")
        frames.append(frame.assign(scored=frame["score"].notna()))
    if not frames:
        return pd.DataFrame(columns=["video", "status", "part", "label", "score", "scored"]).astype({"scored": bool})
    test = pd.concat(frames, ignore_index=True)
    columns = ["score", *(f"score_{seed}" for seed in _seeds(test))]
    test[columns] = test[columns].fillna(unknown_score)
    return test


def _seeds(frame: pd.DataFrame) -> list[int]:
    return sorted(int(str(column).removeprefix("score_")) for column in frame if str(column).startswith("score_"))


def _arrays(frame: pd.DataFrame, column: str = "score") -> tuple[figures.Labels, figures.Scores]:
    return frame["label"].to_numpy(dtype=np.int64), frame[column].to_numpy(dtype=np.float64)


def _compare(frame: pd.DataFrame, params: Evaluation) -> dict[str, Any]:
    labels, scores = _arrays(frame)
    seeds = {seed: _arrays(frame, f"score_{seed}")[1] for seed in _seeds(frame)}
    return figures.compare(labels, scores, seeds, params.threshold, params.log_loss_clip)


def _headline(report: Mapping[str, Any]) -> dict[str, dict[str, float | None]]:
    """What runs are compared by, per set: the ensemble's figures, what it gains over the mean model, how many videos.

    Figures are null where the set does not define them. videos: how many have a label; scored: how many of them have a
    score. Figures of held_out are over the scored videos, those of test over all, as the submission is judged.
    """
    headline: dict[str, dict[str, float | None]] = {}
    for name, counted, videos in (("held_out", "scored", "held_out"), ("test", "all", "labelled")):
        coverage, found = report[name]["coverage"], report[name].get(counted, {"ensemble": {}, "gain": {}})
        headline[name] = {figure: found["ensemble"].get(figure) for figure in figures.LOSSES + figures.GAINS}
        headline[name] |= {"log_loss_gain": found["gain"].get("log_loss")}
        headline[name] |= {"videos": coverage[videos], "scored": coverage["scored"]}
    return headline


def _by_status(frame: pd.DataFrame) -> dict[str, int]:
    return {str(status): int(count) for status, count in frame["status"].value_counts().sort_index().items()}


def _train_coverage(train: pd.DataFrame) -> dict[str, Any]:
    """Where the files of the train parts are: videos = held_out + trained + the sums of without_crops and unlabelled.

    A video without crops is in no fold, so it is told by its status alone. scored: how many of held_out have a score.
    """
    labelled = train["label"].notna()
    dealt = labelled & train["fold"].notna()
    held_out = train["held_out"]
    return {
        "videos": len(train),
        "folds": " ".join(map(str, sorted(train.loc[held_out, "fold"].unique()))),
        "held_out": int(held_out.sum()),
        "scored": int((held_out & train["score"].notna()).sum()),
        "trained": int((dealt & ~held_out).sum()),
        "without_crops": _by_status(train[labelled & ~dealt]),
        "unlabelled": _by_status(train[~labelled]),
    }


def _test_coverage(test: pd.DataFrame, labels: Mapping[str, Mapping[str, int] | None]) -> dict[str, Any]:
    """videos = labelled + unlabelled files; labelled = scored + the sum of unscored, which is told by status."""
    labelled = test["label"].notna()
    return {
        "videos": len(test),
        "labelled": int(labelled.sum()),
        "unlabelled": int((~labelled).sum()),
        "scored": int((labelled & test["scored"]).sum()),
        "unscored": _by_status(test[labelled & ~test["scored"]]),
        "parts": len(labels),
        "parts_without_labels_csv": [part for part, found in labels.items() if found is None],
    }


def _stack(rows: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """The sets' rows, one set under the other, with the set's name in the first column."""
    frame = pd.concat([part.assign(set=name) for name, part in rows.items()], ignore_index=True)
    return frame[["set", *(column for column in frame if column != "set")]]


def _fold_rows(train: pd.DataFrame, labelled: pd.DataFrame) -> pd.DataFrame:
    """A row per fold or test part and model: its videos' log loss. Of a test part's, all labelled videos count."""
    rows: list[tuple[str, str, bool, int, str, float | None]] = []
    groups = [(f"fold {fold}", frame) for fold, frame in train[train["score"].notna()].groupby("fold", sort=True)]
    groups += [(str(part), frame) for part, frame in labelled.groupby("part", sort=True)]
    for name, frame in groups:
        fold = name.startswith("fold ")
        held_out = not fold or bool(frame["held_out"].any())
        kind = "test part" if not fold else "held-out fold" if held_out else "training fold"
        columns = {"ensemble": "score"} | {str(seed): f"score_{seed}" for seed in _seeds(frame)}
        for model, column in columns.items():
            rows.append((name, kind, held_out, len(frame), model, figures.log_loss(*_arrays(frame, column))))
    return pd.DataFrame(rows, columns=_FOLD_COLUMNS)
