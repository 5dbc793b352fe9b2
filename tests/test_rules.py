from __future__ import annotations

import math

import pandas as pd
import pytest

from evaluations import rows
from trueframe.figures import rules


def videos(part: str, **labels: int) -> pd.DataFrame:
    return pd.DataFrame({"part": part, "video": list(labels), "label": list(labels.values())})


def pooled(**scores: float) -> pd.DataFrame:
    return pd.DataFrame({"video": list(scores), "score": list(scores.values())})


SETS = {"held_out": videos("train/p", f=1, r=0), "test": videos("test/q", a=1)}
SCORES = {
    "mean": {"train/p": pooled(r=0.25, f=0.75, seen=0.5), "test/q": pooled(a=0.5)},
    "max": {"train/p": pooled(r=0.5, f=0.8, seen=0.5), "test/q": pooled(a=1)},
}


def test_the_held_out_fold_chooses_though_the_test_parts_would_choose_another() -> None:
    table, report = rules.compare(SETS, SCORES, "max")
    losses = [-math.log(0.75), -(math.log(0.8) + math.log(0.5)) / 2, math.log(2), 0]
    assert table["log_loss"].tolist() == pytest.approx(losses, abs=1e-6)
    assert rows(table.drop(columns="log_loss")) == [
        ["held_out", "mean", 2, 1, True],
        ["held_out", "max", 2, 1, False],
        ["test", "mean", 1, None, True],
        ["test", "max", 1, None, False],
    ]  # fmt: skip
    assert report == {"configured": "max", "chosen": "mean", "configured_is_chosen": False}


@pytest.mark.parametrize("configured", ["mean", "max"])
def test_among_equals_the_configured_rule_is_chosen(configured: str) -> None:
    same = {"mean": SCORES["mean"], "max": SCORES["mean"]}
    assert rules.compare(SETS, same, configured)[1] == {
        "configured": configured,
        "chosen": configured,
        "configured_is_chosen": True,
    }


def test_without_held_out_videos_nothing_is_chosen_and_the_test_parts_choose_nothing() -> None:
    table, report = rules.compare(SETS | {"held_out": SETS["held_out"][:0]}, SCORES, "mean")
    assert report["chosen"] is None
    assert list(table["set"]) == ["test", "test"]
    assert not table["chosen"].any()
