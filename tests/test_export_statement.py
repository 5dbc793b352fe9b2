"""Statements of models: as in-toto's libraries read them, signed, and checked with a key."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format
from in_toto_attestation.predicates.provenance.v1 import provenance_pb2
from in_toto_attestation.v1 import statement_pb2
from in_toto_attestation.v1.statement import Statement
from securesystemslib.dsse import Envelope
from securesystemslib.signer import SSlibKey

import exports
from trueframe.audit.export import envelope, statement
from trueframe.errors import UserError
from workspaces import call, git

MODEL = ("models", "1")
WEIGHTS = [f"models/1/weights_{rank}.safetensors" for rank in (1, 2)]


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    exports.disconnect(monkeypatch)


def no_passphrase() -> str:
    raise AssertionError("a passphrase was asked for")


def pair(folder: Path, name: str, *options: str) -> tuple[Path, Path]:
    """A private and a public key as OpenSSL makes them: of Ed25519, unless told otherwise."""
    private, public = folder / f"{name}.pem", folder / f"{name}.pub"
    words = options or ("-algorithm", "ed25519")
    subprocess.run(["openssl", "genpkey", *words, "-out", str(private)], check=True, capture_output=True)
    passphrase = ["-passin", "pass:abc"] if "-aes256" in options else []
    subprocess.run(["openssl", "pkey", "-in", str(private), *passphrase, "-pubout", "-out", str(public)], check=True)
    return private, public


@pytest.fixture
def keys(tmp_path: Path) -> tuple[Path, Path]:
    return pair(tmp_path, "key")


def text(root: Path) -> str:
    return statement.text(exports.source(root), MODEL)


def signed(root: Path, private: Path, value: str | None = None) -> Path:
    """A signed statement on the disk: of the model, or of some text."""
    path = private.with_name("signed.json")
    path.write_text(envelope.sign(text(root) if value is None else value, private, no_passphrase))
    return path


def test_its_own_libraries_read_it_and_the_subjects_are_the_bytes_of_the_weights(finished_workspace: Path) -> None:
    found = Statement.copy_from_pb(json_format.Parse(text(finished_workspace), statement_pb2.Statement()))
    found.validate()
    subjects = {subject.name: subject.digest["sha256"] for subject in found.pb.subject}
    assert subjects == {path: exports.digest(finished_workspace / path) for path in WEIGHTS}
    predicate = json_format.ParseDict(json_format.MessageToDict(found.pb)["predicate"], provenance_pb2.Provenance())
    assert found.pb.predicate_type == "https://slsa.dev/provenance/v1"
    assert predicate.build_definition.external_parameters["seed"] == 1
    assert predicate.build_definition.external_parameters["models"]["size_px"] == 64
    names = [one.name for one in predicate.build_definition.resolved_dependencies]
    assert len(names) == len(set(names)) > 15


def test_it_depends_on_every_artifact_above_and_says_which_the_training_read(finished_workspace: Path) -> None:
    definition = json.loads(text(finished_workspace))["predicate"]["buildDefinition"]
    dependencies = {one["name"]: one for one in definition["resolvedDependencies"]}
    stages = ("index", "bboxes", "crops", "landmarks", "masks", "folds")
    known = {
        path: record
        for _, record in exports.records(finished_workspace)
        if record["stage"] in stages and not record["unit"].startswith("test/")
        for path in record["outputs"]
    }
    assert dependencies.keys() == {"code", "requirements.lock", *known}
    (model,) = (record for _, record in exports.records(finished_workspace) if record["stage"] == "models")
    for path, record in known.items():
        told = {"stage": record["stage"], "unit": record["unit"], "read": path in model["recipe"]["inputs"]}
        assert dependencies[path]["annotations"] == told
        assert dependencies[path]["digest"] == {"sha256": exports.digest(finished_workspace / path)}
    lock = {"sha256": exports.digest(finished_workspace / "requirements.lock")}
    assert dependencies["requirements.lock"]["digest"] == lock
    commit = git(finished_workspace, "rev-list", "--max-parents=0", "HEAD").strip()
    assert dependencies["code"]["digest"] == {"gitCommit": commit}
    assert definition["internalParameters"]["code"] == model["recipe"]["code"]
    assert definition["externalParameters"]["models"] == model["recipe"]["params"]


def test_what_no_unit_made_and_the_training_read_is_a_dependency_too(finished: Path) -> None:
    for path, record in exports.records(finished):
        if record["stage"] == "models":
            record["recipe"]["inputs"]["data/start.safetensors"] = f"md5:{'1' * 32}"
            path.write_text(json.dumps(record))
    dependencies = json.loads(text(finished))["predicate"]["buildDefinition"]["resolvedDependencies"]
    assert {"name": "data/start.safetensors", "digest": {"md5": "1" * 32}} in dependencies


def test_byproducts_are_the_trainings_other_files_and_its_record(finished_workspace: Path) -> None:
    details = json.loads(text(finished_workspace))["predicate"]["runDetails"]
    names = ("history.csv", "selection.json", "videos.parquet", "record.json")
    known = {f"models/1/{name}": {"sha256": exports.digest(finished_workspace / f"models/1/{name}")} for name in names}
    assert {one["name"]: one["digest"] for one in details["byproducts"]} == known


def no_subject(value: Any) -> None:
    value["subject"] = []


def another_type(value: Any) -> None:
    value["_type"] = "https://in-toto.io/Statement/v0.1"


def another_predicate(value: Any) -> None:
    value["predicateType"] = "https://example.org/other/v1"


def an_unknown_field(value: Any) -> None:
    value["predicate"]["buildDefinition"]["nonsense"] = 1


def a_name_that_is_none(value: Any) -> None:
    value["subject"][0]["digest"] = {"sha256": 1}


@pytest.mark.parametrize("change", [no_subject, another_type, another_predicate, an_unknown_field, a_name_that_is_none])
def test_what_was_signed_and_is_no_statement_is_refused(
    change: Callable[[Any], None], finished_workspace: Path, keys: tuple[Path, Path]
) -> None:
    private, public = keys
    value = json.loads(text(finished_workspace))
    change(value)
    path = signed(finished_workspace, private, json.dumps(value))
    with pytest.raises(UserError, match="well signed, but what was signed tells of no build"):
        envelope.verify(path, public, finished_workspace)


def test_another_unit_than_a_model_is_refused(finished_workspace: Path) -> None:
    with pytest.raises(UserError, match="submission all: expected a model"):
        statement.text(exports.source(finished_workspace), ("submission", "all"))


def test_a_changed_byte_in_the_models_files_refuses_the_statement(finished: Path) -> None:
    data = bytearray((finished / WEIGHTS[1]).read_bytes())
    data[-1] ^= 1
    (finished / WEIGHTS[1]).write_bytes(data)
    with pytest.raises(UserError, match=r"weights_2\.safetensors: its bytes are not those that its record tells"):
        text(finished)


def test_a_signature_is_the_same_each_time_and_another_library_call_verifies_it(
    finished_workspace: Path, keys: tuple[Path, Path]
) -> None:
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    private, public = keys
    path = signed(finished_workspace, private)
    assert path.read_text() == envelope.sign(text(finished_workspace), private, no_passphrase)
    value = json.loads(path.read_text())
    payload, kind = base64.b64decode(value["payload"]), value["payloadType"].encode()
    assert payload.decode() == text(finished_workspace)
    # The encoding that DSSE signs: https://github.com/secure-systems-lab/dsse/blob/master/protocol.md
    encoded = b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)
    key = load_pem_public_key(public.read_bytes())
    key.verify(base64.b64decode(value["signatures"][0]["sig"]), encoded)  # raises where it is not good
    Envelope.from_dict(value).verify([SSlibKey.from_crypto(key)], 1)


def test_it_is_verified_with_its_key_beside_the_same_bytes(finished_workspace: Path, keys: tuple[Path, Path]) -> None:
    private, public = keys
    found = envelope.verify(signed(finished_workspace, private), public, finished_workspace)
    assert [(one.name, one.trouble) for one in found] == [(path, None) for path in WEIGHTS]


def test_another_key_does_not_verify_it(finished_workspace: Path, keys: tuple[Path, Path], tmp_path: Path) -> None:
    _, other = pair(tmp_path, "other")
    with pytest.raises(UserError, match=r"not signed with .*other\.pub, or changed since it was"):
        envelope.verify(signed(finished_workspace, keys[0]), other, finished_workspace)


def a_changed_payload(value: Any) -> None:
    payload = base64.b64decode(value["payload"])
    assert b'"seed": 1' in payload
    value["payload"] = base64.b64encode(payload.replace(b'"seed": 1', b'"seed": 2', 1)).decode()


def a_changed_signature(value: Any) -> None:
    data = bytearray(base64.b64decode(value["signatures"][0]["sig"]))
    data[0] ^= 1
    value["signatures"][0]["sig"] = base64.b64encode(data).decode()


def no_signature(value: Any) -> None:
    value["signatures"] = []


def another_payload_type(value: Any) -> None:
    value["payloadType"] = "text/plain"


def a_number_for_a_payload(value: Any) -> None:
    value["payload"] = 1


def a_number_for_a_signature(value: Any) -> None:
    value["signatures"] = [1]


def no_payload(value: Any) -> None:
    del value["payload"]


@pytest.mark.parametrize(
    "change",
    [
        a_changed_payload,
        a_changed_signature,
        no_signature,
        another_payload_type,
        a_number_for_a_payload,
        a_number_for_a_signature,
        no_payload,
    ],
)
def test_an_envelope_that_was_changed_is_refused(
    change: Callable[[Any], None], finished_workspace: Path, keys: tuple[Path, Path]
) -> None:
    path = signed(finished_workspace, keys[0])
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))
    with pytest.raises(UserError, match=r"not signed with|expected a signed statement"):
        envelope.verify(path, keys[1], finished_workspace)


@pytest.mark.parametrize("data", [b"", b"[]", b"null", b"\xff", b'"text"', b"{}"])
def test_what_is_no_envelope_is_refused(data: bytes, keys: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "x.json").write_bytes(data)
    with pytest.raises(UserError, match=r"x\.json: expected a signed statement"):
        envelope.verify(tmp_path / "x.json", keys[1], tmp_path)


def test_a_statement_without_a_signature_is_refused(
    finished_workspace: Path, keys: tuple[Path, Path], tmp_path: Path
) -> None:
    (tmp_path / "x.json").write_text(text(finished_workspace))
    with pytest.raises(UserError, match=r"x\.json: expected a signed statement, which --sign makes"):
        envelope.verify(tmp_path / "x.json", keys[1], tmp_path)


def test_changed_absent_and_stray_subjects_are_told(finished: Path, keys: tuple[Path, Path]) -> None:
    value = json.loads(text(finished))
    value["subject"] += [{"name": name, "digest": {"sha256": "0" * 64}} for name in ("../w/params.yaml", "/etc/hosts")]
    path = signed(finished, keys[0], json.dumps(value))
    (finished / WEIGHTS[0]).write_bytes(b"other")
    (finished / WEIGHTS[1]).unlink()
    found = envelope.verify(path, keys[1], finished)
    troubles = ["has other bytes", "not here", "leads out of this folder", "leads out of this folder"]
    assert [one.trouble for one in found] == troubles


@pytest.mark.parametrize(
    "options",
    [
        ("-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"),
        ("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"),
        ("-algorithm", "X25519"),
    ],
)
def test_keys_of_other_kinds_are_refused(
    options: tuple[str, ...], finished_workspace: Path, keys: tuple[Path, Path], tmp_path: Path
) -> None:
    private, public = pair(tmp_path, "other", *options)
    with pytest.raises(UserError, match=r"other\.pem: expected an Ed25519 key"):
        envelope.sign("x", private, no_passphrase)
    with pytest.raises(UserError, match=r"other\.pub: expected an Ed25519 key"):
        envelope.verify(signed(finished_workspace, keys[0]), public, finished_workspace)


def test_the_passphrase_of_a_key_is_asked_for_and_must_be_right(finished_workspace: Path, tmp_path: Path) -> None:
    private, public = pair(tmp_path, "key", "-algorithm", "ed25519", "-aes256", "-pass", "pass:abc")
    for wrong in ("", "abd"):
        with pytest.raises(UserError, match=r"key\.pem: expected a private key in PEM, and its passphrase"):
            envelope.sign("x", private, lambda wrong=wrong: wrong)
    path = tmp_path / "signed.json"
    path.write_text(envelope.sign(text(finished_workspace), private, lambda: "abc"))
    assert [one.trouble for one in envelope.verify(path, public, finished_workspace)] == [None, None]


def test_files_that_are_no_keys_are_refused(tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_text("nonsense")
    for path in (tmp_path / "key.pem", tmp_path / "absent.pem"):
        with pytest.raises(UserError, match=f"{path.name}: .*openssl genpkey"):
            envelope.sign("x", path, no_passphrase)
        with pytest.raises(UserError, match=f"{path.name}: .*openssl genpkey"):
            envelope.verify(tmp_path / "x.json", path, tmp_path)


def test_the_command_line_signs_a_model_and_verifies_it_until_a_byte_changes(finished: Path, tmp_path: Path) -> None:
    private, public = pair(tmp_path, "key", "-algorithm", "ed25519", "-aes256", "-pass", "pass:abc")

    def run(*words: str, **options: Any) -> subprocess.CompletedProcess[str]:
        return call(finished, sys.executable, "-c", exports.ALONE, "export", *words, PYTHONPATH="src", **options)

    told = run("statement", "1", "--sign", str(private), TRUEFRAME_KEY_PASSPHRASE="abc")  # noqa: S106
    path = told.stdout.strip()
    assert path == "reports/exports/models-1.intoto.json"
    verified = run("verify", path, "--key", str(public))
    assert verified.stdout.splitlines() == [f"signed with {public}", *(f"{path}: as stated" for path in WEIGHTS)]
    (finished / WEIGHTS[1]).write_bytes(b"other")
    changed = run("verify", path, "--key", str(public), check=False)
    assert changed.returncode == 1
    assert changed.stdout.splitlines()[-1] == f"{WEIGHTS[1]}: has other bytes"
