"""Inside a job: how well a stage's workers share the machine's cores, their start included.

`python benchmarks/jobs.py` prints the figures.
"""

from __future__ import annotations

import os
import tempfile
from functools import partial
from pathlib import Path

from beside import Comparison, compare

import videos
from trueframe import params
from trueframe.stages import bboxes, index
from trueframe.tools import Tools

REPO = Path(__file__).parents[1]
_FRAMES = 300
_VIDEOS = 64  # a sixth of those that are searched in a part of DFDC
_EFFICIENCY = 0.85  # promised


def measure(folder: Path, clips: Path | None) -> list[Comparison]:
    """`bboxes` with a worker for each core beside a single one, on videos of 10 s of 1080p."""
    settings = params.load(REPO / "presets/dfdc.yaml")
    part = folder / "jobs"
    part.mkdir()
    videos.write(part / "00.mp4", _FRAMES, 1920, 1080)
    for number in range(1, _VIDEOS):
        os.link(part / "00.mp4", part / f"{number:02d}.mp4")
    index.run(unit="test/jobs", raw=part, table=folder / "jobs_index", params=settings.index, tools=Tools())
    cores = os.cpu_count() or 1

    def search(workers: int) -> None:
        bboxes.run(
            unit="train/jobs",
            raw=part,
            index=folder / "jobs_index",
            boxes=folder / "jobs_boxes",
            videos=folder / "jobs_videos",
            params=settings.bboxes,
            tools=Tools(workers, device="cpu"),
        )

    what = f"bboxes of {_VIDEOS} videos of 10 s of 1080p, {cores} workers beside one"
    return [compare(what, partial(search, cores), partial(search, 1), _EFFICIENCY * cores)]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        for row in measure(Path(temporary), None):
            print(f"{row.times_faster:.2f} {row.what} (promised {row.at_least})")
