"""predictions: a score per crop of a part, by one seed's network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trueframe import archive, card, tables

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from trueframe.params import Predictions
    from trueframe.tools import Tools

Row = dict[str, Any]


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
    # Importing torch and timm takes seconds, so parts without a crop to score do without.
    found = _scores(weights, crops, rows, params, tools) if rows else {}
    names = tables.PREDICTIONS.names
    table = [
        {**row, "epoch": epoch, "score": of_epoch[number]}
        for number, row in enumerate(rows)
        for epoch, of_epoch in sorted(found.items())
    ]
    return {"scores": tables.write(scores, [{name: row[name] for name in names} for row in table], tables.PREDICTIONS)}


def _train_rows(part: str, folds: Path, holdout_fold: int) -> list[Row]:
    """The part's crops in the folds table, with whether the network saw them in training."""
    import pyarrow.parquet as pq

    columns = ["video", "frame", "track", "offset", "size", "fold"]
    rows: list[Row] = pq.read_table(folds, columns=columns, filters=[("part", "=", part)]).to_pylist()
    return [{**row, "held_out": row["fold"] == holdout_fold} for row in rows]


def _test_rows(crops: Path) -> list[Row]:
    """Every crop of the archive."""
    rows = []
    for member in archive.members(crops):
        video, frame, track = archive.parse_member(member.name)
        place = {"offset": member.offset, "size": member.size}
        rows.append({"video": video, "frame": frame, "track": track, "held_out": True} | place)
    return sorted(rows, key=lambda row: (row["video"], row["frame"], row["track"]))


def _scores(
    weights: Sequence[Path], crops: Path, rows: Sequence[Row], params: Predictions, tools: Tools
) -> dict[int, NDArray[np.float64]]:
    """Each row's score by epoch of the weights."""
    from trueframe import dataset, images, network, scoring

    kind = scoring.prepare(tools.device, params.threads)
    nets = [network.load(path) for path in weights]
    size_px = nets[0].card.size_px
    with tools.gpus(kind) as gpus, archive.Reader(crops) as reader, tools.progress.task(len(rows), "crops") as advance:

        def load(number: int) -> NDArray[np.uint8]:
            image = images.decoded(reader.read(rows[number]["offset"], rows[number]["size"]))
            return dataset.letterbox(image, size_px)

        device = f"cuda:{gpus[0]}" if gpus else "cpu"
        nets = [net.to(device) for net in nets]
        batches = scoring.batches([row["video"] for row in rows], params.batch_size)
        found = scoring.scores(nets, load, batches, device=device, workers=tools.workers, advance=advance)
    return {net.card.epoch: of_net for net, of_net in zip(nets, found, strict=True)}
