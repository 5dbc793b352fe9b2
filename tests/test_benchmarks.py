"""The benchmarks' own arithmetic, what they keep, and that the pages show what was measured."""

from __future__ import annotations

import ast
import importlib
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from workspaces import REPO

sys.path.append(str(REPO / "benchmarks"))  # behind this folder, which has a videos.py too
beside, law, pages, profiles, run = map(importlib.import_module, ("beside", "law", "pages", "profiles", "run"))


def test_the_pages_tables_are_those_of_the_results() -> None:
    shown = ""
    for page in pages.PAGES:
        text = page.read_text()
        assert pages.rendered(text, pages.results()) == text, "run `python benchmarks/pages.py`"
        shown += text
    for name in pages.TABLES:
        assert shown.count(f"<!-- {name} -->") == 1


def test_a_section_is_saved_beside_the_others_and_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- comparisons -->\nold\n<!-- end -->\nafter\n")
    monkeypatch.setattr(pages, "RESULTS", tmp_path / "results.json")
    monkeypatch.setattr(pages, "PAGES", (page,))
    run.save("hashing", [beside.Comparison("half a gigabyte", 0.5, 0.75, 1.5, 0.9).values()])
    run.save("decoding", [beside.Comparison("ten frames", 0.0123, 0.02, 1.62).values()])
    run.save("hashing", [beside.Comparison("half a gigabyte", 2, 4, 2, 0.9).values()])
    assert list(json.loads((tmp_path / "results.json").read_text())) == ["decoding", "hashing"]
    assert page.read_text().splitlines() == [
        "before",
        "<!-- comparisons -->",
        "",
        "| subject | what | ours | reference | times faster | promised |",
        "| --- | --- | --- | --- | --- | --- |",
        "| decoding | ten frames | 12.3 ms | 20 ms | 1.62 |  |",
        "| hashing | half a gigabyte | 2 s | 4 s | 2.00 | ≥ 0.9 |",
        "",
        "<!-- end -->",
        "after",
    ]


def test_memory_is_told_by_what_grows() -> None:
    masks = {"video_of_10_s": 173.4, "video_of_100_s": 180, "part_of_20_videos": 170, "part_of_200_videos": 171}
    folds = {"part_of_20_videos": 250, "part_of_200_videos": 252}
    shown = pages.figures({"memory": {"found": {"masks": masks, "folds": folds}}})
    assert [line.split(" | ")[:2] for line in shown.splitlines()[3:] if line] == [
        ["| peak memory of `masks`, 1080p", "173 MB (10 s), 180 MB (100 s)"],
        ["| peak memory of `masks`, short videos", "170 MB (20 videos), 171 MB (200 videos)"],
        ["| peak memory of `folds`, short videos", "250 MB (20 videos), 252 MB (200 videos)"],
    ]


def test_a_table_that_nobody_makes_is_an_error() -> None:
    with pytest.raises(KeyError, match="unheard_of"):
        pages.rendered("<!-- unheard_of -->\n<!-- end -->\n", {})


def test_a_section_runs_in_a_process_of_its_own(tmp_path: Path) -> None:
    ((folder, process),) = run.alone("test_benchmarks.own_process", tmp_path, None)
    assert folder == str(tmp_path)
    assert process != os.getpid()


def own_process(folder: Path, clips: Path | None) -> list[Any]:
    """A section."""
    assert clips is None
    return [(str(folder), os.getpid())]


def test_a_law_finds_the_costs_that_made_the_measurements() -> None:
    amounts = [{"job": 1, "video": videos, "face": faces} for videos, faces in ((1, 7), (2, 0), (3, 5), (8, 1))]
    found = law.fit(("job", "video", "face"), amounts, [0.5 + 2 * row["video"] + 0.01 * row["face"] for row in amounts])
    assert found.costs == pytest.approx({"job": 0.5, "video": 2, "face": 0.01})
    assert (found.r2, found.worst, found.measured) == (pytest.approx(1), pytest.approx(0), 4)
    assert found.of({"job": 2, "video": 10, "face": 100}) == pytest.approx(22)


