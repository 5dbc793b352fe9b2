"""The DAG in one table: the stages, their units, what each unit reads and what it owns.

A unit is one job: "train/part_00" for a stage that works part by part, "111" for a seed, "111/test/part_00" for a
seed on a part, "all" for a stage with a single one. Whoever needs to know which file comes from where asks here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

ONE = "all"
KINDS = ("train", "test")


@dataclass(frozen=True)
class Input:
    """An input of a stage's units: output `output` of the units `which` of `stage`, known to the stage as `name`.

    which: same (the unit of that name), part (the part of a seed's and part's unit), seed (the seed of it), train, test
    or every (all parts of that kind), one (the only one). A stage gets a single path for same, part, seed and one,
    else a mapping from unit to path. Of a ranked output it gets a tuple of paths, the best first, in place of each.
    """

    name: str
    stage: str
    output: str
    which: str

    @property
    def many(self) -> bool:
        """Whether the stage gets a mapping from unit to path."""
        return self.which in ("train", "test", "every")


@dataclass(frozen=True)
class Stage:
    """units: part, train part, one, seed, or seed and part; outputs: name to path, `{unit}` standing for the unit.

    A path with `{rank}` stands for several files, numbered from 1: as many as models.keep says. reads_withdrawn: a unit
    is told what is withdrawn in its part. finds_faces: its record tells by which library and device.
    """

    name: str
    units: str
    outputs: Mapping[str, str]
    record: str
    inputs: tuple[Input, ...] = ()
    reads_raw: bool = False
    reads_withdrawn: bool = False
    finds_faces: bool = False

    def ranked(self, name: str) -> bool:
        """Whether an output is several files."""
        return "{rank}" in self.outputs[name]

    def record_path(self, unit: str) -> Path:
        """Path of a unit's record, relative to the workspace."""
        return Path(self.record.format(unit=unit))


def _part_stage(
    name: str,
    units: str,
    outputs: Mapping[str, str],
    inputs: tuple[Input, ...],
    raw: bool = False,
    withdrawn: bool = False,
    faces: bool = False,
) -> Stage:
    paths = {output: f"data/{name}/{{unit}}.{suffix}" for output, suffix in outputs.items()}
    return Stage(name, units, paths, f"data/{name}/{{unit}}.json", inputs, raw, withdrawn, faces)


_INDEX = Input("index", "index", "table", "same")
_CROPS = Input("crops", "crops", "archive", "same")

STAGES: dict[str, Stage] = {
    stage.name: stage
    for stage in (
        _part_stage("index", "part", {"table": "parquet"}, (), raw=True, withdrawn=True),
        _part_stage(
            "bboxes", "part", {"boxes": "parquet", "videos": "videos.parquet"}, (_INDEX,), raw=True, faces=True
        ),
        _part_stage(
            "crops",
            "part",
            {"archive": "zip", "videos": "videos.parquet"},
            (
                _INDEX,
                Input("bboxes", "bboxes", "boxes", "same"),
                Input("bboxes_videos", "bboxes", "videos", "same"),
            ),
            raw=True,
        ),
        _part_stage("landmarks", "train part", {"points": "parquet"}, (_INDEX, _CROPS), faces=True),
        _part_stage("masks", "train part", {"archive": "zip", "table": "parquet"}, (_INDEX, _CROPS)),
        Stage(
            "folds",
            "one",
            {"table": "data/folds/folds.parquet"},
            "data/folds/folds.json",
            (Input("index", "index", "table", "train"), Input("crops", "crops", "archive", "train")),
        ),
        Stage(
            "models",
            "seed",
            {
                "weights": "models/{unit}/weights_{rank}.safetensors",
                "history": "models/{unit}/history.csv",
                "selection": "models/{unit}/selection.json",
                "videos": "models/{unit}/videos.parquet",
            },
            "models/{unit}/record.json",
            (
                Input("folds", "folds", "table", "one"),
                Input("crops", "crops", "archive", "train"),
                Input("landmarks", "landmarks", "points", "train"),
                Input("masks", "masks", "archive", "train"),
                Input("changes", "masks", "table", "train"),
            ),
        ),
        Stage(
            "predictions",
            "seed and part",
            {"scores": "data/predictions/{unit}.parquet"},
            "data/predictions/{unit}.json",
            (
                Input("weights", "models", "weights", "seed"),
                Input("folds", "folds", "table", "one"),
                Input("crops", "crops", "archive", "part"),
            ),
        ),
        Stage(
            "submission",
            "one",
            {"table": "reports/submission.csv", "detail": "reports/submission_detail.csv"},
            "reports/submission.json",
            (
                Input("videos", "crops", "videos", "test"),
                Input("predictions", "predictions", "scores", "test"),
            ),
        ),
        Stage(
            "evaluation",
            "one",
            {
                "metrics": "reports/evaluation/metrics.json",
                "details": "reports/evaluation/details.json",
                "roc": "reports/evaluation/roc.csv",
                "precision_recall": "reports/evaluation/precision_recall.csv",
                "calibration": "reports/evaluation/calibration.csv",
                "histogram": "reports/evaluation/histogram.csv",
                "folds_table": "reports/evaluation/folds.csv",
                "pooling_table": "reports/evaluation/pooling.csv",
                "groups_table": "reports/evaluation/groups.csv",
                "originals_table": "reports/evaluation/originals.csv",
                "roc_plot": "reports/evaluation/roc.png",
                "precision_recall_plot": "reports/evaluation/precision_recall.png",
                "calibration_plot": "reports/evaluation/calibration.png",
                "histogram_plot": "reports/evaluation/histogram.png",
                "folds_plot": "reports/evaluation/folds.png",
                "pooling_plot": "reports/evaluation/pooling.png",
                "groups_plot": "reports/evaluation/groups.png",
            },
            "reports/evaluation/record.json",
            (
                Input("index", "index", "table", "train"),
                Input("videos", "crops", "videos", "every"),
                Input("bboxes", "bboxes", "boxes", "every"),
                Input("folds", "folds", "table", "one"),
                Input("predictions", "predictions", "scores", "every"),
            ),
            reads_raw=True,
        ),
    )
}


