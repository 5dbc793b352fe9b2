"""How good the models are, as a model card tells it: figures of the evaluation, copied and not computed."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from typing import Any

from trueframe.audit.export.markdown import table
from trueframe.audit.export.source import Source
from trueframe.dag import STAGES

# Title of each set, and which of its figures in details.json are those of metrics.json.
SETS = {"held_out": ("held-out fold", "scored"), "test": ("test parts", "all")}
_TITLES = {
    "calibration_error": "expected calibration error",
    "eer": "equal error rate",
    "log_loss_clipped": "log loss, scores clipped",
    "log_loss_gain": "log loss gained over the mean model",
    "scored": "videos with a score",
    "videos": "videos with a label",
    "weighted_precision": "precision at the prevalence",
}
_ENDS = ("low", "high")
_OUTPUTS = STAGES["evaluation"].outputs
_ALONE = ("log_loss", "auc", "accuracy")


class Figures:
    """The evaluation's figures, of the ensemble or of one seed's model."""

    def __init__(self, source: Source, seed: str | None) -> None:
        """`seed`: whose, None for the ensemble's. Raises UserError where a report is not here or was changed."""
        self.metrics, self.details = source.json(_OUTPUTS["metrics"]), source.json(_OUTPUTS["details"])
        groups = source.checked(_OUTPUTS["groups_table"]).read_text(encoding="utf-8")
        self._groups = list(csv.reader(io.StringIO(groups, newline="")))
        self._seed = seed

    def found(self, of: str) -> Mapping[str, Any]:
        """Of a set, the figures of details.json that the submission is judged by; empty for a set without videos."""
        told: Mapping[str, Any] = self.details[of].get(SETS[of][1], {})
        return told

    def section(self) -> Iterator[str]:
        """Paragraphs and tables."""
        heads = [head for title, _ in SETS.values() for head in (title, "95 % interval")]
        yield table(["figure", *heads], self._ensemble() if self._seed is None else self._model(self._seed))
        for of, (title, _) in SETS.items():
            drawn = self.found(of).get("intervals", {})
            if "samples" in drawn:
                clusters = f"{drawn['clusters']} clusters, an original with its fakes or a test video"
                yield f"Intervals of the {title}: {drawn['samples']} bootstrap samples of {clusters}."
        if self._seed is None:
            yield "Each model alone:"
            columns = [f"{_title(name)}, {title}" for title, _ in SETS.values() for name in _ALONE]
            yield table(["seed", *columns], self._seeds())
        yield "The ensemble by status of the video and by size of the face:"
        heads, *rows = self._groups
        yield table([*map(_title, heads)], [[cell or None for cell in row] for row in rows])
        yield "The ensemble in each part, and what it is in all the others together:"
        parts = self.details["unseen_parts"]["parts"]
        names = list(next(iter(parts.values()), {}))
        yield table(["part", *map(_title, names)], [[part, *told.values()] for part, told in parts.items()])

    def _ensemble(self) -> Iterator[list[Any]]:
        """Figure by figure, as metrics.json has them, with intervals from there or from details.json."""
        first, *_ = self.metrics.values()
        ends = {f"{name}_{end}" for name in first for end in _ENDS}
        for name in first:
            if name in ends:
                continue
            row: list[Any] = [_title(name)]
            for of in SETS:
                drawn = self.found(of).get("intervals", {}).get("ensemble", {}).get(name, {})
                told = {end: self.metrics[of].get(f"{name}_{end}", drawn.get(end)) for end in _ENDS}
                row += [self.metrics[of][name], _interval(told)]
            yield row

    def _model(self, seed: str) -> Iterator[list[Any]]:
        """The same figures of one model, as details.json has them."""
        for name in next(iter(self.metrics.values())):
            told = [self.found(of).get("seeds", {}).get(seed, {}) for of in SETS]
            if not any(name in figures for figures in told):
                continue
            row: list[Any] = [_title(name)]
            for of, figures in zip(SETS, told, strict=True):
                drawn = self.found(of).get("intervals", {}).get("seeds", {}).get(seed, {})
                row += [figures.get(name), _interval(drawn.get(name, {}))]
            yield row

    def _seeds(self) -> Iterator[list[Any]]:
        for seed in sorted({seed for of in SETS for seed in self.found(of).get("seeds", {})}, key=int):
            yield [seed, *(self.found(of).get("seeds", {}).get(seed, {}).get(name) for of in SETS for name in _ALONE)]


def _title(name: str) -> str:
    return _TITLES.get(name, name.replace("_", " ").replace("auc", "AUC"))


def _interval(ends: Mapping[str, Any]) -> str | None:
    low, high = (ends.get(end) for end in _ENDS)
    return None if low is None or high is None else f"{low} to {high}"
