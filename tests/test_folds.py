from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trueframe import archive, tables
from trueframe.errors import UserError
from trueframe.params import Folds
from trueframe.stages import folds
from trueframe.tools import Tools

DFDC_PART = Path(__file__).resolve().parents[2] / "shared/data/dfdc_train_part_3/metadata.json"


@dataclass(frozen=True)
class Video:
    name: str
    label: int | None = 0
    original: str | None = None
    crops: int = 1
    status: str = tables.OK
    content: str | None = None  # None: like no other's


Parts = dict[str, list[Video]]


def real(name: str, **more: Any) -> Video:
    return Video(name, 0, **more)


def fake(name: str, original: str | None, **more: Any) -> Video:
    return Video(name, 1, original, **more)


def write_inputs(folder: Path, parts: Parts) -> tuple[dict[str, Path], dict[str, Path]]:
    index, crops = {}, {}
    for part, videos in parts.items():
        rows = []
        stem = part.replace("/", "_")
        with archive.Writer(folder / f"{stem}.zip") as writer:
            for video in sorted(videos, key=lambda video: video.name):
                sha256 = f"{part}/{video.name}" if video.content is None else video.content
                row = dict.fromkeys(("size_bytes", "width_px", "height_px", "frames"), 1) | {
                    "codec": "h264",
                    "fps": 30.0,
                }
                row |= {"video": video.name, "sha256": sha256, "status": video.status, "reason": ""}
                rows.append(row | {"label": video.label, "original": video.original})
                for number in range(video.crops):
                    writer.add(
                        archive.member_name(video.name, 10 * number, 0, "webp"), f"{video.name} {number}".encode()
                    )
        index[part], crops[part] = folder / f"{stem}.parquet", folder / f"{stem}.zip"
        tables.write(index[part], rows, tables.INDEX)
    return index, crops


def deal(folder: Path, parts: Parts, method: str = "original", count: int = 2, seed: int = 0) -> pd.DataFrame:
    index, crops = write_inputs(folder, parts)
    table = folder / "folds.parquet"
    params = Folds.model_validate({"method": method, "count": count, "seed": seed})
    written = folds.run(unit="all", index=index, crops=crops, table=table, params=params, tools=Tools())
    found = tables.read(table)
    assert written == {"table": len(found)}
    return found


def family(name: str, fakes: int, **more: Any) -> list[Video]:
    return [real(name, **more), *(fake(f"{name}_fake{number}", name, **more) for number in range(fakes))]


def relatives(name: str, reals: int, fakes: int) -> list[Video]:
    """One group: real videos that show the same, and fakes of them, or of an original that isn't there."""
    return [
        *(real(f"{name}_{number}", content=name) for number in range(reals)),
        *(fake(f"{name}_fake{number}", f"{name}_0") for number in range(fakes)),
    ]


def by_video(found: pd.DataFrame) -> dict[str, int]:
    return {f"{row.part}/{row.video}": row.fold for row in found.itertuples()}


def test_a_row_says_where_the_bytes_of_its_crop_lie_and_what_it_shows(tmp_path: Path) -> None:
    parts = {"train/b": family("r1", 2, crops=3), "train/a": family("r0", 1, crops=12)}
    found = deal(tmp_path, parts)
    assert len(found) == 3 * 3 + 2 * 12
    assert found.equals(found.sort_values(["part", "video", "frame", "track"], ignore_index=True))
    assert set(found["part"]) == {"train/a", "train/b"}
    for row in found.itertuples():
        with archive.Reader(tmp_path / f"{row.part.replace('/', '_')}.zip") as reader:
            assert reader.read(row.offset, row.size).decode() == f"{row.video} {row.frame // 10}"
        assert row.label == ("fake" in row.video)
        assert row.original == row.video[:2]


def test_rows_are_in_order_where_the_archive_is_sorted_otherwise(tmp_path: Path) -> None:
    # "a-b/" sorts before "a/", but "a" before "a-b".
    found = deal(tmp_path, {"train/p": [real("a"), real("a-b")]})
    assert list(found["video"]) == ["a", "a-b"]


def test_method_part_keeps_parts_whole_and_uses_every_fold(tmp_path: Path) -> None:
    parts = {f"train/{number}": family(f"r{number}", 2) for number in range(7)}
    found = deal(tmp_path, parts, method="part", count=3)
    assert (found.groupby("part")["fold"].nunique() == 1).all()
    assert sorted(found.groupby("fold")["part"].nunique()) == [2, 2, 3]


