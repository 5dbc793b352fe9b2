"""Zips that lie, escape or burst: refused in one message, before any of their bytes is believed."""

from __future__ import annotations

import os
import pickle
import random
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from hostile import FLIPPED, flipped, patched, replaced, shared, zipped
from trueframe import archive
from trueframe.errors import UserError

ZIPS: dict[str, tuple[Callable[[Path], Path], str]] = {
    **{
        f"named {name}": (
            lambda path, name=name: zipped(path, ["v/000000_0.png", name]),
            "is not named <video>/<frame>",
        )
        for name in (
            "../../escaped/000000_0.png",
            "../000000_0.png",
            "/etc/000000_0.png",
            "v/../../000000_0.png",
            "./000000_0.png",
            "v/",
            "readme.txt",
            "v/1e3_0.png",
            "v/٣_0.png",
            "v/000000_0.png/",
            "v/000000_0.png;touch pwned",
            f"v/{'9' * 19}_0.png",
            f"v/000000_{'9' * 10}.png",
        )
    },
    "a name that ends at a zero": (
        lambda path: replaced(path, ["v/000000_0.png", "v/000010_0.pngX"], b"pngX", b"png\0"),
        "is not named",
    ),
    "a bomb": (
        lambda path: zipped(path, ["v/000000_0.png"], bytes(50 << 20), zipfile.ZIP_DEFLATED),
        "is compressed",
    ),
    "another size than is there": (
        lambda path: patched(zipped(path, ["v/000000_0.png"]), 20, "<I", 4),
        "is compressed",
    ),
    "a terabyte": (
        lambda path: patched(zipped(path, ["v/000000_0.png"]), 20, "<II", 0xFFFFFFF0, 0xFFFFFFF0),
        "beyond the file's end",
    ),
    "shared bytes": (shared, "of another member"),
    "encryption": (lambda path: patched(zipped(path, ["v/000000_0.png"]), 8, "<H", 1), "is encrypted"),
    "a lie about the place": (
        lambda path: patched(zipped(path, ["v/000000_0.png"]), 42, "<I", 7),
        "is not where the directory says",
    ),
    "a name twice": (
        lambda path: replaced(path, ["v/000000_0.png", "v/000000_1.png"], b"_1.png", b"_0.png"),
        "a name stands twice",
    ),
    "no zip": (lambda path: path.write_bytes(b"PK\x03\x04" * 100) and path, "no whole zip"),
    "a pickle": (lambda path: path.write_bytes(pickle.dumps([1, 2, 3])) and path, "no whole zip"),
    "no format": (
        lambda path: replaced(path, ["v/000000_0.png"], b"trueframe 1", b"truefrane 1"),
        "does not tell trueframe's format",
    ),
}


@pytest.mark.parametrize("name", ZIPS)
def test_an_archive_that_we_would_not_write_is_refused_by_name(tmp_path: Path, name: str) -> None:
    make, message = ZIPS[name]
    path = make(tmp_path / "a.zip")
    with pytest.raises(UserError, match=message) as caught:
        archive.members(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert [file.name for file in tmp_path.iterdir()] == ["a.zip"]


@pytest.mark.parametrize("count", FLIPPED)
def test_a_damaged_archive_is_refused_or_its_members_are_in_it(tmp_path: Path, count: int) -> None:
    path, source, refused = tmp_path / "a.zip", random.Random(0), 0
    with archive.Writer(path) as writer:
        for frame in range(5):
            writer.add(archive.member_name("vidéo.mp4", frame, 0, "webp"), os.urandom(20))
    data = path.read_bytes()
    for _ in range(count):
        path.write_bytes(flipped(data, source))
        try:
            found = archive.members(path)
        except UserError:
            refused += 1
            continue
        with archive.Reader(path) as reader:
            for member in found:
                assert len(reader.read(member.offset, member.size)) == member.size
                archive.parse_member(member.name)
    print(f"{count} damaged archives, {refused} refused")
    assert refused > count // 3
