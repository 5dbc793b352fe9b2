"""What a weights file says of itself: enough to rebuild its network and to prepare images for it.

Weights are safetensors and nothing else: a pickle, torch's own format, may run any code when it is read.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError

from trueframe import formats
from trueframe.errors import UserError

# One key for all: safetensors writes several in the order of a hash table, which differs from process to process.
KEY = "trueframe"
_PICKLES = (".bin", ".ckpt", ".joblib", ".pickle", ".pkl", ".pt", ".pth", ".tar")
_ZIP = b"PK\x03\x04"  # which torch.save puts around a pickle
_MADE = "run `snakemake models`, which makes it"


@dataclass(frozen=True)
class Card:
    """What stands in the file beside the weights.

    encoder: timm's name; size_px: side of the square input; mean, std: of R, G and B in 0..1, as the encoder wants
    them; holdout_fold: the fold that the network was not trained on; epoch: after which the weights are, from 0.
    """

    encoder: str
    size_px: Annotated[int, Field(ge=1, le=1024)]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    holdout_fold: int
    epoch: int

    def metadata(self) -> dict[str, str]:
        """The card as safetensors' metadata."""
        return {KEY: json.dumps({"format": formats.FORMAT, **asdict(self)}, sort_keys=True)}


_CARD = TypeAdapter(Card)


def read(path: Path) -> Card:
    """The card of a weights file. Raises UserError when it is no safetensors file or not one of trueframe's."""
    from safetensors import SafetensorError, safe_open

    refuse_pickle(path, str(path))
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
    except SafetensorError as error:
        raise UserError(f"{path}: not a safetensors file ({error}); {_MADE}") from error
    if KEY not in metadata:
        raise UserError(f"{path}: its metadata has no {KEY}, which tells its network; {_MADE}")
    return _card(path, metadata[KEY])


def refuse_pickle(path: Path, where: str) -> None:
    """Raise UserError for weights that are a pickle, by their name or by how they begin. where: begins the message."""
    if path.suffix.lower() in _PICKLES:
        how = f"named {path.suffix}, as pickles are"
    elif path.is_file() and _is_pickle(path):
        how = "a pickle by its content"
    else:
        return
    raise UserError(
        f"{where}: {how}, and a pickle may run any code when it is read: expected a safetensors file; where the pickle "
        "can be trusted, convert it by safetensors.torch.save_file(torch.load(PATH, weights_only=True), NEW_PATH)"
    )


def _is_pickle(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(len(_ZIP))
    # From protocol 2 on a pickle begins with 0x80, the protocol's number and an opcode, none of which is below "(". A
    # safetensors file begins with its header's length, the lowest byte first: it would be one of megabytes.
    return head == _ZIP or (head[:1] == b"\x80" and head[1:2] in (b"\2", b"\3", b"\4", b"\5") and head[2:3] >= b"(")


def _card(path: Path, text: str) -> Card:
    try:
        values: Any = json.loads(text)
        if not isinstance(values, dict) or type(values.get("format")) is not int:
            raise ValueError("no format")
        formats.require(path, values.pop("format"))
        return _CARD.validate_python(values)
    except (RecursionError, ValueError) as error:
        told = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
        raise UserError(f"{path}: its metadata does not tell its network ({told[:100]}); {_MADE}") from error
