"""How fast a training is, beside a bare forward and backward pass of the same timm network on random tensors.

`python benchmarks/training.py ENCODER SIZE_PX BATCH BATCHES [PRECISION]` measures one network, on a GPU where one is.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np
import real_crops
import reference
import timm
import torch
from beside import Comparison, alternating, compare
from skimage import data as pictures
from torch.utils.data import DataLoader

from trueframe import archive, dataset, images, params, scoring, tables
from trueframe.progress import Progress
from trueframe.stages import models
from trueframe.tools import Tools
from trueframe.training.augment import Augment

ROUNDS = 5
REPO = Path(__file__).parents[1]
_CROP = (400, 320)  # about what a 1080p video gives
_PARTS = ("train/a", "train/b")
_PER_LABEL = 32
_SIZE_PX = 380
_FOLD = {"train/a": 0, "train/b": 1}
# timm's name, pixels, crops in a batch, batches
NETWORKS = (("efficientnet_b0", 224, 8, 8), ("tf_efficientnet_b7.ns_jft_in1k", _SIZE_PX, 2, 4))


@dataclass
class Clock(Progress):
    """Notes when each batch was done."""

    title: str = ""
    times: list[float] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)

    def say(self, text: str) -> None:
        """Nothing."""

    @contextmanager
    def task(self, total: int, unit: str, what: str = "") -> Iterator[Callable[[int], None]]:
        def advance(count: int) -> None:
            self.times.append(time.perf_counter())
            self.sizes.append(count)

        yield advance


class Waited(DataLoader[Any]):
    """A loader that counts how long the training waits for it."""

    seconds: ClassVar[list[float]] = []

    def __iter__(self) -> Iterator[Any]:
        batches = super().__iter__()
        while True:
            start = time.perf_counter()
            batch = next(batches, None)
            Waited.seconds.append(time.perf_counter() - start)
            if batch is None:
                return
            yield batch


def write(folder: Path) -> dict[str, Any]:
    """Crops of a portrait, with landmarks and masks, as the stages are given them."""
    portrait = cv2.resize(pictures.astronaut()[0:240, 130:322], _CROP[::-1], interpolation=cv2.INTER_CUBIC)
    found: dict[str, Any] = {"crops": {}, "landmarks": {}, "masks": {}, "changes": {}}
    rows: list[dict[str, Any]] = []
    for part in _PARTS:
        place = folder / part
        place.mkdir(parents=True)
        for name, suffix in (("crops", "zip"), ("landmarks", "parquet"), ("masks", "zip"), ("changes", "parquet")):
            found[name][part] = place / f"{name}.{suffix}"
        _write_part(part, portrait, {name: paths[part] for name, paths in found.items()}, rows)
    tables.write(folder / "folds.parquet", rows, tables.FOLDS)
    return found | {"folds": folder / "folds.parquet"}


def _write_part(part: str, portrait: Any, paths: Mapping[str, Path], rows: list[dict[str, Any]]) -> None:
    stream = np.random.default_rng(0)
    points = dict(zip(tables.LANDMARK_COLUMNS, (115, 170, 205, 170, 160, 220, 120, 265, 200, 265), strict=True))
    faces = [{"video": "real.mp4", "frame": 10 * number, "track": 0} for number in range(_PER_LABEL)]
    tables.write(paths["landmarks"], [face | {"found": True} | points for face in faces], tables.LANDMARKS)
    with archive.Writer(paths["crops"]) as crops, archive.Writer(paths["masks"]) as masks:
        for video in ("fake.mp4", "real.mp4"):
            for number in range(_PER_LABEL):
                noisy = np.clip(portrait + stream.normal(0, 4, portrait.shape), 0, 255).astype(np.uint8)
                crops.add(archive.member_name(video, 10 * number, 0, images.CROP), images.webp(noisy))
        mask = np.zeros(_CROP, np.uint8)
        mask[150:280, 100:230] = cv2.GaussianBlur(stream.integers(0, 255, (130, 130)).astype(np.uint8), (9, 9), 3)
        for number in range(_PER_LABEL):
            masks.add(archive.member_name("fake.mp4", 10 * number, 0, images.MASK), images.png(mask))
    changes = []
    for member in archive.members(paths["masks"]):
        video, frame, track = archive.parse_member(member.name)
        face = {"video": video, "frame": frame, "track": track, "changed_px": 9000}
        changes.append(face | {"offset": member.offset, "size": member.size})
    tables.write(paths["changes"], changes, tables.MASKS)
    for member in archive.members(paths["crops"]):
        video, frame, track = archive.parse_member(member.name)
        face = {"part": part, "video": video, "frame": frame, "track": track, "label": int(video == "fake.mp4")}
        place = {"offset": member.offset, "size": member.size, "fold": _FOLD[part], "original": "real.mp4"}
        rows.append(face | place)


def settings(encoder: str, size_px: int, batch: int, precision: str, steps: int) -> params.Models:
    """The winner's recipe for a network, short."""
    preset = params.load(REPO / "presets/dfdc.yaml").models.model_dump()
    small = {"encoder": encoder, "weights": "none", "size_px": size_px, "batch_size": batch, "precision": precision}
    small |= {"threads": 1, "epochs": 1, "batches_per_epoch": steps, "validation_every_n_frames": 230}
    return params.Models.model_validate(preset | small)


