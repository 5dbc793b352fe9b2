"""Files that someone made to do harm: each is refused in one message, runs nothing, and takes no memory to speak of."""

from __future__ import annotations

import json
import os
import pickle
import random
import re
import shutil
import struct
import subprocess
import sys
import time
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import safetensors.torch
import timm
import torch

import small_data
import videos
from small_training import section, train
from trueframe import archive, card, headers, images, network, params, runner, tables, video
from trueframe.dag import STAGES
from trueframe.errors import UserError
from trueframe.stages import crops
from trueframe.tools import Tools
from trueframe.workspace import Workspace

ENCODER = "test_efficientnet"
PUBLISHED = "test_efficientnet.r160_in1k"
PARAMS = (Path(__file__).parents[2] / "params.yaml").read_text()
FLIPPED = [300, pytest.param(20_000, marks=pytest.mark.long)]


# Archives.


def zipped(path: Path, names: list[str], data: bytes = b"image", kind: int = zipfile.ZIP_STORED) -> Path:
    """A zip of members with any names, as zipfile writes it."""
    with zipfile.ZipFile(path, "w", kind) as file:
        for name in names:
            file.writestr(zipfile.ZipInfo(name), data, compress_type=kind)
        file.comment = b"trueframe 1"
    return path


def patched(path: Path, place: int, layout: str, *values: int) -> Path:
    """The same with other values at a place of the directory's first entry."""
    data = bytearray(path.read_bytes())
    struct.pack_into(layout, data, data.index(b"PK\x01\x02") + place, *values)
    path.write_bytes(data)
    return path


def replaced(path: Path, names: list[str], old: bytes, new: bytes) -> Path:
    """A zip of such members with other bytes of the same number wherever some stood."""
    path.write_bytes(zipped(path, names).read_bytes().replace(old, new))
    return path


def shared(path: Path) -> Path:
    """A zip of a hundred members that are all the same bytes, as in bombs that need no compression."""
    zipped(path, [f"v/{number:06d}_0.png" for number in range(100)])
    data = path.read_bytes()
    at = data.index(b"PK\x01\x02")
    directory = bytearray(data[at:])
    entry = 0
    while (entry := directory.find(b"PK\x01\x02", entry)) >= 0:
        struct.pack_into("<I", directory, entry + 42, 0)
        entry += 4
    path.write_bytes(data[:at] + directory)
    return path


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


def flipped(data: bytes, source: random.Random) -> bytes:
    """The same with some bytes changed, moved or cut off."""
    changed = bytearray(data)
    for _ in range(source.randint(1, 4)):
        changed[source.randrange(len(changed))] = source.choice((0, 1, 0x7F, 0x80, 0xFF, source.randrange(256)))
    if source.random() < 0.2:
        del changed[source.randrange(len(changed)) :]
    return bytes(changed)


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


# Images.


