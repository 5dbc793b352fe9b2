"""The detector beside what it stands for: Pillow's resize, torch's area resize, and stock facenet-pytorch."""

from __future__ import annotations

import functools
import os
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from facenet_pytorch import MTCNN
from facenet_pytorch.models import mtcnn
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from skimage.data import astronaut

from trueframe import faces, video
from trueframe.mtcnn import area, bicubic, boxes, cascade, nets, weights
from trueframe.params import load
from trueframe.stages import bboxes

REPO = Path(__file__).parents[1]
CLIPS = sorted((REPO.parent / "shared/data/clips").glob("*/*/*.mp4"))
TRAIN, TEST = (0.85, 0.95, 0.95), (0.7, 0.8, 0.8)


def noise(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


@functools.cache
def openvino() -> nets.OpenvinoNets:
    return nets.OpenvinoNets()


@functools.cache
def stock(thresholds: tuple[float, ...]) -> Any:
    torch.set_num_threads(1)
    return MTCNN(margin=0, thresholds=list(thresholds), min_face_size=20, keep_all=True, device="cpu").eval()


def with_stock(image: NDArray[np.uint8], scale: float, thresholds: tuple[float, ...]) -> tuple[Any, Any, Any]:
    """Boxes, scores and points by stock MTCNN, in pixels of the image."""
    height, width = image.shape[:2]
    size = round(width * scale), round(height * scale)
    picture = Image.fromarray(image)
    if size != (width, height):
        picture = picture.resize(size, Image.Resampling.BICUBIC)
    found, scores, points = stock(thresholds).detect(picture, landmarks=True)
    if found is None:
        return np.empty((0, 4)), np.empty(0), np.empty((0, 5, 2))
    ratio = np.array([width / size[0], height / size[1]])
    return found.astype(float) * np.tile(ratio, 2), scores.astype(float), points.astype(float) * ratio


@settings(max_examples=40)
@given(*(st.integers(1, 150) for _ in range(4)), st.integers(0, 99))
def test_the_bicubic_resize_is_pillows_along_the_rows_then_along_the_columns(
    high: int, wide: int, height: int, width: int, seed: int
) -> None:
    image = noise(high, wide, seed)
    narrow = Image.fromarray(image).resize((width, high), Image.Resampling.BICUBIC)
    expected = np.asarray(narrow.resize((width, height), Image.Resampling.BICUBIC))
    np.testing.assert_array_equal(bicubic.resize(image, height, width), expected)


@pytest.mark.parametrize(
    ("size", "scale"),
    [((1080, 1920), 0.5), ((1920, 1080), 0.33), ((481, 641), 0.5), ((2160, 3840), 0.33), ((152, 124), 2)],
)
def test_frames_of_videos_become_what_pillow_makes_of_them_at_once(size: tuple[int, int], scale: float) -> None:
    image = noise(*size)
    height, width = (round(side * scale) for side in size)
    expected = np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BICUBIC))
    np.testing.assert_array_equal(faces.picture(image, scale).image, expected)


