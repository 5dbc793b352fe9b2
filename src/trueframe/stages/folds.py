"""folds: which crops are held out together, so that no model is judged by a face that it was trained on.

What the deal promises: every crop of a labelled video is in exactly one fold; a fake is in the fold of its original,
and so are all fakes of one original, whether the original is there or not; files of equal content are in one fold; and
no fold is empty. Folds by part hold like numbers of parts; folds by original, of real and of fake videos. Videos count,
not crops: the score of this project is a mean over videos, and a long video must not weigh more than a short one.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from sklearn.model_selection import GroupKFold, StratifiedGroupKFold

from trueframe import archive as archives
from trueframe import tables
from trueframe.errors import UserError

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
    # A group without crops is in no fold, and nothing of it can leak.
    videos["fold"] = videos["group"].map(_deal(cropped, params)).astype("Int32")
    _refuse_leaks(videos, links, params.method)
    rows = found.drop(columns=["_merge", "sha256", "status"]).merge(
        videos[["part", "video", "fold"]], on=["part", "video"]
    )
    rows = rows.sort_values(["part", "video", "frame", "track"])
    return {"table": tables.write(table, rows, tables.FOLDS)}


def _deal(videos: pd.DataFrame, params: Folds) -> dict[str, int]:
    """Each group's fold, 0..count-1, by scikit-learn; it depends on the groups, their labels and the seed alone.

    videos: a row per video (part, video, label, group), of `count` groups or more. No fold stays empty.
    """
    videos = videos.sort_values(["part", "video"])
    options = {"n_splits": params.count, "shuffle": True, "random_state": params.seed}
    # Where neither class has a video per fold there is nothing to stratify, and StratifiedGroupKFold raises.
    if params.method == "original" and videos["label"].value_counts().max() >= params.count:
        folds = _split(StratifiedGroupKFold(**options), videos)
        # Rounding can make it put a group into a used fold though an empty one is as good (seen with six groups).
        if len(set(folds.values())) == params.count:
            return folds
    return _split(GroupKFold(**options), videos)


def _split(splitter: GroupKFold | StratifiedGroupKFold, videos: pd.DataFrame) -> dict[str, int]:
    groups, names = pd.factorize(videos["group"], sort=True)
    labels = videos["label"].to_numpy(dtype=np.int64)
    with warnings.catch_warnings():
        # A fold may lack a class; a training that holds it out says so.
        warnings.filterwarnings("ignore", "The least populated class in y has only", UserWarning)
        splits = enumerate(splitter.split(labels, labels, groups))
        return {str(names[group]): fold for fold, (_, rows) in splits for group in np.unique(groups[rows])}


def _videos(index: Mapping[str, Path]) -> pd.DataFrame:
    """A row per video of every part: part, video, sha256, status, label and the original that it goes back to.

    Withdrawn ones are not among them: they must not tie others together.
    """
    if not index:
        raise UserError("data/raw/train: has no part, and folds and models are made of train parts; put one there")
    columns = ["video", "sha256", "status", "label", "original"]
    frames = [tables.read(path, columns).assign(part=part) for part, path in sorted(index.items())]
    videos = pd.concat(frames, ignore_index=True)
    videos = videos[videos["status"] != tables.WITHDRAWN].reset_index(drop=True)
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
