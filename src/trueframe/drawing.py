"""The card that every plot is drawn on, as a PNG whose bytes depend on what is drawn alone.

Without pyplot, from matplotlib's own defaults whatever the user's matplotlibrc says, on a light ground of its own, so
that it can be read on a dark page too. Colours are Okabe and Ito's, which colour-blind people can tell apart.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from matplotlib import style
from matplotlib.figure import Figure

_DPI = 120
INK, FAINT, GRID, CARD = "#2b2b2b", "#6b6b6b", "#dddddd", "#fcfcfb"
BLUE, ORANGE, GREEN, PINK = "#0072B2", "#D55E00", "#009E73", "#CC79A7"


@contextmanager
def card(path: Path, size_in: tuple[float, float]) -> Iterator[Figure]:
    """A figure of that width and height in inches, written to `path` when the block ends."""
    look = {
        "axes.edgecolor": FAINT,
        "axes.facecolor": CARD,
        "figure.facecolor": CARD,
        "savefig.facecolor": CARD,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": GRID,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "text.color": INK,
        "axes.labelcolor": INK,
        "xtick.color": INK,
        "ytick.color": INK,
        "legend.frameon": False,
        "axes.titlelocation": "left",
        "axes.titlepad": 12,
        "figure.constrained_layout.w_pad": 0.12,  # inches
        "figure.constrained_layout.h_pad": 0.1,  # inches
    }
    with style.context(["default", look], after_reset=True):
        figure = Figure(figsize=size_in, dpi=_DPI, layout="constrained")
        yield figure
        # Without this, the file would name matplotlib's version.
        figure.savefig(path, format="png", metadata={"Software": None})
