"""The whole face chain of a real video and its fake, 10 s of 1080p each, one core: beside stock libraries.

`python benchmarks/face_chain.py` prints the figures.
"""

from __future__ import annotations

import statistics
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import reference_faces as reference
from beside import Comparison, compare

import videos
from trueframe import archive, images, params, video
from trueframe.claims import METADATA
from trueframe.stages import bboxes, crops, index, landmarks, masks
from trueframe.tools import Tools

REPO = Path(__file__).parents[1]
FRAMES = 300
UNIT = "train/part_00"
_METADATA = '{"real.mp4": {"label": "REAL"}, "fake.mp4": {"label": "FAKE", "original": "real.mp4"}}'
_PORTRAIT = 0.875  # of the frame's height: crops as DFDC's are, of some 400 × 320 pixels
_PLAIN, _WINNER = 2.5, 10.0  # promised


def measure(folder: Path, clips: Path | None) -> list[Comparison]:
    """Ours beside the same steps with stock libraries, and beside the winner's way, who searched every frame."""
    settings = params.load(REPO / "presets/dfdc.yaml")
    part = folder / "chain"
    part.mkdir()
    (part / METADATA).write_text(_METADATA)
    for name in ("real.mp4", "fake.mp4"):
        videos.write(
            part / name, FRAMES, 1920, 1080, blurred=name == "fake.mp4", preset="medium", noise=3, portrait=_PORTRAIT
        )
    index.run(unit=UNIT, raw=part, table=folder / "index", params=settings.index, tools=Tools())
    ours = partial(chain, part, folder, settings)
    every = settings.bboxes.train.every_n_frames
    common: dict[str, Any] = {
        "every": every,
        "scale": bboxes.scale_of(1920, settings.bboxes),
        "thresholds": (tuple(settings.bboxes.train.thresholds), tuple(settings.landmarks.thresholds)),
        "margin": settings.crops.margin,
        "window_px": settings.masks.window_px,
    }
    plain = partial(reference.chain, part / "real.mp4", part / "fake.mp4", detect_every=every, **common)
    # The winner halved every frame, whatever its size.
    winner = partial(reference.chain, part / "real.mp4", part / "fake.mp4", detect_every=1, **common | {"scale": 0.5})
    assert ours() == plain() > 0
    height, width = crop_size(folder / "crops.zip")
    what = f"boxes, crops ({height} × {width}), landmarks and masks of a real video and its fake, 10 s of 1080p each"
    wanted = range(0, FRAMES, every)
    read = [part / name for name in ("real.mp4", "real.mp4", "fake.mp4")]  # for boxes, for crops of each
    return [
        compare(f"{what}: beside stock libraries", ours, plain, _PLAIN),
        compare(
            "of that, decoding alone: the real video twice, its fake once",
            lambda: [sum(1 for _ in video.frames(path, wanted)) for path in read],
            lambda: [len(reference.frames(path, every)) for path in read],
        ),
        compare(f"{what}: beside the winner's way, every frame searched", ours, winner, _WINNER),
    ]


def chain(part: Path, folder: Path, settings: params.Params) -> int:
    """The stages from the boxes to the masks, in this process; returns how many masks there are."""
    tools = Tools(device="cpu")
    table, boxes, seen = folder / "index", folder / "boxes", folder / "seen"
    archive, videos_table = folder / "crops.zip", folder / "videos"
    bboxes.run(unit=UNIT, raw=part, index=table, boxes=boxes, videos=seen, params=settings.bboxes, tools=tools)
    crops.run(
        unit=UNIT,
        raw=part,
        index=table,
        bboxes=boxes,
        bboxes_videos=seen,
        archive=archive,
        videos=videos_table,
        params=settings.crops,
        tools=tools,
    )
    points = folder / "points"
    landmarks.run(unit=UNIT, index=table, crops=archive, points=points, params=settings.landmarks, tools=tools)
    made = masks.run(
        unit=UNIT,
        index=table,
        crops=archive,
        archive=folder / "masks.zip",
        table=folder / "changes",
        params=settings.masks,
        tools=tools,
    )
    return made["archive"]


def crop_size(path: Path) -> tuple[int, int]:
    """The median height and width in pixels of an archive's crops."""
    with archive.Reader(path) as reader:
        shapes = [images.decoded(reader.read(member.offset, member.size)).shape for member in archive.members(path)]
    height, width = (round(statistics.median(shape[axis] for shape in shapes)) for axis in (0, 1))
    return height, width


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        for row in measure(Path(temporary), None):
            print(f"{row.times_faster:.2f} {row.what} (ours {row.ours_s:.1f} s, promised {row.at_least})")
