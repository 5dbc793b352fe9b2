"""Which device a person's word means here."""

from __future__ import annotations

from trueframe.errors import UserError

CPU, CUDA = "cpu", "cuda"


def resolved(device: str) -> str:
    """ "cpu" or "cuda" for "cpu", "cuda" or "auto". Raises UserError for a cuda that is not there."""
    if device == CPU:
        return CPU
    import torch

    if device == CUDA and not torch.cuda.is_available():
        raise UserError("--device cuda: torch sees no CUDA device here; use --device cpu, or auto")
    return CUDA if torch.cuda.is_available() else CPU
