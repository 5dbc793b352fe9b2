"""A contact sheet: one training crop, what it becomes in some epochs, and what each kind of erasing takes away."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from trueframe import archive, dataset, images, tables
from trueframe.dag import ONE
from trueframe.dataset import Image, Points
from trueframe.errors import UserError
from trueframe.training import erasing
from trueframe.training.augment import Augment
from trueframe.workspace import Workspace

_COLUMNS = 7
_LEAST_CELL_PX = 190  # smaller crops are shown enlarged, each pixel as a square
_GAP_PX, _TEXT_PX = 8, 14
_LINE_PX = _TEXT_PX + 6
_PAPER, _INK = (252, 252, 251), (43, 43, 43)
# Okabe and Ito's colours, which colour-blind people can tell apart.
_ORANGE, _BLUE, _GREEN = (213, 94, 0), (0, 114, 178), (0, 158, 115)
_HALVES = ("upper", "lower", "left", "right")
_REGIONS = (*(f"{half} half" for half in _HALVES), "quadrants \\", "quadrants /")

_EXPECTED = (
    "expected train/<part>/<video>/<frame>_<track> of a crop that the folds know, for one train/part_00/a.mp4/000010_0"
)

Cell = tuple[str, Image]  # caption, and an image of shape (side, side, 3)


@dataclass(frozen=True)
class _Face:
    """A crop, its number among the rows that train, and the crops that it stands among."""

    row: int
    name: str
    crops: dataset.Crops

    @property
    def image(self) -> Image:
        return self.crops.image(self.row)

    @property
    def points(self) -> Points | None:
        return self.crops.landmarks(self.row)


def write(workspace: Workspace, out: Path, name: str | None, seed: int, epochs: Sequence[int]) -> None:
    """Write a PNG: the crop with its mask and landmarks, the crop of each epoch, and every kind of erasing by itself.

    name: "train/<part>/<video>/<frame>_<track>", None for the first fake with landmarks and a mask. An epoch's image is
    the one that a training with this seed is given when it draws the crop for the first time in that epoch; equal
    arguments give equal bytes. Raises UserError when the crop, or what it is made of, is not there.
    """
    face = _find(workspace, name)
    params = workspace.params.models
    cell_px = params.size_px * -(-_LEAST_CELL_PX // params.size_px)
    training = dataset.TrainingSet(face.crops, Augment(params.augmentation, params.size_px), seed)
    changed = [(f"epoch {epoch}", _enlarged(training[face.row, epoch, 0][0], cell_px)) for epoch in epochs]
    label = "fake" if face.crops.label[face.row] else "real"
    height, width = face.image.shape[:2]
    sections = [
        (f"{face.name}: {label}, {width} by {height} pixels", _known(face, cell_px)),
        (f"What a training with seed {seed} is given, {params.size_px} by {params.size_px} pixels", changed),
        ("What each kind of erasing takes away", _erased(face, cell_px)),
    ]
    face.crops.close()
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_bytes(images.png(_drawn(sections, cell_px), images.SMALL))


def _find(workspace: Workspace, name: str | None) -> _Face:
    root, layout = workspace.root, workspace.layout

    def paths(stage: str, output: str) -> dict[str, Path]:
        return {part: root / layout.output(stage, output, part)[0] for part in layout.parts("train")}

    folds = root / layout.output("folds", "table", ONE)[0]
    crops, masks = paths("crops", "archive"), paths("masks", "archive")
    points, changes = paths("landmarks", "points"), paths("masks", "table")
    for path in (folds, *(path for of_part in (crops, points, masks, changes) for path in of_part.values())):
        if not path.is_file():
            raise UserError(f"{path.relative_to(root)}: not there; run `snakemake --cores all folds landmarks masks`")
    tables.require(folds, tables.FOLDS)
    table = dataset.faces(folds, points, changes)
    rows = _full(table) if name is None else _named(table, name)
    if not len(rows):
        if name is None:
            raise UserError(f"{folds.relative_to(root)}: no fake crop has both landmarks and a mask; name any crop")
        raise UserError(f"{name}: no such training crop; {_EXPECTED}")
    row = table.iloc[int(rows[0])]
    member = archive.member_name(row["video"], row["frame"], row["track"], images.CROP).rpartition(".")[0]
    return _Face(int(rows[0]), f"{row['part']}/{member}", dataset.Crops.of(table, crops, masks))


def _full(table: pd.DataFrame) -> NDArray[np.int64]:
    """Rows of the fakes with landmarks and a mask that shows a change."""
    known = (table[tables.LANDMARK_COLUMNS[0]] != dataset.UNKNOWN) & (table["changed_px"] > 0)
    return np.flatnonzero((table["label"] == 1) & known)


def _named(table: pd.DataFrame, name: str) -> NDArray[np.int64]:
    """The row of a crop's name, or none."""
    kind, _, rest = name.partition("/")
    part, _, member = rest.partition("/")
    try:
        video, frame, track = archive.parse_member(member)
    except ValueError as error:
        raise UserError(f"{name}: {_EXPECTED}") from error
    place = {"part": f"{kind}/{part}", "video": video, "frame": frame, "track": track}
    return np.flatnonzero(np.logical_and.reduce([table[column] == value for column, value in place.items()]))


