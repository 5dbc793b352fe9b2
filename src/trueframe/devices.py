"""Which device a person's word means here."""

from __future__ import annotations

import ctypes
from pathlib import Path

from trueframe.errors import UserError

CPU, CUDA = "cpu", "cuda"
_DRIVERS = ("libcuda.so.1", "nvcuda.dll")  # NVIDIA's, by which torch finds its GPUs too
_AMD = Path("/dev/kfd")  # where torch for ROCm finds its own


def resolved(device: str) -> str:
    """ "cpu" or "cuda" for "cpu", "cuda" or "auto". Raises UserError for a cuda that is not there.

    torch, which costs a process seconds, is asked only where there is a driver.
    """
    if device == CPU:
        return CPU
    there = _driver() and _seen_by_torch()
    if device == CUDA and not there:
        raise UserError("--device cuda: torch sees no CUDA device here; use --device cpu, or auto")
    return CUDA if there else CPU


def _driver() -> bool:
    for name in _DRIVERS:
        try:
            ctypes.CDLL(name)
        except OSError:
            continue
        return True
    return _AMD.exists()


def _seen_by_torch() -> bool:
    import torch

    return torch.cuda.is_available()
