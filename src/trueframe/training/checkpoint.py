"""What a killed training goes on from: its state after the last whole epoch, and the weights of its best epochs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from trueframe.files import partial, publish

_KEY = "trueframe"
_MODEL, _MOMENTUM = "model.", "momentum."


@dataclass(frozen=True)
class State:
    """How far a training is. epochs: a row of the history each; scaler: half precision's, empty where there is none."""

    epochs: list[dict[str, Any]]
    scaler: dict[str, Any]


class Checkpoints:
    """A folder of one recipe's training on one kind of machine.

    Every random number of an epoch follows from the seed and the epoch's number, and so do its learning rates and its
    rows: what is kept is what else there is, the weights, the momentum, the scaler, and the epochs so far.
    """

    def __init__(self, folder: Path, keep: int, where: Mapping[str, Any]) -> None:
        """keep: how many epochs' weights stay; where: what else the bytes depend on (devices, torch's version)."""
        self.state = folder / "state.safetensors"
        self._folder = folder
        self._keep = keep
        self._where = {"torch": torch.__version__, **where}
        folder.mkdir(parents=True, exist_ok=True)

    def weights(self, epoch: int) -> Path:
        """Where an epoch's weights are."""
        return self._folder / f"epoch_{epoch:04d}.safetensors"

    def best(self, epochs: Iterable[Mapping[str, Any]]) -> list[int]:
        """The epochs to keep, the one of the lowest figure first, the earlier of equals."""
        return [row["epoch"] for row in sorted(epochs, key=lambda row: (row["val_figure"], row["epoch"]))][: self._keep]

    def load(self, network: nn.Module, optimizer: torch.optim.Optimizer) -> State | None:
        """Put the state into a training; None where there is none that this training could go on from."""
        try:
            with safe_open(self.state, framework="pt") as file:
                known = json.loads((file.metadata() or {})[_KEY])
                if known.pop("where") != self._where:
                    return None
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
        except (FileNotFoundError, SafetensorError, KeyError, json.JSONDecodeError):
            return None  # not one, or not whole: the training begins anew
        state = State(**known)
        if not all(self.weights(epoch).is_file() for epoch in self.best(state.epochs)):
            return None
        network.load_state_dict(_part(tensors, _MODEL))
        momentum = {int(number): {"momentum_buffer": value} for number, value in _part(tensors, _MOMENTUM).items()}
        optimizer.load_state_dict(optimizer.state_dict() | {"state": momentum})
        return state

    def save(self, network: nn.Module, optimizer: torch.optim.Optimizer, state: State) -> None:
        """Keep the state after an epoch, in one step. Weights of epochs that are no longer among the best go."""
        tensors = {f"{_MODEL}{name}": value for name, value in network.state_dict().items()}
        for number, known in optimizer.state_dict()["state"].items():
            if known.get("momentum_buffer") is not None:
                tensors[f"{_MOMENTUM}{number}"] = known["momentum_buffer"]
        told = {"epochs": state.epochs, "scaler": state.scaler, "where": self._where}
        whole = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
        safetensors.torch.save_file(whole, partial(self.state), metadata={_KEY: json.dumps(told)})
        publish(self.state)
        kept = {self.weights(epoch) for epoch in self.best(state.epochs)}
        for file in self._folder.glob("epoch_*.safetensors"):
            if file not in kept:
                file.unlink()


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
