"""Trainings of small_data's crops with the smallest network that timm has."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import small_data
from trueframe import params
from trueframe.files import sha256_file
from trueframe.progress import Progress
from trueframe.stages import models
from trueframe.tools import Tools

ROOT = Path(__file__).parents[1]


def section(**changes: Any) -> params.Models:
    small = {"encoder": "test_efficientnet", "size_px": 32, "epochs": 3, "batch_size": 4, "lr": 0.01, "seeds": [111]}
    values = params.load(ROOT / "params.yaml").models.model_dump()
    pooled = {"pooling": values["pooling"] | {"rule": "mean"}}
    return params.Models.model_validate(values | small | pooled | changes)


def train(
    data: small_data.Data, folder: Path, settings: params.Models, tools: Tools | None = None, seed: int = 111
) -> dict[str, Path]:
    folder.mkdir(exist_ok=True)
    outputs = {name: folder / name for name in ("history", "selection", "videos")}
    weights = {f"weights_{rank}": folder / f"weights_{rank}" for rank in range(1, settings.keep + 1)}
    items = models.run(
        unit=str(seed),
        folds=data.folds,
        crops=data.crops,
        landmarks=data.landmarks,
        masks=data.masks,
        changes=data.changes,
        weights=tuple(weights.values()),
        **outputs,
        params=settings,
        tools=tools or Tools(device="cpu"),
    )
    assert items.pop("videos") > 0
    assert items == {"weights": 1, "history": settings.epochs, "selection": settings.keep}
    assert sorted(path.name for path in folder.iterdir()) == sorted(outputs | weights)  # no scratch is left
    return outputs | weights


def digests(outputs: Mapping[str, Path]) -> list[str]:
    return [sha256_file(path) for path in outputs.values()]


class Killed(BaseException):
    """As sudden as a signal: no code of ours handles it."""


@dataclass
class Killer(Progress):
    """Ends the training when it has been told so often that crops are done."""

    after: int
    title: str = ""
    said: list[str] = field(default_factory=list)

    def say(self, text: str) -> None:
        self.said.append(text)

    @contextmanager
    def task(self, total: int, unit: str, what: str = "") -> Iterator[Callable[[int], None]]:
        def advance(count: int) -> None:
            self.after -= 1
            if self.after < 0:
                raise Killed

        yield advance