def png_bomb(side_px: int) -> bytes:
    """A black PNG of one bit a pixel: some kilobytes for any size."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    row = bytes(1 + -(-side_px // 8))
    packer = zlib.compressobj(1)
    packed = b"".join([*(packer.compress(row * 1000) for _ in range(side_px // 1000)), packer.flush()])
    start = struct.pack(">IIBBBBB", side_px, side_px, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", start) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


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


# Tables.

VIDEO = {"video": "a.mp4", "status": "ok", "reason": "", "items": 1}


def table(path: Path, schema: pa.Schema) -> Path:
    """A table with one row and any columns."""
    row = {field.name: "x" if "string" in str(field.type) else 1 for field in schema}
    pq.write_table(pa.Table.from_pylist([row], schema=schema), path)
    return path


TELLS = tables.VIDEOS.metadata
SCHEMAS: dict[str, tuple[pa.Schema, str]] = {
    "less": (tables.VIDEOS.remove(1), "no column status"),
    "more": (tables.VIDEOS.append(pa.field("extra", pa.string())), "an unknown column 'extra'"),
    "another type": (tables.VIDEOS.set(3, pa.field("items", pa.string())), "column items is string, not int64"),
    "wide texts": (tables.VIDEOS.set(0, pa.field("video", pa.large_string())), "column video is large_string"),
    "another table": (tables.BBOXES, "no column status; no column reason; no column items and 7 more"),
    "another order": (pa.schema(list(tables.VIDEOS)[::-1], TELLS), "in another order"),
    "twice": (tables.VIDEOS.append(pa.field("reason", pa.string())), "columns in another order or with other rules"),
    "nothing": (pa.schema([], TELLS), "no column video; no column status; no column reason and 1 more"),
    "no format": (tables.VIDEOS.remove_metadata(), "does not tell trueframe's format"),
    "an odd format": (tables.VIDEOS.with_metadata({"trueframe_format": "²"}), "does not tell trueframe's format"),
    "a newer format": (tables.VIDEOS.with_metadata({"trueframe_format": "2"}), "a newer trueframe made it"),
    "an older format": (tables.VIDEOS.with_metadata({"trueframe_format": "0"}), "an older trueframe made it"),
}


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_table_of_other_columns_is_refused_by_name(tmp_path: Path, name: str) -> None:
    schema, message = SCHEMAS[name]
    path = tmp_path / "t.parquet"
    if name == "twice":
        rows = [pa.array([value]) for value in (*VIDEO.values(), "x")]
        pq.write_table(pa.Table.from_arrays(rows, schema=schema), path)
    else:
        table(path, schema)
    with pytest.raises(UserError, match=message) as caught:
        tables.require(path, tables.VIDEOS)
    assert str(caught.value).startswith(f"{path}: ")


def test_each_table_that_a_stage_hands_on_has_its_columns_told(finished_workspace: Path) -> None:
    parquet = {
        (stage.name, name)
        for stage in STAGES.values()
        for name, path in stage.outputs.items()
        if path.endswith("parquet")
    }
    assert parquet == tables.HANDED_ON.keys()
    layout = Workspace(finished_workspace).layout
    for (stage, name), schema in tables.HANDED_ON.items():
        for unit in layout.units(stage):
            tables.require(finished_workspace / layout.output(stage, name, unit)[0], schema)


@pytest.mark.parametrize("data", [b"", b"PAR1", b"PAR1" + bytes(20) + b"PAR1", pickle.dumps(1), b"video,status\n"])
def test_what_is_no_table_is_refused_by_name(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "t.parquet"
    path.write_bytes(data)
    reads: list[Callable[[], Any]] = [
        lambda: tables.require(path, tables.VIDEOS),
        lambda: tables.read(path),
        lambda: tables.read_rows(path),
    ]
    for read in reads:
        with pytest.raises(UserError, match=r"t\.parquet: no whole table"):
            read()


@pytest.mark.parametrize("count", FLIPPED)
def test_a_damaged_table_is_refused_or_rows(tmp_path: Path, count: int) -> None:
    path, source, refused = tmp_path / "t.parquet", random.Random(0), 0
    tables.write(path, [VIDEO | {"items": number} for number in range(50)], tables.VIDEOS)
    data = path.read_bytes()
    for _ in range(count):
        path.write_bytes(flipped(data, source))
        try:
            tables.require(path, tables.VIDEOS)
            assert all(row.keys() == VIDEO.keys() for row in tables.read_rows(path))
        except UserError:
            refused += 1
    print(f"{count} damaged tables, {refused} refused")
    assert refused > count // 3


@pytest.mark.parametrize("name", ["../../../../etc/passwd", "/etc/passwd", "..", "", "a\0.mp4", "b/../../a.mp4"])
def test_a_table_cannot_make_a_stage_open_a_file_outside_its_part(tmp_path: Path, name: str) -> None:
    tables.write(tmp_path / "index", [videos.index_row(name)], tables.INDEX)
    box = {"video": name, "frame": 0, "track": 0, "x0": 0.0, "y0": 0.0, "x1": 9.0, "y1": 9.0, "score": 1.0}
    tables.write(tmp_path / "boxes", [box], tables.BBOXES)
    tables.write(tmp_path / "videos", [VIDEO | {"video": name}], tables.VIDEOS)
    (tmp_path / "raw").mkdir()
    with pytest.raises(UserError, match="expected a file's name"):
        crops.run(
            unit="train/part_00",
            raw=tmp_path / "raw",
            index=tmp_path / "index",
            bboxes=tmp_path / "boxes",
            bboxes_videos=tmp_path / "videos",
            archive=tmp_path / "crops.zip",
            videos=tmp_path / "out",
            params=params.parse(PARAMS, "params.yaml").crops,
            tools=Tools(),
        )
    with pytest.raises(UserError, match="expected a file's name"):
        video.inside(tmp_path / "raw", name)


# Weights.


class Payload:
    """Unpickled, it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch '{self.path}'",)


