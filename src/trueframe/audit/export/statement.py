"""How a model was made, as an in-toto statement with SLSA provenance, which a key can sign.

Source: in-toto attestation framework, Statement v1 (https://in-toto.io/Statement/v1) and SLSA provenance v1
(https://slsa.dev/spec/v1.0/provenance). The build type urn:trueframe:models:1 means:

    subject                                    a model's files of weights
    externalParameters   seed, models          the seed, and params.yaml's section `models` as the training got it
    internalParameters   code                  module to SHA-256 of its source without comments and blank lines
                         environment           digest of requirements.lock, Python, kind of machine
    resolvedDependencies                       the commit that holds the code, the lock, every artifact that the model
                                               comes from, with its stage, unit, and whether the training itself read it
    byproducts                                 the training's other files and its record: models/<seed>/videos.parquet
                                               has what it did with each video, the indexes among the dependencies have
                                               the SHA-256 of each
    invocationId                               the digest of the recipe, by which records and MLflow know this training

A builder that is nobody's service: whoever signs the statement vouches for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from trueframe.audit.export.source import Source
from trueframe.audit.snapshot import Node
from trueframe.dag import STAGES
from trueframe.errors import UserError
from trueframe.files import canonical_json, sha256_file
from trueframe.records import LOCK, Record

STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "https://slsa.dev/provenance/v1"
BUILD, BUILDER = "urn:trueframe:models:1", "urn:trueframe:builder:1"
_WEIGHTS = STAGES["models"].outputs["weights"].partition("{rank}")[0]


def text(source: Source, node: Node) -> str:
    """The statement of a model.

    Raises UserError for another unit than a model, where a link above it does not hold, and where one of its own files
    is not here or not as its record says.
    """
    stage, unit = node
    if stage != "models":
        raise UserError(f"{stage} {unit}: expected a model, by its seed or one of its files; statements are of models")
    nodes, record = source.above(node), source.records[node]
    for path in record.outputs:
        source.checked(path)
    weights = [path for path in record.outputs if path.startswith(_WEIGHTS.format(unit=unit))]
    value = {
        "_type": STATEMENT,
        "subject": [{"name": path, "digest": {"sha256": record.outputs[path].sha256}} for path in weights],
        "predicateType": PREDICATE,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD,
                "externalParameters": {"seed": int(unit), "models": record.recipe.params},
                "internalParameters": {"code": record.recipe.code, "environment": record.environment},
                "resolvedDependencies": [*_code(source, record), *_artifacts(source, nodes, record)],
            },
            "runDetails": {
                "builder": {"id": BUILDER},
                "metadata": {"invocationId": f"sha256:{record.recipe.digest}"},
                "byproducts": list(_byproducts(source, record, weights)),
            },
        },
    }
    check(value)
    return canonical_json(value)


def check(value: Any) -> list[tuple[str, str]]:
    """The subjects, name and SHA-256, of a statement with SLSA provenance, as in-toto's libraries read it.

    Raises ValueError or ParseError where it is none.
    """
    from google.protobuf import json_format
    from in_toto_attestation.predicates.provenance.v1 import provenance_pb2
    from in_toto_attestation.v1 import statement_pb2
    from in_toto_attestation.v1.statement import Statement

    found = json_format.ParseDict(value, statement_pb2.Statement())
    Statement.copy_from_pb(found).validate()
    if found.predicate_type != PREDICATE:
        raise ValueError(f"predicateType {found.predicate_type!r}: expected {PREDICATE}")
    json_format.ParseDict(json_format.MessageToDict(found.predicate), provenance_pb2.Provenance())
    return [(subject.name, subject.digest["sha256"]) for subject in found.subject]


def _code(source: Source, record: Record) -> Iterator[dict[str, Any]]:
    if commit := source.held(record).first:
        yield {"name": "code", "digest": {"gitCommit": commit}}
    lock = record.environment.get("lock", "")
    if lock.startswith("sha256:"):
        yield {"name": str(LOCK), "digest": {"sha256": lock.removeprefix("sha256:")}}


def _artifacts(source: Source, nodes: list[Node], record: Record) -> Iterator[dict[str, Any]]:
    """What the model comes from, and what it read that no unit made: the weights that it began with, say."""
    for stage, unit in nodes:
        if (stage, unit) == (record.stage, record.unit):
            continue
        for path, output in source.records[stage, unit].outputs.items():
            told = {"stage": stage, "unit": unit, "read": path in record.recipe.inputs}
            yield {"name": path, "digest": {"sha256": output.sha256}, "annotations": told}
    for path, digest in record.recipe.inputs.items():
        if path not in source.graph.makers:
            kind, _, value = digest.partition(":")
            yield {"name": path, "digest": {kind: value}}


def _byproducts(source: Source, record: Record, weights: list[str]) -> Iterator[dict[str, Any]]:
    for path, output in record.outputs.items():
        if path not in weights:
            yield {"name": path, "digest": {"sha256": output.sha256}}
    own = STAGES[record.stage].record_path(record.unit)
    yield {"name": str(own), "digest": {"sha256": sha256_file(source.root / own)}}
