"""The evaluation's pictures, as PNGs whose bytes depend on their rows alone.

Markers, dashes and hatches say the same as the colours.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from trueframe.drawing import BLUE, CARD, FAINT, GREEN, INK, ORANGE, PINK, card

_SETS: dict[str, tuple[str, dict[str, Any]]] = {
    "held_out": ("held-out fold", {"color": BLUE, "marker": "o", "linestyle": "-"}),
    "test": ("test parts", {"color": ORANGE, "marker": "s", "linestyle": (0, (5, 2))}),
}
_KINDS = {"held-out fold": (BLUE, ""), "training fold": ("#b9b9b9", "///"), "test part": (ORANGE, "...")}
_HATCHES = {"held_out": "", "test": "..."}
_CLASSES = {"real": (GREEN, ""), "fake": (PINK, "///")}
_NO_SKILL = 0.693147  # ln 2: the log loss of a score of 0.5 for every video


def roc(path: Path, rows: pd.DataFrame, areas: Mapping[str, float | None]) -> None:
    """The ROC curve of each set. rows: set, fpr, tpr; areas: each set's AUC, None where it has none."""
    with card(path, (6, 6)) as figure:
        axes = figure.subplots()
        axes.plot([0, 1], [0, 1], color=FAINT, linestyle=":", linewidth=1.2, label="guessing")
        for name, found in rows.groupby("set", sort=False):
            label, look = _SETS[str(name)]
            points = look | {"marker": None}
            axes.plot(found["fpr"], found["tpr"], linewidth=2, label=f"{label}, AUC {areas[str(name)]:.3f}", **points)
        _say_if_empty(axes, rows, "No set has labelled videos\nof both kinds, real and fake")
        axes.set(xlabel="real videos taken for fake (share)", ylabel="fake videos found (share)", aspect="equal")
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), title="Fakes found against false alarms, ensemble")
        axes.legend(loc="lower right")


def precision_recall(path: Path, rows: pd.DataFrame, means: Mapping[str, float | None]) -> None:
    """The precision-recall curve of each set. rows: set, recall, precision; means: each set's average precision."""
    with card(path, (6, 6)) as figure:
        axes = figure.subplots()
        for name, found in rows.groupby("set", sort=False):
            label, look = _SETS[str(name)]
            points = look | {"marker": None}
            axes.plot(
                found["recall"],
                found["precision"],
                linewidth=2,
                label=f"{label}, average precision {means[str(name)]:.3f}",
                drawstyle="steps-pre",
                **points,
            )
            # At the lowest threshold everything counts as fake, and the precision is the share of fakes.
            axes.axhline(found["precision"].iloc[-1], color=look["color"], linestyle=":", linewidth=1.2)
        _say_if_empty(axes, rows, "No set has labelled videos\nof both kinds, real and fake")
        axes.plot([], [], color=FAINT, linestyle=":", linewidth=1.2, label="guessing: the set's share of fakes")
        axes.set(xlabel="fake videos found (share)", ylabel="fakes among those taken for fake (share)", aspect="equal")
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), title="How much of what is found is fake, ensemble")
        axes.legend(loc="lower center")


def histogram(path: Path, rows: pd.DataFrame) -> None:
    """How many real and how many fake videos have which score, a panel per set.

    rows: set, bin_centre, real, fake; bins of width 0.05.
    """
    names = list(dict.fromkeys(rows["set"]))
    with card(path, (7.5, 1.2 + 2.4 * max(1, len(names)))) as figure:
        panels = figure.subplots(max(1, len(names)), 1, sharex=True, squeeze=False)[:, 0]
        for axes, name in zip(panels, names, strict=False):
            found = rows[rows["set"] == name]
            for side, (kind, (colour, hatch)) in zip((-1, 1), _CLASSES.items(), strict=True):
                label = f"{kind} ({found[kind].sum():,})"
                bars = {"width": 0.022, "color": colour, "hatch": hatch, "edgecolor": CARD, "linewidth": 0}
                axes.bar(found["bin_centre"] + side * 0.011, found[kind], label=label, **bars)
            axes.set(ylabel="videos", title=f"Scores of the {_SETS[name][0]}, ensemble")
            axes.yaxis.get_major_locator().set_params(integer=True)
            axes.grid(visible=False, axis="x")
            axes.legend(loc="lower right", bbox_to_anchor=(1, 1), borderaxespad=0.2, ncols=2)
        _say_if_empty(panels[-1], rows, "No labelled videos with a score")
        panels[-1].set(xlabel="score: probability of fake", xlim=(-0.02, 1.02))


def pooling(path: Path, rows: pd.DataFrame) -> None:
    """The log loss that each pooling rule would give on each set. rows: of rules.COLUMNS."""
    names = {row.rule: f"{row.rule} (chosen)" if row.chosen else row.rule for row in rows.itertuples()}
    notes = list(map(_figures, rows["log_loss"], rows["auc"]))
    with card(path, (7.5, 4)) as figure:
        axes = figure.subplots()
        _bars(axes, rows.assign(name=rows["rule"].map(names), note=notes))
        _say_if_empty(axes, rows, "No labelled videos with a score")
        axes.set(title="What each pooling rule would give, ensemble", xlabel="log loss of the videos (less is better)")
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3)


