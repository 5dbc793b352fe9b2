"""Reading videos with PyAV, one frame in memory at a time.

PyAV rather than OpenCV: it says why a file can't be decoded, and its decoder can leave out frames that nobody wants.
For H.264 that takes less time with the same pixels (sparing.py; how much less than OpenCV's grab/retrieve loop, by
`make bench`: every tenth frame of a clip as x264 writes by default came 1.7 times as fast, of four real 1080p clips 1.4
to 1.7 times). Every other codec is decoded frame by frame, about as fast as by OpenCV.
"""

from __future__ import annotations

import errno
import mmap
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import av
import numpy as np

from trueframe import sparing, watch
from trueframe.errors import UserError
from trueframe.headers import MAX_PIXELS
from trueframe.watch import Alive

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream
    from numpy.typing import NDArray

EXTENSIONS = (".avi", ".m4v", ".mkv", ".mov", ".mp4", ".webm")
# What a file may be inside, whatever its name ends in: formats that hold their pictures themselves. FFmpeg goes by
# content, and others (concat, hls, dash, sdp, …) are texts that have it read other files or ask servers.
FORMATS = "asf,avi,flv,h264,hevc,ivf,m4v,matroska,mov,mpeg,mpegts,mpegvideo,mxf,nut,obu,ogg"
_OPTIONS = {"format_whitelist": FORMATS, "protocol_whitelist": "file"}
# For the decoder, so that a small file can't fill the memory; FFmpeg decodes frames when it opens a file, too.
_LIMITS = {"max_pixels": str(MAX_PIXELS)}
_ABORTS = "yaf32"  # grey floats with alpha, either way round: libswscale ends the process over them

_ROOM_BYTES = 1 << 28  # five frames of 8K

Item = TypeVar("Item")


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

    Frames that an edit list hides, as after a cut without encoding, are in neither. broken: why nothing could be read
    behind them, where that is so.
    """

    codec: str
    width_px: int
    height_px: int
    fps: float
    frames: int
    declared: int
    broken: str = ""


def probe(path: Path) -> Probe:
    """Look into a video without decoding it, but for the first frame, whose rotation and size are a viewer's.

    Raises DecodeError with the reason when it can't be opened, has no video stream or not one frame that decodes, and
    UserError when its disk does not answer.
    """
    (found,) = _watched(path, lambda alive: _probed(path, alive))
    return found


def frames(path: Path, wanted: Sequence[int]) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """The wanted frames of a video, in order: (number from 0, RGB image as uint8 of shape (height, width, 3), upright).

    `wanted` grows. Frames past the video's end are not given. Raises DecodeError where decoding breaks off, after the
    frames before it were given, but for the few that a decoder holds back to put them in order; UserError when the disk
    does not answer.
    """
    return _watched(path, lambda alive: _wanted(path, wanted, alive))


def _watched(path: Path, make: Callable[[Alive], Generator[Item, None, None]]) -> Iterator[Item]:
    """What `make` yields, unless it computes or waits without end."""
    try:
        yield from watch.watched(make)
    except watch.StuckError as error:
        raise DecodeError(f"can't be decoded: computed for {watch.LIMIT_S:g} s without getting on") from error
    except watch.SilentError as error:
        raise UserError(
            f"{path}: nothing could be read for {watch.SILENCE_S:g} s; see whether its disk answers, then run again"
        ) from error


def _probed(path: Path, alive: Alive) -> Generator[Probe, None, None]:
    with _Opened(path) as (container, stream):
        first: VideoFrame | None = None
        frames = hidden = 0
        broken = ""
        try:
            for packet in container.demux(stream):
                alive()
                if first is None:
                    first = next(iter(_decoded(packet)), None)
                if packet.size and not packet.is_corrupt:
                    frames += not packet.is_discard
                    hidden += packet.is_discard
        except av.error.FFmpegError as error:
            broken = _reason(error)
        if first is None:
            raise DecodeError(broken or "no frame can be decoded")
        height_px, width_px = _upright(first).shape[:2]
        yield Probe(
            codec=stream.codec_context.name,
            width_px=width_px,
            height_px=height_px,
            fps=float(stream.average_rate or 0),
            frames=frames,
            declared=max(stream.frames - hidden, 0),
            broken=broken,
        )


def _wanted(path: Path, wanted: Sequence[int], alive: Alive) -> Generator[tuple[int, NDArray[np.uint8]], None, None]:
    given = 0
    if wanted:
        with _Opened(path) as (container, stream):
            plan = sparing.plan(container, stream, wanted, alive)
            if plan is not None:
                try:
                    with _Opened(path) as (packets, _):
                        for number, frame in sparing.frames(packets, stream, plan, alive):
                            yield number, _upright(frame)
                            given += 1
                        return
                except sparing.DoubtError:
                    pass  # what was given is right; the rest comes from decoding everything, below
    yield from _all_decoded(path, wanted[given:], alive)


def _all_decoded(path: Path, wanted: Sequence[int], alive: Alive) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """As `frames`, by decoding every frame up to the last wanted one and counting."""
    numbers = iter(wanted)
    number = next(numbers, None)
    if number is None:
        return
    position = 0
    with _Opened(path) as (container, stream):
        for packet in _packets(container, stream, alive):
            for frame in _decoded(packet):
                if position == number:
                    yield position, _upright(frame)
                    number = next(numbers, None)
                    if number is None:
                        return
                position += 1


class _Opened:
    """The container and its first video stream, decoded by one thread so that jobs don't crowd each other out."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> tuple[InputContainer, VideoStream]:
        try:
            # Titles and the like are not read: they need not be UTF-8.
            self._container = av.open(
                str(self._path), options=_LIMITS, container_options=_OPTIONS, metadata_errors="replace"
            )
        except av.error.ArgumentError as error:  # so FFmpeg says that a format is not among those it may read
            raise DecodeError(f"in none of the formats {FORMATS.replace(',', ', ')}") from error
        except (av.error.FFmpegError, OSError) as error:
            raise DecodeError(_reason(error)) from error
        if not self._container.streams.video:
            self._container.close()
            raise DecodeError("no video stream")
        stream = self._container.streams.video[0]
        if stream.codec_context is None:
            self._container.close()
            raise DecodeError("no decoder for its video stream")
        if not stream.codec_context.width and (size := self._told_size()) is not None:
            self._container.close()
            raise DecodeError(f"can't be decoded: {size[0]} by {size[1]} pixels, more than {MAX_PIXELS}")
        stream.codec_context.options = dict(_LIMITS)
        stream.codec_context.thread_count = 1
        return self._container, stream

    def __exit__(self, *_: object) -> None:
        self._container.close()

    def _told_size(self) -> tuple[int, int] | None:
        """Width and height as the container tells them, without any decoder, where that is more than MAX_PIXELS."""
        try:
            options = _OPTIONS | {"codec_whitelist": "none"}
            with av.open(str(self._path), container_options=options, metadata_errors="replace") as container:
                told = container.streams.video[0].codec_context
                return (told.width, told.height) if told.width * told.height > MAX_PIXELS else None
        except av.error.FFmpegError as error:
            raise DecodeError(_reason(error)) from error