@dataclass(frozen=True)
class Layout:
    """What a workspace holds: the parts of each kind, the seeds, and how many files of weights a seed keeps.

    Together with the table it fixes every unit and every path.
    """

    train: tuple[str, ...]
    test: tuple[str, ...]
    seeds: tuple[int, ...]
    keep: int

    def parts(self, which: str) -> list[str]:
        """Units of the parts of a kind: train, test, or every for both."""
        kinds = KINDS if which == "every" else (which,)
        return [f"{kind}/{part}" for kind in kinds for part in getattr(self, kind)]

    def units(self, stage: str) -> list[str]:
        """The stage's units, in a fixed order."""
        match STAGES[stage].units:
            case "part":
                return self.parts("every")
            case "train part":
                return self.parts("train")
            case "seed":
                return [str(seed) for seed in self.seeds]
            case "seed and part":
                return [f"{seed}/{part}" for seed in self.seeds for part in self.parts("every")]
            case _:
                return [ONE]

    def sources(self, item: Input, unit: str) -> list[str]:
        """The units of `item.stage` that the unit `unit` reads through this input."""
        match item.which:
            case "same":
                return [unit]
            case "seed":
                return [unit.partition("/")[0]]
            case "part":
                return [unit.partition("/")[2]]
            case "one":
                return [ONE]
            case which:
                parts = self.parts(which)
                if STAGES[item.stage].units == "seed and part":
                    return [f"{seed}/{part}" for seed in self.seeds for part in parts]
                return parts

    def outputs(self, stage: str, unit: str) -> dict[str, tuple[Path, ...]]:
        """A unit's artifacts by output, relative to the workspace: one path each, of a ranked output the best first."""
        return {name: self.output(stage, name, unit) for name in STAGES[stage].outputs}

    def output(self, stage: str, name: str, unit: str) -> tuple[Path, ...]:
        """The paths of one output."""
        entry = STAGES[stage]
        ranks = range(1, self.keep + 1) if entry.ranked(name) else (0,)
        return tuple(Path(entry.outputs[name].format(unit=unit, rank=rank)) for rank in ranks)

    def output_paths(self, stage: str, unit: str) -> list[Path]:
        """A unit's artifacts, relative to the workspace."""
        return [path for paths in self.outputs(stage, unit).values() for path in paths]

    def inputs(self, stage: str, unit: str) -> dict[Path, tuple[str, str]]:
        """Every artifact that a unit reads, with the stage and unit it comes from."""
        return {
            path: (item.stage, source)
            for item in STAGES[stage].inputs
            for source in self.sources(item, unit)
            for path in self.output(item.stage, item.output, source)
        }

    def upstream(self, stage: str, unit: str) -> list[tuple[str, str]]:
        """The (stage, unit) pairs that a unit reads from, each once."""
        return list(dict.fromkeys(self.inputs(stage, unit).values()))


def downstream(stages: Iterable[str]) -> list[str]:
    """The given stages and all that read from them, directly or not, in the order of the DAG."""
    found = set(stages)
    for name, stage in STAGES.items():
        if any(item.stage in found for item in stage.inputs):
            found.add(name)
    return [name for name in STAGES if name in found]