def groups(path: Path, rows: pd.DataFrame) -> None:
    """The log loss of each status and face size. rows: set, by, group, videos, unscored, log_loss."""
    panels = {str(by): found for by, found in rows.groupby("by", sort=False)} or {"status": rows}
    heights = [max(1, found["group"].nunique()) for found in panels.values()]
    with card(path, (7.5, 1.6 + 0.5 * len(panels) + 0.5 * sum(heights))) as figure:
        several = figure.subplots(len(panels), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
        for axes, (by, found) in zip(several, panels.items(), strict=True):
            _bars(axes, found.assign(name=found["group"], note=list(map(_counts, found["videos"], found["unscored"]))))
            axes.set_title(f"Videos by {by}, ensemble")
        _say_if_empty(several[-1], rows, "No labelled videos")
        several[-1].set_xlabel("log loss of the scored videos (less is better)")
        figure.legend(*several[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)


def _bars(axes: Axes, rows: pd.DataFrame) -> None:
    """A bar per row, the sets' side by side. rows: set, name (its place), log_loss (may be null), note (its text)."""
    names = list(dict.fromkeys(rows["name"]))
    for (key, (label, look)), side in zip(_SETS.items(), (-1, 1), strict=True):
        found = rows[rows["set"] == key]
        if found.empty:
            continue
        places = found["name"].map(names.index) + side * 0.2
        lengths = found["log_loss"].astype(float).fillna(0)
        bars = {
            "height": 0.36,
            "color": look["color"],
            "hatch": _HATCHES[key],
            "edgecolor": CARD,
            "linewidth": 0,
        }
        axes.barh(places, lengths, label=label, **bars)
        for place, length, note in zip(places, lengths, found["note"], strict=True):
            box = {"facecolor": CARD, "edgecolor": "none", "pad": 1}
            axes.annotate(note, (length, place), (4, 0), textcoords="offset points", va="center", fontsize=8, bbox=box)
    axes.axvline(_NO_SKILL, color=FAINT, linestyle=":", linewidth=1.2, label="always 0.5")
    axes.set_yticks(range(len(names)), names)
    # The notes need room on the right.
    axes.set(ylim=(max(1, len(names)) - 0.4, -0.6), xlim=(0, 1.5 * max([_NO_SKILL, *rows["log_loss"].dropna()])))
    axes.grid(visible=False, axis="y")


def _figures(log_loss: float, auc: float | None) -> str:
    return f"{log_loss:.4f}" + ("" if auc is None or pd.isna(auc) else f", AUC {auc:.3f}")


def _counts(videos: int, unscored: int) -> str:
    told = f"{videos:,} video{'' if videos == 1 else 's'}"
    return f"{told}, {unscored:,} unscored" if unscored else told


def calibration(path: Path, rows: pd.DataFrame, bins: int) -> None:
    """How often videos of a score are fake, and how many there are.

    rows: set, bin_centre, mean_score, fraction_fake, videos; bins: how many of equal width there are.
    """
    with card(path, (6, 7)) as figure:
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
        upper.plot([0, 1], [0, 1], color=FAINT, linestyle=":", linewidth=1.2, label="scores are right")
        for number, (name, found) in enumerate(rows.groupby("set", sort=False)):
            label, look = _SETS[str(name)]
            upper.plot(found["mean_score"], found["fraction_fake"], linewidth=2, markersize=7, label=label, **look)
            # Two thin bars side by side in each bin, the second set's on the right.
            width = 0.25 / bins
            lower.bar(found["bin_centre"] + (number - 0.5) * width, found["videos"], width=width, color=look["color"])
        _say_if_empty(upper, rows, "No labelled videos with a score")
        upper.set(ylabel="videos that are fake (share)", xlim=(-0.03, 1.03), ylim=(-0.03, 1.03))
        upper.set(title="What a score is worth, ensemble")
        upper.legend(loc="upper left")
        lower.set(xlabel="score: probability of fake", ylabel="videos")
        lower.yaxis.get_major_locator().set_params(integer=True)


def folds(path: Path, rows: pd.DataFrame) -> None:
    """The log loss of each fold and test part: a bar for the ensemble, a point per model.

    rows: set, kind (held-out fold, training fold, test part), videos, model ("ensemble" or a seed), log_loss.
    """
    together = rows[rows["model"] == "ensemble"].reset_index(drop=True)
    with card(path, (7.5, 1.9 + 0.34 * max(4, len(together)))) as figure:
        axes = figure.subplots()
        for kind, (colour, hatch) in _KINDS.items():
            bars = together[together["kind"] == kind]
            if len(bars):
                axes.barh(
                    bars.index,
                    bars["log_loss"],
                    height=0.66,
                    color=colour,
                    hatch=hatch,
                    edgecolor=CARD,
                    linewidth=0,
                    label=f"{kind}, ensemble",
                )
        alone = rows[rows["model"] != "ensemble"]
        places = alone["set"].map({name: place for place, name in together["set"].items()})
        axes.scatter(
            alone["log_loss"], places, label="one model", color=CARD, edgecolor=INK, s=26, linewidth=1.1, zorder=3
        )
        axes.axvline(_NO_SKILL, color=FAINT, linestyle=":", linewidth=1.2, label="always 0.5")
        _say_if_empty(axes, rows, "No labelled videos with a score")
        names = [
            f"{row.set} ({row.videos:,} {'video' if row.videos == 1 else 'videos'})" for row in together.itertuples()
        ]
        axes.set_yticks(range(len(names)), names)
        axes.set(xlabel="log loss of the videos (less is better)", title="How well each fold and test part is scored")
        axes.set(ylim=(max(1, len(together)) - 0.4, -0.6), xlim=(0, None))
        axes.grid(visible=False, axis="y")
        figure.legend(loc="outside lower center", ncols=3)


def _say_if_empty(axes: Axes, rows: pd.DataFrame, text: str) -> None:
    if rows.empty:
        axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color=FAINT, backgroundcolor=CARD)
