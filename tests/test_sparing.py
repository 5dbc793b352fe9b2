"""Sparing decoding gives what decoding every frame gives, from any stream, whole or damaged; or it isn't tried."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import videos
from trueframe import h264, sparing, video
from workspaces import REPO

CLIPS = REPO.parent / "shared/data/clips"
IN_FULL_CLIPS = ["stage_cuts.mp4"]  # Constrained Baseline, so without arithmetic coding
FRAMES = 60
WANTED = (range(0, FRAMES, 10), [7], [0, FRAMES - 1], range(2, 300, 31), [40, 41, 42])


def _x264(settings: str, **known: Any) -> dict[str, Any]:
    return {"options": {"x264-params": settings}} | known


B_FRAMES = "keyint=12:min-keyint=12:scenecut=0:bframes=3:b-adapt=0"
# Streams of which some packets can be spared, and those that are decoded in full, each for a reason of its own.
SPARED = {
    "as_usual.mp4": {},
    "b_frames.mp4": _x264(B_FRAMES),
    "b_frames.mkv": _x264(B_FRAMES),
    "pyramid.mp4": _x264("keyint=40:bframes=5:b-adapt=0:b-pyramid=normal:ref=5"),
    "strict_pyramid.mp4": _x264("keyint=40:bframes=5:b-adapt=0:b-pyramid=strict:ref=5"),
    "open_groups.mp4": _x264(B_FRAMES + ":open-gop=1"),
    "every_frame_a_refresh.mp4": _x264("keyint=1"),
    "no_refresh_but_the_first.mp4": _x264("intra-refresh=1:keyint=20:bframes=2"),
    "slices.mp4": _x264(B_FRAMES + ":slices=4"),
    "headers_again.mp4": _x264(B_FRAMES + ":repeat-headers=1:aud=1"),
    "no_b_frames.mp4": _x264("keyint=7:bframes=0"),
    "variable_rate.mp4": {"times": lambda number: number + number * number // 3},
    "late.mkv": {"shift": 50},
    "sound.mp4": _x264(B_FRAMES, audio=True),
    "fragments.mp4": _x264(B_FRAMES, container={"movflags": "frag_keyframe+empty_moov"}),
    "full_colour.mp4": {"pixels": "yuv444p"},
    "ten_bits.mp4": {"pixels": "yuv420p10le"},
}
IN_FULL = {
    "interlaced.mp4": _x264("interlaced=1:bframes=3"),
    "without_arithmetic.mp4": _x264(B_FRAMES + ":cabac=0"),
    "cut_without_encoding.mp4": {"shift": -5},
    "no_moments.avi": _x264(B_FRAMES),
    "mpeg4.avi": {"codec": "mpeg4", "options": {"bf": "2"}},
    "mpeg2.mp4": {"codec": "mpeg2video", "options": {"bf": "2"}},
    "hevc.mp4": {"codec": "libx265", "options": {"x265-params": "keyint=20:bframes=4:log-level=none"}},
    "hidden_frames.webm": {"codec": "libvpx-vp9", "options": {"auto-alt-ref": "1", "lag-in-frames": "16"}},
    "av1.mp4": {"codec": "libsvtav1", "options": {"preset": "12"}},
}

Given = tuple[list[tuple[int, videos.Image]], str]


def _plan(path: Path, wanted: Sequence[int]) -> sparing.Plan | None:
    with av.open(str(path)) as container:
        return sparing.plan(container, container.streams.video[0], wanted)


def _given(frames: Iterator[tuple[int, videos.Image]]) -> Given:
    """The frames, and why they break off."""
    found: list[tuple[int, videos.Image]] = []
    try:
        found.extend(frames)
    except video.DecodeError as error:
        return found, str(error)
    return found, ""


def _plainly(path: Path, wanted: Sequence[int]) -> Iterator[tuple[int, videos.Image]]:
    """Every frame decoded, the wanted ones given."""
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise video.DecodeError("no video stream")
            decoder = container.streams.video[0].codec_context
            if decoder is None:
                raise video.DecodeError("no decoder for its video stream")
            decoder.thread_count = 1
            for number, frame in enumerate(container.decode(video=0)):
                if number in wanted:
                    yield number, np.rot90(frame.to_ndarray(format="rgb24"), round(frame.rotation / 90) % 4)
                if number >= wanted[-1]:
                    return
    except av.error.FFmpegError as error:
        raise video.DecodeError(f"can't be decoded: {error.strerror}") from error


def _check_same(path: Path, wanted: Sequence[int]) -> None:
    (found, reason), (expected, why) = _given(video.frames(path, wanted)), _given(_plainly(path, wanted))
    assert ([number for number, _ in found], reason) == ([number for number, _ in expected], why)
    for (number, image), (_, right) in zip(found, expected, strict=True):
        np.testing.assert_array_equal(image, right, f"frame {number}")


@pytest.mark.parametrize("name", [*SPARED, *IN_FULL])
def test_frames_are_those_of_decoding_everything(tmp_path: Path, name: str) -> None:
    path = videos.write(tmp_path / name, videos.moving(FRAMES), **(SPARED | IN_FULL)[name])
    every = videos.decoded(path)
    assert len(every) >= FRAMES - 5
    for wanted in WANTED:
        found = dict(video.frames(path, wanted))
        assert list(found) == [number for number in wanted if number < len(every)]
        for number, image in found.items():
            np.testing.assert_array_equal(image, every[number], f"frame {number}")
    assert (_plan(path, [FRAMES // 2]) is not None) == (name in SPARED)


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_a_turned_video_is_upright(tmp_path: Path, degrees: int) -> None:
    path = videos.write_turned(tmp_path / "v.mp4", degrees)
    assert _plan(path, [3, 20]) is not None
    _check_same(path, [3, 20])


def test_only_what_is_needed_is_decoded(tmp_path: Path) -> None:
    # Decoded in the order 0 4 2 1 3 8 6 5 7 12 …: a refresh at 0, 24 and 48, nothing refers to odd numbers.
    path = videos.write(tmp_path / "v.mp4", videos.moving(FRAMES), **_x264(B_FRAMES.replace("12", "24")))
    plan = _plan(path, [5, 30])
    assert plan is not None
    places = np.argsort(np.argsort(plan.moments))
    assert sorted(places[plan.shown].tolist()) == [0, 2, 4, 5, 6, 8, 24, 26, 28, 30, 32]


def test_nothing_is_planned_where_all_frames_are_wanted(tmp_path: Path) -> None:
    path = videos.write(tmp_path / "v.mp4", videos.moving(FRAMES), **_x264(B_FRAMES))
    assert _plan(path, range(FRAMES)) is None


class _Watched:
    """A container that notes where it is asked to seek to, and goes somewhat astray."""

    def __init__(self, container: Any, astray: int = 0) -> None:
        self._container, self._astray = container, astray
        self.streams, self.demux, self.sought = container.streams, container.demux, list[int]()

    def seek(self, moment: int, **known: Any) -> None:
        self.sought.append(moment)
        self._container.seek(moment + self._astray, **known)


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A minute with a refresh every 12 frames."""
    path = tmp_path_factory.mktemp("long") / "v.mp4"
    return videos.write(path, videos.moving(1500), **_x264(B_FRAMES, audio=True))


