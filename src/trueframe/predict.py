"""Scores any videos with the workspace's trained ensemble: by the stages that make a submission, in a folder that goes.

The files stand as links in a test part of their own, under numbers for names: whatever a file is called, the stages
meet a plain name, and nothing is written where the files lie.
"""

from __future__ import annotations

import errno
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from trueframe import claims, devices, pooling, tables, video
from trueframe.errors import UserError
from trueframe.params import Params, Submission
from trueframe.progress import Progress
from trueframe.stages import bboxes, crops, index, predictions, submission
from trueframe.tools import Tools
from trueframe.workspace import Workspace

FAKE, UNCERTAIN, REAL, UNKNOWN = "fake", "uncertain", "real", "unknown"

_PART = "test/part"
_FULL = (errno.ENOSPC, errno.EDQUOT)
_REASONS_SHOWN = 4


@dataclass(frozen=True)
class Track:
    """A face through a video: its number, its crops, and their pooled score (the mean over the models)."""

    track: int
    faces: int
    score: float


@dataclass(frozen=True)
class Prediction:
    """What is known of a file.

    score: probability of fake, the parameter submission.unknown_score where no face was found, None for what is no
    video; verdict: fake, uncertain or real, unknown where nothing was scored; frames: how many are searched for faces;
    faces: crops that were scored; status, reason: as in reports/submission_detail.csv.
    """

    file: str
    score: float | None
    verdict: str
    frames: int
    faces: int
    tracks: tuple[Track, ...]
    status: str
    reason: str


@dataclass(frozen=True)
class Bands:
    """A score above `fake_above` is fake, one below `real_below` real, and what lies between is uncertain."""

    fake_above: float
    real_below: float

    def __post_init__(self) -> None:
        """Raises UserError for edges out of order."""
        if not 0 <= self.real_below <= self.fake_above <= 1:
            raise UserError(
                f"--real-below {self.real_below} --fake-above {self.fake_above}: expected numbers of 0 to 1, the first "
                "not above the second"
            )

    def verdict(self, score: float) -> str:
        """The band of a score."""
        return FAKE if score > self.fake_above else REAL if score < self.real_below else UNCERTAIN


@dataclass(frozen=True)
class _Tables:
    """What the stages wrote: the index, the crops' videos, and each seed's predictions."""

    index: Path
    videos: Path
    scores: Mapping[int, Path]


def predict(workspace: Workspace, path: Path, bands: Bands, workers: int = 1, device: str = "auto") -> list[Prediction]:
    """Score a video, or a folder's videos as a test part's, by name; the scores are those of a submission.

    Raises UserError when there is nothing to score or no model to score with.
    """
    files = files_of(path)
    weights = weights_of(workspace)
    _prepare_cuda(device)
    try:
        with tempfile.TemporaryDirectory(prefix="trueframe-") as folder:
            part = Path(folder) / "raw"
            part.mkdir()
            names = {_plain(number, file): file.name for number, file in enumerate(files)}
            for link, file in zip(names, files, strict=True):
                (part / link).symlink_to(file.absolute())
            return _rows(_by_stages(workspace, weights, part, workers, device), workspace.params, names, bands)
    except OSError as error:
        if error.errno in _FULL:
            raise UserError(
                f"{error.filename or tempfile.gettempdir()}: {error.strerror}; free some space, or set TMPDIR to a "
                "folder on a larger disk: the faces of all videos wait there"
            ) from error
        raise


def files_of(path: Path) -> list[Path]:
    """The file itself, or a folder's files by name, but for hidden ones and those that say what videos are.

    Raises UserError when no file there can be a video, or one can't be read.
    """
    try:
        found = _found(path)
        unreadable = next((file for file in found if file.is_file() and not os.access(file, os.R_OK)), None)
    except OSError as error:
        raise UserError(f"{path}: can't be read ({error.strerror}); expected a video or a folder of videos") from error
    if unreadable is not None:
        raise UserError(f"{unreadable}: can't be read; give read permission or remove it")
    return found


def _found(path: Path) -> list[Path]:
    endings = ", ".join(video.EXTENSIONS)
    if path.is_dir():
        found = sorted(file for file in path.iterdir() if _listed(file.name))
        if not any(_like_video(file) for file in found):
            folders = [file.name for file in found if file.is_dir()]
            below = f"; subfolders are not searched: name one of them, for one {folders[0]!r}" if folders else ""
            raise UserError(f"{path}: no video in it, no file that ends in {endings}{below}")
        return found
    if not path.exists():
        raise UserError(f"{path}: not there; expected a video or a folder of videos")
    if not _like_video(path):
        raise UserError(f"{path}: not a video; expected a file that ends in {endings}, or a folder of such files")
    return [path]


def _plain(number: int, file: Path) -> str:
    return f"{number:09d}{file.suffix if file.suffix.lower() in video.EXTENSIONS else ''}"


