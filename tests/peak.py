"""Run bboxes or crops on a video, every frame of it with one face, and print the peak of its memory in MiB.

A program, so that the memory of what ran before in the test's process does not count. The detector is a stand-in.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np

import fake_faces
import videos
from trueframe import tables, video
from trueframe.params import Bboxes, Crops
from trueframe.stages import bboxes, crops
from trueframe.tools import Tools

THRESHOLDS = [0.5, 0.5, 0.5]
BOX = (20, 20, 140, 100)


def main(stage: str, path: Path) -> None:
    """Peak memory of the stage on the video at `path`, beside which its tables go."""
    folder, frames = path.parent, video.probe(path).frames
    size = {"width_px": 320, "height_px": 240}
    tables.write(folder / "index", [videos.index_row(path.name, frames=frames, **size)], tables.INDEX)
    if stage == "bboxes":
        _stand_in()
        params = Bboxes.model_validate(
            {
                "train": {"every_n_frames": 1, "thresholds": THRESHOLDS},
                "test": {"frames": 8, "thresholds": THRESHOLDS},
                "min_face_px": 20,
                "scales": [{"up_to_px": 300, "scale": 2.0}],
                "scale_above": 1.0,
                "track_overlap": 0.3,
                "track_gap": 2,
            }
        )
        made = bboxes.run(
            unit="train/part_00",
            raw=folder,
            index=folder / "index",
            boxes=folder / "boxes",
            videos=folder / "videos",
            params=params,
            tools=Tools(device="cpu"),
        )
        items = made["boxes"]
    else:
        face = {"video": path.name, "track": 0, "score": 1.0, **dict(zip(("x0", "y0", "x1", "y1"), BOX, strict=True))}
        tables.write(folder / "boxes", [face | {"frame": frame} for frame in range(frames)], tables.BBOXES)
        status = {"video": path.name, "status": "ok", "reason": "", "items": frames}
        tables.write(folder / "videos", [status], tables.VIDEOS)
        made = crops.run(
            unit="train/part_00",
            raw=folder,
            index=folder / "index",
            bboxes=folder / "boxes",
            bboxes_videos=folder / "videos",
            archive=folder / "crops.zip",
            videos=folder / "cropped",
            params=Crops(margin=0.3333, webp_method=0),
            tools=Tools(device="cpu"),
        )
        items = made["archive"]
    assert items == frames
    high = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    print(int(high.split()[1]) / 1024)


def _stand_in() -> None:
    found = SimpleNamespace(boxes=np.array([BOX], np.float32), scores=np.ones(1, np.float32))
    sys.modules["trueframe.faces"] = fake_faces.module(lambda *_: found)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