def bare(section: params.Models, steps: int, device: str) -> float:
    """Images per second of forward and backward passes on random tensors, with the optimizer's step."""
    torch.manual_seed(0)
    net = timm.create_model(section.encoder, num_classes=1, drop_path_rate=section.drop_path).to(device).train()
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-4, momentum=0.9, nesterov=True, weight_decay=1e-4)
    tensors = torch.randn(section.batch_size, 3, section.size_px, section.size_px, device=device)
    tensors = tensors.to(memory_format=torch.channels_last)  # as decoded images are; without, it takes a quarter longer
    targets = torch.arange(section.batch_size, device=device) % 2
    kind = {"32-true": None, "bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}[section.precision]
    times = []
    for _ in range(steps + 1):
        with torch.autocast(device, kind, enabled=kind is not None):
            logits = net(tensors)[:, 0]
        loss = torch.nn.functional.binary_cross_entropy_with_logits(logits.float(), targets.float())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if device == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter())
    return section.batch_size * steps / (times[-1] - times[0])


def ours(section: params.Models, found: Mapping[str, Any], workers: int, device: str) -> tuple[float, float]:
    """Images per second of our training after its first batch, and the share of that time that it waits for crops."""
    with tempfile.TemporaryDirectory() as name:
        outputs: dict[str, Any] = {key: Path(name) / key for key in ("history", "selection", "videos")}
        weights: Sequence[Path] = tuple(Path(name) / f"weights_{rank}" for rank in range(section.keep))
        clock = Clock()
        Waited.seconds.clear()
        tools = Tools(workers=workers, device=device, progress=clock)
        models.run(unit="111", **found, weights=weights, **outputs, params=section, tools=tools)
    steps = section.batches_per_epoch or 0
    seconds = clock.times[steps - 1] - clock.times[0]
    return sum(clock.sizes[1:steps]) / seconds, sum(Waited.seconds[1:steps]) / seconds


def throughput(
    folder: Path, encoder: str, size_px: int, batch: int, steps: int, precision: str = "32-true"
) -> dict[str, Any]:
    """Our training beside the bare passes, in turn. On a CPU one thread each, ours with another process for crops."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    section = settings(encoder, size_px, batch, precision, steps)
    scoring.prepare(device, 1)
    torch.use_deterministic_algorithms(False)
    found = write(folder / encoder)
    models.DataLoader = Waited
    rates, waits = [], []
    for _ in range(ROUNDS):
        plain = bare(section, steps - 1, device)
        rate, wait = ours(section, found, 8 if device == "cuda" else 2, device)
        rates.append((rate, plain))
        waits.append(wait)
    return {
        "images_per_s": statistics.median(rate for rate, _ in rates),
        "reference_images_per_s": statistics.median(plain for _, plain in rates),
        "ratio": statistics.median(rate / plain for rate, plain in rates),
        "waiting": statistics.median(waits),
        "what": f"{encoder} at {size_px} px, batches of {batch}, {precision}, {device}",
    }


def trainings(folder: Path, clips: Path | None) -> list[dict[str, Any]]:
    """The throughput of a small and of the winner's network, on made-up crops, which cost as much as real ones."""
    del clips
    return [throughput(folder, *network) for network in NETWORKS]


