"""Frames of a video, decoded sparingly, beside OpenCV's grab/retrieve loop; pixels are checked before timing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np
import reference
from beside import Comparison, compare

import videos
from trueframe import video

EVERY = 10
FRAMES = 300
LONG = 30  # times a clip of 10 s
FEW = 32
PROMISED = 1.6
NOISE = 3  # about a phone's by lamplight; without any, most of a generated picture is never coded again


def measure(folder: Path, clips: Path | None) -> list[Comparison]:
    """Every tenth frame of 10 s of 1080p, ours and each real clip's; 32 frames of 5 minutes of 360p.

    Promised for the generated clip alone, written as most tools write (x264, preset medium): how much can be spared is
    up to the encoder.
    """
    clip, small, long = (folder / f"decoding_{name}.mp4" for name in ("1080p", "360p", "long"))
    videos.write(clip, FRAMES, 1920, 1080, preset="medium", noise=NOISE)
    videos.write(small, FRAMES, 640, 360, preset="medium", noise=NOISE)
    repeat(small, long, LONG)
    found = [_beside(f"every {EVERY}th frame of 10 s of 1080p", clip, range(0, FRAMES, EVERY), PROMISED)]
    for real in sorted(clips.rglob("*.mp4")) if clips else ():
        seen = video.probe(real)
        if {seen.width_px, seen.height_px} == {1920, 1080}:
            name = f"every {EVERY}th frame of a real 1080p clip, {real.name}"
            found.append(_beside(name, real, range(0, seen.frames, EVERY)))
    few = np.linspace(0, LONG * FRAMES - 1, FEW).astype(int).tolist()
    found.append(_beside(f"{FEW} frames of {LONG * 10 // 60} minutes of 360p", long, few))
    return found


def repeat(path: Path, target: Path, times: int) -> None:
    """The same packets again and again, in one longer video."""
    with av.open(str(path)) as container, av.open(str(target), "w") as output:
        source = container.streams.video[0]
        stream = output.add_stream_from_template(source)
        assert source.duration is not None
        for turn in range(times):
            container.seek(0)
            for packet in container.demux(source):
                if packet.dts is not None and packet.pts is not None:
                    packet.dts += turn * source.duration
                    packet.pts += turn * source.duration
                    packet.stream = stream
                    output.mux(packet)


def _beside(what: str, path: Path, wanted: Sequence[int], at_least: float | None = None) -> Comparison:
    both = zip(video.frames(path, wanted), reference.by_pyav(path, wanted), strict=True)
    for (number, image), (expected_number, expected) in both:
        assert number == expected_number
        np.testing.assert_array_equal(image, expected)
    assert reference.by_opencv(path, wanted) == len(wanted)
    return compare(
        what,
        lambda: sum(1 for _ in video.frames(path, wanted)),
        lambda: reference.by_opencv(path, wanted),
        at_least,
    )
