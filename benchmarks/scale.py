"""What each stage costs against the number, length, size and faces of its videos, and what full DFDC would cost.

`python benchmarks/scale.py [--recorded] [--gpu-images-per-s X]` measures, and prints the projection. Costs are CPU
seconds of one process, so that other work on the machine matters little, and bytes of the files that a stage writes.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import law
import pages
import profiles

import videos
from trueframe import archive, images, params, pool, tables, video
from trueframe.claims import METADATA
from trueframe.stages import bboxes, crops, index, landmarks, masks
from trueframe.tools import Tools

ROUNDS = 3
# frames, (width, height), faces, noise, videos of a part: half of them real, each with a fake made from it. Noise, as
# videos.write has it, is what most bits of a video are spent on.
Point = tuple[int, tuple[int, int], int, int, int]
DESIGN: tuple[Point, ...] = (
    (60, (640, 360), 1, 0, 2),
    (300, (640, 360), 1, 3, 4),
    (60, (640, 360), 4, 0, 8),
    (150, (960, 540), 1, 3, 2),
    (60, (960, 540), 4, 0, 4),
    (60, (1280, 720), 1, 3, 8),
    (150, (1280, 720), 4, 0, 2),
    (150, (1280, 720), 0, 3, 4),
    (60, (1920, 1080), 4, 3, 2),
    (60, (1920, 1080), 1, 0, 8),
    (150, (1920, 1080), 1, 1, 4),
    (300, (1920, 1080), 1, 0, 2),
)
PROFILED = -1
SECTION = params.load(pages.REPO / "presets/dfdc.yaml")
NETWORK, SIZE_PX, SCORED = "tf_efficientnet_b7", 380, 8
# What a stage's process does before its first video: libraries, and compiled nets.
_NETS = "from trueframe import cli, faces; faces.nets('cpu')"
STARTS = {
    "index": "from trueframe import cli, video; from trueframe.stages import index",
    "bboxes": _NETS,
    "crops": "from trueframe import cli, video; from trueframe.stages import crops",
    "landmarks": _NETS,
    "masks": "from trueframe import cli, ssim; from trueframe.stages import masks",
}
STAGES = tuple(STARTS)
_REAL = ("1080p", "other")


def measure(folder: Path, clips: Path | None) -> dict[str, Any]:
    """The laws of the stages' CPU seconds and bytes, what they say of real clips, rates, DFDC's cost, and profiles."""
    generated = partial(_generated, folder / "scale")
    parts = list(pool.ordered(generated, DESIGN, os.cpu_count() or 1))
    _measured(parts[:1], 1)  # nets are loaded and code is compiled once in a process, which _start measures
    measured = _measured(parts, ROUNDS)
    seconds, written = (_laws(terms, key, measured) for terms, key in ((law.SECONDS, "seconds"), (law.BYTES, "bytes")))
    starts = {stage: _start(code) for stage, code in STARTS.items()}
    real = dict(zip(_REAL, _measured(_real(folder / "scale", clips), 1), strict=True)) if clips else {}
    rates = _rates(folder)
    found = {
        "design": [list(point) for point in DESIGN],
        "seconds": {stage: of.values() for stage, of in seconds.items()},
        "bytes": {stage: of.values() for stage, of in written.items()},
        "starts_s": starts,
        "real": {kind: _checked(part, seconds) for kind, part in real.items()},
        "rates": rates,
    }
    found["dfdc"] = law.projected(seconds, written, starts, rates, found["real"])
    return found | {"profiles": _profiles(parts[PROFILED])}


def _generated(folder: Path, point: Point) -> Path:
    """A part; its videos of a kind are the same file, so that nothing differs but their number."""
    frames, size_px, faces, noise, count = point
    part = folder / f"{frames}_{size_px[1]}_{faces}_{noise}_{count}" / "raw"
    if part.is_dir():
        return part
    part.mkdir(parents=True)
    labels: dict[str, Any] = {}
    for number in range(count // 2):
        for kind in ("real", "fake"):
            name = f"{kind}_{number}.mp4"
            if number:
                shutil.copy(part / f"{kind}_0.mp4", part / name)
            else:
                videos.write(part / name, frames, *size_px, blurred=kind == "fake", noise=noise, faces=faces)
        labels[f"real_{number}.mp4"] = {"label": "REAL"}
        labels[f"fake_{number}.mp4"] = {"label": "FAKE", "original": f"real_{number}.mp4"}
    (part / METADATA).write_text(json.dumps(labels))
    return part


def _real(folder: Path, clips: Path) -> list[Path]:
    """Two parts of links to the real train clips: those of 1080p, as most of DFDC's are, and the others."""
    parts = [folder / kind / "raw" for kind in _REAL]
    labels: list[dict[str, Any]] = [{}, {}]
    for part in parts:
        part.mkdir(parents=True)
    for given in sorted((clips / "train").iterdir()):
        for name, label in json.loads((given / METADATA).read_text()).items():
            seen = video.probe(given / name)
            kind = int({seen.width_px, seen.height_px} != {1920, 1080})
            (parts[kind] / name).symlink_to((given / name).absolute())
            labels[kind][name] = label
    for part, of_part in zip(parts, labels, strict=True):
        (part / METADATA).write_text(json.dumps(of_part))
    return parts