def loading(folder: Path, clips: Path | None = None) -> dict[str, float]:
    """Bytes of a crop, milliseconds to read and decode it and to change it as the winner's recipe does, crops a second.

    All on one core, of crops of 400 × 320 pixels. crops_per_s: also of real crops, where the clips are.
    """
    sets = _loaders(folder, clips)
    crops, items, rows = sets["a portrait"]
    read, change = [], []
    for _ in range(ROUNDS):
        for row in rows:
            start = time.perf_counter()
            crops.image(row)
            middle = time.perf_counter()
            items[row, 0, 0]
            end = time.perf_counter()
            read.append(middle - start)
            change.append(end - middle - read[-1])
    found = {
        "bytes": float(np.mean([crops.size[row] for row in rows])),
        "read_ms": 1000 * statistics.median(read),
        "change_ms": 1000 * statistics.mean(change),
    }
    for what, (_, items, rows) in sets.items():
        taken = alternating({what: lambda items=items, rows=rows: [items[row, 0, 0] for row in rows]})[what]
        found[f"crops_per_s of {what}"] = len(rows) / statistics.median(taken)
    return found


def measure(folder: Path, clips: Path | None) -> list[Comparison]:
    """The loader's work for training crops, beside the plain use of OpenCV and albumentations on PNGs of the same."""
    found = []
    for what, (crops, items, rows) in _loaders(folder, clips).items():
        plain = reference.Loader(_SIZE_PX)
        files = [images.png(crops.image(row), (cv2.IMWRITE_PNG_COMPRESSION, 1)) for row in rows]
        ours = partial(_batch, items, rows)
        assert ours().shape == plain.batch(files).transpose(0, 2, 3, 1).shape
        what = f"{len(rows)} training crops of {what} at {_SIZE_PX} px, read and changed by the winner's recipe"
        found.append(compare(what, ours, partial(plain.batch, files)))
    return found


def _batch(items: dataset.TrainingSet, rows: Sequence[int]) -> Any:
    return np.stack([items[row, 0, 0][0] for row in rows])


_Loader = tuple[dataset.Crops, dataset.TrainingSet, list[int]]


def _loaders(folder: Path, clips: Path | None) -> dict[str, _Loader]:
    dataset.one_thread()
    made = write(folder / "loading")
    found = {"a portrait": _loader(made["folds"], made["landmarks"], made["changes"], made["crops"], made["masks"])}
    if clips is not None:
        place = real_crops.make(folder, clips)
        points, changes = (real_crops.tables(place, stage) for stage in ("landmarks", "masks"))
        crops, masks = (real_crops.archives(place, stage) for stage in ("crops", "masks"))
        found["real clips"] = _loader(place / "data/folds/folds.parquet", points, changes, crops, masks)
    return found


def _loader(
    folds: Path,
    landmarks: Mapping[str, Path],
    changes: Mapping[str, Path],
    crops: Mapping[str, Path],
    masks: Mapping[str, Path],
) -> _Loader:
    table = dataset.faces(folds, landmarks, changes)
    found = dataset.Crops.of(table, crops, masks)
    section = settings("tf_efficientnet_b7", _SIZE_PX, 2, "32-true", 2)
    return found, dataset.TrainingSet(found, Augment(section.augmentation, _SIZE_PX), 111), list(range(len(table)))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        words: list[Any] = [sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), *sys.argv[5:]]
        print(json.dumps(throughput(Path(temporary), *words), indent=2))
