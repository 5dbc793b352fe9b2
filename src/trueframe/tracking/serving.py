"""A seed's model as MLflow loads it: mlflow.pyfunc.load_model("models:/trueframe/1").predict(crops)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from trueframe import network, scoring
from trueframe.network import Network

_BATCH = 64


class Scorer:
    """The networks of a seed's kept epochs, on a GPU where torch sees one."""

    def __init__(self, networks: list[Network]) -> None:
        """networks: in the order in which their scores are summed."""
        device = "cuda" if torch.cuda.is_available() else "cpu"
        self._logits = [scoring.by_torch(network.to(device), device) for network in networks]

    def predict(self, crops: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Probability of fake of each crop, float64 of shape (n,): the mean over the networks.

        crops: RGB, uint8 of shape (n, side, side, 3), as trueframe.dataset.letterbox makes them.
        """
        if not len(crops):
            return np.empty(0)
        numbers = [range(at, min(at + _BATCH, len(crops))) for at in range(0, len(crops), _BATCH)]
        scores = scoring.scores(
            self._logits,
            lambda number: crops[number],
            numbers,
            workers=1,
            advance=lambda count: None,
        )
        return np.asarray(scores.mean(axis=0), np.float64)


def _load_pyfunc(path: str) -> Scorer:
    """MLflow calls this with the model's folder, in which the weights lie."""
    networks = [network.load(file) for file in sorted(Path(path).glob("*.safetensors"))]
    return Scorer(sorted(networks, key=lambda found: found.card.epoch))