def actions(raw: Path) -> dict[str, Callable[[], object]]:
    """Each stage's own function on a part, to be called in this order; they write beside `raw`."""
    root, tools, unit = raw.parent, Tools(workers=1, device="cpu"), "train/part"
    table, boxes, found = root / "index.parquet", root / "bboxes.parquet", root / "bboxes_videos.parquet"
    cut, cut_videos = root / "crops.zip", root / "crops.parquet"
    of_all = {"unit": unit, "tools": tools}
    searched = {"boxes": boxes, "videos": found}
    cropped = {"bboxes": boxes, "bboxes_videos": found, "archive": cut, "videos": cut_videos}
    points, changed = {"points": root / "landmarks.parquet"}, {"archive": root / "masks.zip"}
    changed |= {"table": root / "masks.parquet"}
    faces = {"index": table, "crops": cut}
    return {
        "index": partial(index.run, **of_all, raw=raw, table=table, params=SECTION.index),
        "bboxes": partial(bboxes.run, **of_all, raw=raw, index=table, **searched, params=SECTION.bboxes),
        "crops": partial(crops.run, **of_all, raw=raw, index=table, **cropped, params=SECTION.crops),
        "landmarks": partial(landmarks.run, **of_all, **faces, **points, params=SECTION.landmarks),
        "masks": partial(masks.run, **of_all, **faces, **changed, params=SECTION.masks),
    }


def _measured(parts: Sequence[Path], rounds: int) -> list[dict[str, Any]]:
    """Of each part, what each stage handled, its median CPU seconds, and its bytes.

    The parts take turns, round by round, so that a machine that is slower for a while is so for all of them.
    """
    taken: dict[tuple[Path, str], list[float]] = {(raw, stage): [] for raw in parts for stage in STAGES}
    for _ in range(rounds):
        for raw in parts:
            for stage, action in actions(raw).items():
                start = time.process_time()
                action()
                taken[raw, stage].append(time.process_time() - start)
    found = []
    for raw in parts:
        handled, rows = _amounts(raw)
        found.append(
            {
                stage: {
                    "seconds": statistics.median(taken[raw, stage]),
                    "bytes": sum((raw.parent / name).stat().st_size for name in _FILES[stage]),
                    "amounts": {"seconds": handled[stage], "bytes": rows[stage]},
                }
                for stage in STAGES
            }
        )
    return found


Amounts = dict[str, dict[str, float]]
_FILES = {
    "index": ("index.parquet",),
    "bboxes": ("bboxes.parquet", "bboxes_videos.parquet"),
    "crops": ("crops.zip", "crops.parquet"),
    "landmarks": ("landmarks.parquet",),
    "masks": ("masks.zip", "masks.parquet"),
}


def _amounts(raw: Path) -> tuple[Amounts, Amounts]:
    """What each stage handled of a part, for its seconds, and what stands in its files, for their bytes."""
    root = raw.parent
    rows = {row["video"]: row for row in tables.read_rows(root / "index.parquet")}
    usable = [row for row in rows.values() if row["status"] in tables.USABLE]
    searched = {row["video"]: row for row in usable if row["label"] == 0 or row["original"] not in rows}
    boxes = [row["video"] for row in tables.read_rows(root / "bboxes.parquet")]
    faces = {
        archive.parse_member(name): images.decoded(data).shape for name, data in archive.images(root / "crops.zip")
    }
    sizes = {face: height * width / 1e6 for face, (height, width, _) in faces.items()}
    cut = [row for row in usable if row["video"] in boxes]
    real = [size for (name, _, _), size in sizes.items() if rows[name]["label"] == 0]
    changed = [sizes[archive.parse_member(member.name)] for member in archive.members(root / "masks.zip")]
    handled = {
        "index": _of_videos(usable),
        "bboxes": _of_videos(list(searched.values())) | {law.FACE: sum(name in searched for name in boxes)},
        "crops": _of_videos(cut) | _of_crops(list(sizes.values())),
        "landmarks": _of_videos([]) | _of_crops(real),
        "masks": _of_videos([]) | _of_crops(changed),
    }
    return handled, handled | {"bboxes": _of_videos(usable) | {law.FACE: len(boxes)}}


