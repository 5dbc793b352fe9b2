"""Whatever the metadata of two parts says, it ends in a message that names the file, or in rows that hold together."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import videos
from trueframe import archive, claims, tables
from trueframe.errors import UserError
from trueframe.params import Folds, Index
from trueframe.stages import folds, index
from trueframe.tools import Tools

FILES = ("a.mp4", "b.mp4", "c.mp4", "d.mp4")
PARTS = ("train/part_00", "train/part_01")


def fake(original: Any) -> dict[str, Any]:
    return {"label": "FAKE", "split": "train", "original": original}


REAL = {"label": "REAL", "split": "train"}


def _refusal(work: Callable[[], object]) -> str:
    """The message in which it ends, "" where it ends well."""
    try:
        work()
    except UserError as error:
        return str(error)
    return ""


# Names of both parts' files among them, so that originals make chains, cycles and ties between the parts.
_NAMES = st.sampled_from(
    [*FILES, "gone.mp4", "../part_01/a.mp4", "/etc/passwd", "", "..", "metadata.json", "a\x00.mp4"]
)
_TEXT = st.text(st.characters(codec="utf-8"), max_size=5)
_JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | _TEXT,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(_TEXT, inner, max_size=2),
    max_leaves=4,
)
_LIKELY = st.just(REAL) | st.builds(fake, st.sampled_from(FILES) | _NAMES)
_ENTRIES = (
    _LIKELY
    | st.fixed_dictionaries(
        {}, optional={"label": st.sampled_from(["REAL", "FAKE"]) | _JUNK, "original": _NAMES | _JUNK}
    )
    | _JUNK
)
# As pairs, so that a name can come twice; most often with an entry for each file, so that there is something to deal.
_WILD = st.lists(st.tuples(_NAMES | _TEXT, _ENTRIES), max_size=5)
_METADATA = (
    st.builds(
        lambda likely, wild: [*likely.items(), *((name, entry) for name, entry in wild if name not in likely)],
        st.fixed_dictionaries(dict.fromkeys(FILES, _LIKELY)),
        _WILD,
    )
    | _WILD
)
Pairs = list[tuple[str, Any]]


def _twice(text: str) -> bool:
    """Whether an object in it has a name twice."""
    found = []
    json.loads(text, object_pairs_hook=lambda pairs: found.append(len(dict(pairs)) < len(pairs)) or dict(pairs))
    return any(found)


def _text(pairs: Pairs) -> str:
    return "{" + ", ".join(f"{json.dumps(name)}: {json.dumps(entry)}" for name, entry in pairs) + "}"


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two parts with videos of the same names, no two of one content."""
    folder = tmp_path_factory.mktemp("raw")
    for part in PARTS:
        (folder / part).mkdir(parents=True)
        for number, name in enumerate(FILES):
            videos.write(folder / part / name, 2 + number, options={"crf": "20" if part.endswith("0") else "30"})
    return folder


def _check_part(raw: Path, part: str, pairs: Pairs) -> bool:
    """Whether a part's index was made; what it says must hold together."""
    table = raw / f"{part}.parquet"
    metadata = dict(pairs)
    (raw / part / "metadata.json").write_text(_text(pairs))
    refusal = _refusal(
        lambda: index.run(unit=part, raw=raw / part, table=table, params=Index(min_frames=2), tools=Tools())
    )
    # Nothing else in these metadata makes a part unreadable.
    assert bool(refusal) == _twice(_text(pairs)), refusal
    if refusal:
        assert refusal.startswith(f"{raw / part / 'metadata.json'}: names ")
        return False
    rows = {row["video"]: row for row in tables.read_rows(table)}
    assert rows.keys() == {*FILES, *metadata}
    for name, row in rows.items():
        assert bool(row["reason"]) == (row["status"] != tables.OK)
        assert name in FILES or (row["status"], row["sha256"]) == (tables.MISSING_FILE, "")
        assert row["original"] is None or (row["label"] == 1 and row["original"] != name)
        if row["label"] is not None:
            assert metadata[name]["label"] == ("REAL", "FAKE")[row["label"]]
        if row["label"] == 1 and row["status"] == tables.OK:
            assert metadata[row["original"]] is not None
            assert rows[row["original"]]["label"] != 1
    return True


