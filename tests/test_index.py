"""index: every file and every name has one row, and a status that says what is wrong with it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import videos
from trueframe import tables, video
from trueframe.errors import UserError
from trueframe.params import Index
from trueframe.stages import index
from trueframe.tools import Tools

REAL = {"label": "REAL", "split": "train"}


def fake(original: Any) -> dict[str, Any]:
    return {"label": "FAKE", "split": "train", "original": original}


def write_part(raw: Path, metadata: Any) -> Path:
    raw.mkdir(parents=True, exist_ok=True)
    (raw / "metadata.json").write_text(json.dumps(metadata))
    return raw


def run(
    raw: Path,
    unit: str = "train/part_00",
    min_frames: int = 2,
    workers: int = 1,
    withdrawn: Collection[str] = (),
) -> dict[str, dict[str, Any]]:
    table = raw.parent / "index.parquet"
    params = Index(min_frames=min_frames)
    items = index.run(unit=unit, raw=raw, table=table, params=params, tools=Tools(workers), withdrawn=withdrawn)
    rows = tables.read_rows(table)
    assert items == {"table": len(rows)}
    assert [row["video"] for row in rows] == sorted({row["video"] for row in rows})
    return {row["video"]: row for row in rows}


def told(row: dict[str, Any]) -> tuple[str, int | None, str | None]:
    return row["status"], row["label"], row["original"]


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    return tmp_path / "raw"


def test_a_row_tells_what_the_file_holds_and_what_the_metadata_says(raw: Path) -> None:
    write_part(raw, {"real.mp4": REAL, "fake.mp4": fake("real.mp4")})
    path = videos.write(raw / "real.mp4", 12)
    videos.write(raw / "fake.mp4", 15)
    rows = run(raw)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert rows["real.mp4"] == {
        "video": "real.mp4",
        "sha256": digest,
        "size_bytes": path.stat().st_size,
        "codec": "h264",
        "width_px": 96,
        "height_px": 64,
        "fps": 25.0,
        "frames": 12,
        "status": "ok",
        "reason": "",
        "label": 0,
        "original": None,
    }
    assert told(rows["fake.mp4"]) == ("ok", 1, "real.mp4")
    assert rows["fake.mp4"]["frames"] == 15


def test_trouble_with_a_file_is_its_status(raw: Path, tmp_path: Path) -> None:
    names = ["cut.mp4", "empty.mp4", "sound.mp4", "short.mp4", "gone.mp4", "link.mp4", "text.txt"]
    write_part(raw, dict.fromkeys(names, REAL))
    videos.write_truncated(raw / "cut.mp4")
    (raw / "empty.mp4").touch()
    videos.write_sound(raw / "sound.mp4")
    videos.write(raw / "short.mp4", 9)
    (raw / "link.mp4").symlink_to(tmp_path / "nowhere.mp4")
    (raw / "text.txt").write_text("not a video")
    (raw / "folder.mp4").mkdir()
    rows = run(raw, min_frames=10)
    assert {name: (row["status"], row["label"]) for name, row in rows.items()} == {
        "cut.mp4": ("truncated", 0),
        "empty.mp4": ("decode_error", 0),
        "folder.mp4": ("not_a_video", None),
        "gone.mp4": ("missing_file", 0),
        "link.mp4": ("missing_file", 0),
        "short.mp4": ("too_few_frames", 0),
        "sound.mp4": ("decode_error", 0),
        "text.txt": ("not_a_video", None),
    }
    assert rows["short.mp4"]["reason"] == "9 frames; index.min_frames asks for 10"
    assert rows["short.mp4"]["frames"] == 9
    frames = rows["cut.mp4"]["frames"]
    assert rows["cut.mp4"]["reason"] == f"{frames} of the 60 frames that the container declares are there"
    assert rows["sound.mp4"]["reason"] == "no video stream"
    assert rows["gone.mp4"]["reason"] == "named in metadata.json, not in the folder"
    assert rows["gone.mp4"]["sha256"] == ""
    assert rows["empty.mp4"]["sha256"] == hashlib.sha256(b"").hexdigest()
    assert rows["link.mp4"]["reason"] == "a link to a file that is not there"
    assert all(row["reason"] for row in rows.values())


CLAIMS: dict[str, tuple[Any, str, int | None, str | None, str]] = {
    "no_label": ({"split": "train"}, "bad_metadata", None, None, "gives it no label REAL or FAKE"),
    "lower_case": ({"label": "real"}, "bad_metadata", None, None, "gives it no label REAL or FAKE"),
    "number": ({"label": 1}, "bad_metadata", None, None, "gives it no label REAL or FAKE"),
    "list": ({"label": ["REAL"]}, "bad_metadata", None, None, "gives it no label REAL or FAKE"),
    "entry_null": (None, "bad_metadata", None, None, "gives it no label REAL or FAKE"),
    "entry_text": ("REAL", "bad_metadata", None, None, "gives it no label REAL or FAKE"),
    "of_a_fake": (fake("twin.mp4"), "bad_metadata", 1, "twin.mp4", "its original twin.mp4 is a fake itself"),
    "of_itself": (fake("v.mp4"), "missing_original", 1, None, "names no original for this fake"),
    "of_nothing": ({"label": "FAKE"}, "missing_original", 1, None, "names no original for this fake"),
    "of_a_number": (fake(7), "missing_original", 1, None, "names no original for this fake"),
    "of_a_stranger": (fake("x.mp4"), "missing_original", 1, "x.mp4", "its original x.mp4 is not in this part"),
    "of_a_path": (fake("../x.mp4"), "missing_original", 1, "../x.mp4", "its original ../x.mp4 is not in this part"),
    "real_with_original": ({"label": "REAL", "original": "real.mp4"}, "ok", 0, None, ""),
    "right": (fake("real.mp4"), "ok", 1, "real.mp4", ""),
}


@pytest.mark.parametrize("name", CLAIMS)
def test_metadata_that_cannot_be_believed_is_a_status(raw: Path, name: str) -> None:
    entry, status, label, original, reason = CLAIMS[name]
    write_part(raw, {"v.mp4": entry, "real.mp4": REAL, "twin.mp4": fake("v.mp4")})
    for video_name in ("v.mp4", "real.mp4", "twin.mp4"):
        videos.write(raw / video_name, 3)
    row = run(raw)["v.mp4"]
    assert told(row) == (status, label, original)
    assert reason in row["reason"]
    assert bool(row["reason"]) == (status != "ok")


def test_a_file_that_the_metadata_does_not_name_has_no_label(raw: Path) -> None:
    write_part(raw, {})
    videos.write(raw / "v.mp4", 3)
    row = run(raw)["v.mp4"]
    assert told(row) == ("bad_metadata", None, None)
    assert row["reason"] == "not named in metadata.json"


def test_doubts_about_the_metadata_keep_what_is_known_of_the_file(raw: Path) -> None:
    write_part(raw, {"cut.mp4": fake("gone.mp4"), "empty.mp4": {}})
    videos.write_truncated(raw / "cut.mp4")
    (raw / "empty.mp4").touch()
    rows = run(raw)
    assert told(rows["cut.mp4"]) == ("missing_original", 1, "gone.mp4")
    assert "is not in this part; " in rows["cut.mp4"]["reason"]
    assert "of the 60 frames" in rows["cut.mp4"]["reason"]
    assert told(rows["empty.mp4"]) == ("decode_error", None, None)


def test_a_withdrawn_video_and_what_was_made_from_it_are_told_and_never_decoded(
    raw: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made_from = {"fake.mp4": "real.mp4", "again.mp4": "fake.mp4", "stranger.mp4": "elsewhere.mp4", "kept.mp4": "r2.mp4"}
    write_part(raw, {"real.mp4": REAL, "r2.mp4": REAL} | {name: fake(source) for name, source in made_from.items()})
    names = ["real.mp4", "r2.mp4", *made_from]
    for number, name in enumerate(names):
        videos.write(raw / name, 3 + number)
    decoded = []
    probe = video.probe
    monkeypatch.setattr(video, "probe", lambda path: decoded.append(path.name) or probe(path))
    rows = run(raw, withdrawn={"real.mp4", "elsewhere.mp4"})
    assert decoded == ["kept.mp4", "r2.mp4"]
    assert {name: row["reason"] for name, row in rows.items() if row["status"] == "withdrawn"} == {
        "again.mp4": "made from fake.mp4, which is withdrawn",
        "fake.mp4": "made from real.mp4, which is withdrawn",
        "real.mp4": "listed in data/withdrawn.csv",
        "stranger.mp4": "made from elsewhere.mp4, which is withdrawn",
    }
    assert told(rows["fake.mp4"]) == ("withdrawn", 1, "real.mp4")
    assert told(rows["kept.mp4"]) == ("ok", 1, "r2.mp4")
    assert rows["real.mp4"] == {
        "video": "real.mp4",
        "sha256": hashlib.sha256((raw / "real.mp4").read_bytes()).hexdigest(),
        "size_bytes": (raw / "real.mp4").stat().st_size,
        "codec": "",
        "width_px": 0,
        "height_px": 0,
        "fps": 0.0,
        "frames": 0,
        "status": "withdrawn",
        "reason": "listed in data/withdrawn.csv",
        "label": 0,
        "original": None,
    }


def test_only_an_absent_file_and_what_is_no_video_are_not_called_withdrawn(raw: Path) -> None:
    write_part(raw, {"gone.mp4": REAL, "of_gone.mp4": fake("gone.mp4"), "no_label.mp4": {}})
    for name in ("of_gone.mp4", "no_label.mp4", "unnamed.mp4"):
        videos.write(raw / name, 3)
    (raw / "empty.mp4").touch()
    (raw / "text.txt").write_text("not a video")
    rows = run(raw, withdrawn={"gone.mp4", "no_label.mp4", "unnamed.mp4", "empty.mp4", "text.txt"})
    assert {name: row["status"] for name, row in rows.items()} == {
        "empty.mp4": "withdrawn",
        "gone.mp4": "missing_file",
        "no_label.mp4": "withdrawn",
        "of_gone.mp4": "withdrawn",
        "text.txt": "not_a_video",
        "unnamed.mp4": "withdrawn",
    }


def test_a_withdrawn_video_of_a_test_part_has_no_label_and_takes_no_other_with_it(raw: Path) -> None:
    raw.mkdir()
    for name in ("a.mp4", "b.mp4"):
        videos.write(raw / name, 3)
    rows = run(raw, "test/part_00", withdrawn={"a.mp4"})
    assert {name: told(row) for name, row in rows.items()} == {
        "a.mp4": ("withdrawn", None, None),
        "b.mp4": ("ok", None, None),
    }


def test_a_test_part_needs_no_metadata_and_has_no_labels(raw: Path) -> None:
    raw.mkdir()
    videos.write(raw / "v.mp4", 3)
    (raw / "labels.csv").write_text("filename,label\nv.mp4,1\n")
    (raw / "metadata.json").write_text("never read")
    (raw / ".DS_Store").touch()
    rows = run(raw, "test/part_00")
    assert list(rows) == ["v.mp4"]
    assert told(rows["v.mp4"]) == ("ok", None, None)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "not there; a train part needs DFDC's metadata.json"),
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"\xef\xbb\xbf{}", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b'{"a": ' + b"1" * 5000 + b"}", "not JSON"),
        (b"[]", "expected an object from file name to entry, found list"),
        (b"null", "expected an object from file name to entry, found NoneType"),
        (b'{"\\ud800.mp4": {}}', r"'\ud800.mp4': expected a name in UTF-8"),
        (b'{"a.mp4": {"label": "FAKE", "original": "\\udfff"}}', r"'\udfff': expected a name in UTF-8"),
    ],
)
def test_metadata_that_is_none_is_told_by_its_path(raw: Path, content: bytes | None, message: str) -> None:
    raw.mkdir()
    videos.write(raw / "v.mp4", 3)
    if content is not None:
        (raw / "metadata.json").write_bytes(content)
    with pytest.raises(UserError) as caught:
        run(raw)
    assert str(caught.value).startswith(f"{raw / 'metadata.json'}: ")
    assert message in str(caught.value)


def test_a_folder_for_metadata_is_told_by_its_path(raw: Path) -> None:
    (raw / "metadata.json").mkdir(parents=True)
    with pytest.raises(UserError, match=r"metadata\.json: can't be read \(Is a directory\)"):
        run(raw)


def test_a_file_name_that_is_no_utf8_is_told(raw: Path) -> None:
    write_part(raw, {})
    Path(os.fsdecode(os.fsencode(raw) + b"/\xff.mp4")).touch()
    with pytest.raises(UserError, match=r"raw: '\\udcff\.mp4': expected a name in UTF-8"):
        run(raw)


@pytest.mark.parametrize("unit", ["train/part_00", "test/part_00"])
def test_a_part_without_videos_is_told_by_its_path(raw: Path, unit: str) -> None:
    write_part(raw, {})
    (raw / ".hidden").touch()
    with pytest.raises(UserError, match="raw: no videos in this part"):
        run(raw, unit)


def test_names_that_lead_out_of_the_part_are_never_opened(
    raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = videos.write(write_part(raw, {}) / "v.mp4", 3)
    outside = videos.write(tmp_path / "outside.mp4", 3)
    hidden = videos.write(raw / ".hidden.mp4", 3)
    names = ["../outside.mp4", str(outside), "..", ".", "", "/", "./v.mp4", f"../raw/{inside.name}", hidden.name]
    names += ["x/../../outside.mp4", "a\x00b.mp4", "n" * 300 + ".mp4", "metadata.json", "~/v.mp4", "v.mp4/"]
    write_part(raw, dict.fromkeys(["v.mp4", *names], REAL))
    opened = []
    monkeypatch.setattr(index, "sha256_file", lambda path: opened.append(path) or "digest")
    monkeypatch.setattr(video, "probe", lambda path: opened.append(path) or video.Probe("h264", 96, 64, 25.0, 3, 3))
    rows = run(raw)
    assert opened == [inside, inside]
    assert rows.keys() == {"v.mp4", *names}
    assert {rows[name]["status"] for name in names} == {"missing_file"}
    assert rows["v.mp4"]["status"] == "ok"


def test_the_table_has_the_same_bytes_for_any_number_of_workers_and_any_place(tmp_path: Path) -> None:
    # One set of videos, copied: x264 does not write the same bytes each time.
    part = write_part(tmp_path / "raw", {"a.mp4": REAL, "b.mp4": fake("a.mp4"), "c.mp4": REAL})
    videos.write(part / "a.mp4", 3)
    videos.write_truncated(part / "b.mp4")
    (part / "c.mp4").write_text("no video, for a reason that must not tell the place")
    (part / "d.mp4").mkdir()
    tables_bytes = []
    for place, workers in (("here", 1), ("there/deep", 2)):
        raw = Path(shutil.copytree(part, tmp_path / place / "raw"))
        run(raw, workers=workers)
        tables_bytes.append((raw.parent / "index.parquet").read_bytes())
    assert tables_bytes[0] == tables_bytes[1]


_FILES = ("a.mp4", "b.mp4", "c.mov", "notes.txt", "é ☺.mp4")
_NAMES = st.sampled_from([*_FILES, "gone.mp4", "../a.mp4", "/etc/passwd", "", ".", "..", "metadata.json"]) | st.text(
    st.characters(codec="utf-8"), max_size=6
)
_JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec="utf-8"), max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)
_ENTRIES = (
    st.fixed_dictionaries({}, optional={"label": st.sampled_from(["REAL", "FAKE"]) | _JUNK, "original": _NAMES | _JUNK})
    | _JUNK
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(_NAMES, _ENTRIES, max_size=6))
@example({"a.mp4": fake("b.mp4"), "b.mp4": fake("a.mp4")})
@example({"a.mp4": fake("b.mp4"), "b.mp4": fake("c.mov"), "c.mov": fake("a.mp4")})
def test_whatever_the_metadata_says_every_file_and_name_has_one_row(tmp_path: Path, metadata: dict[str, Any]) -> None:
    raw = write_part(tmp_path / "raw", metadata)
    if not (raw / _FILES[0]).exists():
        for name in _FILES:
            videos.write(raw / "v.mp4", 2).rename(raw / name)
    rows = run(raw)
    assert rows.keys() == {*_FILES, *metadata}
    for name, row in rows.items():
        assert bool(row["reason"]) == (row["status"] != "ok")
        assert row["original"] is None or row["label"] == 1
        if name not in _FILES:
            assert row["status"] == "missing_file"
        if row["status"] == "ok" and row["label"] == 1:
            assert metadata[row["original"]] is not None
            assert rows[row["original"]]["label"] != 1
