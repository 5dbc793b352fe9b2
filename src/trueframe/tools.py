"""What a stage is lent to work with. Nothing in here may change a byte of what it makes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from trueframe.progress import Progress, Quiet

if TYPE_CHECKING:
    from collections.abc import Mapping


class Tracker(Protocol):
    """Hears of a training while it runs."""

    def epoch(self, number: int, figures: Mapping[str, float]) -> None:
        """The figures of a finished epoch, counted from 0."""


class Silent:
    """A tracker that nobody listens to."""

    def epoch(self, number: int, figures: Mapping[str, float]) -> None:
        """Nothing."""


@dataclass(frozen=True)
class Tools:
    """workers: processes that may work at once; device: "cpu", "cuda" or "auto"."""

    workers: int = 1
    device: str = "auto"
    progress: Progress = field(default_factory=Quiet)
    tracker: Tracker = field(default_factory=Silent)
