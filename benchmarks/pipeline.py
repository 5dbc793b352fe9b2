"""Seconds and memory of what a person starts: the demo, an audit, a stage on long videos. Each in its own process."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import dfdc_workspace
import large_workspace
from beside import ROUNDS
from knowing import child, dry_run

import videos

REPO = Path(__file__).parents[1]
FACE_STAGES = ("index", "bboxes", "crops", "landmarks", "masks")


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
    """Peak memory in MB of each face stage, on a part of a real and a fake video of 10 s and of 100 s of 1080p."""
    del clips  # they are short
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
            words = (sys.executable, "-m", "trueframe", stage, "train/part_00")
            peaks[stage][f"video_of_{seconds}_s"] = child(words, workspace)[1]
    return peaks
