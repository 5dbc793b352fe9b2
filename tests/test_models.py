"""A training from end to end, on a handful of crops and the smallest network that timm has."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open

import small_data
from small_training import ROOT, digests, section, train
from trueframe import card, params, pooling, tables
from trueframe.errors import UserError
from trueframe.files import sha256_file
from trueframe.tools import Tools


@dataclass
class Listener:
    heard: list[tuple[int, dict[str, float]]] = field(default_factory=list)

    def epoch(self, number: int, figures: Mapping[str, float]) -> None:
        self.heard.append((number, dict(figures)))


def test_a_seed_gives_the_same_bytes_whatever_works_on_it_and_another_seed_others(
    data: small_data.Data, tmp_path: Path
) -> None:
    settings = section(dropout=0.2, drop_path=0.1)
    once = digests(train(data, tmp_path / "once", settings))
    assert digests(train(data, tmp_path / "again", settings)) == once
    assert digests(train(data, tmp_path / "workers", settings, Tools(workers=3, device="cpu"))) == once
    other = digests(train(data, tmp_path / "other", settings, seed=555))
    assert not set(other) & set(once)


def test_the_history_tells_each_epoch_and_the_tracker_hears_the_same(data: small_data.Data, tmp_path: Path) -> None:
    listener = Listener()
    outputs = train(data, tmp_path / "out", section(choice_fake_weight=3.0), Tools(device="cpu", tracker=listener))
    with outputs["history"].open(newline="") as file:
        rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
    assert [row.pop("epoch") for row in rows] == [0, 1, 2]
    assert rows == [figures for _, figures in listener.heard]
    for number, row in enumerate(rows):
        # 6 real crops and 6 fakes make three batches of 4; nine batches in all, and the rate is that of the last one.
        assert row["lr"] == pytest.approx(0.01 * (1 - (3 * number + 2) / 9) ** 0.9)
        assert (row["train_fakes"], row["train_reals"]) == (6, 6)
        assert row["val_figure"] == (3 * row["val_fake_log_loss"] + row["val_real_log_loss"]) / 2
        assert row["val_log_loss"] == (row["val_fake_log_loss"] + row["val_real_log_loss"]) / 2


def test_the_epoch_with_the_lowest_figure_is_kept(data: small_data.Data, tmp_path: Path) -> None:
    chosen = set()
    for weight in (0.0, 1.4):  # the reals alone choose, or the fakes more than the reals
        listener = Listener()
        settings = section(epochs=4, choice_fake_weight=weight)
        outputs = train(data, tmp_path / str(weight), settings, Tools(device="cpu", tracker=listener))
        figures = [figures["val_figure"] for _, figures in listener.heard]
        scores = _scores(outputs["weights_1"], data, tmp_path).groupby("video")["score"].mean()
        fake = -(math.log(scores["fake0.mp4"]) + math.log(scores["swap0.mp4"])) / 2
        assert (weight * fake - math.log(1 - scores["real0.mp4"])) / 2 == pytest.approx(min(figures), rel=1e-5)
        chosen.add(figures.index(min(figures)))
    assert chosen - {3}  # in one of them at least it was not the last


def test_the_choice_is_written_down(data: small_data.Data, tmp_path: Path) -> None:
    listener = Listener()
    outputs = train(data, tmp_path / "out", section(epochs=4), Tools(device="cpu", tracker=listener))
    story = json.loads(outputs["selection"].read_text())
    figures = [figures["val_figure"] for _, figures in listener.heard]
    best = figures.index(min(figures))
    assert story["kept"] == [
        listener.heard[best][1]
        | {"epoch": best, "rank": 1, "file": "weights_1.safetensors", "sha256": sha256_file(outputs["weights_1"])}
    ]
    assert story["seed"] == 111
    assert story["rule"] == "lowest (1.4 * fake log loss + real log loss) / 2, the earliest of equals"
    # Of 6 + 6 fakes, the two crops with a mask of 32 changed pixels are left out; "swap" has no masks.
    assert story["training_crops"] == {"fake": 10, "real": 6, "dropped_crops": 2, "dropped_tracks": 0}
    assert story["validation_crops"] == {"fake": 6, "real": 3}
    assert story["validation_videos"] == {
        "fake": ["train/part_00/fake0.mp4", "train/part_00/swap0.mp4"],
        "real": ["train/part_00/real0.mp4"],
    }
    assert card.read(outputs["weights_1"]).holdout_fold == 0


def test_a_video_is_validated_by_the_mean_of_the_crops_of_every_so_many_frames(
    data: small_data.Data, tmp_path: Path
) -> None:
    outputs = train(data, tmp_path / "out", section(epochs=1, validation_every_n_frames=20))
    story = json.loads(outputs["selection"].read_text())
    assert story["validation_crops"] == {"fake": 4, "real": 2}
    scores = _scores(outputs["weights_1"], data, tmp_path)
    kept = scores[scores["frame"] % 20 == 0].groupby("video")["score"].mean()
    fake = -(math.log(kept["fake0.mp4"]) + math.log(kept["swap0.mp4"])) / 2
    assert story["kept"][0]["val_fake_log_loss"] == pytest.approx(fake, rel=1e-5)
    assert story["kept"][0]["val_real_log_loss"] == pytest.approx(-math.log(1 - kept["real0.mp4"]), rel=1e-5)


def _scores(weights: Path, data: small_data.Data, folder: Path) -> Any:
    from trueframe.stages import predictions

    part = "train/part_00"
    predictions.run(
        unit=f"111/{part}",
        weights=(weights,),
        folds=data.folds,
        crops=data.crops[part],
        scores=folder / "scores",
        params=params.Predictions(
            backend="openvino", precision="float32", batch_size=4, threads=1, train_folds="held_out"
        ),
        tools=Tools(device="cpu"),
    )
    return tables.read(folder / "scores")


def test_training_learns_a_class_that_is_plain_to_see(data: small_data.Data, tmp_path: Path) -> None:
    plain = section().augmentation.model_copy(update={"colour": 0.0, "erase_landmarks": 0.0})
    settings = section(epochs=25, lr=0.05, min_changed_pixels=None, augmentation=plain.model_dump())
    story = json.loads(train(data, tmp_path / "out", settings)["selection"].read_text())
    assert story["training_crops"]["dropped_crops"] == 0
    assert story["kept"][0]["val_log_loss"] < 0.3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"holdout_fold": 7}, "0 fake and 0 real crops to validate on in fold 7.*fold 2: 6 fake, 3 real"),
        ({"precision": "16-mixed"}, "models.precision: 16-mixed: float16 needs a GPU"),
        ({"encoder": "no_such_net"}, "models.encoder: no_such_net"),
        ({"lr": 10.0, "epochs": 40, "clip_norm": 1e30, "weight_decay": 1.0}, "the loss is .* in epoch"),
    ],
)
def test_what_can_not_be_trained_is_a_message(
    data: small_data.Data, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        train(data, tmp_path / "out", section(**changes))
    assert not list((tmp_path / "out").iterdir())


def test_folds_of_one_class_are_named(data: small_data.Data, tmp_path: Path) -> None:
    rows = tables.read_rows(data.folds)
    for fold, message in ((0, "to validate on in fold 0"), (1, "to train on outside fold 0")):
        kept = [row for row in rows if row["label"] == 1 or (row["fold"] == 0) != (fold == 0)]
        tables.write(tmp_path / "folds.parquet", kept, tables.FOLDS)
        lacking = replace(data, folds=tmp_path / "folds.parquet")
        with pytest.raises(UserError, match=rf"fake and 0 real crops {message}"):
            train(lacking, tmp_path / "out", section())


def test_a_cuda_that_is_not_there_is_a_message(
    data: small_data.Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(UserError, match="--device cuda: torch sees no CUDA device"):
        train(data, tmp_path / "out", section(), Tools(device="cuda"))


def test_the_best_epochs_are_kept_and_written_down(data: small_data.Data, tmp_path: Path) -> None:
    listener = Listener()
    outputs = train(data, tmp_path / "out", section(epochs=5, keep=3), Tools(device="cpu", tracker=listener))
    figures = {number: figures["val_figure"] for number, figures in listener.heard}
    best = sorted(figures, key=lambda number: figures[number])[:3]
    kept = json.loads(outputs["selection"].read_text())["kept"]
    assert [row["epoch"] for row in kept] == best
    for rank, row in enumerate(kept, 1):
        path = outputs[f"weights_{rank}"]
        assert (row["rank"], row["file"], row["sha256"]) == (rank, f"weights_{rank}.safetensors", sha256_file(path))
        assert row["val_figure"] == figures[row["epoch"]]
        assert card.read(path).epoch == row["epoch"]
    # An epoch's weights are the same, however many are kept.
    alone = train(data, tmp_path / "alone", section(epochs=5))
    assert sha256_file(alone["weights_1"]) == kept[0]["sha256"]


@pytest.mark.parametrize("rule", ["max", "trimmed", "confident"])
def test_validation_pools_as_it_is_told(data: small_data.Data, tmp_path: Path, rule: str) -> None:
    # Predictions compute by OpenVINO, validation by torch in batches: float32 apart by rounding.
    pooled = section().pooling.model_copy(update={"rule": rule, "trim": 0.34, "high": 0.5, "high_count": 0})
    outputs = train(data, tmp_path / "out", section(epochs=1, pooling=pooled.model_dump()))
    videos = pooling.pool_videos(_scores(outputs["weights_1"], data, tmp_path), pooled)["score"]
    chosen = json.loads(outputs["selection"].read_text())["kept"][0]
    fake = -(math.log(videos["fake0.mp4"]) + math.log(videos["swap0.mp4"])) / 2
    assert chosen["val_fake_log_loss"] == pytest.approx(fake, rel=1e-5)
    assert chosen["val_real_log_loss"] == pytest.approx(-math.log(1 - videos["real0.mp4"]), rel=1e-5)


def test_the_history_counts_what_is_left_out_as_unswapped(data: small_data.Data, tmp_path: Path) -> None:
    for least, crops, tracks in ((33, 2, 0), (101, 6, 2), (None, 0, 0)):
        outputs = train(data, tmp_path / str(least), section(epochs=1, min_changed_pixels=least))
        with outputs["history"].open(newline="") as file:
            row = next(csv.DictReader(file))
        assert (int(row["dropped_crops"]), int(row["dropped_tracks"])) == (crops, tracks)


def test_the_winners_network_takes_a_step_and_validates(data: small_data.Data, tmp_path: Path) -> None:
    """B7 at 380 pixels, with drop path: the real encoder in the smallest training that there is."""
    preset = params.load(ROOT / "presets/dfdc.yaml").models.model_dump()
    smallest = {"weights": "none", "precision": "32-true", "threads": 2, "epochs": 1}
    smallest |= {"batches_per_epoch": 1, "batch_size": 2, "validation_every_n_frames": 20}
    rows = tables.read_rows(data.folds)
    rows = [row for row in rows if row["fold"] != 0 or (row["frame"] == 0 and not row["video"].startswith("swap"))]
    tables.write(tmp_path / "folds.parquet", rows, tables.FOLDS)
    settings = params.Models.model_validate(preset | smallest)
    outputs = train(replace(data, folds=tmp_path / "folds.parquet"), tmp_path / "out", settings)
    found = card.read(outputs["weights_1"])
    assert (found.encoder, found.size_px) == ("tf_efficientnet_b7.ns_jft_in1k", 380)
    assert found.mean == (0.485, 0.456, 0.406)
    with safe_open(outputs["weights_1"], framework="numpy") as file:
        assert sum(file.get_tensor(name).size for name in file.keys()) > 63_000_000  # noqa: SIM118 (no mapping)
        assert set(np.unique(file.get_tensor("bn1.num_batches_tracked"))) == {1}