def _known(face: _Face, cell_px: int) -> list[Cell]:
    """The crop by itself, with what its mask calls changed, and with its landmarks and hull."""
    mask = face.crops.mask(face.row)
    cells = [("the crop", dataset.letterbox(face.image, cell_px))]
    if mask is None:
        cells.append(("no mask", cells[0][1]))
    else:
        changed = mask > images.CHANGED
        tinted = np.where(changed[..., None], (face.image // 2 + np.array(_ORANGE) // 2).astype(np.uint8), face.image)
        cells.append((f"mask: {np.count_nonzero(changed)} changed", dataset.letterbox(tinted, cell_px)))
    if face.points is None:
        return [*cells, ("no landmarks", cells[0][1])]
    return [*cells, ("landmarks and hull", _marked(face.image, face.points, cell_px))]


def _marked(image: Image, points: Points, cell_px: int) -> Image:
    height, width = image.shape[:2]
    scale = cell_px / max(height, width)
    margin = (cell_px - np.rint(np.array([width, height]) * scale)) // 2

    def placed(found: Points) -> list[tuple[float, float]]:
        return [(float(x), float(y)) for x, y in (found + 0.5) * scale + margin]

    picture = Pillow.fromarray(dataset.letterbox(image, cell_px))
    draw = ImageDraw.Draw(picture)
    draw.polygon(placed(erasing.hull(points)), outline=_BLUE, width=2)
    for x, y in placed(points):
        draw.ellipse((x - 3, y - 3, x + 3, y + 3), fill=_GREEN, outline=_PAPER)
    return np.asarray(picture, np.uint8)


def _erased(face: _Face, cell_px: int) -> list[Cell]:
    shape = (face.image.shape[0], face.image.shape[1])
    kept: list[tuple[str, erasing.Kept]] = []
    if face.points is not None:
        kept += [
            ("eyes", erasing.without_eyes(shape, face.points)),
            ("mouth", erasing.without_mouth(shape, face.points)),
            ("nose", erasing.without_nose(shape, face.points)),
        ]
        kept += [
            (f"hull, {half}", erasing.without_half_hull(shape, face.points, side)) for side, half in enumerate(_HALVES)
        ]
    kept += zip(_REGIONS, erasing.regions(shape), strict=True)
    return [(caption, dataset.letterbox(face.image * stays[..., None], cell_px)) for caption, stays in kept]


def _enlarged(image: Image, side_px: int) -> Image:
    times = side_px // len(image)
    return image.repeat(times, axis=0).repeat(times, axis=1)


def _drawn(sections: Sequence[tuple[str, Sequence[Cell]]], cell_px: int) -> Image:
    """The sheet: a title per section, then its cells in rows, each with its caption below."""
    step_x, step_y = cell_px + _GAP_PX, cell_px + _GAP_PX + _LINE_PX
    width = _COLUMNS * step_x + _GAP_PX
    font = ImageFont.load_default(_TEXT_PX)  # the one that Pillow carries along
    titled = [
        (textwrap.wrap("".join(sign if sign.isprintable() else "?" for sign in title), width * 2 // _TEXT_PX), cells)
        for title, cells in sections
    ]
    rows = [-(-len(cells) // _COLUMNS) for _, cells in titled]
    height = _GAP_PX + sum(
        len(lines) * _LINE_PX + count * step_y + _GAP_PX for (lines, _), count in zip(titled, rows, strict=True)
    )
    sheet = Pillow.new("RGB", (width, height), _PAPER)
    draw = ImageDraw.Draw(sheet)
    y = _GAP_PX
    for (lines, cells), count in zip(titled, rows, strict=True):
        for line in lines:
            draw.text((_GAP_PX, y), line, fill=_INK, font=font)
            y += _LINE_PX
        for number, (caption, image) in enumerate(cells):
            row, column = divmod(number, _COLUMNS)
            left, top = _GAP_PX + column * step_x, y + row * step_y
            sheet.paste(Pillow.fromarray(image), (left, top))
            draw.text((left, top + cell_px + 2), caption, fill=_INK, font=font)
        y += count * step_y + _GAP_PX
    return np.asarray(sheet, np.uint8)