def test_method_original_keeps_fakes_with_their_original_wherever_they_are(tmp_path: Path) -> None:
    parts = {
        "train/a": [*family("r0", 2), *family("r1", 2)],
        "train/b": [fake("f0", "r0"), fake("f1", "r1"), fake("f2", "gone"), *family("r2", 3)],
        "train/c": [fake("f3", "gone")],
    }
    found = by_video(deal(tmp_path, parts, count=4))
    assert found["train/b/f0"] == found["train/a/r0"] == found["train/a/r0_fake1"]
    assert found["train/b/f1"] == found["train/a/r1"]
    assert found["train/b/f2"] == found["train/c/f3"]
    assert set(found.values()) == {0, 1, 2, 3}


def test_method_original_keeps_equal_content_in_one_fold(tmp_path: Path) -> None:
    parts = {
        "train/a": [*family("r0", 2), *family("r1", 2), *family("r2", 1)],
        "train/b": [real("copy", content="same")],
    }
    parts["train/a"].append(fake("f", "r1", content="same"))
    for seed in range(6):
        found = by_video(deal(tmp_path, parts, count=3, seed=seed))
        assert found["train/b/copy"] == found["train/a/f"] == found["train/a/r1"]


def test_method_original_keeps_a_fake_of_a_fake_with_the_first_original(tmp_path: Path) -> None:
    parts = {"train/a": [real("r"), fake("f", "r"), fake("ff", "f"), real("other"), real("another")]}
    for seed in range(6):
        found = by_video(deal(tmp_path, parts, count=3, seed=seed))
        assert found["train/a/ff"] == found["train/a/f"] == found["train/a/r"]


def test_broken_files_of_equal_content_tie_nothing_together(tmp_path: Path) -> None:
    broken = {"content": "empty", "crops": 0, "status": tables.DECODE_ERROR}
    parts = {"train/a": [real("r0"), fake("f0", "r0", **broken)], "train/b": [real("r1"), fake("f1", "r1", **broken)]}
    assert set(deal(tmp_path, parts, method="part")["fold"]) == {0, 1}
    assert set(deal(tmp_path, parts, method="original")["fold"]) == {0, 1}


def test_a_withdrawn_video_ties_nothing_together(tmp_path: Path) -> None:
    # Were it there, it would tie the real n, another video of its name, to its own original.
    withdrawn = fake("n", "r", crops=0, status=tables.WITHDRAWN)
    found = by_video(deal(tmp_path, {"train/a": [real("r"), withdrawn], "train/b": [real("n")]}))
    assert found["train/a/r"] != found["train/b/n"]


def test_method_part_refuses_a_fake_in_another_fold_than_its_original(tmp_path: Path) -> None:
    parts = {"train/a": family("r0", 1), "train/b": [*family("r1", 1), fake("f", "r0")]}
    with pytest.raises(UserError, match=r"folds\.method: part: .* 1 leak; set folds\.method to original") as error:
        deal(tmp_path, parts, method="part")
    assert "train/b/f (fold" in str(error.value)
    assert "same original r0" in str(error.value)


def test_method_part_refuses_fakes_of_one_absent_original_in_two_folds(tmp_path: Path) -> None:
    parts = {"train/a": [real("r0"), fake("f0", "gone")], "train/b": [real("r1"), fake("f1", "gone")]}
    with pytest.raises(
        UserError, match=r"train/./f. \(fold 0\) and train/./f. \(fold 1\) go back to the same original gone"
    ):
        deal(tmp_path, parts, method="part")


def test_method_part_refuses_a_fake_whose_original_in_another_fold_has_no_crops(tmp_path: Path) -> None:
    parts = {
        "train/a": [real("r0", crops=0, status=tables.NO_FACE), real("r2")],
        "train/b": [real("r1"), fake("f", "r0")],
    }
    with pytest.raises(UserError, match="same original r0"):
        deal(tmp_path, parts, method="part")


def test_method_part_refuses_equal_content_in_two_folds(tmp_path: Path) -> None:
    parts = {"train/a": [real("r0", content="same")], "train/b": [real("r1", content="same")]}
    with pytest.raises(UserError, match=r"train/./r. \(fold 0\) and train/./r. \(fold 1\) have the same content"):
        deal(tmp_path, parts, method="part")


def test_a_message_spells_out_five_leaks_and_counts_the_others(tmp_path: Path) -> None:
    parts = {f"train/{part}": [real(f"{part}{number}", content=f"c{number}") for number in range(9)] for part in "ab"}
    with pytest.raises(UserError, match="9 leaks") as error:
        deal(tmp_path, parts, method="part")
    assert str(error.value).count("same content") == 5
    assert str(error.value).endswith("and 4 more")


@pytest.mark.parametrize(("method", "thing"), [("part", "2 parts"), ("original", "2 originals")])
def test_fewer_groups_than_folds_is_an_error_that_says_what_to_do(tmp_path: Path, method: str, thing: str) -> None:
    parts = {"train/a": family("r0", 3), "train/b": family("r1", 3)}
    with pytest.raises(UserError, match=rf"params\.yaml: folds\.count: 3: .* found {thing} .*lower folds\.count"):
        deal(tmp_path, parts, method=method, count=3)