def _packets(container: InputContainer, stream: VideoStream, alive: Alive) -> Iterator[Packet[VideoStream]]:
    """The stream's packets, the last one empty, for what the decoder holds back."""
    try:
        for packet in container.demux(stream):
            alive()
            yield packet
    except av.error.FFmpegError as error:
        raise DecodeError(_reason(error)) from error


def _decoded(packet: Packet[VideoStream]) -> list[VideoFrame]:
    """The frames that come out when a packet goes in."""
    try:
        return packet.decode()
    except av.error.FFmpegError as error:
        # A decoder that refuses a size is left without one; the container tells none like it, or had been refused.
        if error.errno == errno.EINVAL and not packet.stream.codec_context.width:
            raise DecodeError(f"can't be decoded: frames without a size or of more than {MAX_PIXELS} pixels") from error
        raise DecodeError(_reason(error)) from error


def _upright(frame: VideoFrame) -> NDArray[np.uint8]:
    if frame.format.name.startswith(_ABORTS):
        raise DecodeError(f"can't be decoded: pixels of the format {frame.format.name}")
    try:
        rgb = frame.reformat(format="rgb24", threads=1)
    except av.error.FFmpegError as error:
        raise DecodeError(f"{_reason(error)}, pixels of the format {frame.format.name}") from error
    # A rotation in the metadata is how phones record portrait; PyAV leaves it to the reader.
    image = np.asarray(rgb.to_ndarray(), np.uint8)
    return np.ascontiguousarray(np.rot90(image, k=round(frame.rotation / 90) % 4))


def _reason(error: av.error.FFmpegError | OSError) -> str:
    """What a status row tells of it. Raises what says nothing of the video: memory or file descriptors ran out."""
    if error.errno == errno.ENOMEM:
        _require_memory(error)  # there is: then a damaged header asks for more than any video takes
    if error.errno in (errno.EMFILE, errno.ENFILE):
        raise error
    # Not str(error): that holds the file's path, and a reason's bytes must not depend on where the workspace lies.
    return f"can't be decoded: {error.strerror or type(error).__name__}"


def _require_memory(error: Exception) -> None:
    """Raise MemoryError unless there is room for some of the largest frames."""
    try:
        mmap.mmap(-1, _ROOM_BYTES).close()
    except OSError:
        raise MemoryError("Cannot allocate memory") from error
