"""The RO-Crate of a finished workspace, as its own validator and reader see it."""

from __future__ import annotations

import io
import json
import re
import shutil
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import requests
from requests.adapters import BaseAdapter, HTTPAdapter
from requests_cache import CachedSession
from rocrate.rocrate import ROCrate
from rocrate_validator import models, services
from urllib3 import HTTPResponse

import exports
from trueframe.audit.export import crate
from trueframe.errors import UserError
from workspaces import call, commit, git

LICENCE = "https://spdx.org/licenses/CC-BY-4.0"
# The terms that we use, as the contexts of RO-Crate 1.1 and of Workflow Run RO-Crate map them: others are unknown here.
CRATE, RUN = "https://w3id.org/ro/crate/1.1/context", "https://w3id.org/ro/terms/workflow-run/context"
SCHEMA = """
    ComputerLanguage ControlAction CreateAction CreativeWork Dataset HowTo HowToStep OrganizeAction PropertyValue
    SoftwareApplication SoftwareSourceCode about actionStatus additionalType contentSize datePublished description
    encodingFormat exampleOfWork hasPart identifier instrument license mainEntity mentions name object position
    programmingLanguage result runtimePlatform softwareRequirements softwareVersion step subjectOf url value version
    workExample
"""
CONTEXTS: dict[str, dict[str, str]] = {
    CRATE: {
        **{term: f"http://schema.org/{term}" for term in re.findall(r"\w+", SCHEMA)},
        "File": "http://schema.org/MediaObject",
        "conformsTo": "http://purl.org/dc/terms/conformsTo",
        "ComputationalWorkflow": "https://bioschemas.org/ComputationalWorkflow",
        "FormalParameter": "https://bioschemas.org/FormalParameter",
        "input": "https://bioschemas.org/ComputationalWorkflow#input",
        "output": "https://bioschemas.org/ComputationalWorkflow#output",
    },
    RUN: {"sha256": "https://w3id.org/ro/terms/workflow-run#sha256"},
}
Entities = dict[str, dict[str, Any]]


class Shelf(BaseAdapter):
    """Serves the contexts."""

    def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:
        assert request.url
        body = io.BytesIO(json.dumps({"@context": CONTEXTS[request.url]}).encode())
        headers = {"Content-Type": "application/ld+json"}
        answer = HTTPResponse(body=body, status=200, preload_content=False, headers=headers)
        return HTTPAdapter().build_response(request, answer)

    def close(self) -> None:
        pass


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    exports.disconnect(monkeypatch)


@pytest.fixture(scope="module")
def contexts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The validator's cache of the web, with the contexts in it."""
    cache = tmp_path_factory.mktemp("contexts") / "http"
    with CachedSession(str(cache), backend="sqlite", expire_after=-1) as session:
        session.mount("https://", Shelf())
        for url in CONTEXTS:
            session.get(url)
    return cache


def complaints(root: Path, contexts: Path) -> list[str]:
    """What the validator has against a crate, of what the profile requires."""
    settings = services.ValidationSettings(
        rocrate_uri=str(root),
        profile_identifier="provenance-run-crate-0.5",
        requirement_severity=models.Severity.REQUIRED,
        cache_path=contexts,
        offline=True,
    )
    return [issue.message for issue in services.validate(settings).get_issues()]


def write(root: Path) -> Entities:
    """Write the crate's file; returns the entities in it."""
    (root / crate.NAME).write_text(crate.text(exports.source(root), LICENCE), encoding="utf-8")
    return read(root)


def read(root: Path) -> Entities:
    graph = json.loads((root / crate.NAME).read_text(encoding="utf-8"))["@graph"]
    found = {entity["@id"]: entity for entity in graph}
    assert len(found) == len(graph)
    return found


def refs(value: Any) -> list[str]:
    return [one["@id"] for one in (value if isinstance(value, list) else [value])]