def test_a_law_s_errors_are_weighed_by_the_root_of_what_was_measured() -> None:
    # the least of (c - 1)² / 1 + (c - 4)² / 4 is at c = (1 + 1) / (1 + 1/4)
    found = law.fit(("job",), [{"job": 1}, {"job": 1}], [1, 4])
    assert found.costs == pytest.approx({"job": 1.6})
    assert found.worst == pytest.approx(0.6)
    assert found.r2 == pytest.approx(1 - (0.36 + 5.76) / 4.5)


def test_nothing_has_a_cost_below_zero() -> None:
    amounts = [{"job": 1, "video": videos} for videos in (1, 2, 3)]
    found = law.fit(("job", "video"), amounts, [3, 2, 1])
    assert found.costs["video"] == 0
    assert found.costs["job"] > 0


def test_dfdc_s_amounts() -> None:
    amounts, rows = law.DFDC.amounts(), law.DFDC.rows()
    assert amounts["index"][law.MEGABYTE] == pytest.approx(471_840)
    assert amounts["bboxes"][law.VIDEO] == 19_154
    assert amounts["bboxes"][law.FACE] == 19_154 * 30
    assert rows["bboxes"][law.FACE] == 119_154 * 30
    assert amounts["crops"][law.DECODED] == pytest.approx(119_154 * 300 * 2.0736)
    assert amounts["masks"][law.CROP] == pytest.approx(100_000 * 30 * 0.128)
    assert law.DFDC.held_out_crops() == 7_149 * 30
    assert law.Training().images() == 24_000_000
    assert law.Training().validated(law.DFDC) == 200 * 7_149 * 15


def test_hours_of_a_gpu_are_told_only_where_a_rate_is_known() -> None:
    scale = {
        "rates": {"score_s": 0.5, "training_images_per_s": 2.0},
        "dfdc": {
            "collection": {"real": 1, "fake": 3, "raw_bytes": 2e9, "parts": 2},
            "stages": {"index": {"core_hours": 0.25, "core_hours_as_real": 0.5, "bytes": 5e6, "bytes_by": "real"}},
            "models": {"images": 720_000, "core_hours": 100, "validated": 5, "validation_core_hours": 1},
            "predictions": {"crops": 7, "networks": 5, "core_hours": 2},
        },
    }
    plain, known = pages.projection(scale), pages.projection(scale, 100)
    assert "| `index` | 0.25 | 0.5 |  | 5 MB | 225 CPU s a video by the law; bytes of real clips |" in plain
    assert f"| `models`, training | 100 |  | {pages.NOT_MEASURED} |" in plain
    assert "| `models`, training | 100 |  | 2 |" in known


def test_a_profile_s_shares_are_of_the_whole() -> None:
    found = profiles.shares(lambda: sorted(sum(range(n)) for n in range(3000)))
    assert sum(found.values()) == pytest.approx(1)
    assert max(found, key=lambda name: found[name]) == "sum"


def test_a_projection_adds_the_jobs_starts_and_goes_at_the_pace_of_real_clips() -> None:
    seconds = {stage: law.Law({law.VIDEO: 3.6}, 1, 0, 4) for stage in law.SECONDS}
    written = {stage: law.Law({law.JOB: 1000}, 1, 0, 4) for stage in law.SECONDS}
    starts = dict.fromkeys(law.SECONDS, 7.2)
    real = {"1080p": {"crops": {"measured_s": 6, "law_s": 4, "bytes": 5e5, "megapixels": 2}}}
    found = law.projected(seconds, written, starts, {"score_s": 0.36, "training_images_per_s": 0.5}, real)
    assert found["stages"]["bboxes"] == {
        "core_hours": pytest.approx(19.154 + 0.1),
        "core_hours_as_real": None,
        "bytes": 50_000,
        "bytes_by": "generated",
    }
    crops = found["stages"]["crops"]
    assert crops["core_hours_as_real"] == pytest.approx(1.5 * 119.154 + 0.1)
    assert crops["bytes"] == pytest.approx(3_574_620 * 0.128 * 250_000)
    assert found["models"]["core_hours"] == pytest.approx(24e6 / 0.5 / 3600)
    assert found["predictions"]["core_hours"] == pytest.approx(214_470 * 5 * 0.36 / 3600)


def test_every_section_is_there() -> None:
    for place in run.SECTIONS.values():
        module, _, function = place.partition(".")
        tree = ast.parse((REPO / f"benchmarks/{module}.py").read_text())
        assert function in [found.name for found in tree.body if isinstance(found, ast.FunctionDef)], place
