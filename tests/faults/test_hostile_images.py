"""Images that would fill the memory, or are none."""

from __future__ import annotations

import random
import struct
import subprocess
import sys
from pathlib import Path

import pytest

import videos
from hostile import FLIPPED, flipped, png_bomb
from trueframe import archive, headers, images


def test_an_image_bomb_in_an_archive_is_refused_before_it_takes_memory(tmp_path: Path) -> None:
    """As large as it is small: in a process of its own, whose peak tells whether it was decoded."""
    bomb = png_bomb(20_000)
    assert len(bomb) < 1 << 20
    with archive.Writer(tmp_path / "crops.zip") as writer:
        writer.add("v.mp4/000000_0.png", bomb)
    code = """
import resource, sys
from pathlib import Path
from trueframe import archive, images
from trueframe.errors import UserError
path = Path(sys.argv[1])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
(member,) = archive.members(path)
with archive.Reader(path) as reader:
    try:
        images.read(reader, member.offset, member.size)
    except UserError as error:
        print(error)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""
    words = (sys.executable, "-c", code, str(tmp_path / "crops.zip"))
    told, grown = subprocess.run(words, capture_output=True, text=True, check=True).stdout.splitlines()
    assert told.startswith(f"{tmp_path / 'crops.zip'}: at byte 48: an image of 20000 by 20000 pixels")
    print(f"an image of 400,000,000 pixels in {len(bomb)} bytes: {grown} MiB taken")
    assert int(grown) < 20


def test_images_tell_their_size_and_other_kinds_are_none() -> None:
    image = videos.np.zeros((40, 36, 3), "uint8")
    assert headers.size_px(images.webp(image)) == headers.size_px(images.png(image)) == (36, 40)
    assert headers.size_px(images.webp(videos.np.zeros((1, 16383, 3), "uint8"))) == (16383, 1)
    whole, huge = bytearray(images.webp(image)), (1 << 28) - 1
    struct.pack_into("<I", whole, 21, huge)
    with pytest.raises(ValueError, match="an image of 16384 by 16384 pixels"):
        headers.size_px(bytes(whole))
    others = [
        b"",
        b"GIF89a" + bytes(40),
        b"\xff\xd8\xff\xe0" + bytes(40),
        b"\x00\x00\x00\x0cjP  \r\n\x87\n" + bytes(40),
    ]
    for data in [*others, images.png(image)[:20], images.webp(image)[:20]]:
        with pytest.raises(ValueError, match="no PNG and no lossless WebP"):
            images.decoded(data)


@pytest.mark.parametrize("count", FLIPPED)
def test_a_damaged_image_is_refused_or_an_image(count: int) -> None:
    source, refused = random.Random(0), 0
    image = videos.np.random.default_rng(0).integers(0, 255, (40, 36, 3), "uint8")
    whole = (images.webp(image), images.png(image))
    for number in range(count):
        try:
            assert images.decoded(flipped(whole[number % 2], source)).ndim == 3
        except ValueError:
            refused += 1
    print(f"{count} damaged images, {refused} refused")
    assert refused > count // 10