@settings(max_examples=40)
@given(*(st.integers(1, 120) for _ in range(4)), st.integers(0, 99))
def test_the_area_resize_is_torchs_to_the_bit(high: int, wide: int, height: int, width: int, seed: int) -> None:
    image = noise(high, wide, seed)
    tensor = torch.from_numpy(image).permute(2, 0, 1)[None].float()
    expected = (torch.nn.functional.interpolate(tensor, (height, width), mode="area") - 127.5) * 0.0078125
    sums = area.sums_of(image)
    np.testing.assert_array_equal(area.level(sums, height, width), expected.numpy())
    window = np.array([(wide // 3, high // 4, wide, high)])
    piece = tensor[:, :, high // 4 :, wide // 3 :]
    expected = (torch.nn.functional.interpolate(piece, (24, 24), mode="area") - 127.5) * 0.0078125
    np.testing.assert_array_equal(area.cuts(sums, window, 24), expected.numpy())


def test_sums_of_an_image_may_pass_32_bits() -> None:
    white = np.full((4200, 4200, 3), 255, np.uint8)  # 4.5e9 a channel
    window = np.array([(4100, 4100, 4200, 4200)])
    np.testing.assert_array_equal(area.cuts(area.sums_of(white), window, 24), np.float32(127.5 * 0.0078125))


def test_the_weights_are_what_torch_reads() -> None:
    for net, module in (("pnet", mtcnn.PNet), ("rnet", mtcnn.RNet), ("onet", mtcnn.ONet)):
        theirs = {name: value.numpy() for name, value in module().state_dict().items()}
        ours = weights.read(net)
        assert set(ours) == set(theirs)
        assert all(np.array_equal(ours[name], value) for name, value in theirs.items())


class Call:
    """Pickles as a call of a function."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, ("true",)


@pytest.mark.parametrize("content", [Call(), {"a": 1}, OrderedDict(a=Call())])
def test_a_pickle_of_anything_else_than_tensors_is_refused(content: Any) -> None:
    machine = {"little_endian": True}
    data = b"".join(pickle.dumps(part, 2) for part in (0x1950A86A20F9469CFC6C, 1001, machine, content, []))
    for wrong in (data, pickle.dumps(content)):
        with pytest.raises(pickle.UnpicklingError):
            weights.parsed(wrong)


@pytest.mark.parametrize(("net", "side"), [("pnet", 12), ("pnet", 53), ("rnet", 24), ("onet", 48)])
def test_each_net_gives_what_facenet_pytorchs_module_gives(net: str, side: int) -> None:
    module = {"pnet": mtcnn.PNet, "rnet": mtcnn.RNet, "onet": mtcnn.ONet}[net]().eval()
    image = noise(60, 80)
    sums = area.sums_of(image)
    pieces = area.cuts(sums, np.array([(0, 0, 80, 60), (3, 9, 44, 50), (70, 40, 80, 60)]), side)
    found: tuple[NDArray[np.float32], ...]
    if net == "pnet":
        pieces = area.level(sums, side, side)
        found = openvino().proposals([image], [sums], side, side)
    else:
        found = openvino().refine(pieces) if net == "rnet" else openvino().output(pieces)
    with torch.inference_mode():
        shifts, *points, chances = (answer.numpy() for answer in module(torch.from_numpy(pieces)))
    for ours, theirs in zip(found, (chances[:, 1], shifts, *points), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=5e-6, rtol=1e-5)


def test_of_overlapping_boxes_the_better_stays() -> None:
    found = np.array([(0, 0, 10, 10), (0, 0, 10, 9), (0, 5, 10, 15), (50, 50, 60, 60)], np.float32)
    scores = np.array([0.8, 0.9, 0.95, 0.5], np.float32)
    # The second shares 40 of 150 pixels with the third, and 90 of 100 with the first.
    assert boxes.survivors(found, scores, 0.5).tolist() == [2, 1, 3]
    assert boxes.survivors(found, scores, 0.25).tolist() == [2, 3]
    inner = np.array([(0, 0, 99, 99), (10, 10, 19, 19)], np.float32)
    assert boxes.survivors(inner, scores[:2], 0.7).tolist() == [1, 0]
    assert boxes.finals(inner, scores[:2], 0.7).tolist() == [1]


def test_boxes_become_squares_and_windows_end_at_the_edge() -> None:
    made = boxes.squared(np.array([(10, 20, 30, 60)], np.float32))
    assert made.tolist() == [[0, 20, 40, 60]]
    windows, there = boxes.windows(np.array([(-4.5, 2.9, 20.2, 99), (30, 5, 40, 9)], np.float32), 50, 28)
    assert windows.tolist() == [[0, 1, 20, 50], [29, 4, 28, 9]]
    assert there.tolist() == [True, False]


@pytest.mark.parametrize("thresholds", [TRAIN, TEST])
@pytest.mark.parametrize("scale", [0.37, 1.0])
def test_the_portrait_has_stocks_boxes_scores_and_points(thresholds: tuple[float, ...], scale: float) -> None:
    image = np.concatenate([astronaut(), astronaut()[::-1, 100:300], astronaut()[:, 60:420]], axis=1)
    (found,) = faces.find(openvino(), [faces.picture(image, scale)], thresholds, 20)
    expected = with_stock(image, scale, thresholds)
    assert len(found.boxes) == len(expected[0]) >= 2
    for ours, theirs in zip((found.boxes, found.scores, found.points), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=0.001)


def test_many_images_at_once_have_what_each_has_alone() -> None:
    images = [
        noise(200, 220),
        astronaut()[40:240, 120:340],
        np.zeros((200, 220, 3), np.uint8),
        astronaut()[30:230, 99:319],
    ]
    alone = [cascade.detect(openvino(), [image], TEST, 20)[0] for image in images]
    together = cascade.detect(openvino(), images, TEST, 20)
    assert [len(found.boxes) for found in together] == [len(found.boxes) for found in alone]
    assert sum(len(found.boxes) for found in alone) >= 2
    # The nets of a GPU, here on the CPU, take them as one batch.
    for found in (together, cascade.detect(nets.TorchNets("cpu"), images, TEST, 20)):
        for one, other in zip(alone, found, strict=True):
            for name in ("boxes", "scores", "points"):
                np.testing.assert_allclose(getattr(one, name), getattr(other, name), atol=0.001)


def test_an_image_has_the_same_bits_each_time() -> None:
    picture = faces.picture(astronaut(), 1.0)
    first_time, *others = (faces.find(openvino(), [picture], TEST, 20)[0] for _ in range(3))
    for found in others:
        for name in ("boxes", "scores", "points"):
            np.testing.assert_array_equal(getattr(found, name), getattr(first_time, name))


@pytest.mark.skipif(not CLIPS, reason="no real clips at ../shared/data/clips")
@pytest.mark.parametrize("clip", CLIPS, ids=lambda path: path.name)
def test_real_clips_have_stocks_faces(clip: Path) -> None:
    params = load(REPO / "presets/dfdc.yaml").bboxes
    found = video.probe(clip)
    kind = clip.parts[-3]
    numbers = bboxes.sampled(kind, found.frames, params)
    numbers = numbers[:: max(1, len(numbers) // 4)]
    scale = bboxes.scale_of(max(found.width_px, found.height_px), params)
    thresholds = TRAIN if kind == "train" else TEST
    for number, image in video.frames(clip, numbers):
        (ours,) = faces.find(openvino(), [faces.picture(image, scale)], thresholds, 20)
        theirs = with_stock(image, scale, thresholds)
        assert len(ours.boxes) == len(theirs[0]), number
        assert np.abs(ours.boxes - theirs[0]).max(initial=0) < 0.001, number
        assert np.abs(ours.points - theirs[2]).max(initial=0) < 0.002, number
