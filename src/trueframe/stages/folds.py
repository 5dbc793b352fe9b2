"""folds: which crops are held out together, so that no model is judged by a face that it was trained on.

What the deal promises: every crop of a labelled video is in exactly one fold; a fake is in the fold of its original,
and so are all fakes of one original, whether the original is there or not; files of equal content are in one fold; and
no fold is empty. Folds are balanced by videos, not by crops: the score of this project is a mean over videos, and a
long video must not weigh more than a short one.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from trueframe import archive as archives
from trueframe import tables
from trueframe.errors import UserError
from trueframe.files import sha256_text

if TYPE_CHECKING:
    from trueframe.params import Folds
    from trueframe.tools import Tools

_TOLD = 5  # leaks that an error message spells out


def run(
    *,
    unit: str,
    index: Mapping[str, Path],
    crops: Mapping[str, Path],
    table: Path,
    params: Folds,
    tools: Tools,
) -> dict[str, int]:
    """Write a row per crop of a labelled train video (tables.FOLDS): its fold and where its bytes lie.

    index, crops: path of each train part's index and archive. `part` in the table is the part's unit, as in these
    mappings ("train/part_00"). Crops of videos without a label belong to no fold and are left out. Raises UserError
    when there are fewer groups than folds, or when the folds would leak.
    """
    videos = _videos(index)
    faces = _faces(crops, tools)
    found = faces.merge(videos, on=["part", "video"], how="left", validate="many_to_one", indicator=True)
    strangers = found.loc[found["_merge"] != "both", "video"].unique()
    if len(strangers):
        raise ValueError(f"crops of videos that no index names: {', '.join(strangers[:_TOLD])}")
    videos = videos[videos["label"].notna()].reset_index(drop=True)
    links = _links(videos)
    videos["group"] = videos["part"] if params.method == "part" else _kin(videos, links)
    cropped = videos.merge(found[["part", "video"]].drop_duplicates(), on=["part", "video"])
    _refuse_too_few(cropped, params)
    folds = deal(_sizes(cropped), params.count, params.seed)
    # A group without crops is in no fold, and nothing of it can leak.
    videos["fold"] = videos["group"].map(folds).astype("Int32")
    _refuse_leaks(videos, links, params.method)
    rows = found.drop(columns=["_merge", "sha256", "status"]).merge(
        videos[["part", "video", "fold"]], on=["part", "video"]
    )
    rows = rows.sort_values(["part", "video", "frame", "track"])
    return {"table": tables.write(table, rows[tables.FOLDS.names].to_dict("records"), tables.FOLDS)}


def deal(sizes: Mapping[str, tuple[int, int]], count: int, seed: int) -> dict[str, int]:
    """Deal groups to folds 0..count-1; returns each group's fold.

    sizes: (real videos, fake videos) of each group. Groups come in an order made from their names and the seed by
    SHA-256, which no library version changes; each goes to the fold that makes the spread of reals and of fakes over
    the folds smallest (the idea of scikit-learn's StratifiedGroupKFold, in whole numbers, and without its demand that
    each class has as many videos as there are folds). So two folds differ by about one group, and with at least
    `count` groups no fold stays empty.
    """
    reals, fakes = (max(1, sum(size[label] for size in sizes.values())) for label in (0, 1))
    loads = [[0, 0] for _ in range(count)]
    folds = {}
    for group in sorted(sizes, key=lambda name: sha256_text(f"{seed} {name}")):
        real, fake = sizes[group]
        # Putting g where x is raises the sum of squares by 2xg + g²; each class is measured by its own total.
        costs = [(x[0] * real * fakes**2 + x[1] * fake * reals**2, sum(x), fold) for fold, x in enumerate(loads)]
        fold = folds[group] = min(costs)[-1]
        loads[fold] = [loads[fold][0] + real, loads[fold][1] + fake]
    return folds


def _videos(index: Mapping[str, Path]) -> pd.DataFrame:
    """A row per video of every part: part, video, sha256, status, label and the original that it goes back to."""
    columns = ["video", "sha256", "status", "label", "original"]
    frames = [tables.read(path, columns).assign(part=part) for part, path in sorted(index.items())]
    videos = pd.concat(frames, ignore_index=True)
    return videos.assign(original=videos["original"].where(videos["original"].notna(), videos["video"]))


def _faces(crops: Mapping[str, Path], tools: Tools) -> pd.DataFrame:
    """A row per crop of every part: part, video, frame, track, offset and size."""
    frames = []
    with tools.progress.task(len(crops), "parts") as advance:
        for part, path in sorted(crops.items()):
            rows = [(*archives.parse_member(found.name), found.offset, found.size) for found in archives.members(path)]
            frame = pd.DataFrame(rows, columns=["video", "frame", "track", "offset", "size"])
            frames.append(frame.astype({"video": "str"}).assign(part=part))
            advance(1)
    return pd.concat(frames, ignore_index=True)


def _links(videos: pd.DataFrame) -> pd.DataFrame:
    """What ties videos together: rows of (row in `videos`, key); videos that share a key must share a fold.

    Names tie across parts: two parts may hold one clip in two qualities. Content ties only what can be decoded: broken
    files are often equally empty.
    """
    usable = videos[videos["status"].isin(tables.USABLE) & (videos["sha256"] != "")]
    chained = videos[videos["video"].isin(videos["original"])]  # every real one, and a fake that was faked again
    keys = pd.concat(["original " + videos["original"], "original " + chained["video"], "content " + usable["sha256"]])
    return keys.rename("key").rename_axis("row").reset_index().drop_duplicates()


def _kin(videos: pd.DataFrame, links: pd.DataFrame) -> pd.Series[Any]:
    """The group of each video: all that it is tied to, directly or not, called by its first original's name."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    keys, names = pd.factorize(links["key"])
    edges = (links["row"].to_numpy(), keys + len(videos))
    nodes = len(videos) + len(names)
    _, component = connected_components(coo_array(([1] * len(links), edges), shape=(nodes, nodes)), directed=False)
    return videos.groupby(component[: len(videos)])["original"].transform("min")