def _check_folds(raw: Path, made: list[str]) -> str:
    """Deal one crop of each usable video: no fold knows a relative of another's, or a message says why not."""
    crops = {}
    for part in made:
        crops[part] = raw / f"{part}.zip"
        with archive.Writer(crops[part]) as writer:
            for row in tables.read_rows(raw / f"{part}.parquet"):
                if row["status"] in tables.USABLE:
                    writer.add(archive.member_name(row["video"], 0, 0, "webp"), b"image")
    refusal = _refusal(
        lambda: folds.run(
            unit="all",
            index={part: raw / f"{part}.parquet" for part in made},
            crops=crops,
            table=raw / "folds",
            params=Folds(method="original", count=2, seed=0),
            tools=Tools(),
        )
    )
    if refusal:
        assert "folds.count: 2" in refusal
        return "too few for two folds"
    rows = tables.read_rows(raw / "folds")
    fold_of = {(row["part"], row["video"]): row["fold"] for row in rows}
    for row in rows:
        source = (row["part"], row["original"])
        assert source not in fold_of or fold_of[source] == row["fold"]
    return "folds dealt"


def _two_parts(raw: Path, first: Pairs, second: Pairs) -> str:
    """What becomes of them, in words."""
    made = [part for part, pairs in zip(PARTS, (first, second), strict=True) if _check_part(raw, part, pairs)]
    return f"{len(made)} of 2 parts indexed, {_check_folds(raw, made)}" if made else "both parts refused"


@pytest.mark.parametrize("count", [40, pytest.param(1000, marks=pytest.mark.long)])
def test_two_parts_of_any_metadata(raw: Path, count: int) -> None:
    found = Counter[str]()

    @settings(max_examples=count)
    @given(_METADATA, _METADATA)
    @example([("a.mp4", fake("a.mp4"))], [])
    @example([("a.mp4", fake("b.mp4")), ("b.mp4", fake("c.mp4")), ("c.mp4", fake("a.mp4"))], [("a.mp4", REAL)])
    @example([("a.mp4", REAL), ("b.mp4", fake("a.mp4"))], [("a.mp4", fake("b.mp4")), ("b.mp4", REAL)])
    @example([("a.mp4", REAL), ("a.mp4", fake("b.mp4"))], [("a.mp4", REAL)])
    @example([("a.mp4", fake("../part_01/a.mp4")), ("b.mp4", fake("/etc/passwd"))], [("a.mp4", REAL)])
    @example([("a.mp4", fake("gone.mp4")), ("gone.mp4", {})], [("a.mp4", {})])
    def check(first: Pairs, second: Pairs) -> None:
        found[_two_parts(raw, first, second)] += 1

    check()
    print(f"{found.total()} pairs of metadata: {dict(found)}")


@settings(max_examples=60)
@given(st.binary(max_size=40) | st.binary(max_size=40).map(lambda data: b'{"a.mp4": ' + data + b"}"))
def test_any_bytes_are_read_or_told(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    raw = tmp_path_factory.mktemp("bytes")
    (raw / "metadata.json").write_bytes(data)
    refusal = _refusal(lambda: claims.originals(claims.read(raw)))
    assert not refusal or refusal.startswith(f"{raw / 'metadata.json'}: ")


@pytest.mark.parametrize("depth", [1, 100, 500, 900, 950, 990, 5000])
@pytest.mark.parametrize("entry", ['{"label": DEEP}', '{"label": "FAKE", "original": DEEP}', "DEEP"])
def test_a_deep_value_is_no_label_and_no_name(tmp_path: Path, depth: int, entry: str) -> None:
    deep = "[" * depth + "]" * depth
    (tmp_path / "metadata.json").write_text('{"a.mp4": ' + entry.replace("DEEP", deep) + "}")
    refusal = _refusal(lambda: claims.originals(claims.read(tmp_path)))
    if refusal:
        assert f"{tmp_path / 'metadata.json'}: not JSON: maximum recursion depth exceeded" in refusal
        assert depth > 500
    else:
        assert claims.originals(claims.read(tmp_path)) == {}


def test_a_name_that_comes_twice_is_told(tmp_path: Path) -> None:
    (tmp_path / "metadata.json").write_text(_text([("a.mp4", REAL), ("b.mp4", REAL), ("a.mp4", fake("b.mp4"))]))
    with pytest.raises(UserError, match=r"metadata\.json: names 'a\.mp4' twice in one object; keep the right one"):
        claims.read(tmp_path)


@pytest.mark.timeout(60)
def test_a_pipe_in_place_of_metadata_is_told(tmp_path: Path) -> None:
    (tmp_path / "metadata.json").symlink_to("/dev/zero")
    with pytest.raises(UserError, match=r"metadata\.json: can't be read \(a pipe or device, not a file\)"):
        claims.read(tmp_path)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("megabytes", [1, pytest.param(100, marks=pytest.mark.long)])
@pytest.mark.parametrize("opening", ['{"a.mp4": ', "["])
def test_nesting_without_end_is_told(tmp_path: Path, megabytes: int, opening: str) -> None:
    (tmp_path / "metadata.json").write_text(opening * (megabytes * 1_000_000 // len(opening)))
    with pytest.raises(UserError, match=r"metadata\.json: not JSON: maximum recursion depth exceeded"):
        claims.read(tmp_path)
