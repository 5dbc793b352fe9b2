"""Gives some frames of an H.264 video without decoding what they don't need, with the pixels of decoding everything.

1. `plan` goes through the packets without decoding: their moments and headers tell which frame has which number, which
   frames no other refers to, and where the decoder forgets all that came before (an IDR picture).
2. `frames` decodes from such a refresh up to the last wanted frame before the next one, and lets the decoder skip
   frames that nobody wants and nothing refers to. Between far refreshes it seeks.

That the frames are the same ones rests on checks, not on trust. A stream is planned only if its numbering has no gap,
its order of decoding is one that the decoder undoes without loss, and no header is one that the decoder rejects; then
each frame that comes out must be the one that the plan expects, and whole. What fails a check is `DoubtError`, and the
caller decodes everything instead.
"""

from __future__ import annotations

import itertools
from array import array
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import av
import numpy as np

from trueframe import h264
from trueframe.watch import Alive, no_sign

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream
    from numpy.typing import NDArray

_DEEPEST = 32  # pictures that may be decoded before one that is shown before them: the standard allows 16
_WORTH = 0.1  # of the packets; sparing fewer doesn't pay for looking at all
# A seek took as long as reading 3 to 12 packets from memory. From a disk it costs a jump as well, so not for less.
_SEEK_PACKETS = 100


class DoubtError(Exception):
    """The plan doesn't hold: everything is to be decoded."""


@dataclass(frozen=True)
class Plan:
    """Which packets to decode, all in the order of decoding.

    moments: presentation times, int64, in the stream's time base; sizes: bytes, int64; runs: from a refresh up to the
    packet after the last one needed; shown: whether its picture is to come out; wanted: number of a wanted frame, else
    -1, by packet.
    """

    moments: NDArray[np.int64]
    sizes: NDArray[np.int64]
    runs: list[tuple[int, int]]
    shown: NDArray[np.bool_]
    wanted: NDArray[np.int64]


def plan(container: InputContainer, stream: VideoStream, wanted: Sequence[int], alive: Alive = no_sign) -> Plan | None:
    """How to give the wanted frames (growing numbers); None where all is to be decoded. Reads the container's packets.

    alive: called for each. Keeps numbers of the packets alone: some 100 bytes for each at the peak, 30 MB for three
    hours.
    """
    if stream.codec_context.name != "h264":
        return None
    try:
        packets = _surveyed(container, stream, wanted[-1] + 1 + 2 * _DEEPEST, alive)
        return _planned(packets, stream.codec_context.reorder_depth, wanted)
    except (h264.UnclearError, DoubtError, av.error.FFmpegError):
        return None  # decoding everything will tell what is wrong, if anything is


def frames(
    container: InputContainer, stream: VideoStream, made: Plan, alive: Alive = no_sign
) -> Iterator[tuple[int, VideoFrame]]:
    """The wanted frames by number. Raises DoubtError where the plan turns out wrong; those given before are right.

    container: freshly opened, for its packets; stream: another's, for its decoder alone, which seeks must not reset:
    it knows from the first packet which encoder's bugs to work around. alive: called for each packet.
    """
    order = np.flatnonzero(made.shown)
    order = order[np.argsort(made.moments[order], kind="stable")]
    settled = np.maximum.accumulate(made.moments)
    expected = iter(order.tolist())
    held: deque[tuple[int, int, VideoFrame]] = deque()
    try:
        for frame in _decoded(container, stream, made, alive):
            index = next(expected, None)
            if index is None or frame.pts is None or frame.pts != made.moments[index] or frame.is_corrupt:
                raise DoubtError("not the frame that was expected, or a broken one")
            if made.wanted[index] >= 0:
                held.append((int(made.wanted[index]), int(settled[index]), frame))
            # A frame may stand on one that is shown after it and only then turns out to be broken.
            while held and held[0][1] <= frame.pts:
                number, _, ready = held.popleft()
                yield number, ready
    except av.error.FFmpegError as error:
        raise DoubtError("an error that may lie elsewhere when everything is decoded") from error
    if next(expected, None) is not None:
        raise DoubtError("frames are missing")
    for number, _, ready in held:
        yield number, ready


def _decoded(container: InputContainer, stream: VideoStream, made: Plan, alive: Alive) -> Iterator[VideoFrame]:
    decoder = stream.codec_context
    decoder.options |= {"err_detect": "explode"}  # an error at the first damage found, rather than a guess
    for index, packet in _read(container, made, alive):
        decoder.skip_frame = "DEFAULT" if made.shown[index] else "NONREF"
        yield from decoder.decode(packet)
    yield from decoder.decode(None)


