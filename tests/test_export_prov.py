"""PROV-JSON of a finished workspace, as W3C PROV's library reads it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from prov.model import (
    ProvActivity,
    ProvAgent,
    ProvAssociation,
    ProvDerivation,
    ProvDocument,
    ProvEntity,
    ProvGeneration,
    ProvMembership,
    ProvUsage,
)

import exports
from trueframe import tables
from trueframe.audit.export import provenance
from trueframe.errors import UserError
from workspaces import call

SUBMISSION = ("submission", "all")


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    exports.disconnect(monkeypatch)


def document(root: Path, node: tuple[str, str] = SUBMISSION, videos: bool = False) -> ProvDocument:
    return ProvDocument.deserialize(content=provenance.text(exports.source(root), node, videos), format="json")


def labels(found: ProvDocument) -> dict[str, str]:
    """Identifier to name."""
    kinds = (ProvEntity, ProvActivity, ProvAgent)
    return {str(one.identifier): str(one.label) for kind in kinds for one in found.get_records(kind)}


def pairs(found: ProvDocument, kind: type[Any]) -> set[tuple[str, str]]:
    """The names of what a relation relates."""
    known = labels(found)
    return {(known[str(one.args[0])], known[str(one.args[1])]) for one in found.get_records(kind)}


def attribute(entity: Any, name: str) -> Any:
    (value,) = (value for key, value in entity.attributes if str(key) == name)
    return value


def above(root: Path, stages: set[str]) -> dict[str, dict[str, Any]]:
    """The records of these stages, by name."""
    return {
        f"{record['stage']} {record['unit']}": record
        for _, record in exports.records(root)
        if record["stage"] in stages
    }


@pytest.mark.parametrize(
    ("node", "stages"),
    [
        (("folds", "all"), {"folds", "crops", "bboxes", "index"}),
        (("models", "1"), {"models", "masks", "landmarks", "folds", "crops", "bboxes", "index"}),
    ],
)
def test_the_units_above_a_file_read_and_made_what_their_records_say_and_no_others(
    node: tuple[str, str], stages: set[str], finished_workspace: Path
) -> None:
    found = document(finished_workspace, node)
    known = {name: record for name, record in above(finished_workspace, stages).items() if "test/" not in name}
    assert {str(one.label) for one in found.get_records(ProvActivity)} == set(known)
    made = {(path, name) for name, record in known.items() for path in record["outputs"]}
    assert pairs(found, ProvGeneration) == made
    read = {(name, _read(path)) for name, record in known.items() for path in record["recipe"]["inputs"]}
    assert pairs(found, ProvUsage) == read
    derived = {
        (path, _read(source))
        for record in known.values()
        for path in record["outputs"]
        for source in record["recipe"]["inputs"]
    }
    assert pairs(found, ProvDerivation) == derived
    for entity in found.get_records(ProvEntity):
        if str(entity.identifier).startswith("file:"):
            assert attribute(entity, "tf:sha256") == exports.digest(finished_workspace / str(entity.label))


def _read(path: str) -> str:
    """An artifact by its path, a raw file by its part."""
    return "/".join(path.split("/")[2:4]) if path.startswith("data/raw/") else path


def test_an_activity_has_its_parameters_and_its_agent_its_code(finished_workspace: Path) -> None:
    found = document(finished_workspace, ("models", "1"))
    (training,) = (one for one in found.get_records(ProvActivity) if str(one.label) == "models 1")
    record = above(finished_workspace, {"models"})["models 1"]
    assert attribute(training, "tf:models.size_px") == 64
    assert attribute(training, "tf:models.augmentation.flip") == 0.5
    assert attribute(training, "tf:models.batches_per_epoch") == "null"
    assert attribute(training, "tf:environment.lock") == record["environment"]["lock"]
    agents = {str(one.identifier): one for one in found.get_records(ProvAgent)}
    (agent,) = (
        agents[str(one.args[1])] for one in found.get_records(ProvAssociation) if one.args[0] == training.identifier
    )
    told = {str(key).removeprefix("tf:"): value for key, value in agent.attributes if ".py" in str(key)}
    assert told == record["recipe"]["code"]


def test_with_videos_each_is_a_member_of_its_part_with_its_digest(finished_workspace: Path) -> None:
    found = document(finished_workspace, videos=True)
    raw = finished_workspace / "data/raw"
    known = {str(path.relative_to(raw)): exports.digest(path) for path in raw.glob("*/*/*.mp4")}
    videos = {str(one.label): one for one in found.get_records(ProvEntity) if str(one.label).endswith(".mp4")}
    assert {name: attribute(video, "tf:sha256") for name, video in videos.items()} == known
    assert pairs(found, ProvMembership) == {(str(Path(name).parent), name) for name in known}
    assert pairs(document(finished_workspace), ProvMembership) == set()


def test_hostile_names_of_parts_and_videos_are_text_in_quoted_identifiers(finished: Path) -> None:
    path = "data/index/train/part_00.parquet"
    rows = pq.read_table(finished / path).to_pylist()
    video = f"{exports.HOSTILE}\n.mp4"
    tables.write(finished / path, [row | {"video": video} if row is rows[0] else row for row in rows], tables.INDEX)
    exports.rewrite(finished, path, (finished / path).read_bytes())
    for stage in ("bboxes", "crops"):
        told = f"data/{stage}/train/part_00.videos.parquet"
        kept = [row for row in pq.read_table(finished / told).to_pylist() if row["video"] != rows[0]["video"]]
        tables.write(finished / told, kept, tables.VIDEOS)
        exports.rewrite(finished, told, (finished / told).read_bytes())
    exports.rename_part(finished, "part_00", exports.HOSTILE)
    text = provenance.text(exports.source(finished), SUBMISSION, videos=True)
    found = ProvDocument.deserialize(content=text, format="json")
    assert ProvDocument.deserialize(content=found.serialize(format="json"), format="json") == found
    known = labels(found)
    for name in (f"train/{exports.HOSTILE}/{video}", f"data/index/train/{exports.HOSTILE}.parquet"):
        (uri,) = (uri for uri, label in known.items() if label == name)
        assert not set(uri) & set('<> "|#?[]\n')


def test_two_processes_write_the_same_bytes_by_the_command_line(finished: Path) -> None:
    written = []
    for seed in ("1", "2"):
        words = ("export", "prov", "models/1", "--videos")
        told = call(finished, sys.executable, "-c", exports.ALONE, *words, PYTHONPATH="src", PYTHONHASHSEED=seed)
        written.append((finished / told.stdout.strip()).read_bytes())
    assert told.stdout.strip() == "reports/exports/models-1.prov.json"
    assert written[0] == written[1]
    assert written[0].decode() == provenance.text(exports.source(finished), ("models", "1"), videos=True)


def test_a_link_that_does_not_hold_refuses_it_and_one_elsewhere_does_not(finished: Path) -> None:
    for path, record in exports.records(finished):
        if record["stage"] == "submission":
            record["recipe"]["inputs"]["data/crops/test/part_00.videos.parquet"] = f"sha256:{'0' * 64}"
            path.write_text(json.dumps(record))
    with pytest.raises(UserError, match=r"reports/submission\.json: data/crops/test/part_00\.videos\.parquet: its rec"):
        provenance.text(exports.source(finished), SUBMISSION)
    assert "models 1" in labels(document(finished, ("models", "1"))).values()
