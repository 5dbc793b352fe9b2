from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from trueframe import summary
from trueframe.errors import UserError

HELD_OUT = {"auc": 0.91234, "log_loss": 0.25, "accuracy": 0.875, "videos": 14, "scored": 12}
NOTHING: dict[str, Any] = {"auc": None, "log_loss": None, "accuracy": None, "videos": 0, "scored": 0}
SEEDS = {"1000": {"auc": 0.75}, "999": {"auc": 0.8125}}
INTERVALS = {"ensemble": {"auc": {"low": 0.851, "high": 0.969}, "log_loss": {"low": None, "high": None, "left_out": 9}}}
ADVICE = {
    "pooling": {"configured": "max", "chosen": "max", "configured_is_chosen": True},
    "temperature": {"temperature": None},
}
DETAIL = "\n".join(
    [
        "filename,part,score,reason,status",
        "a,p,0.25,ensemble of 2 models,ok",
        '"b, [bold]\u2028",p,0.5,,no_face',
        "c,p,0.75,,ok",
        "notes.txt,p,,,not_a_video\n",
    ]
)


def write(root: Path, test: dict[str, Any], all_videos: dict[str, Any], **more: dict[str, Any]) -> None:
    (root / "reports/evaluation").mkdir(parents=True)
    held_out = {"coverage": {}, "scored": {"seeds": SEEDS, "intervals": INTERVALS}}
    details = {"held_out": held_out, "test": {"coverage": {}} | all_videos} | ADVICE | more
    for name, report in (("metrics", {"held_out": HELD_OUT, "test": test}), ("details", details)):
        (root / f"reports/evaluation/{name}.json").write_text(json.dumps(report))
    (root / "reports/submission_detail.csv").write_text(DETAIL, encoding="utf-8")


def shown(root: Path, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The lines that aren't empty, with one space between words."""
    summary.show(root)
    out = capsys.readouterr().out
    assert "\x1b" not in out
    return [" ".join(line.split()) for line in out.splitlines() if line.strip()]


def test_the_ensembles_figures_each_models_auc_and_the_fate_of_test_files_are_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    test = {"auc": 1, "log_loss": 0.5, "accuracy": 0.75, "videos": 3, "scored": 2}
    write(tmp_path, test, {"all": {"seeds": {"999": {"auc": 0.5}, "1000": {"auc": None}}, "intervals": {}}})
    assert shown(tmp_path, capsys) == [
        "ensemble held-out fold test parts",
        "AUC 0.9123 (0.85–0.97) 1.0000",
        "log loss 0.2500 0.5000",
        "accuracy 0.8750 0.7500",
        "videos scored 12 of 14 2 of 3",
        "AUC of seed 999 0.8125 0.5000",
        "AUC of seed 1000 0.7500 –",
        "test files: 4 (2 ok, 1 no_face, 1 not_a_video)",
        "submission: reports/submission.csv, 3 scores; why each: reports/submission_detail.csv",
    ]


def test_figures_of_test_parts_without_labels_are_shown_as_unknown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, NOTHING, {})
    lines = shown(tmp_path, capsys)
    assert lines[1] == "AUC 0.9123 (0.85–0.97) –"
    assert lines[4] == "videos scored 12 of 14 0 of 0"
    assert lines[6] == "AUC of seed 1000 0.7500 –"


def test_what_the_held_out_fold_says_of_pooling_and_temperature_is_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pooling = {"configured": "max", "chosen": "mean", "configured_is_chosen": False}
    write(tmp_path, NOTHING, {}, pooling=pooling, temperature={"temperature": 1.23456})
    assert shown(tmp_path, capsys)[-2:] == [
        "pooling: mean has a lower log loss than max on the held-out fold",
        "temperature: 1.235 fits the held-out fold best; submission.temperature would apply it",
    ]


@pytest.mark.parametrize(
    "report",
    ["reports/evaluation/metrics.json", "reports/evaluation/details.json", "reports/submission_detail.csv"],
)
def test_a_report_that_is_not_there_is_named_with_what_makes_it(tmp_path: Path, report: str) -> None:
    write(tmp_path, NOTHING, {})
    (tmp_path / report).unlink()
    with pytest.raises(UserError, match=rf"^{report}: .*; run snakemake --cores all submission$"):
        summary.show(tmp_path)
