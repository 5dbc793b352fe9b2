"""masks: how much a fake's crop differs from its original's, and for which crops that can be said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from skimage.data import astronaut
from skimage.metrics import structural_similarity

import videos
from trueframe import archive, images, tables
from trueframe.params import Masks
from trueframe.stages import masks
from trueframe.tools import Tools

FACE = np.ascontiguousarray(astronaut()[60:120, 160:210])  # 60 high, 50 wide


def changed(seed: int = 0) -> Any:
    """The face with a patch of noise."""
    image = FACE.copy()
    image[20:40, 10:30] = np.random.default_rng(seed).integers(0, 256, (20, 20, 3))
    return image


def run(folder: Path, content: dict[str, Any], rows: list[dict[str, Any]], workers: int = 1) -> dict[str, Any]:
    folder.mkdir(parents=True, exist_ok=True)
    with archive.Writer(folder / "crops.zip") as writer:
        for name, image in sorted(content.items()):
            writer.add(name, images.webp(image))
    tables.write(folder / "index", rows, tables.INDEX)
    items = masks.run(
        unit="train/part_00",
        index=folder / "index",
        crops=folder / "crops.zip",
        archive=folder / "masks.zip",
        table=folder / "masks.parquet",
        params=Masks(window_px=7),
        tools=Tools(workers),
    )
    found = list(archive.images(folder / "masks.zip"))
    assert items == {"archive": len(found), "table": len(found)}
    _check_table(folder, dict(found))
    assert [name for name, _ in found] == sorted(name for name, _ in found)
    return {name: images.decoded(data, grey=True) for name, data in found}


def _check_table(folder: Path, found: dict[str, bytes]) -> None:
    """A row for each mask: how many of its pixels are above 20, and where its bytes are."""
    rows = tables.read_rows(folder / "masks.parquet")
    assert [archive.member_name(row["video"], row["frame"], row["track"], "png") for row in rows] == list(found)
    whole = (folder / "masks.zip").read_bytes()
    for row, data in zip(rows, found.values(), strict=True):
        assert whole[row["offset"] :][: row["size"]] == data
        assert row["changed_px"] == int((images.decoded(data, grey=True) > 20).sum())


REAL = videos.index_row("real.mp4")
FAKE = videos.index_row("fake.mp4", label=1, original="real.mp4")


def test_a_mask_is_scikit_images_ssim_of_each_channel_in_grey() -> None:
    fake = changed()
    found = masks.mask(fake, FACE, 7)
    levels = []
    for channel in range(3):
        _, similarity = structural_similarity(
            fake[..., channel], FACE[..., channel], win_size=7, full=True, data_range=255
        )
        levels.append(np.clip((1 - similarity) * 255, 0, 255).astype(np.uint8))
    red, green, blue = np.array(levels, np.float64)
    assert found.shape == (60, 50)
    assert found.dtype == np.uint8
    assert np.abs(found - (0.299 * red + 0.587 * green + 0.114 * blue)).max() <= 0.51
    assert found[:15].max() == 0  # nothing changed there, nor within the window's reach
    assert found[25:35, 15:25].min() > 150


def test_the_window_is_a_parameter() -> None:
    # A pixel changes the windows that hold it: 3 around it for 7, 1 for 3.
    fake = FACE.copy()
    fake[30, 25] = 255 - fake[30, 25]
    for window, reach in ((7, 3), (3, 1)):
        rows, columns = np.nonzero(masks.mask(fake, FACE, window))
        assert (rows.min(), rows.max()) == (30 - reach, 30 + reach)
        assert (columns.min(), columns.max()) == (25 - reach, 25 + reach)


def test_equal_crops_have_an_empty_mask() -> None:
    assert masks.mask(FACE, FACE.copy(), 7).max() == 0
    black = np.zeros_like(FACE)
    assert masks.mask(black, black, 7).max() == 0


def test_the_most_changed_pixels_are_white_although_their_similarity_is_negative() -> None:
    # Stripes and their negative: the covariance, and so SSIM, is below 0, and 1 - SSIM above 1.
    stripes = np.zeros((30, 30, 3), np.uint8)
    stripes[:, ::2] = 255
    _, similarity = structural_similarity(stripes, 255 - stripes, win_size=7, channel_axis=2, full=True)
    assert similarity.max() < -0.9
    assert masks.mask(stripes, 255 - stripes, 7).min() == 255


def test_masks_have_the_names_of_the_fakes_crops_but_for_the_extension(tmp_path: Path) -> None:
    content = {
        "fake.mp4/000000_0.webp": changed(1),
        "fake.mp4/000010_1.webp": FACE,
        "real.mp4/000000_0.webp": FACE,
        "real.mp4/000010_1.webp": FACE,
    }
    found = run(tmp_path, content, [FAKE, REAL])
    assert list(found) == ["fake.mp4/000000_0.png", "fake.mp4/000010_1.png"]
    np.testing.assert_array_equal(found["fake.mp4/000000_0.png"], masks.mask(changed(1), FACE, 7))
    assert found["fake.mp4/000010_1.png"].max() == 0


@pytest.mark.parametrize(
    ("fakes_crop", "twin", "rows"),
    [
        pytest.param(FACE, {}, [FAKE, REAL], id="no_crop_of_the_frame"),
        pytest.param(FACE, {"real.mp4/000000_1.webp": FACE}, [FAKE, REAL], id="other_track"),
        pytest.param(FACE, {"real.mp4/000000_0.webp": FACE[:-1]}, [FAKE, REAL], id="other_height"),
        pytest.param(FACE[:, :6], {"real.mp4/000000_0.webp": FACE[:, :6]}, [FAKE, REAL], id="below_the_window"),
        pytest.param(FACE, {"real.mp4/000000_0.webp": FACE}, [FAKE], id="original_not_in_the_index"),
        pytest.param(
            FACE, {"real.mp4/000000_0.webp": FACE}, [FAKE | {"original": None}, REAL], id="original_not_known"
        ),
        pytest.param(
            FACE, {"real.mp4/000000_0.webp": FACE}, [FAKE, REAL | {"width_px": 64, "height_px": 96}], id="other_frames"
        ),
        pytest.param(FACE, {"real.mp4/000000_0.webp": FACE}, [FAKE | {"label": None}, REAL], id="label_not_known"),
    ],
)
def test_a_crop_without_its_twin_has_no_mask(
    tmp_path: Path, fakes_crop: Any, twin: dict[str, Any], rows: list[dict[str, Any]]
) -> None:
    assert run(tmp_path, {"fake.mp4/000000_0.webp": fakes_crop, **twin}, rows) == {}


def test_a_crop_as_wide_as_the_window_has_a_mask(tmp_path: Path) -> None:
    narrow = np.ascontiguousarray(FACE[:, :7])
    found = run(tmp_path, {"fake.mp4/000000_0.webp": narrow, "real.mp4/000000_0.webp": narrow}, [FAKE, REAL])
    assert found["fake.mp4/000000_0.png"].shape == (60, 7)


def test_the_bytes_are_the_same_for_any_number_of_workers(tmp_path: Path) -> None:
    names = [f"fake{number}.mp4" for number in range(5)]
    content = {f"{name}/000000_0.webp": changed(number) for number, name in enumerate(names)}
    content["real.mp4/000000_0.webp"] = FACE
    rows = [*(videos.index_row(name, label=1, original="real.mp4") for name in names), REAL]
    assert list(run(tmp_path / "one", content, rows)) == [f"{name}/000000_0.png" for name in names]
    run(tmp_path / "two", content, rows, workers=2)
    assert (tmp_path / "one/masks.zip").read_bytes() == (tmp_path / "two/masks.zip").read_bytes()
