"""What a stage is lent to work with. Nothing in here may change a byte of what it makes."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

from trueframe.files import Digests
from trueframe.progress import Progress, Quiet

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from trueframe.records import Record


class Tracker(Protocol):
    """Hears of a stage's work."""

    def epoch(self, number: int, figures: Mapping[str, float]) -> None:
        """The figures of a training's finished epoch, counted from 0. A resumed training tells the earlier ones too."""

    def finished(self, record: Record) -> None:
        """All is done, and the files that the record names are in place. A stage does not call this."""


class Silent:
    """A tracker that nobody listens to."""

    def epoch(self, number: int, figures: Mapping[str, float]) -> None:
        """Nothing."""

    def finished(self, record: Record) -> None:
        """Nothing."""


@dataclass(frozen=True)
class Tools:
    """workers: processes that may work at once; device: "cpu", "cuda" or "auto"; devices: how many train one model.

    partial: a folder for what a killed run leaves to go on from, of this very recipe alone; None: nothing is left;
    sha256: of an output that is written to the end, which is then not read again for the record.
    """

    workers: int = 1
    device: str = "auto"
    devices: int = 1
    partial: Path | None = None
    progress: Progress = field(default_factory=Quiet)
    tracker: Tracker = field(default_factory=Silent)
    sha256: Digests = field(default_factory=Digests)

    @contextmanager
    def gpus(self, kind: str) -> Iterator[tuple[int, ...]]:
        """Hold as many GPUs as there are devices, and give their numbers; none where kind is cpu."""
        if kind == "cpu":
            yield ()
            return
        from trueframe import gpus

        with gpus.lease(gpus.names(), self.devices, self.progress.say) as held:
            yield held

    def silenced(self) -> Tools:
        """The same without a word to anyone: for the second and further processes of one job."""
        return replace(self, progress=Quiet(), tracker=Silent())
