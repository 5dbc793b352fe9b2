"""What the audit page knows of the videos: what became of each, in which fold it is, what each model did with it."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from typing import Any

from trueframe import raw
from trueframe.audit.html.columns import Codes, pack, pack_digests, pack_floats
from trueframe.audit.ledger import Ledger
from trueframe.audit.snapshot import Snapshot
from trueframe.dag import KINDS, STAGES

Places = Mapping[tuple[str, str], int]  # part and name of a video to its row


def videos(snapshot: Snapshot, ledger: Ledger, folds: Mapping[tuple[str, str], int]) -> tuple[dict[str, Any], Places]:
    """A row per video, part by part: the train parts first; and where each video's row is.

    folds: part and name to fold. In the answer, `parts` are (part, videos, raw files), and `strays` (row, name) of
    the originals that have no row themselves.
    """
    parts = sorted(ledger.parts, key=lambda part: (KINDS.index(part.partition("/")[0]), part))
    found = ledger.videos(parts)
    places = {(video.part, video.video): row for row, video in enumerate(found)}
    originals = [places.get((video.part, video.original)) if video.original else None for video in found]
    states = Codes()
    columns = {
        "label": pack(video.label for video in found),
        "original": pack(originals),
        "state": pack(states.of((video.stage, video.status, video.reason)) for video in found),
        "frames": pack(video.frames for video in found),
        "size": pack(video.size_bytes for video in found),
        "crops": pack(video.crops for video in found),
        "fold": pack(folds.get((video.part, video.video)) for video in found),
    }
    told = {
        "parts": [[part, len(ledger.part(part)), _raw_files(snapshot, part)] for part in parts],
        "names": [video.video for video in found],
        "sha256": pack_digests(video.sha256 for video in found),
        "states": states.values,
        "strays": [
            [row, video.original]
            for row, video in enumerate(found)
            if video.original is not None and originals[row] is None
        ],
        "columns": columns,
    }
    return told, places


def _raw_files(snapshot: Snapshot, part: str) -> int:
    return sum(path.startswith(f"{raw.RAW}/") for path in snapshot.records["index", part].recipe.inputs)


def roles(ledger: Ledger, seed: str, places: Places, folds: Mapping[tuple[str, str], int]) -> dict[str, Any]:
    """What a seed's training did with each video of `places` that it looked at.

    states: (role, reason); fold: None unless the training had a video in another fold than `folds` has it in.
    """
    # A model that is stale may know of videos that no index has any more: then `gone` tells how many.
    known = {key: role for key, role in ledger.roles(seed).items() if key in places}
    states = Codes()
    rows = [known.get(key) for key in places]
    same = all(folds.get(key) == role.fold for key, role in known.items())
    return {
        "state": pack(states.of((role.role, role.reason)) if role else None for role in rows),
        "states": states.values,
        "used": pack(role.used if role else None for role in rows),
        "draws": pack(role.draws if role else None for role in rows),
        "fold": None if same else pack(role.fold if role else None for role in rows),
        "gone": len(ledger.roles(seed)) - len(known),
    }


def submission(snapshot: Snapshot, places: Places) -> dict[str, Any] | None:
    """The submission's detail, a row per test video; None where it is not here.

    rows: of `places`; score: NaN where a video is not submitted; seeds: (seed, score by its model alone).
    """
    place = snapshot.locate(STAGES["submission"].outputs["detail"])
    if place is None or ("submission", "all") not in snapshot.records:
        return None
    with place.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        names = [name for name in reader.fieldnames or () if name.startswith("score_")]
        rows = [row for row in reader if (f"test/{row['part']}", row["filename"]) in places]
    reasons = Codes()
    return {
        "rows": pack(places[f"test/{row['part']}", row["filename"]] for row in rows),
        "score": pack_floats(_number(row["score"]) for row in rows),
        "reason": pack(reasons.of(row["reason"]) for row in rows),
        "reasons": reasons.values,
        "seeds": [[name.removeprefix("score_"), pack_floats(_number(row[name]) for row in rows)] for name in names],
    }


def _number(text: str) -> float | None:
    return float(text) if text else None