@pytest.mark.parametrize("method", ["part", "original"])
def test_a_group_without_crops_does_not_fill_a_fold(tmp_path: Path, method: str) -> None:
    parts = {"train/a": family("r0", 1), "train/b": family("r1", 1), "train/c": family("r2", 1, crops=0)}
    assert set(deal(tmp_path, parts, method=method)["fold"]) == {0, 1}
    with pytest.raises(UserError, match=r"folds\.count: 3"):
        deal(tmp_path, parts, method=method, count=3)


def test_no_crops_at_all_is_an_error_too(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="found 0 parts with crops"):
        deal(tmp_path, {"train/a": family("r0", 1, crops=0)}, method="part")


def test_crops_of_a_video_without_a_label_are_in_no_fold(tmp_path: Path) -> None:
    parts = {"train/a": [real("r0"), real("r1"), Video("who", label=None)]}
    assert set(deal(tmp_path, parts)["video"]) == {"r0", "r1"}


def test_crops_that_no_index_names_are_a_bug(tmp_path: Path) -> None:
    index, crops = write_inputs(tmp_path, {"train/a": [real("r0"), real("r1")]})
    tables.write(index["train/a"], tables.read_rows(index["train/a"])[:1], tables.INDEX)
    params = Folds(method="original", count=2, seed=0)
    with pytest.raises(ValueError, match="r1"):
        folds.run(unit="all", index=index, crops=crops, table=tmp_path / "t", params=params, tools=Tools())


def test_the_seed_makes_another_deal_and_the_same_one_the_same_bytes(tmp_path: Path) -> None:
    parts = {"train/a": [video for number in range(20) for video in family(f"r{number:02}", 2)]}

    def dealt(seed: int) -> bytes:
        deal(tmp_path, parts, count=4, seed=seed)
        return (tmp_path / "folds.parquet").read_bytes()

    assert dealt(0) == dealt(0)
    assert dealt(0) != dealt(1)


def test_folds_hold_as_many_videos_however_many_crops_some_have(tmp_path: Path) -> None:
    long = [video for number in range(6) for video in family(f"long{number}", 1, crops=30)]
    short = [video for number in range(6) for video in family(f"short{number}", 1, crops=1)]
    found = deal(tmp_path, {"train/a": long + short}, count=3)
    assert list(found.drop_duplicates("video").groupby("fold").size()) == [8, 8, 8]


def test_the_deal_balances_reals_and_fakes_apart(tmp_path: Path) -> None:
    parts = {"train/a": [video for number in range(100) for video in family(f"r{number:02}", number % 5)]}
    found = deal(tmp_path, parts, count=5, seed=3).groupby("fold")["label"].agg(["size", "sum"]).astype(int)
    assert set(found["size"] - found["sum"]) == {20}
    # 200 fakes, 40 in a fold, but for about one family.
    assert found["sum"].between(36, 44).all()


@pytest.mark.filterwarnings("error")
def test_fewer_real_videos_than_folds_are_dealt_without_a_warning(tmp_path: Path) -> None:
    fakes = [fake(f"f{number}", f"gone{number}") for number in range(8)]
    found = deal(tmp_path, {"train/a": [*family("r", 1), *fakes]}, count=4)
    assert set(found["fold"]) == {0, 1, 2, 3}


def test_fewer_videos_of_each_label_than_folds_still_fill_every_fold(tmp_path: Path) -> None:
    parts = {"train/a": [real("r0"), real("r1"), fake("f0", "gone0"), fake("f1", "gone1")]}
    assert set(deal(tmp_path, parts, count=4)["fold"]) == {0, 1, 2, 3}


def test_no_fold_stays_empty_where_scikit_learn_alone_would_leave_one(tmp_path: Path) -> None:
    # Groups (reals, fakes) that StratifiedGroupKFold of scikit-learn 1.9 deals to five of six folds with this seed.
    sizes = [(2, 1), (4, 5), (5, 0), (3, 3), (0, 5), (3, 3)]
    parts = {"train/a": [video for number, size in enumerate(sizes) for video in relatives(f"g{number}", *size)]}
    found = deal(tmp_path, parts, count=6, seed=24)
    assert set(found["fold"]) == set(range(6))
    assert (found.groupby(found["video"].str[:2])["fold"].nunique() == 1).all()


def test_the_deal_depends_on_the_videos_not_on_the_order_of_the_parts(tmp_path: Path) -> None:
    parts = {f"train/{part}": [v for n in range(9) for v in family(f"{part}{n}", n % 3)] for part in "abc"}
    forward, backward = tmp_path / "forward", tmp_path / "backward"
    forward.mkdir()
    backward.mkdir()
    deal(forward, parts, count=4)
    deal(backward, dict(reversed(parts.items())), count=4)
    assert (forward / "folds.parquet").read_bytes() == (backward / "folds.parquet").read_bytes()


