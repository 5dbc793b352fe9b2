"""evaluation: how good the scores are, on videos whose label is known and that no model was trained on.

Two sets: `held_out`, the videos of the fold that the models did not train on, and `test`, the videos that labels.csv in
the test parts name. Figures of `test` come twice: over all labelled videos, where one without a usable face counts with
unknown_score as it does in the submission, and over the scored ones. Curves, temperature, pooling rules and unseen
parts are of the ensemble's scored videos. The fold is the models' validation: it chose their epochs, and chooses
temperature and pooling rule here, so that its own figures flatter a little. Test parts choose nothing. Training folds
have a place in folds.csv and its plot alone, to show by how much models flatter what they have seen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from trueframe import pooling
from trueframe.figures import curves, groups, plots, rules, sets, temperature, unseen
from trueframe.figures import metrics as figures
from trueframe.figures.intervals import intervals
from trueframe.figures.labels import read_labels
from trueframe.files import canonical_json

if TYPE_CHECKING:
    from trueframe.params import Evaluation, Pooling
    from trueframe.tools import Tools

_HEADLINE = [figure for figure in figures.FIGURES if figure not in figures.RECALLS]
_NOTHING: dict[str, dict[str, Any]] = {"ensemble": {}, "gain": {}, "intervals": {}}


def run(
    *,
    unit: str,
    index: Mapping[str, Path],
    videos: Mapping[str, Path],
    bboxes: Mapping[str, Path],
    folds: Path,
    predictions: Mapping[str, Path],
    raw: Mapping[str, Path],
    params: Evaluation,
    tools: Tools,
    **outputs: Path,
) -> dict[str, int]:
    """Write the headline (metrics), all figures (details), tables as CSV and plots of them, to the paths in outputs.

    index: of train parts; videos, bboxes: the crops' videos and the faces' boxes of all parts; predictions:
    "<seed>/<part unit>" to table; raw: the test parts' folders, where a labels.csv (filename,label with 0 real, 1 fake)
    may lie. outputs: a path for each output in the table of trueframe.dag. Raises UserError when a labels.csv is wrong.
    """
    labels = {part: read_labels(raw[part], set(sets.statuses(videos[part]))) for part in sorted(raw)}
    scores = _scores(predictions, params.pooling, tools)
    train = sets.train(index, videos, folds, scores[params.pooling.rule])
    test = sets.test(videos, labels, scores[params.pooling.rule], params.unknown_score)
    known = {"held_out": train[train["held_out"]], "test": test[test["label"].notna()]}
    scored = {name: frame[frame["scored"]] for name, frame in known.items()}
    crops = _crops(predictions, scored)
    over_test = {"all": known["test"], "scored": scored["test"]} if len(known["test"]) else {}
    report = {
        "held_out": _of_set(sets.train_coverage(train), {"scored": scored["held_out"]}, crops["held_out"], params),
        "test": _of_set(sets.test_coverage(test, labels), over_test, crops["test"], params),
    }
    arrays = {name: sets.arrays(frame) for name, frame in scored.items()}
    tables = _curves(arrays, params.calibration_bins)
    tables["folds_table"] = groups.by_fold(train, known["test"])
    tables["groups_table"] = groups.by_status_and_size(known, bboxes, params.face_size_px)
    tables["originals_table"] = groups.by_original(known["held_out"])
    tables["pooling_table"], report["pooling"] = rules.compare(scored, scores, params.pooling.rule)
    report["temperature"] = temperature.effect(arrays, params.calibration_bins, params.fit_temperature)
    report["unseen_parts"] = unseen.leave_one_part_out(unseen.parts(train, scored["test"]))
    return _write(report, tables, outputs, params.calibration_bins)


def _scores(predictions: Mapping[str, Path], pooled: Pooling, tools: Tools) -> dict[str, dict[str, pd.DataFrame]]:
    """By pooling rule and part, the scores of the videos by the ensemble and each model: pooling.ensemble's tables."""
    parts = pooling.by_part(predictions)
    scores: dict[str, dict[str, pd.DataFrame]] = {rule: {} for rule in pooling.RULES}
    with tools.progress.task(len(parts), "parts") as advance:
        for part, paths in parts.items():
            for rule, found in scores.items():
                found[part] = pooling.ensemble(paths, pooled.model_copy(update={"rule": rule})).reset_index()
            advance(1)
    return scores


