"""What the audit page holds, before a browser sees it."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import re
import struct
import zipfile
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from PIL import Image

from trueframe import archive, tables
from trueframe.audit.html import page
from trueframe.audit.html.columns import Codes, pack, pack_digests, pack_floats
from trueframe.audit.trail import Auditor
from trueframe.errors import UserError
from trueframe.files import sha256_file
from trueframe.workspace import Workspace
from workspaces import commit, edit_params, git

_FORMATS = {1: "B", 2: "H", 4: "I", 8: "d"}


def unpack(packed: dict[str, Any]) -> list[int | None]:
    """The numbers that the page's script reads."""
    data = base64.b64decode(packed["data"])
    values = struct.unpack(f"<{len(data) // packed['bytes']}{_FORMATS[packed['bytes']]}", data)
    return [int(value) - 1 if value else None for value in values]


def embedded(document: str) -> Any:
    """The data in a page."""
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', document, re.DOTALL)
    assert found
    return json.loads(found[1])


@pytest.fixture(scope="module")
def contents(finished_workspace: Path) -> dict[str, Any]:
    return page.contents(Auditor(Workspace(finished_workspace)))


@pytest.mark.parametrize(
    ("values", "width"),
    [([0, None, 254], 1), ([255], 2), ([65534, None], 2), ([65535], 4), ([2**32 - 2], 4), ([2**40], 8), ([], 1)],
)
def test_a_column_takes_as_few_bytes_as_its_largest_number_needs(values: list[int | None], width: int) -> None:
    packed = pack(values)
    assert packed["bytes"] == width
    assert unpack(packed) == values


def test_a_column_has_one_more_than_each_number_and_zero_for_none() -> None:
    assert pack([0, None, 2]) == {"bytes": 1, "data": base64.b64encode(b"\1\0\3").decode()}


def test_a_negative_number_is_refused() -> None:
    with pytest.raises(ValueError, match="-1: expected a number from 0"):
        pack([3, -1])


def test_floats_and_digests_keep_every_bit() -> None:
    first, none = struct.unpack("<2d", base64.b64decode(pack_floats([0.1, None])))
    assert first == 0.1
    assert none != none
    digests = [hashlib.sha256(name).hexdigest() for name in (b"a", b"b")]
    assert base64.b64decode(pack_digests(digests)).hex() == "".join(digests)


def test_codes_are_given_in_the_order_of_first_coming() -> None:
    codes = Codes()
    assert [codes.of(value) for value in ("b", "a", "b")] == [0, 1, 0]
    assert codes.values == ["b", "a"]


def test_a_row_tells_of_a_video_what_the_stages_tables_tell(finished_workspace: Path, contents: dict[str, Any]) -> None:
    told = contents["videos"]
    assert [part for part, *_ in told["parts"]] == ["train/part_00", "train/part_01", "test/part_00"]
    labels, originals, crops, folds, states = (
        unpack(told["columns"][name]) for name in ("label", "original", "crops", "fold", "state")
    )
    digests = base64.b64decode(told["sha256"]).hex()
    dealt = tables.read(finished_workspace / "data/folds/folds.parquet").groupby(["part", "video"])["fold"].first()
    row = 0
    for part, videos, files in told["parts"]:
        index = tables.read_rows(finished_workspace / f"data/index/{part}.parquet")
        cut = {one["video"]: one for one in tables.read_rows(finished_workspace / f"data/crops/{part}.videos.parquet")}
        raw = [file for file in (finished_workspace / "data/raw" / part).iterdir() if file.name != "labels.csv"]
        assert (videos, files) == (len(index), len(raw))
        for one in index:
            assert told["names"][row] == one["video"]
            assert digests[64 * row : 64 * row + 64] == one["sha256"]
            assert labels[row] == one["label"]
            original = originals[row]
            assert (None if original is None else told["names"][original]) == one["original"]
            assert crops[row] == cut[one["video"]]["items"]
            state = states[row]
            assert state is not None
            assert list(told["states"][state])[1:] == [cut[one["video"]]["status"], cut[one["video"]]["reason"]]
            assert folds[row] == dealt.get((part, one["video"]))
            row += 1