NAMES = st.sampled_from([f"v{number}" for number in range(12)])
CONTENTS = st.one_of(st.none(), st.none(), st.sampled_from(["x", "y"]))
VIDEOS = st.builds(
    Video,
    name=NAMES,
    label=st.sampled_from([0, 1, 1, None]),
    original=st.one_of(st.none(), NAMES, st.sampled_from(["gone0", "gone1"])),
    crops=st.integers(0, 3),
    status=st.sampled_from([tables.OK, tables.OK, tables.TRUNCATED, tables.NO_FACE]),
    content=CONTENTS,
).map(
    lambda video: (
        video if video.label == 1 else Video(video.name, video.label, None, video.crops, video.status, video.content)
    )
)
PARTS = st.lists(st.lists(VIDEOS, max_size=8, unique_by=lambda video: video.name), min_size=1, max_size=4).map(
    lambda parts: {f"train/{number}": videos for number, videos in enumerate(parts)}
)


def ties(video: Video) -> set[str]:
    keys = {f"name {video.original or video.name}"}
    if video.label == 0:
        keys.add(f"name {video.name}")
    if video.content is not None and video.status in tables.USABLE:
        keys.add(f"content {video.content}")
    return keys


@settings(max_examples=150)
@given(parts=PARTS, method=st.sampled_from(["part", "original"]), count=st.integers(2, 4), seed=st.integers(0, 9))
def test_nothing_ever_leaks_and_every_labelled_crop_is_in_one_fold(
    parts: Parts, method: str, count: int, seed: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        try:
            found = deal(Path(folder), parts, method, count, seed)
        except UserError as error:
            if method == "original":
                # The only trouble that grouping over originals can have.
                assert "folds.count" in str(error)  # noqa: PT017
            return
    place = by_video(found)
    seen: dict[str, int] = {}
    crops = 0
    for part, videos in parts.items():
        for video in videos:
            if video.label is None or not video.crops:
                assert f"{part}/{video.name}" not in place
                continue
            crops += video.crops
            for key in ties(video):
                assert seen.setdefault(key, place[f"{part}/{video.name}"]) == place[f"{part}/{video.name}"]
    assert len(found) == crops
    assert not found.duplicated(["part", "video", "frame", "track"]).any()
    assert set(found["fold"]) == set(range(count))


GROUPS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 6)).filter(any), min_size=1, max_size=12)


@settings(max_examples=100)
@given(sizes=GROUPS, count=st.integers(2, 8), seed=st.integers(0, 2**32 - 1))
def test_every_fold_is_used_as_soon_as_there_are_as_many_groups(
    sizes: list[tuple[int, int]], count: int, seed: int
) -> None:
    parts = {"train/a": [video for number, size in enumerate(sizes) for video in relatives(f"g{number:02}", *size)]}
    with tempfile.TemporaryDirectory() as folder:
        if len(sizes) < count:
            with pytest.raises(UserError, match=f"found {len(sizes)} original"):
                deal(Path(folder), parts, count=count, seed=seed)
        else:
            assert set(deal(Path(folder), parts, count=count, seed=seed)["fold"]) == set(range(count))


@pytest.fixture
def dfdc_videos() -> list[Video]:
    if not DFDC_PART.exists():
        pytest.skip(f"{DFDC_PART} is not there: the metadata of a DFDC part, kept outside the repository")
    metadata = json.loads(DFDC_PART.read_text(encoding="utf-8"))
    return [Video(name, int(entry["label"] == "FAKE"), entry.get("original")) for name, entry in metadata.items()]


def test_a_part_of_dfdc_is_dealt_evenly_over_its_originals(tmp_path: Path, dfdc_videos: list[Video]) -> None:
    found = deal(tmp_path, {"train/dfdc_train_part_3": dfdc_videos}, count=16)
    assert len(found) == 1455
    assert (found.groupby("original")["fold"].nunique() == 1).all()
    sizes = found.groupby("fold")["label"].agg(["size", "sum"])
    assert len(sizes) == 16
    largest = found.groupby("original").size().max()
    assert sizes["size"].max() - sizes["size"].min() <= largest


def test_dfdc_videos_scattered_over_parts_are_refused_by_part_and_dealt_by_original(
    tmp_path: Path, dfdc_videos: list[Video]
) -> None:
    parts = {f"train/{number}": dfdc_videos[number::3] for number in range(3)}
    with pytest.raises(UserError, match="leaks"):
        deal(tmp_path, parts, method="part", count=3)
    found = deal(tmp_path, parts, method="original", count=3)
    assert (found.groupby("original")["fold"].nunique() == 1).all()