def _crops(predictions: Mapping[str, Path], scored: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """The crops of each set's scored videos: their label, the ensemble's score and each model's."""
    parts = pooling.by_part(predictions)
    found = {}
    for name, frame in scored.items():
        crops = [
            pooling.crops(parts[str(part)]).merge(videos[["video", "label"]], on="video")
            for part, videos in frame.groupby("part", sort=True)
        ]
        found[name] = pd.concat(crops, ignore_index=True) if crops else frame[["label", "score"]]
    return found


def _of_set(
    coverage: dict[str, Any], over: Mapping[str, pd.DataFrame], crops: pd.DataFrame, params: Evaluation
) -> dict[str, Any]:
    """A set's coverage, the figures over each of its tables of videos with their intervals, and those of its crops."""
    found: dict[str, Any] = {"coverage": coverage}
    for name, frame in over.items():
        (labels, scores), models = sets.arrays(frame), sets.models(frame)
        clusters = frame["cluster"].to_numpy(dtype=str)
        found[name] = figures.compare(labels, scores, models, params)
        found[name]["intervals"] = intervals(labels, scores, models, clusters, params)
    if over:
        found["crops"] = figures.compare(*sets.arrays(crops), sets.models(crops), params, "crops")
    return found


def _curves(arrays: Mapping[str, tuple[figures.Labels, figures.Scores]], bins: int) -> dict[str, pd.DataFrame]:
    """The rows of each curve, one set under the other, with the set's name in the first column."""
    made: dict[str, Callable[[figures.Labels, figures.Scores], pd.DataFrame]] = {
        "roc": curves.roc,
        "precision_recall": curves.precision_recall,
        "calibration": partial(curves.calibration, bins=bins),
        "histogram": curves.histogram,
    }
    stacked = {}
    for curve, make in made.items():
        rows = pd.concat([make(*found).assign(set=name) for name, found in arrays.items()], ignore_index=True)
        stacked[curve] = rows[["set", *(column for column in rows if column != "set")]]
    return stacked


def _write(
    report: Mapping[str, Any], tables: Mapping[str, pd.DataFrame], outputs: Mapping[str, Path], bins: int
) -> dict[str, int]:
    """Write all outputs; returns the number of items of each."""
    headline = _headline(report)
    for name, figures_found in (("metrics", headline), ("details", report)):
        outputs[name].write_text(canonical_json(figures_found), encoding="utf-8")
    for name, rows in tables.items():
        rows.to_csv(outputs[name], index=False, lineterminator="\n")
    drawn = _draw(tables, report, outputs, bins)
    counts = {"metrics": len(headline), "details": len(report)} | {name: len(rows) for name, rows in tables.items()}
    return counts | dict.fromkeys(drawn, 1)


def _draw(
    tables: Mapping[str, pd.DataFrame], report: Mapping[str, Any], outputs: Mapping[str, Path], bins: int
) -> list[str]:
    """Draw the plots; returns their names."""
    ensemble = {name: report[name].get("scored", {}).get("ensemble", {}) for name in ("held_out", "test")}
    areas = {figure: {name: found.get(figure) for name, found in ensemble.items()} for figure in figures.GAINS[:2]}
    plots.roc(outputs["roc_plot"], tables["roc"], areas["auc"])
    plots.precision_recall(outputs["precision_recall_plot"], tables["precision_recall"], areas["average_precision"])
    plots.calibration(outputs["calibration_plot"], tables["calibration"], bins)
    plots.histogram(outputs["histogram_plot"], tables["histogram"])
    plots.folds(outputs["folds_plot"], tables["folds_table"])
    plots.pooling(outputs["pooling_plot"], tables["pooling_table"])
    plots.groups(outputs["groups_plot"], tables["groups_table"])
    return [name for name in outputs if name.endswith("_plot")]


def _headline(report: Mapping[str, Any]) -> dict[str, dict[str, float | None]]:
    """What runs are compared by, per set: the ensemble's figures, what it gains over the mean model, how many videos.

    Figures are null where the set does not define them. log_loss_low and log_loss_high: the 95 % interval. videos: how
    many have a label; scored: how many of them have a score. Figures of held_out are over the scored videos, those of
    test over all, as the submission is judged.
    """
    headline: dict[str, dict[str, float | None]] = {}
    for name, counted, videos in (("held_out", "scored", "held_out"), ("test", "all", "labelled")):
        coverage, found = report[name]["coverage"], report[name].get(counted, _NOTHING)
        interval = found["intervals"].get("ensemble", {}).get("log_loss", {})
        headline[name] = {figure: found["ensemble"].get(figure) for figure in _HEADLINE}
        headline[name] |= {f"log_loss_{end}": interval.get(end) for end in ("low", "high")}
        headline[name] |= {"log_loss_gain": found["gain"].get("log_loss")}
        headline[name] |= {"videos": coverage[videos], "scored": coverage["scored"]}
    return headline
