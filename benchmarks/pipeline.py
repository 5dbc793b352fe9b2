"""Seconds and memory of what a person starts: the demo, an audit, a stage on long videos. Each in its own process."""

from __future__ import annotations

import json
import os
import statistics
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import dfdc_workspace
import large_workspace
import yaml
from beside import ROUNDS
from knowing import child, dry_run

import videos
from trueframe.dag import STAGES
from trueframe.workspace import Workspace

REPO = Path(__file__).parents[1]
FACE_STAGES = ("index", "bboxes", "crops", "landmarks", "masks")
VIDEOS = 20  # of the smaller part


def demo(folder: Path, clips: Path | None) -> dict[str, Any]:
    """`make demo` in a fresh clone, set-up included, and the set-up alone; what its ensemble reached; audits."""
    del clips  # the demo makes its own videos
    clone = folder / "demo"
    subprocess.run(("git", "clone", "--quiet", str(REPO), str(clone)), check=True)
    plain = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    start = time.perf_counter()
    subprocess.run(("make", ".venv/ready"), cwd=clone, env=plain, check=True, stdout=subprocess.DEVNULL)
    ready = time.perf_counter()
    subprocess.run(("make", "demo"), cwd=clone, env=plain, check=True, stdout=subprocess.DEVNULL)
    end = time.perf_counter()
    metrics = json.loads((clone / "reports/evaluation/metrics.json").read_text())
    figures = {f"test_{name}": metrics["test"][name] for name in ("auc", "log_loss", "videos")}
    times = {"set_up_s": ready - start, "all_s": end - start}
    return times | figures | {"dry_run": dry_run(clone), "audits": questions(clone)}


def audits(folder: Path, clips: Path | None) -> dict[str, Any]:
    """The same questions to a workspace of DFDC's size, made up."""
    del clips
    workspace = folder / "dfdc"
    dfdc_workspace.make(workspace)
    size = {"parts": dfdc_workspace.PARTS, "videos": dfdc_workspace.PARTS * dfdc_workspace.VIDEOS}
    return size | {"audits": questions(workspace)}


def questions(workspace: Path) -> dict[str, dict[str, float]]:
    """Each question of an audit, as a person asks it: median seconds and the most memory in MB."""
    video = next(path for path in sorted((workspace / "data/raw/train").glob("*/*.mp4")))
    seeds = sorted((path.name for path in (workspace / "models").iterdir()), key=int)
    asked = {
        "audit of the submission": ("audit", "submission"),
        "audit of a model, with every video": ("audit", f"models/{seeds[0]}", "--videos"),
        "audit of a video": ("audit", "--video", f"{video.parent.parent.name}/{video.parent.name}/{video.name}"),
        "diff of two models": ("diff", seeds[0], seeds[1]),
        "audit --html": ("audit", "--html", str(workspace.parent / "page.html")),
    }
    found = {}
    for name, words in asked.items():
        taken = [child((sys.executable, "-m", "trueframe", *words), workspace) for _ in range(ROUNDS)]
        found[name] = {"seconds": statistics.median(s for s, _ in taken), "memory_mb": max(m for _, m in taken)}
    return found


def memory(folder: Path, clips: Path | None) -> dict[str, dict[str, float]]:
    """Peak memory in MB of each stage, on parts that grow tenfold: by their videos' length, and by their number."""
    del clips  # they are short
    longer, larger = longer_videos(folder), more_videos(folder, VIDEOS)
    return {stage: longer.get(stage, {}) | peaks for stage, peaks in larger.items()}


def longer_videos(folder: Path) -> dict[str, dict[str, float]]:
    """Of each face stage, on a part of a real and a fake video of 10 s and of 100 s of 1080p."""
    peaks: dict[str, dict[str, float]] = {stage: {} for stage in FACE_STAGES}
    for seconds in (10, 100):
        workspace = folder / f"memory_{seconds}"
        large_workspace.copy_project(workspace)
        part = workspace / "data/raw/train/part_00"
        part.mkdir(parents=True)
        videos.write(part / "real.mp4", seconds * 30, 1920, 1080)
        videos.write(part / "fake.mp4", seconds * 30, 1920, 1080, blurred=True)
        labels = {"real.mp4": {"label": "REAL"}, "fake.mp4": {"label": "FAKE", "original": "real.mp4"}}
        (part / "metadata.json").write_text(json.dumps(labels))
        for stage in FACE_STAGES:
            peaks[stage][f"video_of_{seconds}_s"] = stage_mb(workspace, stage, "train/part_00")
    return peaks


def more_videos(folder: Path, count: int) -> dict[str, dict[str, float]]:
    """Of every stage, on a train and a test part of `count` short videos and of ten times as many; one short training.

    Of a stage's units the largest counts.
    """
    peaks: dict[str, dict[str, float]] = {stage: {} for stage in STAGES}
    for videos_of_part in (count, 10 * count):
        workspace = folder / f"memory_{videos_of_part}_videos"
        large_workspace.copy_project(workspace)
        params = yaml.safe_load((workspace / "params.yaml").read_text())
        params["folds"] |= {"method": "original", "count": 2}
        params["models"] |= {"seeds": [111], "epochs": 1}
        (workspace / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
        for kind in ("train", "test"):
            short_videos(workspace / f"data/raw/{kind}/part_00", videos_of_part)
        layout = Workspace(workspace).layout
        for stage, of_stage in peaks.items():
            of_units = [stage_mb(workspace, stage, unit) for unit in layout.units(stage)]
            of_stage[f"part_of_{videos_of_part}_videos"] = max(of_units)
    return peaks


def short_videos(part: Path, count: int) -> None:
    """A part of so many videos of a second, real ones and a fake of each, all with other bytes, and their labels."""
    part.mkdir(parents=True)
    labels: dict[str, dict[str, str]] = {}
    for kind in ("real", "fake"):
        film = part / "film.mp4"
        videos.write(film, 30, 320, 240, blurred=kind == "fake")
        for number in range(count // 2):
            # An empty box with a number behind the film (ISO 14496-12, 8.1.2), which no reader minds.
            box = struct.pack(">I4sI", 12, b"free", number)
            (part / f"{kind}_{number}.mp4").write_bytes(film.read_bytes() + box)
            labels[f"{kind}_{number}.mp4"] = {"label": kind.upper(), "original": f"real_{number}.mp4"}
        film.unlink()
    (part / "metadata.json").write_text(json.dumps(labels))
    rows = (f"{name},{int(entry['label'] == 'FAKE')}\n" for name, entry in labels.items())
    (part / "labels.csv").write_text("filename,label\n" + "".join(rows))


def stage_mb(workspace: Path, stage: str, unit: str) -> float:
    """The most memory in MB that a unit's job had."""
    return child((sys.executable, "-m", "trueframe", stage, unit), workspace)[1]
