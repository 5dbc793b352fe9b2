"""How fast crops are scored, beside the plain loop: one video, one model, contiguous eager float32.

The networks have random weights, norms that have seen the crops, and a last layer that spreads their logits as a
trained one's (a deviation of 2), so that it means something how far a backend moves their scores.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import reference
import timm
import torch
from beside import Comparison, alternating
from numpy.typing import NDArray
from skimage import data as pictures

from trueframe import archive, backends, dataset, images, network, params, scoring, video

SIZE_PX = 380
CROPS = 32  # of a video, as the winner takes
_CROP = (400, 320)  # height and width, about what a 1080p video gives
_DEFAULT = ("openvino", "float32")
_OTHERS = (("openvino", "bfloat16"), ("torch", "float32"), ("torch", "bfloat16"))


def measure(folder: Path, clips: Path | None) -> list[Comparison]:
    """B0 on a video of 32 crops and B7 on 8 crops, on one thread, by each backend; what is promised is the default."""
    found = []
    for encoder, count, at_least, others in (
        ("efficientnet_b0", CROPS, 2.0, (*_OTHERS, ("compiled", "float32"))),
        ("tf_efficientnet_b7", 8, 1.3, _OTHERS),  # compiling it takes many minutes
    ):
        found += _backends(folder, clips, encoder, count, at_least, (_DEFAULT, *others))
    return found


def gpu(folder: Path, clips: Path | None = None, videos: int = 20) -> list[Comparison]:
    """Videos per minute of five B7s on a GPU, beside the plain loop there; nothing where there is none."""
    if not torch.cuda.is_available():
        return []
    scoring.prepare("cuda", 1)
    crops = folder / "gpu.zip"
    pngs = write(crops, clips, CROPS * videos)
    nets = [calibrated("tf_efficientnet_b7", pngs, seed) for seed in range(5)]
    plain = [contiguous(net).to("cuda") for net in nets]
    section = _section("torch", "float32")
    found = [backends.logits_of(net, section, "cuda:0") for net in nets]
    of_video = [pngs[at : at + CROPS] for at in range(0, len(pngs), CROPS)]
    taken = alternating(
        {
            "ours": lambda: ours(crops, found, section, workers=8),
            "reference": lambda: reference.scores(plain, of_video, SIZE_PX, "cuda"),
        }
    )
    rate = 60 * videos / statistics.median(taken["ours"])
    what = f"five tf_efficientnet_b7 at {SIZE_PX} px on {torch.cuda.get_device_name()}: {rate:.0f} videos a minute"
    return [_comparison(what, taken, "ours", None)]


def _backends(
    folder: Path,
    clips: Path | None,
    encoder: str,
    count: int,
    at_least: float,
    choices: Sequence[tuple[str, str]],
) -> list[Comparison]:
    scoring.prepare("cpu", 1)
    crops = folder / f"{encoder}.zip"
    pngs = write(crops, clips, count)
    net = calibrated(encoder, pngs)
    plain = contiguous(net)
    expected = reference.scores([plain], [pngs], SIZE_PX)[0][0]
    actions: dict[str, Callable[[], object]] = {"reference": lambda: reference.scores([plain], [pngs], SIZE_PX)}
    shifts = {}
    for backend, precision in choices:
        section = _section(backend, precision)
        found = [backends.logits_of(net, section, "cpu")]
        name = f"{backend} {precision}"
        actions[name] = lambda found=found, section=section: ours(crops, found, section, workers=1)
        shifts[name] = float(np.abs(ours(crops, found, section, workers=1)[0] - expected).max())
    taken = alternating(actions)
    rates = {name: 60 * count / CROPS / statistics.median(taken[name]) for name in taken}
    return [
        _comparison(
            f"{encoder} at {SIZE_PX} px, {name}: {rates[name]:.1f} videos a minute (plainly {rates['reference']:.1f}), "
            f"scores move by at most {shifts[name]:.0e}",
            taken,
            name,
            at_least if name == " ".join(_DEFAULT) else None,
        )
        for name in shifts
    ]


def _comparison(what: str, taken: Mapping[str, Sequence[float]], name: str, at_least: float | None) -> Comparison:
    ratios = [theirs / own for own, theirs in zip(taken[name], taken["reference"], strict=True)]
    medians = statistics.median(taken[name]), statistics.median(taken["reference"])
    return Comparison(what, *medians, statistics.median(ratios), at_least)


def ours(
    crops: Path, found: Sequence[scoring.Logits], section: params.Predictions, workers: int
) -> NDArray[np.float64]:
    """The scores of an archive's crops, as the predictions stage makes them of networks that are loaded."""
    members = list(archive.members(crops))
    with archive.Reader(crops) as reader:

        def load(number: int) -> NDArray[np.uint8]:
            member = members[number]
            return dataset.letterbox(images.decoded(reader.read(member.offset, member.size)), SIZE_PX)

        batches = scoring.batches([0] * len(members), section.batch_size)
        return scoring.scores(found, load, batches, workers=workers, advance=lambda count: None)


