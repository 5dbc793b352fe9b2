"""Measures what the project promises, in one command (`make bench`), for results.json and the table in README.md.

Each timing stands beside something that ran with it: these figures mean little on a noisy machine, their ratios more.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import dfdc_workspace
import large_workspace
import training
from knowing import child, dry_run

import videos
from trueframe import video

HERE = Path(__file__).parent
REPO = HERE.parent
ROUNDS = 5
# timm's name, pixels, crops in a batch, batches
NETWORKS = (("efficientnet_b0", 224, 8, 8), ("tf_efficientnet_b7.ns_jft_in1k", 380, 2, 4))
FACE_STAGES = ("index", "bboxes", "crops", "landmarks", "masks")


def alternating(first: Callable[[], object], second: Callable[[], object]) -> dict[str, float]:
    """Median seconds of both, run in turn, and the ratio of the first's to the second's."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for _ in range(ROUNDS):
        for action, taken in zip((first, second), seconds, strict=True):
            start = time.perf_counter()
            action()
            taken.append(time.perf_counter() - start)
    ours, theirs = (statistics.median(taken) for taken in seconds)
    ratios = [a / b for a, b in zip(*seconds, strict=True)]
    return {"ours_s": ours, "reference_s": theirs, "ratio": statistics.median(ratios)}


def with_opencv(path: Path, every: int) -> int:
    """The plain way: grab every frame, retrieve the wanted ones."""
    cv2.setNumThreads(1)
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
    number = found = 0
    while capture.grab():
        if number % every == 0:
            found += capture.retrieve()[0]
        number += 1
    capture.release()
    return found


def decoding(folder: Path) -> dict[str, Any]:
    """Every tenth frame of 10 s of 1080p, ours beside OpenCV's."""
    path = folder / "decoding.mp4"
    videos.write(path, 300, 1920, 1080)
    wanted = range(0, 300, 10)
    assert sum(1 for _ in video.frames(path, wanted)) == with_opencv(path, 10) == len(wanted)
    return alternating(lambda: [None for _ in video.frames(path, wanted)], lambda: with_opencv(path, 10))


def audits(workspace: Path) -> dict[str, dict[str, float]]:
    """Each question of an audit, as a person asks it: median seconds and the most memory in MB."""
    video = next(path for path in sorted((workspace / "data/raw/train").glob("*/*.mp4")))
    seeds = sorted((path.name for path in (workspace / "models").iterdir()), key=int)
    questions = {
        "audit of the submission": ("audit", "submission"),
        "audit of a model, with every video": ("audit", f"models/{seeds[0]}", "--videos"),
        "audit of a video": ("audit", "--video", f"{video.parent.parent.name}/{video.parent.name}/{video.name}"),
        "diff of two models": ("diff", seeds[0], seeds[1]),
        "audit --html": ("audit", "--html", str(workspace.parent / "page.html")),
    }
    found = {}
    for name, words in questions.items():
        taken = [child((sys.executable, "-m", "trueframe", *words), workspace) for _ in range(ROUNDS)]
        found[name] = {"seconds": statistics.median(s for s, _ in taken), "memory_mb": max(m for _, m in taken)}
    return found


def memory(folder: Path) -> dict[str, dict[str, float]]:
    """Peak memory in MB of each face stage, on a part of a real and a fake video of 10 s and of 100 s of 1080p."""
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


def demo(folder: Path) -> dict[str, float]:
    """`make demo` in a fresh clone, set-up included, beside the set-up alone; and what its ensemble reached."""
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
    return {"set_up_s": ready - start, "all_s": end - start} | figures


def main() -> None:
    """Measure, and write down."""
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss > 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        results: dict[str, Any] = {"machine": machine()}
        results["demo"] = demo(folder)
        results["dry_run_demo"] = dry_run(folder / "demo")
        results["audits_demo"] = audits(folder / "demo")
        dfdc_workspace.make(folder / "dfdc")
        results["audits_dfdc"] = audits(folder / "dfdc")
        large_workspace.make(folder / "large", 500)
        results["dry_run_500_parts"] = dry_run(folder / "large")
        results["decoding"] = decoding(folder)
        results["memory_mb"] = memory(folder)
        results["loading"] = training.loading(folder)
        results["training"] = [training.throughput(folder, *network) for network in NETWORKS]
    (HERE / "results.json").write_text(json.dumps(results, indent=2) + "\n")
    readme = (HERE / "README.md").read_text().partition("<!-- results -->")[0]
    (HERE / "README.md").write_text(f"{readme}<!-- results -->\n{table(results)}")


def machine() -> str:
    """What these figures were measured on."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "?")
    return f"{os.cpu_count()} cores of {model}, {platform.system()}, Python {platform.python_version()}"


def table(results: dict[str, Any]) -> str:
    """The figures as a Markdown table."""
    demo_run, decode = results["demo"], results["decoding"]
    rows = [
        ("`make demo` from a fresh clone, set-up included", f"{demo_run['all_s']:.0f} s", "≤ 360 s"),
        ("… of that, set-up", f"{demo_run['set_up_s']:.0f} s", ""),
        (f"… its ensemble's AUC on {demo_run['test_videos']} test videos", f"{demo_run['test_auc']:.3f}", "≥ 0.8"),
    ]
    for name, key, limit in (("the demo", "dry_run_demo", "≤ 3 s"), ("500 parts", "dry_run_500_parts", "≤ 30 s, 1 GB")):
        figures = results[key]
        told = (
            f"{figures['ours_s']:.1f} s, {figures['memory_mb']:.0f} MB (bare Snakemake {figures['reference_s']:.1f} s)"
        )
        rows.append((f"`snakemake -n submission` with nothing to do, {name}", told, limit))
    size = f"{dfdc_workspace.PARTS} parts, {dfdc_workspace.PARTS * dfdc_workspace.VIDEOS:,} videos"
    for name, key, limit in (("the demo", "audits_demo", "≤ 2 s"), (size, "audits_dfdc", "≤ 10 s")):
        for question, found in results[key].items():
            told = f"{found['seconds']:.1f} s, {found['memory_mb']:.0f} MB"
            rows.append((f"{question}, {name}", told, limit))
    rows.append(("every tenth frame of 1080p, beside OpenCV's grab/retrieve", f"{decode['ratio']:.2f} of its time", ""))
    for stage, peaks in results["memory_mb"].items():
        told = ", ".join(
            f"{peak:.0f} MB ({name.removeprefix('video_of_').replace('_', ' ')})" for name, peak in peaks.items()
        )
        rows.append((f"peak memory of `{stage}`, 1080p", told, "≤ 1500 MB"))
    crop = results["loading"]
    told = f"{crop['bytes'] / 1000:.0f} kB, {crop['read_ms']:.1f} ms to read, {crop['change_ms']:.1f} ms to change"
    rows.append(("a crop of 400 × 320 pixels, by the winner's augmentations", told, ""))
    for found in results["training"]:
        told = (
            f"{found['ratio']:.2f} of its images/s ({found['images_per_s']:.2g}), {found['waiting']:.1%} of it waiting"
        )
        rows.append((f"training {found['what']}, beside bare forward and backward passes", told, "≥ 0.95"))
    lines = [f"On {results['machine']}:", "", "| what | measured | promised |", "|---|---|---|"]
    return "\n".join(lines + [f"| {' | '.join(row)} |" for row in rows]) + "\n"


if __name__ == "__main__":
    if shutil.which("snakemake") is None:
        sys.exit("snakemake is not on the PATH; run `make bench`")
    main()