def _of_videos(rows: Sequence[dict[str, Any]]) -> dict[str, float]:
    pixels = [row["width_px"] * row["height_px"] / 1e6 for row in rows]
    scales = [bboxes.scale_of(max(row["width_px"], row["height_px"]), SECTION.bboxes) for row in rows]
    sampled = [len(bboxes.sampled("train", row["frames"], SECTION.bboxes)) for row in rows]
    return {
        law.JOB: 1,
        law.VIDEO: len(rows),
        law.FRAME: sum(row["frames"] for row in rows),
        law.MEGABYTE: sum(row["size_bytes"] for row in rows) / 1e6,
        law.FIRST: sum(pixels),
        law.DECODED: sum(row["frames"] * size for row, size in zip(rows, pixels, strict=True)),
        law.SEARCHED: sum(n * size * s**2 for n, size, s in zip(sampled, pixels, scales, strict=True)),
        law.FACE: 0,
        law.CROP: 0,
    }


def _of_crops(megapixels: Sequence[float]) -> dict[str, float]:
    return {law.FACE: len(megapixels), law.CROP: sum(megapixels)}


def _laws(terms: Mapping[str, Sequence[str]], key: str, measured: Sequence[dict[str, Any]]) -> dict[str, law.Law]:
    return {
        stage: law.fit(
            terms[stage], [part[stage]["amounts"][key] for part in measured], [part[stage][key] for part in measured]
        )
        for stage in STAGES
    }


def _checked(part: Mapping[str, Any], seconds: Mapping[str, law.Law]) -> dict[str, dict[str, float]]:
    """CPU seconds of real clips that the laws were not fitted to, and what they say; for each stage with work there."""
    return {
        stage: {
            "measured_s": part[stage]["seconds"],
            "law_s": seconds[stage].of(part[stage]["amounts"]["seconds"]),
            "bytes": part[stage]["bytes"],
            "megapixels": part[stage]["amounts"]["bytes"][law.CROP],
        }
        for stage in STAGES
        if any(amount for term, amount in part[stage]["amounts"]["seconds"].items() if term != law.JOB)
    }


def _start(code: str) -> float:
    """Median CPU seconds of a process that gets ready."""
    taken = []
    for number in range(ROUNDS + 1):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run((sys.executable, "-c", code), check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        if number:
            taken.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return statistics.median(taken)


def _rates(folder: Path) -> dict[str, float]:
    """CPU seconds of a crop's score by one B7, and images that B7's training does in a second of one core."""
    import prediction
    import training

    from trueframe import backends, scoring

    scoring.prepare("cpu", 1)
    zipped = folder / "scale/scored.zip"
    pngs = prediction.write(zipped, None, SCORED)
    logits = backends.logits_of(prediction.calibrated(NETWORK, pngs), SECTION.predictions, "cpu")
    taken = []
    for number in range(ROUNDS + 1):
        start = time.process_time()
        prediction.ours(zipped, [logits], SECTION.predictions, workers=1)
        if number:
            taken.append((time.process_time() - start) / SCORED)
    recorded = [one for one in pages.results().get("training", {}).get("found", []) if one["what"].startswith(NETWORK)]
    found = recorded[0] if recorded else training.throughput(folder, *training.NETWORKS[1])
    return {"score_s": statistics.median(taken), "training_images_per_s": found["images_per_s"]}


def _profiles(raw: Path) -> dict[str, Any]:
    """Where each stage's time goes, on a part that it has seen before."""
    return {stage: profiles.shares(action) for stage, action in actions(raw).items()}


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--gpu-images-per-s", type=float, help="B7's training rate on your GPU, to project its hours")
    parser.add_argument("--recorded", action="store_true", help="take what results.json holds, instead of measuring")
    words = parser.parse_args()
    if words.recorded:
        found = pages.results()["scale"]["found"]
    else:
        with tempfile.TemporaryDirectory() as folder:
            found = measure(Path(folder), pages.clips())
    print(pages.laws(found), pages.projection(found, words.gpu_images_per_s), pages.profiles(found), sep="\n")


if __name__ == "__main__":
    main()
