"""Reading videos: the right frames, upright, and a reason for every file that can't be read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

import videos
from trueframe import video

ALL = range(1000)
INVALID = "can't be decoded: Invalid data found when processing input"

# Name, and how it is written: each must read as a plain loop reads it.
KINDS: dict[str, dict[str, object]] = {
    "plain.mp4": {"options": {"bf": "0"}},
    "b_frames.mp4": {"options": {"bf": "3", "g": "12"}},
    "fragments.mp4": {"container": {"movflags": "frag_keyframe+empty_moov"}},
    "variable_rate.mp4": {"times": lambda number: number + number * number // 3},
    "cut_without_encoding.mp4": {"shift": -5, "options": {"bf": "0"}},
    "late_start.mkv": {"shift": 50},
    "sound.mp4": {"audio": True},
    "b_frames.avi": {"codec": "mpeg4", "options": {"bf": "2"}},
    "hidden_frames.webm": {"codec": "libvpx", "options": {"auto-alt-ref": "1", "lag-in-frames": "16"}},
    "odd_sides.mkv": {"codec": "ffv1", "size": (97, 65), "pixels": "bgr0"},
}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return videos.write(tmp_path / request.param, **KINDS[request.param])


def test_wanted_frames_have_the_pixels_of_decoding_every_frame(kind: Path) -> None:
    every = videos.decoded(kind)
    wanted = [0, 1, 7, 10, 20, len(every) - 1]
    given = list(video.frames(kind, wanted))
    assert [number for number, _ in given] == wanted
    for number, image in given:
        assert image.dtype == np.uint8
        assert image.flags.c_contiguous
        np.testing.assert_array_equal(image, every[number])


def test_frames_are_counted_by_what_decodes(kind: Path) -> None:
    every = videos.decoded(kind)
    found = video.probe(kind)
    assert found.frames == len(every) >= 25
    assert (found.height_px, found.width_px) == every[0].shape[:2]
    assert found.declared in (0, found.frames)


def test_the_number_of_a_frame_is_its_place_as_shown(tmp_path: Path) -> None:
    path = videos.write(tmp_path / "v.mp4", options={"bf": "3", "g": "12"})
    assert [(number, videos.number_of(image)) for number, image in video.frames(path, ALL)] == [
        (number, number) for number in range(30)
    ]


def test_frames_past_the_end_are_not_given(tmp_path: Path) -> None:
    path = videos.write(tmp_path / "v.mp4", 12)
    assert [number for number, _ in video.frames(path, [3, 11, 12, 40])] == [3, 11]
    assert list(video.frames(path, [12])) == []
    assert list(video.frames(path, [])) == []


def test_a_probe_tells_codec_size_and_rate(tmp_path: Path) -> None:
    path = videos.write(tmp_path / "v.mp4", 12)
    assert video.probe(path) == video.Probe("h264", 96, 64, 25.0, 12, 12)


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_rotation_in_the_metadata_gives_the_upright_image_that_opencv_gives(tmp_path: Path, degrees: int) -> None:
    path = videos.write_turned(tmp_path / "v.mp4", degrees)
    ((_, image),) = video.frames(path, [5])
    # By hand: turned clockwise, as a player shows it. np.rot90 turns the other way.
    np.testing.assert_array_equal(image, np.rot90(videos.decoded(path)[5], -degrees // 90))
    reader = cv2.VideoCapture(str(path))
    for _ in range(6):
        _, seen = reader.read()
    assert np.abs(image.astype(int) - seen[..., ::-1]).max() <= 2
    found = video.probe(path)
    assert (found.width_px, found.height_px) == ((96, 64) if degrees == 180 else (64, 96))


def _until_break(path: Path, wanted: Sequence[int]) -> tuple[list[int], list[int], str]:
    """Numbers given, numbers that the images show, and why it broke off."""
    given, shown = [], []
    try:
        for number, image in video.frames(path, wanted):
            given.append(number)
            shown.append(videos.number_of(image))
    except video.DecodeError as error:
        return given, shown, str(error)
    return given, shown, ""


def test_a_missing_end_shows_in_the_count_and_breaks_off_after_the_frames_before(tmp_path: Path) -> None:
    path = videos.write_truncated(tmp_path / "v.mp4")
    found = video.probe(path)
    assert found.declared == 60
    assert 10 <= found.frames < 60
    given, shown, reason = _until_break(path, ALL)
    assert given == shown == list(range(len(given)))
    assert found.frames - 2 <= len(given) <= found.frames  # up to 2 wait in the decoder to be put in order
    assert reason == INVALID


def test_garbage_in_the_middle_gives_the_frames_before_it_and_then_the_reason(tmp_path: Path) -> None:
    path = videos.write_broken(tmp_path / "v.mov", frames=40, good=25)
    assert _until_break(path, [0, 24, 25, 39]) == ([0, 24], [0, 24], INVALID)


def test_frames_before_a_break_need_not_reach_it(tmp_path: Path) -> None:
    path = videos.write_broken(tmp_path / "v.mov", frames=40, good=25)
    assert [number for number, _ in video.frames(path, [3, 9])] == [3, 9]


def test_pixels_that_would_end_the_process_are_no_readable_video(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No container that FFmpeg writes carries them, so the decoder's place is taken."""
    path = videos.write(tmp_path / "v.mp4", 2)
    monkeypatch.setattr(video, "_decoded", lambda packet: [av.VideoFrame(64, 48, "yaf32le")])
    with pytest.raises(video.DecodeError, match="pixels of the format yaf32le"):
        video.probe(path)


def _empty(path: Path) -> None:
    path.touch()


def _text(path: Path) -> None:
    path.write_text("not a video\n" * 50)


def _unknown_codec(path: Path) -> None:
    videos.write(path)
    path.write_bytes(path.read_bytes().replace(b"avc1", b"zzz1").replace(b"avcC", b"zzzC"))


def _no_frame_whole(path: Path) -> None:
    videos.write_broken(path.with_suffix(".mov"), good=0).rename(path)


UNREADABLE = {
    "empty": (_empty, INVALID),
    "text": (_text, INVALID),
    "sound_only": (videos.write_sound, "no video stream"),
    "folder": (Path.mkdir, "can't be decoded: Is a directory"),
    "absent": (lambda path: None, "can't be decoded: No such file or directory"),
    "unknown_codec": (_unknown_codec, "no decoder for its video stream"),
    "no_frame_whole": (_no_frame_whole, INVALID),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_what_is_no_readable_video_has_a_reason_that_does_not_tell_where_it_lies(tmp_path: Path, name: str) -> None:
    write, reason = UNREADABLE[name]
    path = tmp_path / "v.mp4"
    write(path)
    for read in (video.probe, lambda path: list(video.frames(path, [0]))):
        with pytest.raises(video.DecodeError) as caught:
            read(path)
        assert str(caught.value) == reason
