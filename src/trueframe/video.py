"""Reading videos with PyAV, one frame in memory at a time.

PyAV rather than OpenCV: it says why a file can't be decoded, and its decoder can leave out frames that nobody wants.
For H.264 that takes less time with the same pixels (sparing.py; how much less than OpenCV's grab/retrieve loop, by
`make bench`: every tenth frame of a clip as x264 writes by default came 1.7 times as fast, of four real 1080p clips 1.4
to 1.5 times). Every other codec is decoded frame by frame, about as fast as by OpenCV.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import av
import numpy as np

from trueframe import sparing
from trueframe.errors import UserError

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream
    from numpy.typing import NDArray

EXTENSIONS = (".avi", ".m4v", ".mkv", ".mov", ".mp4", ".webm")


class DecodeError(Exception):
    """A video that can't be opened or breaks off; the message is the reason in a status row."""


def inside(folder: Path, name: str) -> Path:
    """A video of a part by its name. Raises UserError for a name that leads elsewhere: a table may be from anywhere."""
    if name in ("", ".", "..") or "/" in name or "\0" in name:
        raise UserError(
            f"{folder}: a table names the video {name!r} there, expected a file's name; remove that part's tables in "
            "data/index and data/bboxes and run snakemake, which makes them anew, or fetch them with `dvc pull`"
        )
    return folder / name


@dataclass(frozen=True)
class Probe:
    """What a video's container holds: frames are the ones really there, `declared` what it says (0: says nothing).

    Frames that an edit list hides, as after a cut without encoding, are in neither.
    """

    codec: str
    width_px: int
    height_px: int
    fps: float
    frames: int
    declared: int


def probe(path: Path) -> Probe:
    """Look into a video without decoding it, but for the first frame, whose rotation and size are a viewer's.

    Raises DecodeError with the reason when it can't be opened, has no video stream or not one frame that decodes.
    """
    with _Opened(path) as (container, stream):
        first: VideoFrame | None = None
        frames = hidden = 0
        try:
            for packet in container.demux(stream):
                if first is None:
                    first = next(iter(packet.decode()), None)
                if packet.size and not packet.is_corrupt:
                    frames += not packet.is_discard
                    hidden += packet.is_discard
        except av.error.FFmpegError as error:
            raise DecodeError(_reason(error)) from error
        if first is None:
            raise DecodeError("no frame can be decoded")
        height_px, width_px = _upright(first).shape[:2]
        return Probe(
            codec=stream.codec_context.name,
            width_px=width_px,
            height_px=height_px,
            fps=float(stream.average_rate or 0),
            frames=frames,
            declared=max(stream.frames - hidden, 0),
        )


def frames(path: Path, wanted: Sequence[int]) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """The wanted frames of a video, in order: (number from 0, RGB image as uint8 of shape (height, width, 3), upright).

    `wanted` grows. Frames past the video's end are not given. Raises DecodeError where decoding breaks off, after the
    frames before it were given, but for the few that a decoder holds back to put them in order.
    """
    given = 0
    if wanted:
        with _Opened(path) as (container, stream):
            plan = sparing.plan(container, stream, wanted)
            if plan is not None:
                try:
                    with _Opened(path) as (packets, _):
                        for number, frame in sparing.frames(packets, stream, plan):
                            yield number, _upright(frame)
                            given += 1
                        return
                except sparing.DoubtError:
                    pass  # what was given is right; the rest comes from decoding everything, below
    yield from _all_decoded(path, wanted[given:])


def _all_decoded(path: Path, wanted: Sequence[int]) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """As `frames`, by decoding every frame up to the last wanted one and counting."""
    numbers = iter(wanted)
    number = next(numbers, None)
    if number is None:
        return
    with _Opened(path) as (container, stream):
        for position, frame in enumerate(_frames(container, stream)):
            if position == number:
                yield position, _upright(frame)
                number = next(numbers, None)
                if number is None:
                    return


class _Opened:
    """The container and its first video stream, decoded by one thread so that jobs don't crowd each other out."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> tuple[InputContainer, VideoStream]:
        try:
            self._container = av.open(str(self._path))
        except (av.error.FFmpegError, OSError) as error:
            raise DecodeError(_reason(error)) from error
        if not self._container.streams.video:
            self._container.close()
            raise DecodeError("no video stream")
        stream = self._container.streams.video[0]
        if stream.codec_context is None:
            self._container.close()
            raise DecodeError("no decoder for its video stream")
        stream.codec_context.thread_count = 1
        return self._container, stream

    def __exit__(self, *_: object) -> None:
        self._container.close()


def _frames(container: InputContainer, stream: VideoStream) -> Iterator[VideoFrame]:
    try:
        yield from container.decode(stream)
    except av.error.FFmpegError as error:
        raise DecodeError(_reason(error)) from error


def _upright(frame: VideoFrame) -> NDArray[np.uint8]:
    # A rotation in the metadata is how phones record portrait; PyAV leaves it to the reader.
    image = np.asarray(frame.reformat(format="rgb24", threads=1).to_ndarray(), np.uint8)
    return np.ascontiguousarray(np.rot90(image, k=round(frame.rotation / 90) % 4))


def _reason(error: av.error.FFmpegError | OSError) -> str:
    # Not str(error): that holds the file's path, and a reason's bytes must not depend on where the workspace lies.
    return f"can't be decoded: {error.strerror or type(error).__name__}"