def test_far_frames_are_sought(long: Path) -> None:
    wanted = [0, 5, 700, 710, 1499]
    plan = _plan(long, wanted)
    assert plan is not None
    with av.open(str(long)) as container, av.open(str(long)) as other:
        watched: Any = _Watched(other)
        found = list(sparing.frames(watched, container.streams.video[0], plan))
    assert [number for number, _ in found] == wanted
    assert len(watched.sought) == 2
    _check_same(long, wanted)


@pytest.mark.parametrize("astray", [20_000, -20_000])
def test_a_seek_that_goes_astray_is_noticed_or_does_no_harm(long: Path, astray: int) -> None:
    plan = _plan(long, [0, 700])
    assert plan is not None
    with av.open(str(long)) as container, av.open(str(long)) as other:
        watched: Any = _Watched(other, astray)
        frames = sparing.frames(watched, container.streams.video[0], plan)
        if astray < 0:
            shown = {number: videos.number_of(frame.to_ndarray(format="rgb24")) for number, frame in frames}
            assert shown == {0: 0, 700: 700}
        else:
            with pytest.raises(sparing.DoubtError):
                list(frames)


@pytest.fixture(scope="module", params=["as_usual.mp4", "pyramid.mp4", "slices.mp4", "b_frames.mkv"])
def whole(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, list[tuple[int, int]]]:
    """A video, and where its packets lie: place and bytes of each."""
    name = request.param
    path = videos.write(tmp_path_factory.mktemp("whole") / name, videos.moving(FRAMES), **SPARED[name])
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
        assert all(packet.pos is not None for packet in packets)
        return path, [(packet.pos or 0, packet.size) for packet in packets]