def _listed(name: str) -> bool:
    return name not in (claims.METADATA, index.LABELS) and not name.startswith(".")


def _like_video(path: Path) -> bool:
    return path.suffix.lower() in video.EXTENSIONS and (path.is_file() or path.is_symlink())


def weights_of(workspace: Workspace) -> dict[int, list[Path]]:
    """Each seed's weights. Raises UserError where one is missing; stale ones are told on stderr."""
    layout = workspace.layout
    found = {
        seed: [workspace.root / path for path in layout.output("models", "weights", str(seed))] for seed in layout.seeds
    }
    for path in (path for paths in found.values() for path in paths):
        if not path.is_file():
            raise UserError(
                f"{path.relative_to(workspace.root)}: not there; run `snakemake --cores all models`, which trains it, "
                "or fetch it with `dvc pull models`"
            )
    stale = {unit: why for (stage, unit), why in workspace.stale_units().items() if stage == "models"}
    if stale:
        reasons = list(dict.fromkeys(reason for why in stale.values() for reason in why))
        more = ", …" if len(reasons) > _REASONS_SHOWN else ""
        print(
            f"predict: models {', '.join(stale)} are not what this workspace would train now "
            f"({', '.join(reasons[:_REASONS_SHOWN])}{more}); `snakemake --cores all models` renews them",
            file=sys.stderr,
        )
    return found


def _prepare_cuda(device: str) -> None:
    """Refuse a CUDA device that is not there, and let torch know what it reads once, when the first net is used.

    In a run of the pipeline each stage has a process of its own; here the detector comes before scoring.prepare.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    if device == devices.CUDA:
        devices.resolved(device)


def _by_stages(
    workspace: Workspace, weights: Mapping[int, Sequence[Path]], part: Path, workers: int, device: str
) -> _Tables:
    """Run the stages from the index to the predictions on the folder `part`; what they write lies beside it."""
    params, root = workspace.params, part.parent

    def tools(what: str) -> Tools:
        return Tools(workers, device, progress=Progress(f"predict: {what}"))

    table, boxes, found = root / "index.parquet", root / "boxes.parquet", root / "bboxes.parquet"
    archive, videos = root / "crops.zip", root / "crops.parquet"
    index.run(unit=_PART, raw=part, table=table, params=params.index, tools=tools("index"))
    bboxes.run(unit=_PART, raw=part, index=table, boxes=boxes, videos=found, params=params.bboxes, tools=tools("faces"))
    crops.run(
        unit=_PART,
        raw=part,
        index=table,
        bboxes=boxes,
        bboxes_videos=found,
        archive=archive,
        videos=videos,
        params=params.crops,
        tools=tools("crops"),
    )
    scores = {seed: root / f"{seed}.parquet" for seed in sorted(weights)}
    predictions.ensemble(
        weights=weights, crops=archive, scores=scores, params=params.predictions, tools=tools(f"{len(scores)} models")
    )
    return _Tables(table, videos, scores)


def _rows(made: _Tables, params: Params, names: Mapping[str, str], bands: Bands) -> list[Prediction]:
    """A row per file. names: a link's name to its file's."""
    frames = {
        row["video"]: len(bboxes.sampled("test", row["frames"], params.bboxes))
        for row in tables.read_rows(made.index)
        if row["status"] in tables.USABLE
    }
    tracks = tracks_of(made.scores, params.submission)
    return [
        Prediction(
            file=names[row["filename"]],
            score=row["score"],
            verdict=bands.verdict(row["score"]) if row["crops"] else UNKNOWN,
            frames=frames.get(row["filename"], 0),
            faces=row["crops"],
            tracks=tuple(tracks.get(row["filename"], ())),
            status=row["status"],
            reason=row["reason"],
        )
        for row in submission.rows_of(_PART, made.videos, made.scores, params.submission)
    ]


def tracks_of(scores: Mapping[int, Path], params: Submission) -> dict[str, list[Track]]:
    """The tracks of each video, each pooled as if it were a video of its own."""
    found = [tables.read(path) for path in scores.values()]
    alone = [rows.assign(video=rows["video"] + "/" + rows["track"].astype(str)) for rows in found]
    pooled = [pooling.pool_videos(rows, params.pooling) for rows in alone]
    means = np.mean([of_model["score"].to_numpy() for of_model in pooled], axis=0)
    tracks: dict[str, list[Track]] = {}
    for name, faces, score in zip(pooled[0].index, pooled[0]["crops"], means, strict=True):
        video_name, _, track = str(name).partition("/")
        tempered = pooling.tempered(float(score), params.temperature)
        tracks.setdefault(video_name, []).append(Track(int(track), int(faces), tempered))
    return {name: sorted(of_video, key=lambda track: track.track) for name, of_video in tracks.items()}


def unscored(rows: Sequence[Prediction]) -> list[Prediction]:
    """The videos that no model could score; what is no video at all is not among them."""
    return [row for row in rows if not row.faces and row.status != tables.NOT_A_VIDEO]
