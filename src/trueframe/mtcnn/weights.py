"""facenet-pytorch's weights of the three nets, as bytes that any process can be handed."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray

NETS = ("pnet", "rnet", "onet")
Weights = Mapping[str, NDArray[np.float32]]


def read() -> bytes:
    """All tensors, named `<net>.<layer>`, as safetensors.

    They are read by torch, in a process that is not to search itself: torch costs seconds and a third of a gigabyte,
    and on a CPU the nets run without it.
    """
    import torch

    package = importlib.util.find_spec("facenet_pytorch")
    if package is None or not package.submodule_search_locations:
        raise ModuleNotFoundError("facenet_pytorch")
    folder = Path(package.submodule_search_locations[0]) / "data"
    tensors = {
        f"{net}.{name}": np.ascontiguousarray(value.numpy())  # safetensors does not look at strides
        for net in NETS
        for name, value in torch.load(folder / f"{net}.pt", weights_only=True).items()
    }
    return safetensors.numpy.save(tensors)


def of(data: bytes, net: str) -> Weights:
    """The tensors of one net by layer."""
    found = safetensors.numpy.load(data)
    return {name.partition(".")[2]: value for name, value in found.items() if name.startswith(f"{net}.")}
