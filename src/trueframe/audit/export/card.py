"""A model card in Markdown. Every figure in it is read from artifacts and records; what nobody told, it says so.

Source of the headings: Mitchell et al., Model Cards for Model Reporting, 2019.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

from trueframe import withdrawn
from trueframe.audit import git
from trueframe.audit.export.card_figures import SETS, Figures
from trueframe.audit.export.markdown import code, escaped, table
from trueframe.audit.export.source import Source, scalar
from trueframe.audit.objects import RAW_FILE
from trueframe.audit.subject import Subject
from trueframe.audit.terminal import listed
from trueframe.dag import ONE, STAGES
from trueframe.errors import UserError
from trueframe.records import LOCK
from trueframe.tables import WITHDRAWN
from trueframe.workspace import DVC, PARAMS, leaves

_EVALUATION = ("evaluation", ONE)
# What git versions and a result depends on.
_PLANS = ("Snakefile", "workflow", "profiles", str(DVC), "dvc.lock", str(PARAMS), str(LOCK), "src", "data")
_LISTED = 10
_COVERAGE = {
    "folds": "numbers of the folds held out",
    "held_out": "in the held-out fold, with a label",
    "labelled": "with a label",
    "parts_without_labels_csv": "parts without labels.csv",
    "scored": "of these, with a score",
    "trained": "in the other folds, with a label",
    "unscored": "of these, without a score",
    "videos": "in all",
    "without_crops": "with a label, without crops",
}


def text(source: Source, seed: str | None = None, intended_use: str | None = None) -> str:
    """The card of the ensemble, or of one seed's model.

    intended_use: in the owner's words. Raises UserError where there is no evaluation, where it is of other models,
    where a link between units does not hold, and where a file that it reads is not here or not as its record says.
    """
    nodes = source.above(source.find("evaluation"))
    seeds = [unit for stage, unit in nodes if stage == "models"]
    if seed is not None and seed not in seeds:
        raise UserError(f"{seed}: expected a seed whose model the evaluation has, one of {', '.join(seeds)}")
    for path in (path for node in nodes for path in source.records[node].outputs):
        if path.startswith("data/index/") or path.endswith("videos.parquet"):
            source.checked(path)
    card = _Card(source, seed)
    sections = {
        "Model details": card.model(),
        "Intended use": card.use(intended_use),
        "Training data": card.training(),
        "Evaluation data": card.evaluation(),
        "Metrics": card.figures.section(),
        "Thresholds": card.thresholds(),
        "Limits": card.limits(),
        "How to reproduce it": card.reproduced(),
        "Provenance": card.provenance(),
    }
    title = "trueframe, the ensemble" if seed is None else f"trueframe, the model of seed {seed}"
    blocks = [f"# {title}", *(block for name, found in sections.items() for block in (f"## {name}", *found))]
    return "\n\n".join(blocks) + "\n"


class _Card:
    """The sections, each as paragraphs and tables."""

    def __init__(self, source: Source, seed: str | None) -> None:
        self.source, self.records = source, source.records
        self.trail = source.auditor.trail("evaluation", Subject(_EVALUATION))
        self.seeds = list(self.trail.seeds) if seed is None else [seed]
        self.figures = Figures(source, seed)
        self.selections = {of: source.json(STAGES["models"].outputs["selection"].format(unit=of)) for of in self.seeds}

    def model(self) -> Iterator[str]:
        """What it is, and which files it is."""
        yield (
            "A network scores crops of the faces in a video one by one. The scores of a video's crops are pooled to "
            "one, the probability that it is a fake; an ensemble's is the mean of its models'."
        )
        heads = ("seed", "network (timm)", "input, px", "weights after epoch", "validation figure", "file", "sha256")
        yield table(heads, self._weights())
        rules = dict.fromkeys(chosen["rule"] for chosen in self.selections.values())
        yield f"The validation figure chose the epochs: {escaped('; '.join(rules))}. Epochs are counted from 0."

    def _weights(self) -> Iterator[list[Any]]:
        for seed, chosen in self.selections.items():
            record = self.records["models", seed]
            by_name = {path.rpartition("/")[2]: path for path in record.outputs}
            for kept in chosen["kept"]:
                path = by_name[kept["file"]]
                told = (record.recipe.params["encoder"], record.recipe.params["size_px"])
                yield [seed, *told, kept["epoch"], round(kept["val_figure"], 6), path, record.outputs[path].sha256]

    def _params(self, stage: str, units: list[str]) -> Iterator[list[Any]]:
        """Name and value of a stage's parameters; where units differ in one, each unit's."""
        found = {
            unit: leaves(self.records[stage, unit].recipe.params) for unit in units if (stage, unit) in self.records
        }
        for name in dict.fromkeys(name for params in found.values() for name in params):
            values = {unit: scalar(params.get(name)) for unit, params in found.items()}
            same = len(set(map(str, values.values()))) == 1
            told = (
                next(iter(values.values())) if same else ", ".join(f"{unit}: {value}" for unit, value in values.items())
            )
            yield [f"{stage}.{name}", told]

    @staticmethod
    def use(intended: str | None) -> Iterator[str]:
        """What its owner says."""
        yield (
            "Not told; `trueframe export card --intended-use` puts it here." if intended is None else escaped(intended)
        )
        yield "How it does on other videos than those below was not measured."

    def training(self) -> Iterator[str]:
        """The train parts, and what the trainings did with their videos."""
        yield table(("part", "videos", "real", "fake", "usable", "crops"), self._parts("train/"))
        yield "What the trainings did with the videos that gave crops:"
        heads = ("seed", "fold", "role", "why", "real", "fake", "crops used", "draws")
        folds = [fold for fold in self.trail.folds if fold.seed in self.seeds]
        yield table(
            heads, [(f.seed, f.fold, f.role, f.reason or None, f.real, f.fake, f.crops, f.draws) for f in folds]
        )
        yield "They were told:"
        yield table(("parameter", "value"), self._params("models", self.seeds))

    def _parts(self, kind: str) -> Iterator[list[Any]]:
        rows = []
        for part in (part for part in self.trail.parts if part.part.startswith(kind)):
            labels = [video.label for video in self.source.ledger.part(part.part)]
            rows.append([part.part, part.videos, labels.count(0), labels.count(1), part.usable, part.crops])
        yield from rows
        if len(rows) > 1:
            yield ["all", *map(sum, list(zip(*rows, strict=True))[1:])]

    def evaluation(self) -> Iterator[str]:
        """The videos that the figures are over."""
        for of, (title, _) in SETS.items():
            found, coverage = self.figures.found(of).get("ensemble", {}), self.figures.details[of]["coverage"]
            yield f"The {title}:"
            rows = [(_COVERAGE.get(name, name.replace("_", " ")), _told(value)) for name, value in coverage.items()]
            fakes = [("fakes among those that the figures are over", found["fakes"])] if "fakes" in found else []
            yield table(("videos", "number"), [*rows, *fakes])

    def thresholds(self) -> Iterator[str]:
        """What turns scores into answers."""
        yield "The figures above were made with:"
        yield table(("parameter", "value"), self._params("evaluation", [ONE]))
        yield "The submission is made with:"
        yield table(("parameter", "value"), self._params("submission", [ONE]))

    def limits(self) -> Iterator[str]:
        """What was left out, and what the figures do not tell."""
        yield "Videos of the train and test parts that were left out:"
        yield table(
            ("videos", "status", "found by"), [(count, status, stage) for stage, status, count in self.trail.left_out]
        )
        told = sum(count for _, status, count in self.trail.left_out if status == WITHDRAWN)
        lines = withdrawn.read(self.source.root / withdrawn.PATH)
        yield f"Withdrawn: {told} of them, by {len(lines)} lines in {withdrawn.PATH}."
        yield (
            "The held-out fold chose the epochs, so that its figures flatter the models; the test parts chose nothing. "
            "Another training would change what no interval tells. Whether the people in the videos agreed to this use "
            "is not recorded; a video that is withdrawn is left out of everything from the next run on."
        )

    def reproduced(self) -> Iterator[str]:
        """The commands, and what stands in their way."""
        changed = git.modified(self.source.root, _PLANS)
        if changed:
            yield f"These files are not as the commit has them: {escaped(listed(changed, _LISTED))}."
        if self.trail.problems:
            stale = listed([f"{problem.stage} {problem.unit}" for problem in self.trail.problems], _LISTED)
            yield f"These units were made otherwise than the workspace would make them now: {escaped(stale)}."
        if not changed and not self.trail.problems:
            yield f"Everything is as commit {self.source.commit} of {self.source.date[:10]} makes it:"
        pull = [f"dvc pull {RAW_FILE}"] if (self.source.root / RAW_FILE).is_file() else []
        yield code([f"git checkout {self.source.commit}", *pull, "snakemake --cores all submission", "trueframe audit"])

    def provenance(self) -> Iterator[str]:
        """What made it, by digest."""
        heads = ("stage", "units", "commit that holds its code", "requirements.lock", "Python", "machine")
        rows = []
        for step in reversed(self.trail.steps):
            for variant in step.variants:
                told = variant.environment
                facts = [told.get(name, "missing") for name in ("lock", "python", "platform")]
                rows.append([step.stage, len(variant.units), variant.code_commits.first or "none", *facts])
        yield table(heads, rows)
        nodes = [*(("models", seed) for seed in self.seeds), ("folds", ONE), _EVALUATION]
        paths = {
            path: output.sha256
            for node in nodes
            for path, output in self.records[node].outputs.items()
            if not path.endswith(".png")
        }
        yield table(("file", "sha256"), paths.items())
        place = self.source.root / RAW_FILE
        if place.is_file():
            tracked = yaml.safe_load(place.read_text(encoding="utf-8"))["outs"][0]
            yield f"The raw videos are {escaped(tracked['md5'])}, as DVC has them in {RAW_FILE}."


def _told(value: Any) -> Any:
    """A number or a text; several in one cell."""
    if isinstance(value, dict):
        value = [f"{count} {status}" for status, count in value.items()]
    return ", ".join(map(str, value)) or "none" if isinstance(value, list) else value