def write(path: Path, clips: Path | None, count: int) -> list[bytes]:
    """An archive of crops from the middle of real clips, else of a portrait, as ours has them; returns their PNGs."""
    found = _pictures(clips, count)
    with archive.Writer(path) as writer:
        for number, picture in enumerate(found):
            writer.add(archive.member_name("video.mp4", number, 0, images.CROP), images.webp(picture))
    return [images.png(picture) for picture in found]


def _pictures(clips: Path | None, count: int) -> list[NDArray[np.uint8]]:
    height, width = _CROP
    if clips is None:
        portrait = cv2.resize(pictures.astronaut()[0:240, 130:322], (width, height), interpolation=cv2.INTER_CUBIC)
        stream = np.random.default_rng(0)
        light = stream.uniform(0.4, 1.2, count)
        noise = stream.normal(0, 1, (count, height, width, 3)) * stream.uniform(1, 40, (count, 1, 1, 1))
        return list(np.clip(portrait * light[:, None, None, None] + noise, 0, 255).astype(np.uint8))
    paths = sorted(clips.rglob("*.mp4"))
    found: list[NDArray[np.uint8]] = []
    each = -(-count // len(paths))
    for path in paths:
        for _, image in video.frames(path, range(0, 10 * each, 10)):
            top, left = (max(0, (side - wanted) // 2) for side, wanted in zip(image.shape[:2], _CROP, strict=True))
            found.append(np.ascontiguousarray(image[top:, left:][:height, :width]))
    return found[:count]


def calibrated(encoder: str, pngs: Sequence[bytes], seed: int = 0) -> network.Network:
    """A network that is ready to score."""
    torch.manual_seed(seed)
    net = network.build(encoder, "none", size_px=SIZE_PX, holdout_fold=0)
    few = [dataset.letterbox(images.decoded(png), SIZE_PX) for png in pngs[:: max(1, len(pngs) // 8)]]
    batch = torch.from_numpy(np.stack(few))
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        net.train()(batch)
        logits = net.eval()(batch)
        head: Any = net.encoder.get_classifier()
        factor = 2 / logits.std()
        head.weight.mul_(factor)
        head.bias.copy_((head.bias - logits.mean()) * factor)
    return net


def contiguous(net: network.Network) -> torch.nn.Module:
    """The same network as timm makes it."""
    plain: torch.nn.Module = timm.create_model(net.card.encoder, num_classes=1)
    plain.load_state_dict(net.encoder.state_dict())
    return plain.to(memory_format=torch.contiguous_format).eval()


def _section(backend: str, precision: str) -> params.Predictions:
    values = {"backend": backend, "precision": precision, "batch_size": CROPS, "threads": 1, "train_folds": "held_out"}
    return params.Predictions.model_validate(values)
