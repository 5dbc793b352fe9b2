"""Statements signed with a local key, and checked, without a network.

Source: DSSE, https://github.com/secure-systems-lab/dsse. Keys are Ed25519, whose signatures are the same each time.
OpenSSL makes a pair:

    openssl genpkey -algorithm ed25519 -aes256 -out private.pem
    openssl pkey -in private.pem -pubout -out public.pem
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from trueframe.audit.export import statement
from trueframe.errors import UserError
from trueframe.files import canonical_json, sha256_file

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

PAYLOAD = "application/vnd.in-toto+json"
_HOW = (
    "make a pair with `openssl genpkey -algorithm ed25519 -out private.pem` and "
    "`openssl pkey -in private.pem -pubout -out public.pem`"
)


def sign(text: str, key: Path, passphrase: Callable[[], str]) -> str:
    """A statement in an envelope. passphrase: asked only where the key has one.

    Raises UserError where the key can't be read, is no private Ed25519 key, or has another passphrase.
    """
    from securesystemslib.dsse import Envelope
    from securesystemslib.signer import CryptoSigner

    envelope = Envelope(text.encode(), PAYLOAD, {})
    envelope.sign(CryptoSigner(_private(key, passphrase)))
    return canonical_json(envelope.to_dict())


def _private(path: Path, passphrase: Callable[[], str]) -> Ed25519PrivateKey:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    data = _bytes(path)
    try:
        try:
            key = load_pem_private_key(data, None)
        except TypeError:  # it is encrypted
            key = load_pem_private_key(data, passphrase().encode())
    except (TypeError, UnsupportedAlgorithm, ValueError) as error:
        raise UserError(f"{path}: expected a private key in PEM, and its passphrase; {_HOW}") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise UserError(f"{path}: expected an Ed25519 key, whose signatures are the same each time; {_HOW}")
    return key


def _public(path: Path) -> Ed25519PublicKey:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(_bytes(path))
    except (UnsupportedAlgorithm, ValueError) as error:
        raise UserError(f"{path}: expected a public key in PEM; {_HOW}") from error
    if not isinstance(key, Ed25519PublicKey):
        raise UserError(f"{path}: expected an Ed25519 key; {_HOW}")
    return key


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: can't be read ({error.strerror}); expected a key in PEM; {_HOW}") from error


@dataclass(frozen=True)
class Compared:
    """A subject of a statement beside the file of its name. trouble: in words; None where the bytes are the same."""

    name: str
    sha256: str
    trouble: str | None


def verify(path: Path, key: Path, root: Path) -> list[Compared]:
    """The subjects of a signed statement, beside the files of these names below `root`.

    Nothing of the statement is read before its signature has been found good. Raises UserError where it is not, where
    there is none, and where what was signed is no statement of ours.
    """
    from google.protobuf.json_format import ParseError

    payload = _opened(path, key)
    try:
        subjects = statement.check(json.loads(payload))
    except (ParseError, ValueError) as error:
        raise UserError(f"{path}: well signed, but what was signed tells of no build: {error}") from error
    return [Compared(name, sha256, _trouble(root, name, sha256)) for name, sha256 in subjects]


def _opened(path: Path, key: Path) -> bytes:
    """What is in an envelope whose signature is good."""
    from securesystemslib.dsse import Envelope
    from securesystemslib.exceptions import FormatError, VerificationError
    from securesystemslib.signer import SSlibKey

    public = SSlibKey.from_crypto(_public(key))
    try:
        value = json.loads(path.read_bytes())
        if not isinstance(value, dict) or value.get("payloadType") != PAYLOAD:
            raise ValueError(f"no envelope with a payload of type {PAYLOAD}")
        envelope = Envelope.from_dict(value)
        envelope.verify([public], 1)
    except VerificationError as error:
        raise UserError(f"{path}: not signed with {key}, or changed since it was; do not trust it") from error
    except OSError as error:
        raise UserError(f"{path}: can't be read ({error.strerror}); expected a signed statement") from error
    except (AttributeError, FormatError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path}: expected a signed statement, which --sign makes ({error})") from error
    return bytes(envelope.payload)


def _trouble(root: Path, name: str, sha256: str) -> str | None:
    """What is wrong with the file of a subject's name."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        return "leads out of this folder"
    if not (root / path).is_file():
        return "not here"
    return None if sha256_file(root / path) == sha256 else "has other bytes"
