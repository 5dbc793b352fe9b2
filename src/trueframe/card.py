"""What a weights file says of itself: enough to rebuild its network and to prepare images for it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from trueframe.errors import UserError

# One key for all: safetensors writes several in the order of a hash table, which differs from process to process.
KEY = "trueframe"


@dataclass(frozen=True)
class Card:
    """What stands in the file beside the weights.

    encoder: timm's name; size_px: side of the square input; mean, std: of R, G and B in 0..1, as the encoder wants
    them; holdout_fold: the fold that the network was not trained on; epoch: after which the weights are, from 0.
    """

    encoder: str
    size_px: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    holdout_fold: int
    epoch: int

    def metadata(self) -> dict[str, str]:
        """The card as safetensors' metadata."""
        return {KEY: json.dumps(asdict(self), sort_keys=True)}


def read(path: Path) -> Card:
    """The card of a weights file. Raises UserError when it is no safetensors file or not one of trueframe's."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
    except SafetensorError as error:
        raise UserError(f"{path}: not a safetensors file ({error}); run `snakemake models`, which makes it") from error
    if KEY not in metadata:
        raise UserError(
            f"{path}: its metadata has no {KEY}, which tells its network; run `snakemake models`, which makes it"
        )
    values: dict[str, Any] = json.loads(metadata[KEY])
    return Card(**values | {"mean": tuple(values["mean"]), "std": tuple(values["std"])})