def test_a_model_tells_what_its_training_did_with_each_video(
    finished_workspace: Path, contents: dict[str, Any]
) -> None:
    [model] = contents["models"]
    roles, used, draws = (unpack(model["roles"][name]) for name in ("state", "used", "draws"))
    table = pd.read_parquet(finished_workspace / "models/1/videos.parquet").set_index(["part", "video"])
    names = iter(contents["videos"]["names"])
    seen = 0
    for part, videos, _ in contents["videos"]["parts"]:
        for row, name in enumerate(names_of(names, videos), seen):
            role = roles[row]
            if role is None:
                assert (part, name) not in table.index
                continue
            expected = table.loc[(part, name)]
            assert list(model["roles"]["states"][role]) == [expected["role"], expected["reason"]]
            assert (used[row], draws[row]) == (expected["used"], expected["draws"])
        seen += videos
    assert model["roles"]["fold"] is None
    assert model["selection"]["kept"][0]["epoch"] in {row[0] for row in model["history"]["rows"]}


def names_of(names: Any, count: int) -> list[str]:
    return [next(names) for _ in range(count)]


def test_the_submissions_rows_keep_their_scores(finished_workspace: Path, contents: dict[str, Any]) -> None:
    told = contents["submission"]
    scores = struct.unpack("<2d", base64.b64decode(told["score"]))
    [(seed, alone)] = told["seeds"]
    with (finished_workspace / "reports/submission_detail.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    names = contents["videos"]["names"]
    assert [names[row] for row in unpack(told["rows"]) if row is not None] == [row["filename"] for row in rows]
    assert [repr(score) for score in scores] == [row["score"] for row in rows]
    assert seed == "1"
    assert [repr(one) for one in struct.unpack("<2d", base64.b64decode(alone))] == [row["score_1"] for row in rows]


def test_a_stage_tells_its_units_files_and_recipe(finished_workspace: Path, contents: dict[str, Any]) -> None:
    stages = {stage["name"]: stage for stage in contents["stages"]}
    assert stages["crops"]["reads"] == ["index", "bboxes"]
    assert stages["crops"]["raw"]
    assert stages["crops"]["about"] == "the image of every face, lossless, in one archive per part."
    unit = {unit["unit"]: unit for unit in stages["crops"]["units"]}["train/part_00"]
    assert unit["stale"] == []
    record = json.loads((finished_workspace / "data/crops/train/part_00.json").read_text())
    assert {path: (sha256, size, items) for path, sha256, size, items in unit["files"]} == {
        path: (one["sha256"], one["size"], one["items"]) for path, one in record["outputs"].items()
    }
    assert unit["items"] == record["outputs"]["data/crops/train/part_00.zip"]["items"]
    recipe = stages["crops"]["recipes"][unit["recipe"]]
    assert dict(recipe["params"])["crops.margin"] == record["recipe"]["params"]["margin"]
    assert dict(recipe["code"]) == record["recipe"]["code"]
    assert recipe["code_commit"][2] == "the project"


def test_an_edited_parameter_makes_its_stage_and_those_below_stale(finished: Path) -> None:
    edit_params(finished, {"crops.margin": 0.1})
    told = page.contents(Auditor(Workspace(finished)), with_faces=False)
    stale = {stage["name"]: [unit["stale"] for unit in stage["units"]] for stage in told["stages"]}
    assert stale["bboxes"] == [[], [], []]
    assert stale["crops"] == [["params.margin"]] * 3
    assert stale["folds"] == [["upstream.crops"]]


def test_a_removed_part_is_told_to_be_gone_and_its_videos_stay(finished: Path) -> None:
    for file in (finished / "data/raw/train/part_01").iterdir():
        file.unlink()
    (finished / "data/raw/train/part_01").rmdir()
    told = page.contents(Auditor(Workspace(finished)), with_faces=False)
    crops = {unit["unit"]: unit["stale"] for unit in told["stages"][2]["units"]}
    assert crops["train/part_01"] == ["gone"]
    assert "train/part_01" in [part for part, *_ in told["videos"]["parts"]]


def test_thumbnails_are_small_and_few_and_may_be_left_out(finished_workspace: Path, contents: dict[str, Any]) -> None:
    crops = unpack(contents["videos"]["columns"]["crops"])
    assert [face["row"] for face in contents["faces"]] == [row for row, number in enumerate(crops) if number]
    for face in contents["faces"]:
        image = Image.open(io.BytesIO(base64.b64decode(face["image"])))
        assert image.format == "WEBP"
        assert max(image.size) <= 96
    assert page.contents(Auditor(Workspace(finished_workspace)), with_faces=False)["faces"] is None


def test_a_thumbnail_is_of_the_video_that_it_names(finished_workspace: Path, contents: dict[str, Any]) -> None:
    face = contents["faces"][0]
    member = f"{contents['videos']['names'][face['row']]}/{face['frame']:06d}_{face['track']}.webp"
    with zipfile.ZipFile(finished_workspace / "data/crops/train/part_00.zip") as crops:
        crop = Image.open(crops.open(member)).convert("RGB")
    small = Image.open(io.BytesIO(base64.b64decode(face["image"]))).convert("RGB")
    means = [sum(image.resize((1, 1), Image.Resampling.BOX).tobytes()) for image in (crop, small)]
    assert means[0] == pytest.approx(means[1], abs=12)


def test_thumbnails_of_an_archive_newer_than_the_folds_are_found_by_its_own_directory(finished: Path) -> None:
    place = finished / "data/crops/train/part_00.zip"
    members = list(archive.images(place))
    with archive.Writer(place) as writer:
        for name, data in [("a/000000_0.png", bytes(1000)), *members]:
            writer.add(name, data)
    record = json.loads(place.with_suffix(".json").read_text())
    record["outputs"]["data/crops/train/part_00.zip"] |= {"sha256": sha256_file(place), "size": place.stat().st_size}
    place.with_suffix(".json").write_text(json.dumps(record))
    told = page.contents(Auditor(Workspace(finished)))
    assert told["stages"][5]["units"][0]["stale"] == ["input.part_00.zip"]
    assert len([face for face in told["faces"] if face["image"]]) == len(told["faces"])


@pytest.mark.parametrize("part", ["train/part_00", "test/part_00"])
def test_a_damaged_archive_does_not_keep_the_page_from_being_written(finished: Path, part: str) -> None:
    (finished / f"data/crops/{part}.zip").write_bytes(b"no zip")
    told = page.contents(Auditor(Workspace(finished)))
    where = [name for name, videos, _ in told["videos"]["parts"] for _ in range(videos)]
    assert not [face for face in told["faces"] if face["image"] and where[face["row"]] == part]
    assert [face for face in told["faces"] if face["image"]]


def test_a_damaged_report_is_named(finished: Path) -> None:
    (finished / "models/1/selection.json").write_text("{")
    with pytest.raises(UserError, match=r"selection\.json: expected JSON: .*dvc checkout"):
        page.contents(Auditor(Workspace(finished)), with_faces=False)


def test_nothing_in_the_data_can_end_the_script_or_a_line_of_it() -> None:
    value = {"videos": ["</script><script>alert(1)</script>", "<!--", "&lt;", "\u2028\u2029", "{{data}}", "\\u003c"]}
    document = page.document(value)
    assert embedded(document) == value
    for text in ("alert(1)<", "<!--<", "\u2028", "&lt;"):
        assert text not in document
    assert document.count("</script>") == 2


def test_the_policy_lets_exactly_the_inlined_script_and_style_run() -> None:
    document = page.document({})
    [policy] = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]+)"', document)
    for name, tag in (("style-src", "<style>"), ("script-src", "<script>")):
        text = document.split(tag)[1].partition(f"</{tag[1:]}")[0]
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{name} 'sha256-{digest}';" in policy
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy


def test_the_same_workspace_gives_the_same_bytes(finished_workspace: Path, tmp_path: Path) -> None:
    first, second = (
        page.write(Workspace(finished_workspace), tmp_path / name).read_bytes() for name in ("a.html", "deep/b.html")
    )
    assert first == second
    assert str(finished_workspace).encode() not in first


def test_a_folder_as_the_file_to_write_is_refused(finished_workspace: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is a folder"):
        page.write(Workspace(finished_workspace), tmp_path)


def test_a_workspace_without_records_is_refused(raw_workspace: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="dvc pull"):
        page.write(Workspace(raw_workspace), tmp_path / "a.html")


def test_the_commit_that_holds_a_recipes_code_is_told_with_its_own_subject(finished: Path) -> None:
    module = finished / "src/trueframe/training/loss.py"
    module.write_text(module.read_text() + "# a comment is no other code\n")
    commit(finished, "only a comment")
    stages = page.contents(Auditor(Workspace(finished)), with_faces=False)["stages"]
    (recipe,) = next(stage for stage in stages if stage["name"] == "models")["recipes"]
    sha, _, subject = recipe["code_commit"]
    assert git(finished, "log", "-1", "--format=%s", sha).strip() == subject