def _read(container: InputContainer, made: Plan, alive: Alive) -> Iterator[tuple[int, Packet[VideoStream]]]:
    """The packets of the runs, each checked to be the one that was planned."""
    source = container.streams.video[0]
    packets, index = container.demux(source), 0
    for start, stop in made.runs:
        if start - index > _SEEK_PACKETS:
            container.seek(int(made.moments[start]), stream=source)
            packets = container.demux(source)
            first = next(packets, None)
            if first is None or first.pts is None or first.pts not in made.moments[: start + 1]:
                raise DoubtError("a seek went astray")
            packets, index = itertools.chain([first], packets), int(np.argmax(made.moments == first.pts))
        for place in range(index, stop):
            alive()
            packet = _checked(next(packets, None), place, made)
            if place >= start:
                yield place, packet
        index = stop


def _checked(packet: Packet[VideoStream] | None, index: int, made: Plan) -> Packet[VideoStream]:
    if packet is None or packet.pts != made.moments[index] or packet.size != made.sizes[index] or packet.is_corrupt:
        raise DoubtError("not the packet that was planned")
    return packet


@dataclass
class _Packets:
    """What the packets' headers say, growing by packet."""

    moments: array[int]
    sizes: array[int]
    orders: array[int]
    refreshes: bytearray
    references: bytearray


def _surveyed(container: InputContainer, stream: VideoStream, most: int, alive: Alive) -> _Packets:
    """Headers of the stream's packets, of so many at most."""
    headers = h264.Headers(stream.codec_context.extradata)
    found = _Packets(array("q"), array("q"), array("q"), bytearray(), bytearray())
    for packet in container.demux(stream):
        alive()
        if not packet.size:
            continue
        if packet.pts is None or packet.is_corrupt or packet.is_discard or packet.has_sidedata("new_extradata"):
            raise DoubtError("a packet without a moment, broken or hidden, or another codec setting")
        picture = headers.picture(bytes(packet))
        found.moments.append(packet.pts)
        found.sizes.append(packet.size)
        found.refreshes.append(picture.refresh)
        found.references.append(picture.reference)
        found.orders.append(picture.order)
        if len(found.moments) >= most:
            break
    return found


def _planned(packets: _Packets, reorder_depth: int, wanted: Sequence[int]) -> Plan | None:
    moments = np.array(packets.moments, np.int64)
    refreshes, references = np.frombuffer(packets.refreshes, bool), np.frombuffer(packets.references, bool)
    by_moment = np.argsort(moments, kind="stable")
    _check_order(moments, np.cumsum(refreshes), np.array(packets.orders, np.int64), by_moment, reorder_depth)

    numbers = np.full(len(moments), -1, np.int64)
    there = np.array([number for number in wanted if number < len(moments)], np.int64)
    numbers[by_moment[there]] = there

    # The first packet is always decoded: the encoder's signature in it changes how the decoder reads old streams.
    needed = numbers >= 0
    needed[0] = True
    starts = np.flatnonzero(refreshes)
    places = np.flatnonzero(needed)
    runs: dict[int, int] = {}
    for start, place in zip(starts[np.searchsorted(starts, places, "right") - 1], places, strict=True):
        runs[int(start)] = int(place) + 1
    shown = np.zeros(len(moments), bool)
    for start, stop in runs.items():
        shown[start:stop] = references[start:stop] | needed[start:stop]
    if shown.sum() > (1 - _WORTH) * min(len(moments), wanted[-1] + 1):
        return None
    return Plan(moments, np.array(packets.sizes, np.int64), list(runs.items()), shown, numbers)


def _check_order(
    moments: NDArray[np.int64],
    periods: NDArray[np.int64],
    orders: NDArray[np.int64],
    by_moment: NDArray[np.int64],
    reorder_depth: int,
) -> None:
    """Raise DoubtError, unless moments and headers agree on the order, and the decoder holds back enough to restore it.

    Where it holds back too little it drops a frame that comes too late, and the numbers after it shift.
    """
    if not len(moments) or not periods[0]:
        raise DoubtError("no picture to start from")
    shown, period, order = moments[by_moment], periods[by_moment], orders[by_moment]
    later = (np.diff(period) > 0) | ((np.diff(period) == 0) & (np.diff(order) > 0))
    if (np.diff(shown) <= 0).any() or not later.all():
        raise DoubtError("moments and headers disagree on the order")
    before = np.zeros(len(moments), np.int64)
    for lag in range(1, min(_DEEPEST, len(moments) - 1) + 1):
        before[lag:] += moments[:-lag] > moments[lag:]
    latest = np.maximum.accumulate(moments)
    if before.max() > reorder_depth or (latest[: -_DEEPEST - 1] > moments[_DEEPEST + 1 :]).any():
        raise DoubtError("the decoder holds back too few frames")
