"""Scores of the crops of test and train parts."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import small_data
from trueframe import archive, dataset, images, network, params, tables
from trueframe.files import sha256_file
from trueframe.stages import predictions
from trueframe.tools import Tools

SECTION = params.Predictions(backend="openvino", precision="float32", batch_size=4, threads=1, train_folds="held_out")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("models") / "weights.safetensors"
    network.save(network.build("test_efficientnet", "none", size_px=32, holdout_fold=1), path, epoch=3)
    return path


def predict(
    data: small_data.Data, weights: Path, part: str, scores: Path, *, train_folds: str = "all", workers: int = 1
) -> int:
    items = predictions.run(
        unit=f"111/{part}",
        weights=(weights,),
        folds=data.folds,
        crops=data.crops.get(part, data.test_crops),
        scores=scores,
        params=SECTION.model_copy(update={"train_folds": train_folds}),
        tools=Tools(workers, "cpu"),
    )
    return items["scores"]


def test_every_crop_of_a_test_part_gets_the_networks_probability(
    data: small_data.Data, weights: Path, tmp_path: Path
) -> None:
    assert predict(data, weights, small_data.TEST, tmp_path / "scores") == 9
    table = tables.read(tmp_path / "scores")
    assert [(row.video, row.frame, row.track) for row in table.itertuples()] == [
        (f"{name}3.mp4", frame, 0) for name in ("fake", "real", "swap") for frame in small_data.FRAMES
    ]
    assert table["held_out"].all()
    net = network.load(weights)
    for row in table.itertuples():
        image = dataset.letterbox(small_data.crop(3, row.frame, int("real" not in row.video)), 32)
        with torch.inference_mode():
            expected = torch.sigmoid(net(torch.from_numpy(image)[None])).item()
        assert row.score == pytest.approx(expected, abs=1e-5)
    assert table["score"].nunique() > 1


@pytest.mark.parametrize(
    ("part", "train_folds", "count", "held_out"),
    [
        ("train/part_01", "held_out", 9, True),
        ("train/part_01", "all", 9, True),
        ("train/part_02", "held_out", 0, False),
        ("train/part_02", "all", 9, False),
    ],
)
def test_crops_of_a_train_part_are_scored_as_asked_and_say_whether_they_were_held_out(
    data: small_data.Data, weights: Path, tmp_path: Path, part: str, train_folds: str, count: int, held_out: bool
) -> None:
    assert predict(data, weights, part, tmp_path / "scores", train_folds=train_folds) == count
    table = tables.read(tmp_path / "scores")
    assert len(table) == count
    assert (table["held_out"] == held_out).all()


def test_the_bytes_are_the_same_whatever_works_on_them(data: small_data.Data, weights: Path, tmp_path: Path) -> None:
    found = set()
    for workers in (1, 1, 3):
        predict(data, weights, small_data.TEST, tmp_path / "scores", workers=workers)
        found.add(sha256_file(tmp_path / "scores"))
    assert len(found) == 1


def test_several_seeds_in_one_pass_get_what_each_gets_alone(
    data: small_data.Data, weights: Path, tmp_path: Path
) -> None:
    torch.manual_seed(1)
    larger = tmp_path / "larger.safetensors"  # as where models.size_px was changed and one seed was trained since
    network.save(network.build("test_efficientnet", "none", size_px=40, holdout_fold=1), larger, epoch=2)
    files = {1: (weights,), 2: (larger, larger.with_name("again")), 3: (weights,)}
    network.save(network.load(larger), files[2][1], epoch=0)
    scores = {seed: tmp_path / f"{seed}.parquet" for seed in files}
    predictions.ensemble(weights=files, crops=data.test_crops, scores=scores, params=SECTION, tools=Tools(1, "cpu"))
    for seed, of_seed in files.items():
        predictions.run(
            unit=f"{seed}/{small_data.TEST}",
            weights=of_seed,
            folds=data.folds,
            crops=data.test_crops,
            scores=tmp_path / "alone",
            params=SECTION,
            tools=Tools(1, "cpu"),
        )
        assert scores[seed].read_bytes() == (tmp_path / "alone").read_bytes()
    assert tables.read(scores[2])["epoch"].tolist() == 9 * [0, 2]
    assert scores[1].read_bytes() == scores[3].read_bytes()


def test_a_video_by_itself_gets_what_it_gets_among_others(data: small_data.Data, weights: Path, tmp_path: Path) -> None:
    predict(data, weights, small_data.TEST, tmp_path / "all")
    together = tables.read(tmp_path / "all").query("video == 'real3.mp4'")
    with archive.Writer(tmp_path / "one.zip") as writer:
        for frame in small_data.FRAMES:
            writer.add(
                archive.member_name("real3.mp4", frame, 0, images.CROP), images.webp(small_data.crop(3, frame, 0))
            )
    alone = small_data.Data(data.folds, tmp_path / "one.zip")
    assert predict(alone, weights, small_data.TEST, tmp_path / "one") == 3
    assert tables.read(tmp_path / "one")["score"].tolist() == together["score"].tolist()


def test_a_crop_without_a_label_is_in_no_fold_and_not_scored(
    data: small_data.Data, weights: Path, tmp_path: Path
) -> None:
    rows = [row for row in tables.read_rows(data.folds) if not row["video"].startswith("swap")]
    tables.write(tmp_path / "folds", rows, tables.FOLDS)
    fewer = small_data.Data(tmp_path / "folds", data.test_crops, data.crops)
    assert predict(fewer, weights, "train/part_01", tmp_path / "scores") == 6
    assert set(tables.read(tmp_path / "scores")["video"]) == {"fake1.mp4", "real1.mp4"}


def test_scores_are_probabilities_of_the_logits_and_finite_far_out() -> None:
    from trueframe import scoring

    class Given(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return images[:, 0, 0, 0].float() * 10 - 1000

    values = [0, 99, 100, 101, 255]
    [found] = scoring.scores(
        [scoring.by_torch(Given(), "cpu")],
        lambda number: np.full((2, 2, 3), values[number], np.uint8),
        [range(2), range(2, 4), range(4, 5)],
        workers=2,
        advance=lambda count: None,
    )
    assert found.tolist() == pytest.approx([0.0, 4.5397868702434395e-05, 0.5, 0.9999546021312976, 1.0])


def test_nothing_to_score_costs_no_torch(tmp_path: Path, data: small_data.Data, weights: Path) -> None:
    with archive.Writer(tmp_path / "empty.zip"):
        pass
    code = f"""
import sys
from pathlib import Path
from trueframe import params, tables
from trueframe.stages import predictions
from trueframe.tools import Tools
section = params.Predictions(backend="openvino", precision="float32", batch_size=4, threads=1, train_folds="held_out")
for unit, crops in (("111/test/part_00", "{tmp_path}/empty.zip"), ("111/train/part_02", "{tmp_path}/absent.zip")):
    done = predictions.run(unit=unit, weights=(Path("{weights}"),), folds=Path("{data.folds}"), crops=Path(crops),
                           scores=Path("{tmp_path}/scores"), params=section, tools=Tools())
    assert done == {{"scores": 0}}, done
    assert tables.read_rows(Path("{tmp_path}/scores")) == []
assert not {{"torch", "timm", "albumentations", "cv2"}} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)
