"""The scaling law: what a stage costs as a sum over what it works on, fitted to measurements; and DFDC's amounts.

A law's terms are what a stage handles (a video, a megapixel of its frames, a face); each has a cost of 0 or more, found
by least squares, weighted as for errors that grow with the root of what is measured: large parts count more than small
ones, yet small ones count.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.optimize import nnls

Amounts = Mapping[str, float]

JOB, VIDEO, FRAME, MEGABYTE = "job", "video", "frame", "MB of video"
FIRST, DECODED, SEARCHED, FACE, CROP = "MP of first frames", "MP of video", "MP searched", "face", "MP of crops"
# What takes a stage's time, and what fills its files.
SECONDS = {
    "index": (JOB, VIDEO, FRAME, MEGABYTE, FIRST),
    "bboxes": (JOB, VIDEO, MEGABYTE, DECODED, SEARCHED, FACE),
    "crops": (JOB, VIDEO, MEGABYTE, DECODED, FACE, CROP),
    "landmarks": (JOB, FACE, CROP),
    "masks": (JOB, FACE, CROP),
}
BYTES = {
    "index": (JOB, VIDEO),
    "bboxes": (JOB, VIDEO, FACE),
    "crops": (JOB, VIDEO, FACE, CROP),
    "landmarks": (JOB, FACE),
    "masks": (JOB, FACE, CROP),
}


@dataclass(frozen=True)
class Law:
    """Cost of one of each term.

    r2: share of the measurements' variance that it explains; worst: largest relative error, without its sign; measured:
    how many measurements it was fitted to.
    """

    costs: dict[str, float]
    r2: float
    worst: float
    measured: int

    def of(self, amounts: Amounts) -> float:
        """The cost of so much of each term."""
        return sum(cost * amounts[term] for term, cost in self.costs.items())

    def values(self) -> dict[str, Any]:
        """Itself as plain values, for results.json."""
        return asdict(self)


def fit(terms: Sequence[str], amounts: Sequence[Amounts], measured: Sequence[float]) -> Law:
    """The law of these terms that comes nearest to what was measured, all of it above 0."""
    found = np.array(measured, np.float64)
    table = np.array([[row[term] for term in terms] for row in amounts], np.float64)
    weighted = table / np.sqrt(found)[:, None]
    # Columns of one length: seconds of a job and of a megapixel differ by orders of magnitude.
    lengths = np.linalg.norm(weighted, axis=0)
    lengths[lengths == 0] = 1
    costs = nnls(weighted / lengths, np.sqrt(found))[0] / lengths
    errors = table @ costs - found
    spread = float(((found - found.mean()) ** 2).sum())
    return Law(
        costs=dict(zip(terms, costs.tolist(), strict=True)),
        r2=1 - float((errors**2).sum()) / spread,
        worst=float(np.abs(errors / found).max()),
        measured=len(found),
    )


@dataclass(frozen=True)
class Collection:
    """A collection of videos, each of the same length, size and number of faces, every fake with its original.

    searched_px: width and height of a frame as it is searched; crop_px: height and width of a crop; every: one frame of
    so many is searched; held_out: parts that no network trains on.
    """

    parts: int
    real: int
    fake: int
    raw_bytes: float
    frames: int = 300
    size_px: tuple[int, int] = (1920, 1080)
    searched_px: tuple[int, int] = (634, 356)
    every: int = 10
    faces: int = 1
    crop_px: tuple[int, int] = (400, 320)
    held_out: int = 3

    def amounts(self) -> dict[str, dict[str, float]]:
        """What each stage has to handle."""
        all_videos, sampled = self.real + self.fake, -(-self.frames // self.every)
        crop = self.crop_px[0] * self.crop_px[1] / 1e6

        def handled(videos: int) -> dict[str, float]:
            faces = videos * sampled * self.faces
            return {
                JOB: self.parts,
                VIDEO: videos,
                FRAME: videos * self.frames,
                MEGABYTE: self.raw_bytes / 1e6 * videos / all_videos,
                FIRST: videos * self.size_px[0] * self.size_px[1] / 1e6,
                DECODED: videos * self.frames * self.size_px[0] * self.size_px[1] / 1e6,
                SEARCHED: videos * sampled * self.searched_px[0] * self.searched_px[1] / 1e6,
                FACE: faces,
                CROP: faces * crop,
            }

        return {
            "index": handled(all_videos),
            "bboxes": handled(self.real),  # a fake has its original's boxes
            "crops": handled(all_videos),
            "landmarks": handled(self.real),
            "masks": handled(self.fake),
        }

    def rows(self) -> dict[str, dict[str, float]]:
        """What stands in each stage's files: as `amounts`, but for the boxes, which fakes have too."""
        found = self.amounts()
        return found | {"bboxes": found["crops"]}

    def held_out_crops(self) -> int:
        """Crops in the held-out parts."""
        return round((self.real + self.fake) * self.held_out / self.parts) * (self.frames // self.every) * self.faces


# 119,154 videos in 50 folders; most are 10 s of 1080p at 30 fps (Dolhansky et al. 2020, arXiv:2006.07397). Their
# size is the one that the competition's data page gives.
DFDC = Collection(parts=50, real=19_154, fake=100_000, raw_bytes=471.84e9)


@dataclass(frozen=True)
class Training:
    """The winner's: so many seeds, each of so many epochs of so many batches of so many images.

    validation_share: of the held-out crops that are scored after each epoch (of every 20th frame where crops are of
    every 10th).
    """

    seeds: int = 5
    epochs: int = 40
    batches: int = 2500
    batch: int = 48
    validation_share: float = 0.5

    def images(self) -> int:
        """Forward and backward passes."""
        return self.seeds * self.epochs * self.batches * self.batch

    def validated(self, of: Collection) -> int:
        """Forward passes of the validations."""
        return round(self.seeds * self.epochs * of.held_out_crops() * self.validation_share)


def projected(
    seconds: Mapping[str, Law],
    written: Mapping[str, Law],
    starts: Mapping[str, float],
    rates: Mapping[str, float],
    real: Mapping[str, Mapping[str, Mapping[str, float]]],
) -> dict[str, Any]:
    """Full DFDC: core-hours and bytes of each stage, counts and core-hours of what the networks do.

    core_hours: by the law; core_hours_as_real: times what real clips took beside what it says of them.

    seconds, written: the laws; starts: CPU seconds of a job's start; rates: score_s, CPU seconds of a crop's score by
    one network, and training_images_per_s, on one core; real: kind of real clips, the most like DFDC's first, to stage
    to measured_s, law_s, bytes and megapixels of images.
    """
    train = Training()
    amounts, rows = DFDC.amounts(), DFDC.rows()
    stages: dict[str, Any] = {}
    for stage in SECONDS:
        size, by = written[stage].of(rows[stage]), "generated"
        like = next((of_kind[stage] for of_kind in real.values() if stage in of_kind), None)
        if like and stage in ("crops", "masks"):  # what a picture's bytes are is up to the picture
            size, by = rows[stage][CROP] * like["bytes"] / like["megapixels"], "real"
        hours = seconds[stage].of(amounts[stage]) / 3600
        start = DFDC.parts * starts[stage] / 3600
        pace = like["measured_s"] / like["law_s"] if like else None
        stages[stage] = {
            "core_hours": hours + start,
            "core_hours_as_real": None if pace is None else hours * pace + start,
            "bytes": size,
            "bytes_by": by,
        }
    held_out = DFDC.held_out_crops()
    return {
        "collection": asdict(DFDC),
        "training": asdict(train),
        "stages": stages,
        "predictions": {
            "crops": held_out,
            "networks": train.seeds,
            "core_hours": held_out * train.seeds * rates["score_s"] / 3600,
        },
        "models": {
            "images": train.images(),
            "core_hours": train.images() / rates["training_images_per_s"] / 3600,
            "validated": train.validated(DFDC),
            "validation_core_hours": train.validated(DFDC) * rates["score_s"] / 3600,
        },
    }
