from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trueframe import tables
from trueframe.errors import UserError
from trueframe.params import Pooling, Submission
from trueframe.stages import submission
from trueframe.tools import Tools

POOLING = Pooling(rule="confident", high=0.8, high_share=0.4, high_count=11, low=0.2, low_share=0.9, trim=0.1)
PARAMS = Submission(pooling=POOLING, temperature=1.0, unknown_score=0.5)

Statuses = dict[str, tuple[str, str]]
Scores = dict[str, list[float]]


class Workspace:
    """The inputs of a submission, and what it makes of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.videos: dict[str, Path] = {}
        self.predictions: dict[str, Path] = {}

    def part(self, name: str, statuses: Statuses, seeds: dict[int, Scores]) -> Workspace:
        self.videos[f"test/{name}"] = self.folder / f"{name}.videos.parquet"
        rows = [
            {"video": video, "status": status, "reason": reason, "items": 0}
            for video, (status, reason) in sorted(statuses.items())
        ]
        tables.write(self.videos[f"test/{name}"], rows, tables.VIDEOS)
        for seed, scores in seeds.items():
            path = self.predictions[f"{seed}/test/{name}"] = self.folder / f"{seed}_{name}.parquet"
            crops = [
                {"video": video, "frame": frame, "track": frame % 2, "epoch": 3, "score": score, "held_out": True}
                for video, found in sorted(scores.items())
                for frame, score in enumerate(found)
            ]
            tables.write(path, crops, tables.PREDICTIONS)
        return self

    def run(self, params: Submission = PARAMS) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
        outputs = {"table": self.folder / "submission.csv", "detail": self.folder / "detail.csv"}
        counts = submission.run(
            unit="all", videos=self.videos, predictions=self.predictions, params=params, tools=Tools(), **outputs
        )
        table, detail = (read(path) for path in outputs.values())
        assert counts == {"table": len(table), "detail": len(detail)}
        return table, detail


def read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path)


OK = (tables.OK, "")


def test_a_score_is_the_mean_over_models_and_its_detail_tells_how_it_came_about(workspace: Workspace) -> None:
    statuses = {"b.mp4": OK, "a.mp4": OK}
    one = {"b.mp4": [0.875] * 14, "a.mp4": [0.25, 0.5]}
    two = {"b.mp4": [0.125] * 14, "a.mp4": [1.0, 0.75]}
    table, detail = workspace.part("p", statuses, {777: two, 111: one}).run()
    assert table == [{"filename": "a.mp4", "label": "0.625"}, {"filename": "b.mp4", "label": "0.5"}]
    assert detail[1] == {
        "filename": "b.mp4",
        "part": "p",
        "score": "0.5",
        "reason": "ensemble of 2 models over 14 crops",
        "status": "ok",
        "crops": "14",
        "tracks": "2",
        "score_111": "0.875",
        "pooling_111": "high",
        "score_777": "0.125",
        "pooling_777": "low",
    }
    assert detail[0]["pooling_111"] == detail[0]["pooling_777"] == "mean"


def test_the_files_are_these_bytes(workspace: Workspace) -> None:
    workspace.part("p", {"a.mp4": OK, "n.mp4": (tables.NO_FACE, "no face in 8 frames")}, {1: {"a.mp4": [0.375]}}).run()
    assert (workspace.folder / "submission.csv").read_bytes() == b"filename,label\na.mp4,0.375\nn.mp4,0.5\n"
    assert (workspace.folder / "detail.csv").read_bytes() == (
        b"filename,part,score,reason,status,crops,tracks,score_1,pooling_1\n"
        b"a.mp4,p,0.375,1 model over 1 crop,ok,1,1,0.375,mean\n"
        b"n.mp4,p,0.5,no_face: no face in 8 frames; unknown_score 0.5,no_face,0,0,,\n"
    )


def test_a_temperature_changes_the_ensembles_score_and_neither_the_models_nor_an_unknown_one(
    workspace: Workspace,
) -> None:
    params = PARAMS.model_copy(update={"temperature": 2.0, "unknown_score": 0.875})
    statuses = {"a.mp4": OK, "n.mp4": (tables.NO_FACE, "none")}
    table, detail = workspace.part("p", statuses, {1: {"a.mp4": [0.875]}, 2: {"a.mp4": [0.925]}}).run(params)
    # The models' mean is 0.9, of odds 9; a score of odds 3 is 0.75.
    assert float(table[0]["label"]) == pytest.approx(0.75, abs=1e-6)
    assert detail[0]["score_1"] == "0.875"
    assert table[1] == {"filename": "n.mp4", "label": "0.875"}


@pytest.mark.parametrize("status", [tables.NO_FACE, tables.DECODE_ERROR, tables.TOO_FEW_FRAMES])
def test_a_video_that_no_model_could_score_gets_unknown_score_and_its_reason(workspace: Workspace, status: str) -> None:
    params = PARAMS.model_copy(update={"unknown_score": 0.25})
    table, detail = workspace.part("p", {"a.mp4": (status, "the reason")}, {1: {}, 2: {}}).run(params)
    assert table == [{"filename": "a.mp4", "label": "0.25"}]
    assert detail[0]["reason"] == f"{status}: the reason; unknown_score 0.25"
    assert (detail[0]["crops"], detail[0]["score_1"], detail[0]["pooling_2"]) == ("0", "", "")


def test_a_scored_video_with_some_trouble_tells_both(workspace: Workspace) -> None:
    _, detail = workspace.part("p", {"a.mp4": (tables.TRUNCATED, "5 of 9 frames")}, {1: {"a.mp4": [0.5, 0.5]}}).run()
    assert detail[0]["reason"] == "1 model over 2 crops; truncated: 5 of 9 frames"


@pytest.mark.parametrize("status", [tables.NOT_A_VIDEO, tables.MISSING_FILE, tables.WITHDRAWN])
def test_what_is_no_video_file_or_withdrawn_is_in_the_detail_alone(workspace: Workspace, status: str) -> None:
    table, detail = workspace.part("p", {"a.mp4": OK, "notes.txt": (status, "why")}, {1: {"a.mp4": [0.5]}}).run()
    assert [row["filename"] for row in table] == ["a.mp4"]
    assert (detail[1]["score"], detail[1]["reason"]) == ("", f"{status}: why; not in the submission")


def test_videos_of_all_parts_are_in_the_order_of_their_names(workspace: Workspace) -> None:
    workspace.part("p", {"b.mp4": OK, "d.mp4": OK}, {1: {"b.mp4": [0.5], "d.mp4": [0.5]}})
    table, detail = workspace.part("q", {"a.mp4": OK, "c.mp4": OK}, {1: {"a.mp4": [0.5], "c.mp4": [0.5]}}).run()
    assert [row["filename"] for row in table] == ["a.mp4", "b.mp4", "c.mp4", "d.mp4"]
    assert [row["part"] for row in detail] == ["q", "p", "q", "p"]


def test_one_filename_in_two_parts_is_refused_by_both_paths(workspace: Workspace) -> None:
    workspace.part("p", {"a.mp4": OK}, {1: {"a.mp4": [0.5]}}).part("q", {"a.mp4": (tables.NO_FACE, "none")}, {1: {}})
    with pytest.raises(UserError, match=r"data/raw/test/q/a\.mp4: .* data/raw/test/p too; rename or remove"):
        workspace.run()


def test_two_parts_may_each_have_a_readme(workspace: Workspace) -> None:
    for part in "pq":
        workspace.part(part, {"README.txt": (tables.NOT_A_VIDEO, "text")}, {1: {}})
    table, detail = workspace.run()
    assert table == []
    assert [row["part"] for row in detail] == ["p", "q"]


def test_no_test_part_is_an_error_that_names_the_folder(workspace: Workspace) -> None:
    with pytest.raises(UserError, match=r"data/raw/test: no test part"):
        workspace.run()


def test_predictions_of_a_video_that_the_part_does_not_know_are_a_bug(workspace: Workspace) -> None:
    with pytest.raises(ValueError, match=r"b\.mp4"):
        workspace.part("p", {"a.mp4": OK}, {1: {"b.mp4": [0.5]}}).run()


def test_a_second_run_writes_the_same_bytes_whatever_the_order_of_seeds_and_parts(workspace: Workspace) -> None:
    scores: dict[int, Scores] = {9: {"a.mp4": [0.1, 0.7]}, 111: {"a.mp4": [0.3, 0.9]}}
    workspace.part("p", {"a.mp4": OK}, scores).part("q", {"b.mp4": OK}, {seed: {"b.mp4": [0.3]} for seed in scores})
    workspace.run()
    before = [(workspace.folder / name).read_bytes() for name in ("submission.csv", "detail.csv")]
    workspace.videos = dict(reversed(workspace.videos.items()))
    workspace.predictions = dict(reversed(workspace.predictions.items()))
    workspace.run()
    assert before == [(workspace.folder / name).read_bytes() for name in ("submission.csv", "detail.csv")]


NAME = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/\0"), min_size=1, max_size=12)


@given(names=st.sets(NAME, min_size=1, max_size=4), score=st.floats(0, 1, width=32))
def test_any_name_and_any_score_reads_back_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, names: set[str], score: float
) -> None:
    workspace = Workspace(tmp_path_factory.mktemp("odd"))
    seeds: dict[int, Any] = {1: {name: [score] for name in names}}
    table, detail = workspace.part("p", dict.fromkeys(names, OK), seeds).run()
    assert [(row["filename"], float(row["label"])) for row in table] == [(name, score) for name in sorted(names)]
    assert [row["filename"] for row in detail] == sorted(names)
