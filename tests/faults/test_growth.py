"""What a stage holds at once does not grow with its part: files, processes, frames, images. A table's rows do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import psutil
import pytest

import parts
import videos
from trueframe import archive, images, tables

PROGRAM = Path(__file__).with_name("growing.py")
# The program is not run by pytest, which knows where the tests' modules lie.
_ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, Path(__file__).parents[:2]))}
REAL, FAKE = {"label": "REAL"}, {"label": "FAKE", "original": "0.mp4"}
FAST = {"preset": "ultrafast"}
_NOISE_MIB = 4  # by which two runs may differ: what the allocator keeps


def command(stages: Sequence[str], *folders: Path, workers: int = 1) -> list[str]:
    return [sys.executable, str(PROGRAM), str(workers), ",".join(stages), *map(str, folders)]


def grown(stage: str, small: Path, large: Path, more: int) -> tuple[float, float, float]:
    """By how many bytes for each further item the peak of a stage's memory is higher in a folder that has `more` items
    more than another, and the CPU seconds of the stage in the one and the other.
    """
    # The first goes unheeded: it imports modules and compiles what is compiled once.
    done = subprocess.run(command((stage,), small, small, large), env=_ENVIRONMENT, stdout=subprocess.PIPE, check=True)
    few, many = (json.loads(line) for line in done.stdout.splitlines()[1:])
    found = (many["peak_mib"] - few["peak_mib"]) * 2**20
    told = (f"{one['items'][stage]:,} items {one['peak_mib']:.1f} MiB {one['cpu_s']:.2f} s" for one in (few, many))
    print(f"{stage}: {', '.join(told)}: {found / more:.0f} bytes for each of {more:,} more")
    return (found - _NOISE_MIB * 2**20) / more, few["cpu_s"], many["cpu_s"]


@pytest.mark.parametrize("count", [120, pytest.param(2000, marks=pytest.mark.long)])
def test_files_and_processes_of_a_job_are_few_however_many_its_videos(tmp_path: Path, count: int) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    data = videos.write(tmp_path / "one.mp4", 12, size=(64, 64), options=FAST).read_bytes()
    for number in range(count):
        (raw / f"{number}.mp4").write_bytes(data)
    parts.write_metadata(raw, {f"{number}.mp4": FAKE if number % 2 else REAL for number in range(count)})
    seen = list(watched(command(parts.STAGES, tmp_path, workers=2)))
    processes, files = (max(of) for of in zip(*seen, strict=True))
    print(f"{count} videos, looked at {len(seen)} times: {processes} processes, {files} open files in one of them")
    assert len(tables.read_rows(tmp_path / "index")) == count
    assert len(archive.members(tmp_path / "crops")) == 2 * count
    assert processes == 4  # the job, two workers, and the resource tracker of multiprocessing
    assert files <= 24


def watched(words: list[str]) -> Iterator[tuple[int, int]]:
    """While a program runs, from time to time: its processes, and the most files that one of them has open."""
    with subprocess.Popen(words, env=_ENVIRONMENT, stdout=subprocess.DEVNULL) as job:
        first = psutil.Process(job.pid)
        while job.poll() is None:
            files = []
            for process in (first, *first.children(recursive=True)):
                try:
                    files.append(process.num_fds())
                except psutil.Error:
                    continue  # it has just ended
            if files:
                yield len(files), max(files)
            time.sleep(0.05)
    assert job.returncode == 0


@pytest.mark.parametrize("frames", [5_000, pytest.param(324_000, marks=pytest.mark.long)])
def test_a_video_of_three_hours_takes_ten_times_as_long_as_a_tenth_and_no_more_memory(
    tmp_path: Path, frames: int
) -> None:
    for length in (frames // 10, frames):
        raw = tmp_path / str(length) / "raw"
        raw.mkdir(parents=True)
        videos.write(raw / "0.mp4", length, options=FAST | {"bf": "2"})
        parts.write_metadata(raw, {"0.mp4": REAL})
    for stage in ("index", "bboxes", "crops"):
        folders = tmp_path / str(frames // 10), tmp_path / str(frames)
        growth, short_s, long_s = grown(stage, *folders, frames - frames // 10)
        # Of a frame: its place in the container, as FFmpeg and sparing.py keep it, and of every tenth a face's row.
        assert growth < 400
        assert long_s < 15 * short_s + 1
    assert len(tables.read_rows(tmp_path / str(frames) / "boxes")) == frames // 10


@pytest.mark.parametrize(("count", "side_px"), [(300, 192), pytest.param(10_000, 96, marks=pytest.mark.long)])
def test_ten_thousand_crops_of_a_video_are_never_in_memory_together(tmp_path: Path, count: int, side_px: int) -> None:
    small, large = tmp_path / "small", tmp_path / "large"
    write_crops(small, count // 10, side_px)
    write_crops(large, count, side_px)
    for stage in ("landmarks", "masks", "folds", "predictions"):
        growth, *_ = grown(stage, small, large, 2 * (count - count // 10))
        # Of a crop: its entry in the zip's directory and its row in a table; its image has tens of thousands.
        assert growth < 2500


def write_crops(folder: Path, count: int, side_px: int) -> None:
    """Index and crops of a part: a real video and its fake with so many crops each, a second pair with one each."""
    folder.mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (2, side_px, side_px, 3), np.uint8)
    real, fake = (images.webp(image, 0) for image in noise)
    rows = []
    with archive.Writer(folder / "crops") as writer:
        for original, name, crops in (("0", "1", count), ("2", "3", 1)):
            rows.append(videos.index_row(original, label=0))
            rows.append(videos.index_row(name, label=1, original=original))
            for video, data in ((original, real), (name, fake)):
                for frame in range(crops):
                    writer.add(archive.member_name(video, frame, 0, images.CROP), data)
    tables.write(folder / "index", rows, tables.INDEX)
