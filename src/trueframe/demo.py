"""A small data set in DFDC's layout, drawn from the public-domain portrait that scikit-image ships.

What its scenes and fakes are made of is in scenes.py. Compression is drawn for each video alone, so that neither size
nor bitrate tells the label. The same seed and scale give the same bytes.
"""

from __future__ import annotations

import csv
import filecmp
import json
import string
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby
from pathlib import Path

import av
import numpy as np

from trueframe.errors import UserError
from trueframe.scenes import Image, Scene, Swap

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class DemoScale:
    """How much to write; the defaults are the demo, tests take less."""

    parts: int = 3
    originals: int = 5  # per train part
    fakes: tuple[int, ...] = (2, 1, 2, 3, 1)  # of each original of a part, repeated as needed
    test_videos: int = 16  # each scene twice, real and fake, so that no other trait of it goes with the label
    frames: tuple[int, int] = (40, 56)  # fewest and most frames of a video
    specials: bool = True  # the videos that show how trouble is handled


@dataclass(frozen=True)
class DemoVideo:
    """One video of the plan. `scene` numbers its recording, `swap` its fake (0: none)."""

    folder: str  # below data/raw, such as "train/part_00"
    name: str
    label: int
    scene: int
    swap: int = 0
    original: str | None = None
    role: str = "ordinary"  # or no_face, two_faces, truncated, missing_original

    @property
    def path(self) -> str:
        """Where it lies below data/raw."""
        return f"{self.folder}/{self.name}"


