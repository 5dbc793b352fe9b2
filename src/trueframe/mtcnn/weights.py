"""facenet-pytorch's weights of the three nets.

They lie in torch's format of before version 1.6: four pickles (a magic number, a version, the writer's machine, the
tensors' shapes), a pickled list of storage keys, then every storage's length and its values. They are read here without
torch, which costs seconds and a third of a gigabyte and which nothing else in a search on a CPU needs; and by an
unpickler that knows four names and can make nothing else.
"""

from __future__ import annotations

import importlib.util
import io
import pickle
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

Weights = Mapping[str, NDArray[np.float32]]

_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001


def read(net: str) -> Weights:
    """The tensors of "pnet", "rnet" or "onet" by layer."""
    package = importlib.util.find_spec("facenet_pytorch")
    if package is None or not package.submodule_search_locations:
        raise ModuleNotFoundError("facenet_pytorch")
    return parsed(Path(package.submodule_search_locations[0], "data", f"{net}.pt").read_bytes())


def parsed(data: bytes) -> Weights:
    """The float32 tensors of a state dict that torch wrote in its old format, contiguous. Raises pickle.UnpicklingError
    for anything else.
    """
    file = io.BytesIO(data)
    if _load(file) != _MAGIC or _load(file) != _PROTOCOL or not _load(file)["little_endian"]:
        raise pickle.UnpicklingError("not a file of torch's format 1001")
    tensors, keys = _load(file), _load(file)
    if not all(isinstance(tensor, _Tensor) for tensor in tensors.values()):
        raise pickle.UnpicklingError("not a state dict")
    storages = {}
    for key in keys:
        (count,) = np.frombuffer(file.read(8), "<i8")
        storages[key] = np.frombuffer(file.read(4 * int(count)), "<f4")
    return {name: tensor.filled(storages) for name, tensor in tensors.items()}


@dataclass(frozen=True)
class _Tensor:
    """A tensor whose values come later in the file."""

    key: str
    start: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]  # in values

    def filled(self, storages: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float32]:
        values = storages[self.key][self.start :]
        last = sum((side - 1) * stride for side, stride in zip(self.shape, self.strides, strict=True))
        if self.start < 0 or min(self.strides) < 0 or last >= len(values):
            raise pickle.UnpicklingError(f"a tensor of {self.shape} beyond its {len(values)} values")
        strides = [4 * stride for stride in self.strides]
        return np.ascontiguousarray(np.lib.stride_tricks.as_strided(values, self.shape, strides, writeable=False))


def _rebuilt(key: str, start: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: object) -> _Tensor:
    return _Tensor(key, start, shape, strides)


class _Unpickler(pickle.Unpickler):
    _KNOWN = {  # noqa: RUF012 - a constant
        ("collections", "OrderedDict"): OrderedDict,
        ("torch._utils", "_rebuild_tensor_v2"): _rebuilt,
        ("torch", "FloatStorage"): "float32",
    }

    def find_class(self, module: str, name: str) -> Any:
        try:
            return self._KNOWN[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"{module}.{name} has no place among weights") from None

    def persistent_load(self, pid: Any) -> str:
        """The key of a storage: ("storage", type, key, place, length, None)."""
        return str(pid[2])


def _load(file: BinaryIO) -> Any:
    return _Unpickler(file).load()