def names(entities: Entities, value: Any) -> list[str]:
    return [entities[uri]["name"] for uri in refs(value)]


@pytest.fixture(scope="module")
def made(finished_workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished workspace with its crate's file; not to be changed."""
    root = Path(shutil.copytree(finished_workspace, tmp_path_factory.mktemp("crate") / "w", symlinks=True))
    write(root)
    return root


def test_its_own_validator_finds_nothing_that_the_profile_requires_missing(made: Path, contexts: Path) -> None:
    assert complaints(made, contexts) == []


def no_tools(entities: Entities) -> None:
    del entities["Snakefile"]["hasPart"]


def no_instrument(entities: Entities) -> None:
    del entities["#run/models/1"]["instrument"]


def no_licence(entities: Entities) -> None:
    del entities["./"]["license"]


def an_unknown_term(entities: Entities) -> None:
    entities["params.yaml"]["nonsense"] = "x"


def a_file_that_is_not_here(entities: Entities) -> None:
    entities["./"]["hasPart"].append({"@id": "models/1/absent.csv"})
    entities["models/1/absent.csv"] = {"@id": "models/1/absent.csv", "@type": "File", "name": "absent"}


@pytest.mark.parametrize("change", [no_tools, no_instrument, no_licence, an_unknown_term, a_file_that_is_not_here])
def test_the_validator_would_see_what_is_missing(
    change: Callable[[Entities], None], made: Path, finished: Path, contexts: Path
) -> None:
    value, entities = json.loads((made / crate.NAME).read_text()), read(made)
    change(entities)
    (finished / crate.NAME).write_text(json.dumps(value | {"@graph": list(entities.values())}))
    assert complaints(finished, contexts)


def test_its_own_reader_finds_every_artifact_with_the_digest_and_size_of_its_bytes(made: Path) -> None:
    found = ROCrate(made)
    artifacts = {path for _, record in exports.records(made) for path in record["outputs"]}
    assert len(artifacts) > 40
    for path in artifacts:
        entity = found.get(path)
        assert entity.type == "File"
        assert entity["sha256"] == exports.digest(made / path)
        assert int(entity["contentSize"]) == (made / path).stat().st_size
    assert found.mainEntity.id == "Snakefile"


def test_each_unit_is_an_action_with_what_its_record_says_was_read_made_and_told(made: Path) -> None:
    entities = read(made)
    runs = {uri: entity for uri, entity in entities.items() if uri.startswith("#run/")}
    known = {f"#run/{record['stage']}/{record['unit']}": (path, record) for path, record in exports.records(made)}
    assert runs.keys() == known.keys()
    artifacts = {made for _, (_, record) in known.items() for made in record["outputs"]}
    for uri, (path, record) in known.items():
        read_by = names(entities, runs[uri]["object"])
        inputs = record["recipe"]["inputs"]
        assert {name for name in read_by if name in artifacts} == {name for name in inputs if name in artifacts}
        parts = {"/".join(name.split("/")[:4]) for name in inputs if name.startswith("data/raw/")}
        assert {name for name in read_by if name.startswith("data/raw/")} == parts
        assert set(names(entities, runs[uri]["result"])) == {*record["outputs"], str(path.relative_to(made))}
    told = {
        entities[one]["name"]: entities[one]["value"]
        for one in refs(runs["#run/models/1"]["object"])
        if "#value" in one
    }
    assert told["models.size_px"] == 64
    assert told["models.batches_per_epoch"] == "null"
    assert told["seed"] == 1


def test_each_tool_names_its_modules_by_digest_and_the_commit_that_holds_them(made: Path) -> None:
    entities = read(made)
    record = next(record for _, record in exports.records(made) if record["stage"] == "models")
    tool = entities[entities["#run/models/1"]["instrument"]["@id"]]
    modules = {entities[uri]["name"]: entities[uri]["identifier"] for uri in refs(tool["hasPart"])}
    assert modules == record["recipe"]["code"]
    assert tool["softwareVersion"] == git(made, "rev-list", "--max-parents=0", "HEAD").strip()
    assert tool["softwareRequirements"] == {"@id": "requirements.lock"}
    assert entities["requirements.lock"]["sha256"] == exports.digest(made / "requirements.lock")


def test_it_tells_the_commit_and_its_date_and_no_other_time(made: Path) -> None:
    seconds = git(made, "show", "--no-patch", "--format=%cI", "HEAD").strip()
    root = read(made)["./"]
    assert git(made, "rev-parse", "HEAD").strip() in root["description"]
    assert datetime.fromisoformat(root["datePublished"]) == datetime.fromisoformat(seconds)
    assert root["license"] == {"@id": LICENCE}


def test_two_processes_write_the_same_bytes_by_the_command_line(finished: Path, made: Path) -> None:
    for seed in ("1", "2"):
        words = ("export", "ro-crate", "--license", "CC-BY-4.0")
        told = call(finished, sys.executable, "-c", exports.ALONE, *words, PYTHONPATH="src", PYTHONHASHSEED=seed)
        assert told.stdout.strip() == str(crate.NAME)
        assert (finished / crate.NAME).read_bytes() == (made / crate.NAME).read_bytes()


def test_a_hostile_name_of_a_part_is_text(finished: Path, contexts: Path) -> None:
    exports.rename_part(finished, "part_00", exports.HOSTILE)
    entities = write(finished)
    assert complaints(finished, contexts) == []
    table = f"data/index/train/{exports.HOSTILE}.parquet"
    uris = [uri for uri, entity in entities.items() if entity.get("name") == table]
    assert len(uris) == 1
    assert not set(uris[0]) & set('<> "|#?[]')
    assert ROCrate(finished).get(uris[0])["sha256"] == exports.digest(finished / table)


def test_code_that_no_commit_holds_is_said_to_be_in_none(finished: Path) -> None:
    for path, record in exports.records(finished):
        if record["stage"] == "models":
            record["recipe"]["code"]["src/trueframe/network.py"] = f"sha256:{'0' * 64}"
            path.write_text(json.dumps(record))
    entities = write(finished)
    assert entities[entities["#run/models/1"]["instrument"]["@id"]]["softwareVersion"] == "in no commit"


def test_raw_videos_need_not_be_here(finished: Path, made: Path) -> None:
    shutil.rmtree(finished / "data/raw")
    assert crate.text(exports.source(finished), LICENCE) == (made / crate.NAME).read_text()


def test_an_artifact_that_is_not_here_refuses_the_crate(finished: Path) -> None:
    (finished / "models/1/history.csv").unlink()
    with pytest.raises(UserError, match=r"models/1/history\.csv: expected it here"):
        crate.text(exports.source(finished), LICENCE)


def test_a_link_that_does_not_hold_refuses_the_crate(finished: Path) -> None:
    for path, record in exports.records(finished):
        if record["stage"] == "folds":
            record["recipe"]["inputs"]["data/crops/train/part_00.zip"] = f"sha256:{'0' * 64}"
            path.write_text(json.dumps(record))
    with pytest.raises(UserError, match=r"data/folds/folds.json: data/crops/train/part_00.zip: its record has another"):
        crate.text(exports.source(finished), LICENCE)


def test_without_a_commit_there_is_no_date_to_tell(finished: Path) -> None:
    shutil.rmtree(finished / ".git")
    with pytest.raises(UserError, match="expected a git repository with a commit"):
        crate.text(exports.source(finished), LICENCE)


def test_another_commit_changes_the_date_and_the_commit_alone(finished: Path, made: Path) -> None:
    (finished / "README.md").write_text("other")
    commit(finished, "other")
    before, now = read(made), write(finished)
    assert [uri for uri in now if now[uri] != before[uri]] == ["./"]
