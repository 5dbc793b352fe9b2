"""The pooling rules side by side, and which one the held-out fold would choose."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from trueframe.figures.metrics import auc, log_loss
from trueframe.figures.sets import arrays

COLUMNS = ["set", "rule", "videos", "log_loss", "auc", "chosen"]


def compare(
    sets: Mapping[str, pd.DataFrame], scores: Mapping[str, Mapping[str, pd.DataFrame]], configured: str
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """A row of COLUMNS per set and rule, and what to say of them: the rule configured and the one chosen.

    sets: the scored videos (part, video, label) of held_out and test; scores: by rule and part, as pooling.ensemble
    gives them. chosen: the lowest log loss on the held-out fold, on no other; among equals the configured rule; None
    for no videos.
    """
    rows = [
        {"set": name, "rule": rule} | _figures(frame, scores[rule])
        for name, frame in sets.items()
        for rule in scores
        if len(frame)
    ]
    held_out = [row for row in rows if row["set"] == "held_out"]
    best = min(held_out, key=lambda row: (row["log_loss"], row["rule"] != configured), default=None)
    chosen = best["rule"] if best else None
    table = pd.DataFrame([row | {"chosen": row["rule"] == chosen} for row in rows], columns=COLUMNS)
    return table, {"configured": configured, "chosen": chosen, "configured_is_chosen": configured == chosen}


def _figures(frame: pd.DataFrame, scores: Mapping[str, pd.DataFrame]) -> dict[str, Any]:
    pooled = pd.concat([found[["video", "score"]].assign(part=part) for part, found in scores.items()])
    found = frame[["part", "video", "label"]].merge(pooled, on=["part", "video"], validate="one_to_one")
    labels, values = arrays(found)
    return {"videos": len(found), "log_loss": log_loss(labels, values), "auc": auc(labels, values)}
