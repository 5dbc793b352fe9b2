"""How the figures shift from part to part, over parts that no model trained on: each left out in its turn."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from trueframe.figures.metrics import auc, log_loss, rounded
from trueframe.figures.sets import arrays

_FIGURES = {"log_loss": log_loss, "auc": auc}


def parts(train: pd.DataFrame, test: pd.DataFrame) -> pd.DataFrame:
    """The scored videos of the parts that no model trained on.

    train: of sets.train; test: labelled and scored rows of sets.test. A train part counts when all its videos that are
    in a fold are held out: with folds by original, models know every part.
    """
    unknown = train[train["fold"].notna()].groupby("part")["held_out"].all()
    held_out = train[train["held_out"] & train["scored"] & train["part"].isin(unknown.index[unknown])]
    return pd.concat([frame for frame in (held_out, test) if len(frame)] or [held_out], ignore_index=True)


def leave_one_part_out(frame: pd.DataFrame) -> dict[str, Any]:
    """Each part's log loss and AUC, those of all other parts together, and the shift: here minus elsewhere.

    frame: part, label and score of scored videos, of parts that no model trained on. What it estimates: with what
    spread (std, of the sample) the figures of a part as yet unseen lie around those known from the others, with the
    models as they are. Their mean tells little, being near 0 by its making, and with two parts the shifts mirror each
    other. What it does not: what models would do that were trained with these parts, or without others, for nothing is
    trained anew; nor a world unlike these parts. None where a class is missing; `undefined` says why there is no shift.
    """
    found: dict[str, dict[str, Any]] = {}
    for part, here in frame.groupby("part", sort=True):
        elsewhere = frame[frame["part"] != part]
        found[str(part)] = {"videos": len(here)}
        for name, figure in _FIGURES.items():
            own, others = figure(*arrays(here)), figure(*arrays(elsewhere))
            shift = None if own is None or others is None else rounded(own - others)
            found[str(part)] |= {name: own, f"{name}_elsewhere": others, f"{name}_shift": shift}
    return {"parts": found} | {f"{name}_shift": _spread(found, name) for name in _FIGURES}


def _spread(parts: dict[str, dict[str, Any]], name: str) -> dict[str, Any]:
    shifts = [part[f"{name}_shift"] for part in parts.values() if part[f"{name}_shift"] is not None]
    if len(shifts) < 2:
        few = f"{len(parts)} unseen {'part' if len(parts) == 1 else 'parts'}"
        reason = f"{few}; a shift takes two" if len(parts) < 2 else "fewer than two parts have fakes and reals"
        return {"parts": len(shifts), "mean": None, "std": None, "undefined": reason}
    return {"parts": len(shifts), "mean": rounded(np.mean(shifts)), "std": rounded(np.std(shifts, ddof=1))}
