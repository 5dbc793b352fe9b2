"""The contact sheet shows what the training is given, to the pixel."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from trueframe import archive, dataset, images, sheet, tables
from trueframe.errors import UserError
from trueframe.training import erasing
from trueframe.training.augment import Augment
from trueframe.workspace import Workspace

Image = NDArray[np.uint8]
CELL_PX = 192  # three times the tiny workspace's 64 pixels


def drawn(root: Path, out: Path, name: str | None = None, seed: int = 1, epochs: range = range(2)) -> Image:
    sheet.write(Workspace(root), out, name, seed, epochs)
    return images.decoded(out.read_bytes())


def shows(picture: Image, cell: Image) -> bool:
    """Whether an image stands somewhere in the picture, pixel by pixel."""
    first = np.lib.stride_tricks.sliding_window_view(picture[..., 0], (1, CELL_PX))[:, :, 0]
    places = np.argwhere((first[: -CELL_PX + 1] == cell[0, :, 0]).all(axis=-1))
    return any(np.array_equal(picture[y : y + CELL_PX, x : x + CELL_PX], cell) for y, x in places)


def crops_of(root: Path) -> tuple[pd.DataFrame, dataset.Crops]:
    """The rows that train, as the stage makes them."""
    data = root / "data"
    parts = ("train/part_00", "train/part_01")
    archives, masks = ({part: data / stage / f"{part}.zip" for part in parts} for stage in ("crops", "masks"))
    points, changes = ({part: data / stage / f"{part}.parquet" for part in parts} for stage in ("landmarks", "masks"))
    table = dataset.faces(data / "folds/folds.parquet", points, changes)
    return table, dataset.Crops.of(table, archives, masks)


def test_equal_arguments_give_equal_bytes_and_others_other_ones(finished_workspace: Path, tmp_path: Path) -> None:
    once, again, later, other = (tmp_path / name for name in ("once", "again", "later", "other"))
    drawn(finished_workspace, once)
    drawn(finished_workspace, again)
    drawn(finished_workspace, later, epochs=range(1, 3))
    drawn(finished_workspace, other, seed=2)
    assert once.read_bytes() == again.read_bytes()
    assert len({path.read_bytes() for path in (once, later, other)}) == 3


def test_an_epoch_is_what_the_training_is_given(finished_workspace: Path, tmp_path: Path) -> None:
    table, crops = crops_of(finished_workspace)
    row = int(np.flatnonzero(table["label"] == 0)[-1])  # in the last part, so that a wrong row's number would show
    face = table.loc[row]
    name = f"{face['part']}/{archive.member_name(face['video'], face['frame'], face['track'], 'webp')}"
    picture = drawn(finished_workspace, tmp_path / "sheet.png", name.removesuffix(".webp"), seed=7, epochs=range(4, 9))
    params = Workspace(finished_workspace).params.models
    training = dataset.TrainingSet(crops, Augment(params.augmentation, params.size_px), 7)
    cells = [training[row, epoch, 0][0].repeat(3, axis=0).repeat(3, axis=1) for epoch in range(3, 10)]
    assert len({cell.tobytes() for cell in cells}) > 3
    assert all(shows(picture, cell) for cell in cells[1:-1])
    shown = {cell.tobytes() for cell in cells[1:-1]}
    assert not any(shows(picture, cell) for cell in (cells[0], cells[-1]) if cell.tobytes() not in shown)
    assert shows(picture, dataset.letterbox(crops.image(row), CELL_PX))


def test_every_kind_of_erasing_is_shown_on_the_first_fake_that_has_all(
    finished_workspace: Path, tmp_path: Path
) -> None:
    picture = drawn(finished_workspace, tmp_path / "sheet.png")
    table, crops = crops_of(finished_workspace)
    row = next(
        row
        for row in np.flatnonzero(table["label"] == 1)
        if crops.landmarks(row) is not None and crops.mask(row) is not None
    )
    image, points = crops.image(row), crops.landmarks(row)
    assert points is not None
    shape = image.shape[:2]
    kinds = [kind(shape, points) for kind in (erasing.without_eyes, erasing.without_mouth, erasing.without_nose)]
    kinds += [erasing.without_half_hull(shape, points, side) for side in range(4)]
    kinds += erasing.regions(shape)
    assert len(kinds) == 13
    assert all(shows(picture, dataset.letterbox(image * kept[..., None], CELL_PX)) for kept in kinds)


def test_a_crop_without_landmarks_and_mask_is_shown_without_them(finished: Path, tmp_path: Path) -> None:
    whole = drawn(finished, tmp_path / "whole.png")
    for part in ("part_00", "part_01"):
        path = finished / f"data/landmarks/train/{part}.parquet"
        tables.write(path, tables.read(path).assign(found=False), tables.LANDMARKS)
    with pytest.raises(UserError, match=r"folds\.parquet: no fake crop has both landmarks and a mask; name any crop"):
        drawn(finished, tmp_path / "none.png")
    assert not (tmp_path / "none.png").exists()
    table, _ = crops_of(finished)
    fake = table[table["label"] == 0].iloc[0]
    name = f"{fake['part']}/{fake['video']}/{fake['frame']}_{fake['track']}"
    assert len(whole) - len(drawn(finished, tmp_path / "less.png", name)) > CELL_PX  # a row of cells less


@pytest.mark.parametrize(
    "name",
    [
        "nonsense",
        "train/part_00/a.mp4",
        "train/part_00/a.mp4/x_0",
        "train/part_00/nobody.mp4/000000_0",
        "train/part_77/a.mp4/000000_0",
    ],
)
def test_a_crop_that_is_not_there_is_a_message(finished_workspace: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match=r"expected train/<part>/<video>/<frame>_<track>"):
        drawn(finished_workspace, tmp_path / "sheet.png", name)


def test_what_is_not_made_yet_is_named(raw_workspace: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"data/folds/folds\.parquet: not there; run `snakemake --cores all folds"):
        drawn(raw_workspace, tmp_path / "sheet.png")


def test_a_title_longer_than_the_sheet_is_folded(finished: Path, tmp_path: Path) -> None:
    """And signs that no font has don't stop the drawing."""
    path = finished / "data/folds/folds.parquet"
    table = tables.read(path)
    face, long = table.iloc[0], "\n顔" * 200
    place = f"{face['frame']}_{face['track']}"
    short = drawn(finished, tmp_path / "short.png", f"{face['part']}/{face['video']}/{place}")
    tables.write(path, table.replace({"video": {face["video"]: long}}), tables.FOLDS)
    picture = drawn(finished, tmp_path / "long.png", f"{face['part']}/{long}/{place}")
    assert picture.shape[1] == short.shape[1]
    assert 20 <= len(picture) - len(short) <= 100
