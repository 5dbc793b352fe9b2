"""A training's history as a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.ticker import MaxNLocator

from trueframe.drawing import BLUE, GREEN, INK, ORANGE, card

# The dashes say the same as the colours.
_LINES = {
    "train_loss": ("training loss", INK, ":"),
    "val_fake_log_loss": ("validation, fake videos", ORANGE, "--"),
    "val_real_log_loss": ("validation, real videos", BLUE, "-."),
    "val_figure": ("figure that chooses", GREEN, "-"),
}


def draw(path: Path, rows: Sequence[Mapping[str, float]], kept: Sequence[int]) -> None:
    """Draw loss and log losses by epoch; the kept epochs, best first, are marked on the figure that chose them.

    rows: of history.csv, an epoch each; kept: numbers of epochs.
    """
    with card(path, (7.5, 4.5)) as figure:
        axes = figure.subplots()
        epochs = [row["epoch"] for row in rows]
        for name, (label, colour, dashes) in _LINES.items():
            axes.plot(epochs, [row[name] for row in rows], color=colour, linestyle=dashes, linewidth=2, label=label)
        chosen = {row["epoch"]: row["val_figure"] for row in rows}
        axes.plot(kept, [chosen[epoch] for epoch in kept], "o", color=GREEN, markersize=9, label="kept epochs")
        axes.set(xlabel="epoch", ylabel="loss (less is better)", ylim=(0, None))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend()