def weights(path: Path, told: str | None = None) -> Path:
    """A safetensors file of a small network, with any card."""
    made = timm.create_model(ENCODER, num_classes=1)
    tensors = {name: value.contiguous() for name, value in made.state_dict().items()}
    safetensors.torch.save_file(tensors, path, metadata=None if told is None else {card.KEY: told})
    return path


@pytest.mark.parametrize("protocol", [2, 3, 4, 5, "torch", "torch before 1.6"])
def test_a_pickle_is_refused_by_its_content_and_runs_nothing(tmp_path: Path, protocol: int | str) -> None:
    path, pwned = tmp_path / "weights.safetensors", tmp_path / "pwned"
    if isinstance(protocol, int):
        path.write_bytes(pickle.dumps(Payload(pwned), protocol))
    else:
        torch.save(Payload(pwned), path, _use_new_zipfile_serialization=protocol == "torch")
    reads: list[Callable[[], Any]] = [
        lambda: network.build(ENCODER, str(path), size_px=32, holdout_fold=0),
        lambda: network.load(path),
        lambda: card.read(path),
    ]
    for read in reads:
        with pytest.raises(UserError, match=r"weights\.safetensors: a pickle by its content, .* may run any code"):
            read()
    assert not pwned.exists()
    path.rename(tmp_path / "weights.pt")
    if isinstance(protocol, int):
        pickle.loads((tmp_path / "weights.pt").read_bytes())  # noqa: S301 - that is what it is for
    else:
        torch.load(tmp_path / "weights.pt", weights_only=False)
    assert pwned.exists()  # it would have


@pytest.mark.parametrize("name", ["w.pth", "w.pt", "w.bin", "w.ckpt", "w.pkl", "w.PTH", "w.pth.tar"])
def test_a_pickle_is_refused_by_its_name_whatever_is_in_it(tmp_path: Path, name: str) -> None:
    path = weights(tmp_path / name)
    with pytest.raises(UserError, match=rf"params\.yaml: models\.weights: {path}: named \.\w+, as pickles are"):
        network.build(ENCODER, str(path), size_px=32, holdout_fold=0)
    path.unlink()
    with pytest.raises(UserError, match="as pickles are"):
        network.build(ENCODER, str(path), size_px=32, holdout_fold=0)


def test_a_header_that_begins_as_a_pickle_does_is_none(tmp_path: Path) -> None:
    """A header of 1152 bytes: the file begins with 0x80 and 4."""
    path = tmp_path / "w.safetensors"
    header = json.dumps({"__metadata__": {"x": "y"}}).encode().ljust(0x0480)
    path.write_bytes(struct.pack("<Q", len(header)) + header)
    card.refuse_pickle(path, "x")
    with pytest.raises(UserError, match="its metadata has no trueframe"):
        card.read(path)


