"""submission: a score per test video, and why it is what it is.

Scores are written as Python's `repr`: the shortest text that reads back as the same number. Fixed decimals could turn a
score into exactly 0 or 1, whose log loss has no bound.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trueframe import pooling, tables
from trueframe.errors import UserError

if TYPE_CHECKING:
    from trueframe.params import Submission
    from trueframe.tools import Tools

# No video files, or not ours to use: they get a row in the detail with an empty score, and none in the submission.
_NOT_SUBMITTED = (tables.NOT_A_VIDEO, tables.MISSING_FILE, tables.WITHDRAWN)


def run(
    *,
    unit: str,
    videos: Mapping[str, Path],
    predictions: Mapping[str, Path],
    table: Path,
    detail: Path,
    params: Submission,
    tools: Tools,
) -> dict[str, int]:
    """Write the submission (filename,label) and its detail, both by filename.

    videos: each test part's table of crops' videos; predictions: "<seed>/test/<part>" to table. A video's score is the
    mean over the models of its pooled score, by the temperature; a video file that no model could score gets
    unknown_score, and the detail says why. Raises UserError without a test part, and when two test parts hold the same
    filename.
    """
    if not videos:
        raise UserError("data/raw/test: no test part there; make a folder in it, put videos in, and run again")
    parts = pooling.by_part(predictions)
    seeds = sorted(next(iter(parts.values())))
    rows: list[dict[str, Any]] = []
    with tools.progress.task(len(videos), "parts") as advance:
        for part in sorted(videos):
            rows += rows_of(part, videos[part], parts[part], params)
            advance(1)
    rows.sort(key=lambda row: (row["filename"], row["part"]))
    scored = [row for row in rows if row["score"] is not None]
    for row in rows:
        if row["score"] is None:
            row["reason"] += "; not in the submission"
    _refuse_twins(scored)
    columns = ["filename", "part", "score", "reason", "status", "crops", "tracks"]
    columns += [f"{column}_{seed}" for seed in seeds for column in ("score", "pooling")]
    submitted = [{"filename": row["filename"], "label": row["score"]} for row in scored]
    return {
        "table": _write(table, ["filename", "label"], submitted),
        "detail": _write(detail, columns, rows),
    }


def rows_of(part: str, videos: Path, predictions: Mapping[int, Path], params: Submission) -> list[dict[str, Any]]:
    """A row of the detail per video of a part, by name; a score of None stands for none, of what is not submitted.

    videos: the part's table of crops' videos; predictions: seed to table.
    """
    pooled = pooling.ensemble(predictions, params.pooling).reset_index().to_dict("records")
    scored = {row["video"]: {str(key): value for key, value in row.items() if key != "video"} for row in pooled}
    found = tables.read_rows(videos)
    strangers = scored.keys() - {row["video"] for row in found}
    if strangers:
        raise ValueError(f"{videos}: no row for {min(strangers)}, which has predictions")
    models = "1 model" if len(predictions) == 1 else f"ensemble of {len(predictions)} models"
    rows = []
    for video in found:
        row = {"filename": video["video"], "part": part.partition("/")[2], "status": video["status"]}
        trouble = "" if video["status"] == tables.OK else f"{video['status']}: {video['reason']}"
        score = scored.get(video["video"])
        if score is not None:
            score["score"] = pooling.tempered(score["score"], params.temperature)
            crops = f"{score['crops']} crop{'' if score['crops'] == 1 else 's'}"
            row |= score | {"reason": "; ".join(filter(None, [f"{models} over {crops}", trouble]))}
        elif video["status"] in _NOT_SUBMITTED:
            row |= {"score": None, "crops": 0, "tracks": 0, "reason": trouble}
        else:
            reason = f"{trouble or 'no crops'}; unknown_score {params.unknown_score!r}"
            row |= {"score": params.unknown_score, "crops": 0, "tracks": 0, "reason": reason}
        rows.append(row)
    return rows


def _refuse_twins(rows: Sequence[Mapping[str, Any]]) -> None:
    for first, second in pairwise(rows):
        if first["filename"] == second["filename"]:
            raise UserError(
                f"data/raw/test/{second['part']}/{second['filename']}: expected each filename in one test part, "
                f"found it in data/raw/test/{first['part']} too; rename or remove one of them"
            )


def _write(path: Path, columns: list[str], rows: Sequence[Mapping[str, Any]]) -> int:
    """A CSV by RFC 4180 but for its line ends, which are LF; returns the number of rows."""
    # Left to itself, csv quotes no bare CR, and readers would take it for the end of a line.
    odd = any("\r" in str(value) for row in rows for value in row.values())
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(
            file,
            columns,
            extrasaction="ignore",
            lineterminator="\n",
            quoting=csv.QUOTE_NONNUMERIC if odd else csv.QUOTE_MINIMAL,
        )
        writer.writeheader()
        writer.writerows(rows)
    return len(rows)