DAMAGE = st.tuples(st.integers(0, FRAMES - 1), st.integers(4, 15) | st.integers(0, 5000), st.integers(0, 7))


@given(
    damage=st.lists(DAMAGE, min_size=1, max_size=3),
    step=st.integers(2, 30),
    kept=st.floats(0.5, 1) | st.just(1.0),
)
@settings(max_examples=15, derandomize=True)
def test_a_damaged_video_gives_the_same_frames_and_the_same_reason(
    whole: tuple[Path, list[tuple[int, int]]], damage: list[tuple[int, int, int]], step: int, kept: float
) -> None:
    path, packets = whole
    data = bytearray(path.read_bytes())
    for packet, offset, bit in damage:
        place, size = packets[packet]
        data[place + offset % size] ^= 1 << bit
    broken = path.with_name(f"broken{path.suffix}")
    broken.write_bytes(data[: round(len(data) * kept)])
    _check_same(broken, range(step // 3, FRAMES, step))


def test_headers_tell_place_and_use_of_each_picture(tmp_path: Path) -> None:
    # bframes=2, no pyramid: 0 3 1 2 6 4 5; x264 counts two orders a frame.
    path = videos.write(tmp_path / "v.mp4", videos.moving(7), **_x264("bframes=2:b-adapt=0:b-pyramid=none:scenecut=0"))
    with av.open(str(path)) as container:
        headers = h264.Headers(container.streams.video[0].codec_context.extradata)
        pictures = [headers.picture(bytes(packet)) for packet in container.demux(video=0) if packet.size]
    assert [picture.order // 2 for picture in pictures] == [0, 3, 1, 2, 6, 4, 5]
    assert [picture.reference for picture in pictures] == [True, True, False, False, True, False, False]
    assert [picture.refresh for picture in pictures] == [True] + 6 * [False]


@given(extradata=st.binary(max_size=60), packet=st.binary(max_size=60))
def test_no_bytes_break_the_reading_of_headers(extradata: bytes, packet: bytes) -> None:
    try:
        h264.Headers(b"\x01" + extradata).picture(packet)
    except h264.UnclearError:
        return


@pytest.mark.parametrize("path", sorted(CLIPS.rglob("*.mp4")) or [None], ids=lambda path: path.name if path else "none")
def test_a_real_clip_gives_the_frames_of_decoding_everything(path: Path | None) -> None:
    if path is None:
        pytest.skip(f"the real clips are not here ({CLIPS})")
    wanted = [4, 17, 35]
    _check_same(path, wanted)
    assert (_plan(path, wanted) is not None) == (path.name not in IN_FULL_CLIPS)
