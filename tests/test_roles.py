"""What a training says of each video, by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd

import small_data
from small_training import section, train
from trueframe import tables
from trueframe.training import roles

VIDEOS = ["held.mp4", "odd.mp4", "often.mp4", "once.mp4", "same.mp4", "never.mp4"]


def test_each_video_has_its_role_its_reason_and_how_often_it_was_drawn() -> None:
    table = pd.DataFrame({"part": "train/p", "video": np.repeat(VIDEOS, 2), "label": 0, "original": "o.mp4"})
    table["fold"] = np.repeat([0, 0, 1, 1, 1, 1], 2)
    train, held = np.array([4, 5, 6, 7, 10, 11]), np.array([0])  # no crop of odd.mp4 validates, none of same.mp4 trains
    draws = [np.array([[4, 0], [5, 0], [4, 1]]), np.array([[6, 0]])]
    found = roles.roles(table, train, held, draws, section(validation_every_n_frames=7, min_changed_pixels=33))
    rows = found.set_index("video")[["role", "crops", "used", "draws", "reason"]].T.to_dict("list")
    assert rows == {
        "held.mp4": ["validated", 2, 1, 0, ""],
        "odd.mp4": ["unused", 2, 0, 0, "in the fold held out, with no crop of a frame that 7 divides"],
        "often.mp4": ["trained", 2, 2, 3, ""],
        "once.mp4": ["trained", 2, 2, 1, ""],
        "same.mp4": ["unused", 2, 0, 0, "unswapped: its masks have fewer than 33 changed pixels"],
        "never.mp4": ["unused", 2, 2, 0, "never drawn before the kept weights"],
    }
    assert list(found["video"]) == sorted(VIDEOS)


def test_a_training_writes_them_for_the_epochs_up_to_the_kept_one(data: small_data.Data, tmp_path: Path) -> None:
    first = train(data, tmp_path / "first", section(epochs=1))
    written = tables.read(first["videos"]).set_index("video")
    assert dict(written["role"]) == {
        name: "validated" if name.endswith("0.mp4") else "trained"
        for name in (f"{kind}{fold}.mp4" for fold in range(3) for kind in ("fake", "real", "swap"))
    }
    assert dict(written["used"])["fake1.mp4"] == 2  # of three crops one has a mask of too few changed pixels
    assert written["draws"].sum() == 12  # three batches of four
    later = train(data, tmp_path / "later", section(epochs=3, choice_fake_weight=0.0))
    kept = json.loads(later["selection"].read_text())["kept"][0]["epoch"]
    assert tables.read(later["videos"])["draws"].sum() == 12 * (kept + 1)
