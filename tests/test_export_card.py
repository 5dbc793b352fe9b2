"""The model card: every figure in it is an artifact's, and follows it."""

from __future__ import annotations

import csv
import json
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from markdown_it import MarkdownIt

import exports
from trueframe import tables
from trueframe.audit.export import card
from trueframe.errors import UserError
from workspaces import call, commit, edit_params, git

METRICS, DETAILS, GROUPS = (f"reports/evaluation/{name}" for name in ("metrics.json", "details.json", "groups.csv"))
NUMBER = re.compile(r"(?<![\w.\-/:])-?\d+(?:\.\d+)?(?:e-?\d+)?(?![\w/]|\.\d)")
# What stands in the prose and is no figure of a model: the intervals' level, the first epoch's number.
PROSE = {"95", "0"}


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    exports.disconnect(monkeypatch)


def text(root: Path, seed: str | None = None, intended_use: str | None = None) -> str:
    return card.text(exports.source(root), seed, intended_use)


def row(found: str, name: str, after: str = "## Metrics") -> list[str]:
    """The cells of the first row of this name in a section."""
    lines = found[found.index(after) :].splitlines()
    return next(cells for line in lines if (cells := [cell.strip() for cell in line.strip("| ").split("|")])[0] == name)


def numbers(value: Any) -> Iterator[str]:
    """Every number in a JSON's value, a row or a text, as a card may write it."""
    if isinstance(value, dict):
        for child in value.values():
            yield from numbers(child)
    elif isinstance(value, list):
        for child in value:
            yield from numbers(child)
    elif isinstance(value, str):
        yield from NUMBER.findall(value)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield str(round(value, 6))
        yield str(value)


def gathered(root: Path) -> set[str]:
    """Every number that an artifact or a record of the workspace has, and counts of what the tables have."""
    found = {number for path in (METRICS, DETAILS) for number in numbers(json.loads((root / path).read_text()))}
    with (root / GROUPS).open() as file:
        found |= {number for cells in csv.reader(file) for number in numbers(cells)}
    units: Counter[str] = Counter()
    for _, record in exports.records(root):
        found |= {*numbers(record["recipe"]["params"])}
        units[record["stage"]] += 1
        if record["stage"] == "models":
            found |= {
                record["unit"],
                *numbers(json.loads((root / f"models/{record['unit']}/selection.json").read_text())),
            }
    per_variant = {str(number) for count in units.values() for number in range(count + 1)}
    return found | per_variant | {*_counts(root)}


def _counts(root: Path) -> Iterator[str]:
    parts = sorted((root / "data/index").glob("*/*.parquet"))
    every: Counter[str] = Counter()
    for path in parts:
        labels = [row["label"] for row in pq.read_table(path).to_pylist()]
        told = pq.read_table(root / "data/crops" / path.parent.name / f"{path.stem}.videos.parquet").to_pylist()
        counts = {
            "videos": len(labels),
            "real": labels.count(0),
            "fake": labels.count(1),
            "usable": sum(row["status"] in tables.USABLE for row in told),
            "crops": sum(row["items"] for row in told),
        }
        yield from map(str, counts.values())
        if path.parent.name == "train":
            every.update(counts)
    yield from map(str, every.values())
    for path in root.glob("models/*/videos.parquet"):
        roles = pq.read_table(path).to_pylist()
        for key in {(row["fold"], row["role"], row["reason"]) for row in roles}:
            mine = [row for row in roles if (row["fold"], row["role"], row["reason"]) == key]
            yield str(key[0])
            yield from (str(sum(row[name] for row in mine)) for name in ("used", "draws"))
            yield from (str(sum(row["label"] == label for row in mine)) for label in (0, 1))


@pytest.mark.parametrize("seed", [None, "1"])
def test_every_number_in_it_is_an_artifacts_or_a_count_of_its_rows(seed: str | None, finished_workspace: Path) -> None:
    found = text(finished_workspace, seed)
    body = re.sub(r"```.*?```", "", found, flags=re.DOTALL)
    body = body.replace(exports.source(finished_workspace).date[:10], "")
    pythons = {record["environment"]["python"] for _, record in exports.records(finished_workspace)}
    for version in pythons:
        body = body.replace(version, "")
    told = NUMBER.findall(body)
    assert len(told) > 100
    assert {number for number in told if number not in PROSE} <= gathered(finished_workspace)


