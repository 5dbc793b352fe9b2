"""predictions: a score per crop of a part, by one seed's network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trueframe import archive, card, tables

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from trueframe.params import Predictions
    from trueframe.tools import Tools

Row = dict[str, Any]
Scored = tuple[int, "NDArray[np.float64]"]


def run(
    *,
    unit: str,
    weights: Sequence[Path],
    folds: Path,
    crops: Path,
    scores: Path,
    params: Predictions,
    tools: Tools,
) -> dict[str, int]:
    """Write a row per crop and file of weights (tables.PREDICTIONS).

    All crops of a test part, of a train part what params.train_folds names.
    """
    _, _, part = unit.partition("/")
    if part.startswith("train/"):
        rows = _train_rows(part, folds, card.read(weights[0]).holdout_fold)
        rows = [row for row in rows if row["held_out"] or params.train_folds == "all"]
    else:
        rows = _test_rows(crops)
    found = _scores(weights, crops, rows, params, tools)
    return {"scores": _write(scores, rows, found)}


def ensemble(
    *,
    weights: Mapping[int, Sequence[Path]],
    crops: Path,
    scores: Mapping[int, Path],
    params: Predictions,
    tools: Tools,
) -> None:
    """Write what `run` writes for a test part, for several seeds at once: each crop is read and decoded once.

    weights, scores: by seed. All networks that take images of one size are in memory together.
    """
    rows = _test_rows(crops)
    sizes: dict[int, list[int]] = {}
    for seed in scores:
        sizes.setdefault(card.read(weights[seed][0]).size_px, []).append(seed)
    for seeds in sizes.values():
        found = iter(_scores([path for seed in seeds for path in weights[seed]], crops, rows, params, tools))
        for seed in seeds:
            _write(scores[seed], rows, list(islice(found, len(weights[seed]))))


def _train_rows(part: str, folds: Path, holdout_fold: int) -> list[Row]:
    """The part's crops in the folds table, with whether the network saw them in training."""
    columns = ["video", "frame", "track", "offset", "size", "fold"]
    rows = tables.read_rows(folds, columns, [("part", "=", part)])
    return [{**row, "held_out": row["fold"] == holdout_fold} for row in rows]


def _test_rows(crops: Path) -> list[Row]:
    """Every crop of the archive."""
    rows = []
    for member in archive.members(crops):
        video, frame, track = archive.parse_member(member.name)
        place = {"offset": member.offset, "size": member.size}
        rows.append({"video": video, "frame": frame, "track": track, "held_out": True} | place)
    return sorted(rows, key=lambda row: (row["video"], row["frame"], row["track"]))


def _write(path: Path, rows: Sequence[Row], found: Sequence[Scored]) -> int:
    names = tables.PREDICTIONS.names
    table = [
        {**row, "epoch": epoch, "score": of_epoch[number]}
        for number, row in enumerate(rows)
        for epoch, of_epoch in sorted(found, key=itemgetter(0))
    ]
    return tables.write(path, [{name: row[name] for name in names} for row in table], tables.PREDICTIONS)


def _scores(
    weights: Sequence[Path], crops: Path, rows: Sequence[Row], params: Predictions, tools: Tools
) -> list[Scored]:
    """The epoch of each file of weights, and each row's score by it."""
    if not rows:
        return []  # importing torch and timm takes seconds, so parts without a crop to score do without
    from trueframe import backends, dataset, images, network, scoring

    kind = scoring.prepare(tools.device, params.threads)
    cards = [card.read(path) for path in weights]
    size_px = cards[0].size_px
    with tools.gpus(kind) as gpus, archive.Reader(crops) as reader, tools.progress.task(len(rows), "crops") as advance:

        def load(number: int) -> NDArray[np.uint8]:
            image = images.read(reader, rows[number]["offset"], rows[number]["size"])
            return dataset.letterbox(image, size_px)

        device = f"cuda:{gpus[0]}" if gpus else "cpu"
        if gpus and params.backend == "openvino":
            tools.progress.say("torch computes: OpenVINO has no such GPU")
        nets = [backends.logits_of(network.load(path), params, device) for path in weights]
        batches = [range(at, min(at + params.batch_size, len(rows))) for at in range(0, len(rows), params.batch_size)]
        found = scoring.scores(nets, load, batches, workers=tools.workers, advance=advance)
    return [(of_net.epoch, scores) for of_net, scores in zip(cards, found, strict=True)]
