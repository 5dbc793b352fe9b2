"""A training's history as a picture, as PNG whose bytes depend on its rows alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib import style
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

_DPI = 120
# Okabe and Ito's colours, which colour-blind people can tell apart; the dashes say the same.
_LINES = {
    "train_loss": ("training loss", "#2b2b2b", ":"),
    "val_fake_log_loss": ("validation, fake videos", "#D55E00", "--"),
    "val_real_log_loss": ("validation, real videos", "#0072B2", "-."),
    "val_figure": ("figure that chooses", "#009E73", "-"),
}


def draw(path: Path, rows: Sequence[Mapping[str, float]], kept: Sequence[int]) -> None:
    """Draw loss and log losses by epoch; the kept epochs, best first, are marked on the figure that chose them.

    rows: of history.csv, an epoch each; kept: numbers of epochs.
    """
    with style.context("default", after_reset=True):
        figure = Figure(figsize=(7.5, 4.5), dpi=_DPI, layout="constrained")
        axes = figure.subplots()
        epochs = [row["epoch"] for row in rows]
        for name, (label, colour, dashes) in _LINES.items():
            axes.plot(epochs, [row[name] for row in rows], color=colour, linestyle=dashes, linewidth=2, label=label)
        chosen = {row["epoch"]: row["val_figure"] for row in rows}
        axes.plot(kept, [chosen[epoch] for epoch in kept], "o", color="#009E73", markersize=9, label="kept epochs")
        axes.set(xlabel="epoch", ylabel="loss (less is better)", ylim=(0, None))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(color="#dddddd")
        axes.legend()
        # Without this, the file would name matplotlib's version.
        figure.savefig(path, format="png", metadata={"Software": None})
