"""Image archives: the same bytes each time, and every member found again by its place."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trueframe import formats
from trueframe.archive import Reader, Writer, images, member_name, members, parse_member
from trueframe.errors import UserError

# SHA-256 of an archive with one member, v.mp4/000000_0.png, whose bytes are b"image".
ONE_MEMBER = "f6fd9dbffa0bb2d1c89bc371a22da183b16c6261e3c176f347df9a691591893b"
CONTENT = {
    "a.mp4/000000_0.png": b"first",
    "a.mp4/000010_0.png": b"",
    "gesicht ☺ 顔.mp4/000000_12.png": bytes(range(256)) * 50,
    f"{'x' * 200}.mp4/123456_0.png": b"PK\x03\x04 is how a zip member begins",
}


def write(path: Path, content: dict[str, bytes] = CONTENT) -> Path:
    with Writer(path) as writer:
        for name, data in content.items():
            writer.add(name, data)
        assert writer.count == len(content)
    return path


def test_equal_members_are_equal_bytes(tmp_path: Path) -> None:
    first, second = write(tmp_path / "a.zip"), write(tmp_path / "b.zip")
    assert first.read_bytes() == second.read_bytes()
    # The bytes are a promise over machines and versions too.
    one = write(tmp_path / "c.zip", {"v.mp4/000000_0.png": b"image"})
    assert hashlib.sha256(one.read_bytes()).hexdigest() == ONE_MEMBER


def test_offsets_and_sizes_give_what_zipfile_reads(tmp_path: Path) -> None:
    path = write(tmp_path / "a.zip")
    found = members(path)
    assert [member.name for member in found] == list(CONTENT)
    data = path.read_bytes()
    with zipfile.ZipFile(path) as archive, Reader(path) as reader:
        assert archive.testzip() is None
        for member in found:
            assert archive.read(member.name) == CONTENT[member.name]
            assert data[member.offset : member.offset + member.size] == CONTENT[member.name]
            assert reader.read(member.offset, member.size) == CONTENT[member.name]
    assert dict(images(path)) == CONTENT


def test_offsets_are_right_where_a_local_header_has_its_own_extra_field(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        with archive.open("v/000000_0.png", "w", force_zip64=True) as file:
            file.write(b"image")  # zip64 fields in the local header alone
        archive.comment = b"trueframe 1"
    assert dict(images(path)) == {"v/000000_0.png": b"image"}


def test_an_archive_without_members_can_be_read(tmp_path: Path) -> None:
    assert members(write(tmp_path / "a.zip", {})) == []


def test_a_name_is_taken_once(tmp_path: Path) -> None:
    with Writer(tmp_path / "a.zip") as writer:
        writer.add("v/000000_0.png", b"1")
        with pytest.raises(ValueError, match="in the archive already"):
            writer.add("v/000000_0.png", b"2")
    assert dict(images(tmp_path / "a.zip")) == {"v/000000_0.png": b"1"}


@pytest.mark.parametrize("place", [(-10, 100), (0, 1 << 60), (-5, 10), (1 << 70, 0), (5, -1)])
def test_bytes_that_are_not_there_are_refused_before_memory_is_taken_for_them(
    tmp_path: Path, place: tuple[int, int]
) -> None:
    path = write(tmp_path / "a.zip")
    offset, size = place[0] + (path.stat().st_size if place == (-10, 100) else 0), place[1]
    with (
        Reader(path) as reader,
        pytest.raises(UserError, match=rf"a\.zip: {size} bytes are wanted at {offset}, it has"),
    ):
        reader.read(offset, size)


def test_an_archive_tells_its_format(tmp_path: Path) -> None:
    with zipfile.ZipFile(write(tmp_path / "a.zip")) as archive:
        assert archive.comment == f"trueframe {formats.FORMAT}".encode()


def test_a_members_name_tells_video_frame_and_track() -> None:
    assert member_name("a.mp4", 70, 3, "webp") == "a.mp4/000070_3.webp"
    assert parse_member("a.mp4/000070_3.webp") == ("a.mp4", 70, 3)


@given(
    st.text(st.characters(exclude_characters="\x00", codec="utf-8"), min_size=1),
    st.integers(0, 10**8),
    st.integers(0, 10**6),
)
def test_a_members_name_can_be_taken_apart_whatever_the_videos_name(video: str, frame: int, track: int) -> None:
    assert parse_member(member_name(video, frame, track, "png")) == (video, frame, track)


@given(st.lists(st.integers(0, 999_999), min_size=2, max_size=9))
def test_names_of_a_videos_frames_sort_as_their_numbers(frames: list[int]) -> None:
    names = [member_name("v", frame, 0, "webp") for frame in sorted(frames)]
    assert names == sorted(names)
