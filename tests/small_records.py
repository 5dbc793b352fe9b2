"""Workspaces made up by hand: records, tables and reports as runs leave them, of two parts and two seeds."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from trueframe import records, tables
from trueframe.dag import STAGES, Layout
from trueframe.records import Output, Recipe, Record
from trueframe.workspace import UNIT_KEYS

Node = tuple[str, str]
PARAMS: dict[str, Any] = {
    "index": {"min_frames": 2},
    "bboxes": {"train": {"every_n_frames": 10}, "test": {"frames": 8}},
    "crops": {"margin": 0.3},
    "landmarks": {"min_face_px": 20},
    "masks": {"window_px": 7},
    "folds": {"seed": 0},
    "models": {"seeds": [1, 2], "epochs": 20, "augmentation": {"flip": 0.5, "grey": 0.0}},
    "predictions": {"batch_size": 16},
    "submission": {"unknown_score": 0.5},
    "evaluation": {"threshold": 0.5, "face_size_px": [100.0, 140.0]},
}
SHARED = "src/trueframe/files.py"
LOCK = "numpy==2.2.0 \\\n    --hash=sha256:aa\ntorch==2.7.0 \\\n    --hash=sha256:bb\n"


@dataclass
class Video:
    """A row of an index, with its status there and in the crops."""

    name: str
    content: str
    label: int | None = 0
    original: str | None = None
    status: str = "ok"
    reason: str = ""
    role: str = "trained"


@dataclass
class World:
    """What a workspace is made of.

    bytes: what a unit's outputs have beside their path, for units whose bytes are to differ; videos: by part; code:
    texts of modules that are not the usual ones; raw: further raw files of index and evaluation, by path.
    """

    params: dict[str, Any] = field(default_factory=lambda: copy.deepcopy(PARAMS))
    bytes: dict[Node, str] = field(default_factory=dict)
    videos: dict[str, list[Video]] = field(
        default_factory=lambda: {
            "train/a": [Video("f.mp4", "fake", 1, "r.mp4"), Video("r.mp4", "real")],
            "test/t": [Video("u.mp4", "unknown", None)],
        }
    )
    code: dict[str, str] = field(default_factory=dict)
    raw: dict[Node, dict[str, str]] = field(default_factory=dict)
    lock: str = LOCK
    environment: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)
    kept: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def changed(self, stages: Sequence[str]) -> World:
        """The same with other bytes in all units of some stages."""
        self.bytes |= {(stage, unit): "x" for stage in stages for unit in self.layout.units(stage)}
        return self

    @property
    def layout(self) -> Layout:
        """Its units."""
        parts = [
            tuple(unit[len(kind) :] for unit in self.videos if unit.startswith(kind)) for kind in ("train/", "test/")
        ]
        return Layout(parts[0], parts[1], tuple(self.params["models"]["seeds"]), 1)

    def write(self, root: Path) -> Path:
        """Write the workspace; returns its place."""
        root.mkdir(parents=True, exist_ok=True)
        (root / "params.yaml").write_text(yaml.safe_dump(self.params))
        (root / "requirements.lock").write_text(self.lock)
        for path in (SHARED, *map(_module, STAGES)):
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(self.code.get(path, f"NAME = {path!r}\n"))
        made: dict[str, Output] = {}
        for stage in STAGES:
            for unit in self.layout.units(stage):
                outputs = dict(self._outputs(root, stage, unit))
                made |= outputs
                self._record(root, stage, unit, made, outputs).write(root / STAGES[stage].record_path(unit))
        return root

    def _record(
        self, root: Path, stage: str, unit: str, made: Mapping[str, Output], outputs: Mapping[str, Output]
    ) -> Record:
        params = {k: v for k, v in self.params[stage].items() if k not in UNIT_KEYS.get(stage, ())}
        texts = {path: self.code.get(path, f"NAME = {path!r}\n") for path in (SHARED, _module(stage))}
        inputs = {str(path): f"sha256:{made[str(path)].sha256}" for path in self.layout.inputs(stage, unit)}
        files = {f"data/raw/{unit}/{v.name}": v.content for v in self.videos[unit]} if stage == "index" else {}
        files |= self.raw.get((stage, unit), {})
        inputs |= {path: f"md5:{hashlib.md5(text.encode()).hexdigest()}" for path, text in files.items()}  # noqa: S324
        code = {path: records.source_digest(text) for path, text in texts.items()}
        environment = records.environment(root) | self.environment
        return Record(stage, unit, Recipe(params, code, inputs), outputs, environment)

    def _outputs(self, root: Path, stage: str, unit: str) -> Iterator[tuple[str, Output]]:
        for name, paths in self.layout.outputs(stage, unit).items():
            for path in paths:
                place = root / path
                place.parent.mkdir(parents=True, exist_ok=True)
                self._fill(place, stage, unit, name)
                yield str(path), Output(hashlib.sha256(place.read_bytes()).hexdigest(), place.stat().st_size, 1)

    def _fill(self, place: Path, stage: str, unit: str, name: str) -> None:
        value = {
            ("models", "selection"): {"seed": unit, "device": "cpu", "kept": self.kept.get(unit, [])},
            ("evaluation", "metrics"): self.metrics,
            ("evaluation", "details"): self.details,
        }.get((stage, name))
        if value is not None:
            place.write_text(json.dumps(value) + self.bytes.get((stage, unit), "").replace("x", " "))
        elif rows := list(self._rows(stage, unit, name)):
            schema = {"index": tables.INDEX, "models": tables.ROLES}.get(stage, tables.VIDEOS)
            tables.write(place, rows, schema)
        else:
            place.write_text(f"{stage} {name}{self.bytes.get((stage, unit), '')}")

    def _rows(self, stage: str, unit: str, name: str) -> Iterator[dict[str, Any]]:
        if (stage, name) == ("models", "videos"):
            for part in self.videos:
                if part.startswith("train/"):
                    yield from (self._role(part, video) for video in self.videos[part])
        elif (stage, name) in (("index", "table"), ("bboxes", "videos"), ("crops", "videos")):
            yield from (_row(stage, video) for video in self.videos[unit])

    @staticmethod
    def _role(part: str, video: Video) -> dict[str, Any]:
        known = {"part": part, "video": video.name, "label": video.label, "original": video.original or video.name}
        return known | {"fold": 0, "role": video.role, "reason": "", "crops": 1, "used": 1, "draws": 1}


def _row(stage: str, video: Video) -> dict[str, Any]:
    if stage != "index":
        late = stage == "crops"
        told = {"status": video.status if late else "ok", "reason": video.reason if late else ""}
        return {"video": video.name, "items": 1} | told
    sizes = {"size_bytes": 1, "codec": "", "width_px": 1, "height_px": 1, "fps": 1.0, "frames": 1}
    digest = hashlib.sha256(video.content.encode()).hexdigest()
    claims = {"label": video.label, "original": video.original}
    return {"video": video.name, "sha256": digest, "status": "ok", "reason": ""} | sizes | claims


def _module(stage: str) -> str:
    return f"src/trueframe/stages/{stage}.py"