def plan_demo(seed: int = 20, scale: DemoScale | None = None) -> tuple[DemoVideo, ...]:
    """The videos that `write_demo` writes for this seed and scale, in the order of writing."""
    scale = scale or DemoScale()
    names = _names(np.random.default_rng((seed, 1)))
    videos: list[DemoVideo] = []

    def add_scene(folder: str, fakes: int, role: str = "ordinary") -> None:
        scene = videos[-1].scene + 1 if videos else 0
        original = next(names)
        if role != "missing_original":
            videos.append(DemoVideo(folder, original, 0, scene, role=role))
        for swap in range(1, fakes + 1):
            videos.append(DemoVideo(folder, next(names), 1, scene, swap, original, role))

    for part in range(scale.parts):
        for i in range(scale.originals):
            add_scene(f"train/part_{part:02d}", scale.fakes[i % len(scale.fakes)])
    if scale.specials:
        for i, (role, fakes) in enumerate((("no_face", 0), ("two_faces", 1), ("missing_original", 1))):
            add_scene(f"train/part_{i % scale.parts:02d}", fakes, role)
    first = videos[-1].scene + 1
    for i in range(scale.test_videos):
        videos.append(DemoVideo("test/part_00", next(names), i % 2, first + i // 2, i % 2))
    for role in ("no_face", "truncated") if scale.specials else ():
        videos.append(DemoVideo("test/part_00", next(names), 0, videos[-1].scene + 1, role=role))
    return tuple(videos)


def specials(videos: Sequence[DemoVideo]) -> dict[str, tuple[str, ...]]:
    """The paths (below data/raw) of the videos that are not ordinary, by role."""
    roles = sorted({video.role for video in videos} - {"ordinary"})
    return {role: tuple(video.path for video in videos if video.role == role) for role in roles}


def write_demo(
    out: Path, *, seed: int = 20, scale: DemoScale | None = None, progress: Progress | None = None
) -> tuple[DemoVideo, ...]:
    """Write the demo data set below `out` (data/raw) and return its plan.

    `progress(done, total, path)` is called after each video. The parts are drawn in a temporary folder beside
    `out` and renamed into place, so that a part is there in full or not at all. Where the same demo lies already,
    in full or some of its parts, only what is missing is added.

    Raises:
        UserError: `out` holds a file that this demo would not write, or one with other content.
    """
    videos = plan_demo(seed, scale)
    parts = sorted({video.folder for video in videos})
    _refuse_strangers(out, parts)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as folder:
        fresh = Path(folder)
        for part in parts:
            (fresh / part).mkdir(parents=True)
            _write_labels(fresh / part, [video for video in videos if video.folder == part])
        for done, video in enumerate(_write_videos(fresh, seed, scale or DemoScale(), videos), start=1):
            if progress:
                progress(done, len(videos), video.path)
        for part in parts:
            if (out / part).exists():
                _refuse_difference(fresh / part, out / part)
        for part in parts:
            if not (out / part).exists():
                (out / part).parent.mkdir(parents=True, exist_ok=True)
                (fresh / part).rename(out / part)
    return videos


def _names(rng: np.random.Generator) -> Iterator[str]:
    """Ten random letters and .mp4, as DFDC names its files; no name twice."""
    seen: set[str] = set()
    while True:
        name = "".join(rng.choice(list(string.ascii_lowercase), 10)) + ".mp4"
        if name not in seen:
            seen.add(name)
            yield name


def _refuse_strangers(out: Path, parts: Sequence[str]) -> None:
    """Raise UserError where `out` holds more than parts of this demo; hidden files at its top are let be."""
    if out.exists() and not out.is_dir():
        raise UserError(f"{out}: a file: expected a folder for the demo data; choose another place")
    tops = sorted({part.split("/")[0] for part in parts})
    strangers = [path for path in sorted(out.glob("[!.]*")) if path.name not in tops]
    inside = [path for top in tops for path in sorted((out / top).glob("*"))]
    strangers += [path for path in inside if path.relative_to(out).as_posix() not in parts]
    if strangers:
        raise UserError(
            f"{strangers[0]}: not a part of the demo data: expected an empty folder or the same demo in {out}; "
            "move the data away or choose another folder"
        )


def _refuse_difference(fresh: Path, old: Path) -> None:
    """Raise UserError where the folder `old` is not the same, byte for byte, as `fresh`."""
    for path in sorted({path.name for folder in (fresh, old) for path in folder.iterdir()}):
        same = (fresh / path).is_file() and (old / path).is_file()
        if not same or not filecmp.cmp(fresh / path, old / path, shallow=False):
            raise UserError(
                f"{old / path}: differs from the demo data: expected nothing or the same file; "
                "move the data away or choose another folder"
            )


def _write_labels(folder: Path, videos: Sequence[DemoVideo]) -> None:
    """metadata.json for a train part, as DFDC writes it; labels.csv for a test part."""
    videos = sorted(videos, key=lambda video: video.name)
    if folder.parent.name == "test":
        with (folder / "labels.csv").open("w", encoding="utf-8", newline="") as file:
            rows = csv.writer(file, lineterminator="\n")
            rows.writerow(("filename", "label"))
            rows.writerows((video.name, video.label) for video in videos)
        return
    metadata: dict[str, dict[str, str]] = {}
    for video in videos:
        metadata[video.name] = {"label": "FAKE" if video.label else "REAL", "split": "train"}
        if video.original:
            metadata[video.name]["original"] = video.original
    (folder / "metadata.json").write_text(json.dumps(metadata, indent=1) + "\n", encoding="utf-8")


def _write_videos(root: Path, seed: int, scale: DemoScale, videos: Sequence[DemoVideo]) -> Iterator[DemoVideo]:
    """Draw each scene once, write its videos, and yield each when it is written."""
    for number, of_scene in groupby(videos, key=lambda video: video.scene):
        group = tuple(of_scene)
        people = {"no_face": 0, "two_faces": 2}.get(group[0].role, 1)
        scene = Scene(np.random.default_rng((seed, 2, number)), people, scale.frames)
        frames = [scene.draw(t) for t in range(scene.frames)]
        for video in group:
            rng = np.random.default_rng((seed, 3, number, video.swap))
            swap = Swap(rng, scene) if video.swap else None
            shown = [swap(frame, t) for t, frame in enumerate(frames)] if swap else frames
            path = root / video.path
            _encode(path, shown, scene.rate, crf=int(rng.integers(19, 29)))
            if video.role == "truncated":
                path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
            yield video


def _encode(path: Path, frames: Sequence[Image], rate: Fraction, crf: int) -> None:
    """H.264 in mp4, one thread and no times or versions in it, so that the same frames give the same bytes.

    The index stands before the pictures (faststart): a file cut short still opens and breaks where it is cut.
    x264's mbtree reads memory that it did not write: with it, one run in some has other bytes.
    """
    options = {"movflags": "+faststart", "fflags": "+bitexact"}
    with av.open(str(path), "w", format="mp4", options=options) as container:
        stream = container.add_stream("libx264", rate=rate)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.thread_count = 1
        x264 = {"preset": "veryfast", "crf": str(crf), "x264-params": "mbtree=0"}
        stream.options = {**x264, "flags": "+bitexact"}
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