def test_the_hub_is_asked_for_safetensors_alone(tmp_path: Path) -> None:
    """A repository of the hub's that has a pickle and nothing else, as it is after a download."""
    commit = "0" * 40
    repository = tmp_path / "hub" / f"models--timm--{PUBLISHED}"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs/main").write_text(commit)
    (repository / "snapshots" / commit).mkdir(parents=True)
    state = timm.create_model(ENCODER).state_dict()
    torch.save(state, repository / "snapshots" / commit / "pytorch_model.bin")
    # The hub itself says that it has no other.
    (repository / ".no_exist" / commit).mkdir(parents=True)
    (repository / ".no_exist" / commit / "model.safetensors").touch()
    code = f"""
import timm, torch
from trueframe import network
from trueframe.errors import UserError
timm.create_model({PUBLISHED!r}, pretrained=True)  # left to itself, timm reads it
def load(*args, **more): raise SystemExit("read a pickle")
torch.load = load
try:
    network.build({PUBLISHED!r}, "hub", size_px=32, holdout_fold=0)
except UserError as error:
    print(error)
"""
    offline = {**os.environ, "PYTHONPATH": ":".join(sys.path), "HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run([sys.executable, "-c", code], env=offline, capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"params.yaml: models.weights: hub: could not fetch the weights of {PUBLISHED}")


def test_an_encoder_that_the_hub_has_as_a_pickle_alone_is_refused() -> None:
    name = next(name for name in timm.list_models(pretrained=True) if not timm.get_pretrained_cfg(name).hf_hub_id)
    with (
        torch.device("meta"),
        pytest.raises(UserError, match=f"models.weights: hub: of {name} the hub has no safetens"),
    ):
        network.build(name, "hub", size_px=224, holdout_fold=0)


GOOD = {
    "format": 1,
    "encoder": ENCODER,
    "size_px": 32,
    "mean": [0.5] * 3,
    "std": [0.5] * 3,
    "holdout_fold": 0,
    "epoch": 0,
}
CARDS = {
    "of a hub": (GOOD | {"encoder": "hf-hub:someone/model"}, "timm .* has none such"),
    "of a folder": (GOOD | {"encoder": "local-dir:/tmp"}, "timm .* has none such"),
    "of unknown weights": (
        GOOD | {"encoder": f"{ENCODER}.evil"},
        "timm .* has no such weights of test_efficientnet; it",
    ),
    "of another network": (GOOD | {"encoder": "test_vit"}, "its tensors are not those of test_vit"),
    "that is huge": (GOOD | {"size_px": 1 << 40}, "does not tell its network .*less than or equal to 1024"),
    "that is short": ({"format": 1, "encoder": ENCODER}, "does not tell its network .*"),
    "without a format": ({name: value for name, value in GOOD.items() if name != "format"}, "its network .no format"),
    "that is newer": (GOOD | {"format": 2}, "format 2, expected 1: a newer trueframe made it"),
    "that is a list": ([GOOD], "does not tell its network"),
    "of two colours": (GOOD | {"mean": [0.5, 0.5]}, "does not tell its network"),
}


@pytest.mark.parametrize("name", [*CARDS, "no JSON", "deep"])
def test_a_card_that_is_not_ours_is_refused_by_the_files_name(tmp_path: Path, name: str) -> None:
    odd = {"no JSON": ("{", "does not tell its network"), "deep": ("[" * 100_000, "does not tell its network")}
    told, message = odd[name] if name in odd else (json.dumps(CARDS[name][0]), CARDS[name][1])
    path = weights(tmp_path / "weights.safetensors", told)
    with pytest.raises(UserError, match=message) as caught:
        network.load(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_the_card_that_those_were_made_of_is_one(tmp_path: Path) -> None:
    assert network.load(weights(tmp_path / "weights.safetensors", json.dumps(GOOD))).card.encoder == ENCODER


# In place of an artifact.


def bombed(path: Path) -> Path:
    with archive.Writer(path) as writer:
        writer.add("v.mp4/000000_0.webp", png_bomb(20_000))
    return path


def empty(schema: pa.Schema) -> Callable[[Path], Path]:
    def make(path: Path) -> Path:
        pq.write_table(schema.empty_table(), path)
        return path

    return make


def pickled(path: Path) -> Path:
    path.write_bytes(pickle.dumps(Payload(path.with_name("pwned"))))
    return path


CROPS, PART = "data/crops/train/part_00.zip", "train/part_00"
ARTIFACTS: dict[str, tuple[str, str, str, Callable[[Path], Path], str]] = {
    "an index of other columns": (
        "bboxes",
        PART,
        "data/index/train/part_00.parquet",
        empty(tables.VIDEOS),
        "no column",
    ),
    "boxes of other columns": ("crops", PART, "data/bboxes/train/part_00.parquet", empty(tables.INDEX), "no column"),
    "an archive that escapes": ("masks", PART, CROPS, ZIPS["named ../../escaped/000000_0.png"][0], "is not named"),
    "an archive of shared bytes": ("landmarks", PART, CROPS, shared, "of another member"),
    "a packed archive": ("folds", "all", CROPS, ZIPS["a bomb"][0], "is compressed"),
    "an image bomb": ("predictions", "1/test/part_00", "data/crops/test/part_00.zip", bombed, "20000 by 20000 pixels"),
    "folds of other columns": (
        "predictions",
        "1/train/part_01",
        "data/folds/folds.parquet",
        empty(tables.ROLES),
        "no col",
    ),
    "a pickle for weights": (
        "predictions",
        "1/test/part_00",
        "models/1/weights_1.safetensors",
        pickled,
        "a pickle by its",
    ),
    "masks of other columns": ("models", "1", "data/masks/train/part_01.parquet", empty(tables.BBOXES), "no column"),
    "scores of other columns": (
        "submission",
        "all",
        "data/predictions/1/test/part_00.parquet",
        empty(tables.MASKS),
        "no c",
    ),
    "a text for a table": ("evaluation", "all", "data/folds/folds.parquet", ZIPS["no zip"][0], "no whole table"),
}


@pytest.mark.parametrize("name", ARTIFACTS)
def test_a_hostile_artifact_is_one_message_and_harms_nothing(finished: Path, name: str) -> None:
    stage, unit, path, make, message = ARTIFACTS[name]
    workspace = Workspace(finished)
    workspace.layout.units(stage)
    (finished / workspace.layout.output_paths(stage, unit)[0]).unlink()
    (finished / path).unlink(missing_ok=True)
    make(finished / path)
    before = {file: file.stat().st_mtime_ns for file in finished.glob("[dmr]*/**/*") if file.is_file()}
    with pytest.raises(UserError, match=message) as caught:
        runner.run_unit(workspace, stage, unit, device="cpu")
    assert str(caught.value).startswith(str(finished / path))
    after = {file: file.stat().st_mtime_ns for file in finished.glob("[dmr]*/**/*") if file.is_file()}
    assert after == before
    assert not list(finished.parent.rglob("pwned"))


@pytest.mark.parametrize("workers", [1, pytest.param(3, marks=pytest.mark.long)])
def test_a_training_names_the_archive_of_a_damaged_crop_whoever_reads_it(
    data: small_data.Data, tmp_path: Path, workers: int
) -> None:
    damaged = {part: Path(shutil.copy(path, tmp_path / f"{Path(part).name}.zip")) for part, path in data.crops.items()}
    for path in damaged.values():
        path.write_bytes(path.read_bytes().replace(b"RIFF", b"RAFF"))
    with pytest.raises(UserError) as caught:
        train(replace(data, crops=damaged), tmp_path / "out", section(), Tools(device="cpu", workers=workers))
    assert re.fullmatch(rf"{tmp_path}/part_0\d\.zip: at byte \d+: \d+ bytes that are no PNG .*", str(caught.value))


# Parameters.

TAGS = {
    "apply": "!!python/object/apply:os.system ['touch pwned']",
    "new": "!!python/object/new:subprocess.Popen [['touch', 'pwned']]",
    "module": "!!python/module:os",
    "name": "!!python/name:os.system",
    "own": "!run 'touch pwned'",
    "binary": "!!binary dG91Y2ggcHduZWQ=",
}


@pytest.mark.parametrize("name", TAGS)
def test_a_tag_in_the_parameters_runs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"^params\.yaml: (not YAML|\d+ wrong)"):
        params.parse(PARAMS.replace("method: part", f"method: {TAGS[name]}"), "params.yaml")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("place", ["method: part", "margin: 0.3333", "nowhere"])
def test_aliases_that_stand_for_a_thousand_million_values_are_a_short_message(place: str) -> None:
    layers = [f"&x{n} [{', '.join([f'*x{n - 1}'] * 9)}]" for n in range(1, 10)]
    if place == "nowhere":
        text = "\n".join(f"- {layer}" for layer in ["&x0 [lol]", *layers])
    else:
        text = "\n".join(f"x{n}: {layer}" for n, layer in enumerate(["&x0 [lol]", *layers])) + "\n"
        text += PARAMS.replace(place, f"{place.partition(':')[0]}: *x9")
    begun = time.monotonic()
    with pytest.raises(UserError) as caught:
        params.parse(text, "params.yaml")
    assert len(str(caught.value)) < 5000
    assert time.monotonic() - begun < 5
