"""How a video's crops make its score: the DFDC winner's "confident" rule, or a plainer one.

Source: `confident_strategy` in selimsef/dfdc_deepfake_challenge at 89c6290, with its numbers as parameters.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit, logit

from trueframe import tables

if TYPE_CHECKING:
    from trueframe.params import Pooling

RULES = ("mean", "confident", "max", "trimmed")
HIGH, LOW, MEAN, MAX, TRIMMED = "high", "low", "mean", "max", "trimmed"
Floats = NDArray[np.float64]


def pool(scores: NDArray[np.floating[Any]], params: Pooling) -> tuple[float, str]:
    """The score of a video, 0..1, and which scores made it: "high", "low", "mean" (all), "max" or "trimmed".

    scores: probability of fake of each of the video's n crops, shape (n,), n at least 1. Rule `confident`: the mean of
    the scores above `high` when more than floor(high_share * n) and more than high_count of them are; else the mean of
    those below `low` when more than low_share * n are; else the mean. Rule `trimmed`: the mean of all but the
    floor(trim * n) highest and as many lowest. The arithmetic is float64, and the order of the scores changes nothing.
    Raises ValueError without a score.
    """
    if not len(scores):
        raise ValueError("no scores to pool")
    ordered = np.sort(np.asarray(scores, dtype=np.float64))
    if params.rule == MAX:
        return float(ordered[-1]), MAX
    if params.rule == TRIMMED:
        cut = int(params.trim * len(ordered))
        return float(ordered[cut : len(ordered) - cut].mean()), TRIMMED
    if params.rule == "confident":
        high, low = ordered[ordered > params.high], ordered[ordered < params.low]
        # n // 2.5, as the winner wrote it, is the same as n // (1 / 0.4); int(n * 0.4) would not be for every n.
        if len(high) > len(ordered) // (1 / params.high_share) and len(high) > params.high_count:
            return float(high.mean()), HIGH
        if len(low) > params.low_share * len(ordered):
            return float(low.mean()), LOW
    return float(ordered.mean()), MEAN


def pool_videos(scores: pd.DataFrame, params: Pooling) -> pd.DataFrame:
    """A row per video, by name: columns score, pooling (which scores made it), crops, tracks, held_out; index: video.

    scores: one seed's rows of tables.PREDICTIONS in any order. Each epoch's scores are pooled by themselves, and the
    video's score is their mean; where epochs were pooled unlike each other, pooling names all, as in "high+mean".
    Raises ValueError when only some crops of a video are held out, or when the epochs did not score the same crops.
    """
    pooled = [_pool_epoch(rows, params) for _, rows in scores.groupby("epoch", sort=True)]
    if not pooled:
        return _pool_epoch(scores, params)
    common = ["crops", "tracks", "held_out"]
    if not all(epoch[common].equals(pooled[0][common]) for epoch in pooled):
        raise ValueError("the epochs of a seed do not score the same crops")
    result = pooled[0].copy()
    result["score"] = np.mean([epoch["score"].to_numpy() for epoch in pooled], axis=0)
    branches = zip(*(epoch["pooling"] for epoch in pooled), strict=True)
    result["pooling"] = pd.array(["+".join(dict.fromkeys(names)) for names in branches], dtype="str")
    return result


def _pool_epoch(scores: pd.DataFrame, params: Pooling) -> pd.DataFrame:
    """pool_videos for the scores of one epoch's weights."""
    scores = scores.sort_values(["video", "frame", "track"], kind="stable")
    grouped = scores.groupby("video", sort=True)
    pooled = grouped.agg(
        crops=("track", "size"), tracks=("track", "nunique"), held_out=("held_out", "all"), any_out=("held_out", "any")
    )
    mixed = pooled.index[pooled["held_out"] != pooled["any_out"]]
    if len(mixed):
        raise ValueError(f"{mixed[0]}: only some of its crops are held out; a video is in one fold")
    ends = np.cumsum(pooled["crops"].to_numpy(dtype=np.int64))
    parts = np.split(scores["score"].to_numpy(), ends[:-1]) if len(pooled) else []
    results = [pool(part, params) for part in parts]
    pooled["score"] = np.array([score for score, _ in results], dtype=np.float64)
    pooled["pooling"] = pd.array([branch for _, branch in results], dtype="str")
    return pooled[["score", "pooling", "crops", "tracks", "held_out"]]


def ensemble(predictions: Mapping[int, Path], params: Pooling) -> pd.DataFrame:
    """A part's videos as all models see them; index: video, by name.

    predictions: a table of tables.PREDICTIONS per seed. Columns: score (the mean over the models of the video's pooled
    score), crops, tracks, held_out, and for each seed score_<seed> and pooling_<seed>. Raises ValueError when the
    models did not score the same crops.
    """
    seeds = sorted(predictions)
    pooled = {seed: pool_videos(tables.read(predictions[seed]), params) for seed in seeds}
    first = pooled[seeds[0]]
    common = ["crops", "tracks", "held_out"]
    for seed in seeds[1:]:
        if not pooled[seed][common].equals(first[common]):
            raise ValueError(f"{predictions[seed]} does not score the same crops as {predictions[seeds[0]]}")
    result = first[common].copy()
    for seed in seeds:
        result[f"score_{seed}"] = pooled[seed]["score"]
        result[f"pooling_{seed}"] = pooled[seed]["pooling"]
    result.insert(0, "score", result[[f"score_{seed}" for seed in seeds]].to_numpy().mean(axis=1))
    return result


def crops(predictions: Mapping[int, Path]) -> pd.DataFrame:
    """A part's crops as all models see them, by video, frame and track.

    predictions: as in `ensemble`, which tells models apart that did not score the same crops. Columns: video, frame,
    track, score (the mean over the models) and for each seed score_<seed> (the mean over its epochs).
    """
    keys = ["video", "frame", "track"]
    of_seeds = {}
    for seed in sorted(predictions):
        rows = tables.read(predictions[seed], [*keys, "score"]).astype({"score": np.float64})
        of_seeds[f"score_{seed}"] = rows.groupby(keys, sort=True)["score"].mean()
    found = pd.concat(of_seeds, axis=1)
    found.insert(0, "score", found.to_numpy().mean(axis=1))
    return found.reset_index()


@overload
def tempered(score: float, temperature: float) -> float: ...
@overload
def tempered(score: Floats, temperature: float) -> Floats: ...
def tempered(score: float | Floats, temperature: float) -> float | Floats:
    """A score, or each of an array, whose logit is divided by a temperature: above 1 nearer to 0.5, below 1 farther.

    1 leaves it as it is, to the last bit. Source: Guo et al., On Calibration of Modern Neural Networks, 2017.
    """
    if temperature == 1:
        return score
    found: Floats = expit(logit(score) / temperature)
    return found if isinstance(score, np.ndarray) else float(found)


def by_part(predictions: Mapping[str, Path]) -> dict[str, dict[int, Path]]:
    """Part unit to seed to path, both sorted, of a mapping from "<seed>/<part unit>" to path."""
    found: dict[str, dict[int, Path]] = {}
    for unit in sorted(predictions):
        seed, _, part = unit.partition("/")
        found.setdefault(part, {})[int(seed)] = predictions[unit]
    return {part: dict(sorted(found[part].items())) for part in sorted(found)}
