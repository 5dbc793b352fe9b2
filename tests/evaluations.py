"""Evaluations of made-up scores: their parameters, what goes in and what comes out, tables as plain rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd

from trueframe import tables
from trueframe.dag import STAGES
from trueframe.params import Evaluation, Pooling
from trueframe.stages import evaluation
from trueframe.tools import Tools

POOLING = Pooling(rule="mean", high=0.8, high_share=0.4, high_count=11, low=0.2, low_share=0.9, trim=0.25)
PARAMS = Evaluation(
    pooling=POOLING,
    unknown_score=0.5,
    threshold=0.5,
    log_loss_clip=0.001,
    calibration_bins=10,
    prevalence=0.2,
    fit_temperature=True,
    bootstrap_samples=20,
    bootstrap_seed=0,
    face_size_px=[100.0, 200.0],
)


def params(**changes: Any) -> Evaluation:
    """An evaluation's parameters, with some changed."""
    return PARAMS.model_copy(update=changes)


def rows(table: pd.DataFrame) -> list[list[Any]]:
    """A table's rows, a missing value as None."""
    found: list[list[Any]] = table.astype(object).where(table.notna(), None).to_numpy().tolist()
    return found


OUTPUTS = {name: Path(path).name for name, path in STAGES["evaluation"].outputs.items()}
PLOTS = [name for name, file in OUTPUTS.items() if file.endswith(".png")]
TABLES = [name for name, file in OUTPUTS.items() if file.endswith(".csv")]
# video, label, status, fold (None: no crops), scores of the models 1 and 2 (None: not scored)
Row = tuple[str, int | None, str, int | None, tuple[float, float] | None]


class Workspace:
    """The inputs of an evaluation by two models, and what it makes of them. Fold 0 is held out."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.inputs: dict[str, dict[str, Path]] = {
            name: {} for name in ("index", "videos", "bboxes", "predictions", "raw")
        }
        self.dealt: list[dict[str, Any]] = []
        self.originals: dict[str, str] = {}  # of fakes
        (folder / "out").mkdir()

    def _part(self, unit: str, rows: list[Row]) -> None:
        stem = self.folder / unit.replace("/", "_")
        self.inputs["videos"][unit] = stem.with_suffix(".videos")
        statuses = [{"video": name, "status": status, "reason": "", "items": 2} for name, _, status, _, _ in rows]
        tables.write(self.inputs["videos"][unit], statuses, tables.VIDEOS)
        self.inputs["bboxes"][unit] = stem.with_suffix(".bboxes")
        boxes = [
            {"video": row[0], "frame": 0, "track": 0, "x0": 0, "y0": 0, "x1": 150, "y1": 120, "score": 1}
            for row in rows
            if row[4] is not None
        ]
        tables.write(self.inputs["bboxes"][unit], boxes, tables.BBOXES)
        for number, seed in enumerate((1, 2)):
            path = self.inputs["predictions"][f"{seed}/{unit}"] = stem.with_suffix(f".{seed}")
            crops = [
                # Two crops around the video's score.
                {
                    "video": name,
                    "frame": frame,
                    "track": 0,
                    "epoch": 3,
                    "score": scores[number] + shift,
                    "held_out": fold in (0, None),
                }
                for name, _, _, fold, scores in rows
                if scores is not None
                for frame, shift in ((0, 0.0625), (5, -0.0625))
            ]
            tables.write(path, crops, tables.PREDICTIONS)

    def train(self, part: str, rows: list[Row]) -> Workspace:
        unit = f"train/{part}"
        self._part(unit, rows)
        self.inputs["index"][unit] = self.folder / f"{part}.index"
        more = dict.fromkeys(("size_bytes", "width_px", "height_px", "frames"), 1) | {
            "fps": 1.0,
            "codec": "",
            "sha256": "",
        }
        index = [{"video": row[0], "label": row[1], "status": row[2], "reason": "", **more} for row in rows]
        for row in index:
            row["original"] = self.originals.get(row["video"])
        tables.write(self.inputs["index"][unit], index, tables.INDEX)
        for name, label, _, fold, _ in rows:
            for frame in (0, 5) if fold is not None else ():
                crop = {"part": unit, "video": name, "frame": frame, "track": 0, "label": label, "original": name}
                self.dealt.append(crop | {"offset": 0, "size": 1, "fold": fold})
        return self

    def test(self, part: str, rows: list[Row], labels: str | bytes | None = None) -> Workspace:
        self._part(f"test/{part}", rows)
        raw = self.inputs["raw"][f"test/{part}"] = self.folder / "raw" / part
        raw.mkdir(parents=True)
        if labels is None and any(row[1] is not None for row in rows):
            labels = "filename,label\n" + "".join(f"{row[0]},{row[1]}\n" for row in rows if row[1] is not None)
        if labels is not None:
            (raw / "labels.csv").write_bytes(labels.encode() if isinstance(labels, str) else labels)
        return self

    def run(self, params: Evaluation = PARAMS) -> dict[str, Any]:
        folds = self.folder / "folds.parquet"
        tables.write(folds, self.dealt, tables.FOLDS)
        outputs = {name: self.folder / "out" / file for name, file in OUTPUTS.items()}
        counts = evaluation.run(unit="all", folds=folds, params=params, tools=Tools(), **self.inputs, **outputs)
        assert counts.keys() == OUTPUTS.keys()
        assert {name: counts[name] for name in TABLES} == {name: len(self.table(name)) for name in TABLES}
        assert {name: counts[name] for name in ("metrics", "details")} == {"metrics": 2, "details": 5}
        return self.report("details")

    def report(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / "out" / OUTPUTS[name]).read_text(encoding="utf-8"))
        return found

    def table(self, name: str) -> pd.DataFrame:
        return pd.read_csv(self.folder / "out" / OUTPUTS[name])