def _sizes(videos: pd.DataFrame) -> dict[str, tuple[int, int]]:
    counts = videos.groupby("group")["label"].agg(["count", "sum"])
    return {str(group): (int(total - fakes), int(fakes)) for group, total, fakes in counts.itertuples()}


def _refuse_too_few(videos: pd.DataFrame, params: Folds) -> None:
    groups = sorted(videos["group"].unique())
    if len(groups) >= params.count:
        return
    told = ", ".join(groups[:_TOLD]) + (", …" if len(groups) > _TOLD else "")
    there = f"{len(groups)} {'part' if params.method == 'part' else 'original'}{'' if len(groups) == 1 else 's'}"
    more = "add parts, or set folds.method to original" if params.method == "part" else "add videos of other people"
    raise UserError(
        f"params.yaml: folds.count: {params.count}: expected at most as many folds as there is to deal, found {there} "
        f"with crops of labelled videos{f' ({told})' if groups else ''}; lower folds.count (at least 2), or {more}"
    )


def _refuse_leaks(videos: pd.DataFrame, links: pd.DataFrame, method: str) -> None:
    placed = links.join(videos[["part", "video", "fold"]], on="row").dropna(subset="fold")
    leaks = placed[placed.groupby("key")["fold"].transform("nunique") > 1]
    if leaks.empty:
        return
    pairs = leaks.drop_duplicates(["key", "fold"]).groupby("key", sort=True)
    told = [_leak(str(key), pair) for key, pair in list(pairs)[:_TOLD]]
    more = f"\n  and {len(pairs) - _TOLD} more" if len(pairs) > _TOLD else ""
    told_all = "\n  ".join(told) + more
    assert method == "part", f"folds over originals can't leak, but these do:\n  {told_all}"
    raise UserError(
        f"params.yaml: folds.method: part: expected no fold to know another's videos, found {len(pairs)} "
        f"{'leak' if len(pairs) == 1 else 'leaks'}; set folds.method to original, which keeps what belongs together in "
        f"one fold whatever its part, or put these videos into one part:\n  {told_all}"
    )


def _leak(key: str, videos: pd.DataFrame) -> str:
    kind, _, value = key.partition(" ")
    why = "have the same content" if kind == "content" else f"go back to the same original {value}"
    names = [f"{row.part}/{row.video} (fold {row.fold})" for row in videos.sort_values("fold").itertuples()]
    return f"{' and '.join(names)} {why}"