def test_each_figure_of_the_ensemble_follows_the_headline(finished: Path) -> None:
    wanted: dict[str, str] = {}

    def change(value: Any) -> None:
        for of, figures in value.items():
            for name in figures:
                figures[name] = 7000 + len(wanted)
                wanted[f"{of}.{name}"] = str(figures[name])

    exports.rewrite_json(finished, METRICS, change)
    told = set(NUMBER.findall(text(finished)))
    assert len(wanted) == 26
    assert {name: number for name, number in wanted.items() if number not in told} == {}


def test_figures_stand_in_their_own_cells(finished_workspace: Path) -> None:
    metrics = json.loads((finished_workspace / METRICS).read_text())
    details = json.loads((finished_workspace / DETAILS).read_text())
    found = text(finished_workspace)
    drawn = details["test"]["all"]["intervals"]["ensemble"]["accuracy"]
    cells = row(found, "accuracy")
    assert cells[1] == str(metrics["held_out"]["accuracy"])
    assert cells[3] == str(metrics["test"]["accuracy"])
    assert cells[4] == f"{drawn['low']} to {drawn['high']}"
    ends = [f"{metrics[of]['log_loss_low']} to {metrics[of]['log_loss_high']}" for of in ("held_out", "test")]
    assert row(found, "log loss") == [
        "log loss", str(metrics["held_out"]["log_loss"]), ends[0], str(metrics["test"]["log_loss"]), ends[1],
    ]  # fmt: skip


def test_a_seeds_figures_and_intervals_are_its_own(finished: Path) -> None:
    def change(value: Any) -> None:
        value["test"]["all"]["seeds"]["1"]["auc"] = 0.123456
        value["test"]["all"]["intervals"]["seeds"]["1"]["auc"] = {"low": 0.012345, "high": 0.234567}
        value["held_out"]["scored"]["seeds"]["1"]["auc"] = 0.345678

    exports.rewrite_json(finished, DETAILS, change)
    cells = row(text(finished, "1"), "AUC")
    assert (cells[1], cells[3], cells[4]) == ("0.345678", "0.123456", "0.012345 to 0.234567")
    assert row(text(finished), "1", after="Each model alone")[2] == "0.345678"


def test_coverage_groups_and_unseen_parts_follow_their_reports(finished: Path) -> None:
    def change(value: Any) -> None:
        value["test"]["coverage"]["unscored"] = {"no_face": 7001}
        value["held_out"]["coverage"]["trained"] = 7002
        value["unseen_parts"]["parts"] = {"test/part_09": {"auc": 0.7003, "videos": 7004}}

    exports.rewrite_json(finished, DETAILS, change)
    groups = (finished / GROUPS).read_text().splitlines()
    exports.rewrite(finished, GROUPS, "\n".join([groups[0], "test,status,ok,7005,0,7006,0.7007,"]).encode())
    found = text(finished)
    assert row(found, "of these, without a score", after="The test parts:")[1] == "7001 no_face"
    assert row(found, "in the other folds, with a label", after="The held-out fold:")[1] == "7002"
    assert row(found, "test/part_09") == ["test/part_09", "0.7003", "7004"]
    assert row(found, "test", after="by status") == ["test", "status", "ok", "7005", "0", "7006", "0.7007", "–"]


def test_validation_figures_epochs_and_weights_follow_the_selection_and_the_record(finished: Path) -> None:
    def change(value: Any) -> None:
        value["kept"][0] |= {"val_figure": 0.7654321, "epoch": 7001}
        value["rule"] = "lowest of *all*"

    exports.rewrite_json(finished, "models/1/selection.json", change)
    found = text(finished)
    weights = exports.digest(finished / "models/1/weights_1.safetensors")
    assert row(found, "1", after="## Model details") == [
        "1", "test_efficientnet", "64", "7001", "0.765432", "models/1/weights_1.safetensors", weights,
    ]  # fmt: skip
    assert r"lowest of \*all\*" in found


def test_training_data_are_counted_from_the_tables(finished: Path) -> None:
    path = "data/crops/train/part_00.videos.parquet"
    told = pq.read_table(finished / path).to_pylist()
    changed = [told[0] | {"status": "no_face", "items": 0}, told[1] | {"status": "withdrawn", "items": 0}, *told[2:]]
    tables.write(finished / path, changed, tables.VIDEOS)
    exports.rewrite(finished, path, (finished / path).read_bytes())
    line = f"{'0' * 64},{'0' * 32},x.mp4,asked\n"
    (finished / "data/withdrawn.csv").write_text(f"sha256,md5,video,reason\n{line}")
    found = text(finished)
    crops = sum(row["items"] for row in changed)
    assert row(found, "train/part_00", after="## Training data") == ["train/part_00", "4", "2", "2", "2", str(crops)]
    limits = found[found.index("## Limits") :]
    assert "| 1 | no_face | crops |" in limits
    assert "Withdrawn: 1 of them, by 1 lines in data/withdrawn.csv." in limits


def test_what_validated_and_what_trained_is_told_by_fold(finished_workspace: Path) -> None:
    roles = pq.read_table(finished_workspace / "models/1/videos.parquet").to_pylist()
    held = [row for row in roles if row["role"] == "validated"]
    found = text(finished_workspace)
    assert row(found, "1", after="What the trainings did") == [
        "1", str(held[0]["fold"]), "validated", "–",
        str(sum(row["label"] == 0 for row in held)), str(sum(row["label"] == 1 for row in held)),
        str(sum(row["used"] for row in held)), "0",
    ]  # fmt: skip


def test_thresholds_are_those_of_the_records(finished_workspace: Path) -> None:
    found = text(finished_workspace)
    assert row(found, "evaluation.threshold", after="## Thresholds")[1] == "0.5"
    assert row(found, "submission.pooling.high", after="## Thresholds")[1] == "0.8"


def test_a_committed_fresh_workspace_says_how_to_make_it_again(finished_workspace: Path) -> None:
    found = text(finished_workspace)
    head = git(finished_workspace, "rev-parse", "HEAD").strip()
    assert f"Everything is as commit {head} of " in found
    assert f"git checkout {head}\ndvc pull data/raw.dvc\nsnakemake --cores all submission\n" in found


def test_what_is_not_committed_or_stale_is_told(finished: Path) -> None:
    edit_params(finished, {"evaluation.threshold": 0.25})
    found = text(finished)
    assert "These files are not as the commit has them: params.yaml." in found
    assert "made otherwise than the workspace would make them now: evaluation all." in found
    assert "Everything is as commit" not in found
    assert row(found, "evaluation.threshold", after="## Thresholds")[1] == "0.5"


def test_a_hostile_name_and_a_hostile_use_show_as_text(finished: Path) -> None:
    exports.rename_part(finished, "part_00", exports.HOSTILE)
    use = "<script>alert(1)</script> | ![x](http://example.org/x.png) `a` **b**"
    found = text(finished, intended_use=use)
    commonmark = MarkdownIt("commonmark", {"html": True}).enable("table")
    html = commonmark.render(found)
    assert not re.search("<(img|script|a|strong|em)[ >]", html)
    shown = re.sub("<[^>]*>", "\n", html)
    for name in (f"train/{exports.HOSTILE}", use):
        assert name.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;") in shown
    cells = [token for token in commonmark.parse(found) if token.type == "td_open"]
    assert len(cells) == html.count("<td")
    rows = re.findall("<tr>(.*?)</tr>", html[html.index("Training data") :], re.DOTALL)
    assert [line.count("<td") for line in rows[1:4]] == [6, 6, 6]


def test_a_figure_that_was_edited_by_hand_is_refused(finished: Path) -> None:
    place = finished / METRICS
    place.write_text(place.read_text().replace('"auc": ', '"auc": 0.9'))
    with pytest.raises(UserError, match=r"metrics\.json: its bytes are not those that its record tells"):
        text(finished)


def test_an_absent_report_is_told(finished: Path) -> None:
    (finished / DETAILS).unlink()
    with pytest.raises(UserError, match=r"details\.json: not here; run `dvc pull`"):
        text(finished)


def test_a_seed_without_a_model_is_refused(finished_workspace: Path) -> None:
    with pytest.raises(UserError, match="2: expected a seed whose model the evaluation has, one of 1"):
        text(finished_workspace, "2")


def test_two_processes_write_the_same_bytes_by_the_command_line(finished: Path) -> None:
    for seed in ("1", "2"):
        words = ("export", "card", "--intended-use", "None.")
        told = call(finished, sys.executable, "-c", exports.ALONE, *words, PYTHONPATH="src", PYTHONHASHSEED=seed)
        assert told.stdout == "reports/exports/card.md\n"
        assert (finished / "reports/exports/card.md").read_text() == text(finished, intended_use="None.")
    commit(finished, "nothing that a card reads")
    head = git(finished, "rev-parse", "HEAD").strip()
    assert head in text(finished)
