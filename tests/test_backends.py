"""What a backend makes of an image: the network's own logit, the same whatever is scored with it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from trueframe import backends, network, scoring
from trueframe.errors import UserError
from trueframe.params import Predictions

FOLDER = Path(__file__).parent
SIDE = 32
BATCH = 4


def section(**changes: Any) -> Predictions:
    values = {"backend": "openvino", "precision": "float32", "batch_size": BATCH, "threads": 1}
    return Predictions.model_validate(values | {"train_folds": "held_out"} | changes)


def net_of(encoder: str, size_px: int = SIDE) -> network.Network:
    """A network with random weights whose norms have seen images, so that its logits are spread as a trained one's."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    net = network.build(encoder, "none", size_px=size_px, holdout_fold=0).train()
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    images = torch.from_numpy(some(8, size_px))
    with torch.no_grad():
        net(images)
        spread = net.eval()(images).std()
        net.encoder.get_classifier().weight.mul_(2 / spread)
    return net


def some(count: int, size_px: int = SIDE) -> NDArray[np.uint8]:
    stream = np.random.default_rng(0)
    noise = stream.integers(0, 256, (count, size_px, size_px, 3))
    return (noise * stream.uniform(0.2, 1, (count, 1, 1, 3))).astype(np.uint8)


def eager(net: network.Network, images: NDArray[np.uint8]) -> NDArray[np.float64]:
    with torch.inference_mode():
        return net(torch.from_numpy(images)).double().numpy()


@pytest.fixture(scope="module")
def small() -> network.Network:
    return net_of("test_efficientnet")


@pytest.mark.parametrize("backend", ["openvino", "torch"])
def test_a_backend_gives_the_networks_logits_in_the_precision_asked_for(small: network.Network, backend: str) -> None:
    import openvino  # after trueframe, which keeps it from telling so

    images = some(6)
    expected = eager(small, images)
    found = backends.logits_of(small, section(backend=backend), "cpu")(images)
    assert (found.dtype, found.shape) == (np.float64, (6,))
    assert found == pytest.approx(expected, abs=1e-5 * expected.std())
    if backend == "openvino" and "BF16" not in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        with pytest.raises(UserError, match=r"precision: bfloat16: this CPU has no bfloat16"):
            backends.logits_of(small, section(backend=backend, precision="bfloat16"), "cpu")
        return
    rough = backends.logits_of(small, section(backend=backend, precision="bfloat16"), "cpu")(images)
    assert rough == pytest.approx(expected, abs=0.2 * expected.std())
    # By itself OpenVINO computes float32 in bfloat16 too.
    assert np.abs(rough - expected).max() > 100 * np.abs(found - expected).max()


def test_openvino_opens_no_socket_and_warns_of_nothing() -> None:
    code = (
        "import os, socket, sys, warnings\n"
        "warnings.simplefilter('error')\n"
        "def refuse(*_, **__): raise AssertionError('the network was asked for')\n"
        "socket.socket.connect = socket.getaddrinfo = os.fork = refuse\n"
        "import test_backends as tests\n"
        "from trueframe import backends\n"
        "net = tests.net_of('test_efficientnet')\n"
        "backends.logits_of(net, tests.section(), 'cpu')(tests.some(1))\n"
        "assert sys.modules['openvino_telemetry'] is None\n"
        "assert 'openvino.tools.ovc.telemetry_stub' in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=FOLDER)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("backend", ["openvino", "torch"])
@pytest.mark.parametrize(("encoder", "size_px"), [("efficientnet_b0", 64), ("test_vit", 160)])
def test_an_images_logit_is_the_same_to_the_last_bit_whatever_is_scored_with_it(
    encoder: str, size_px: int, backend: str
) -> None:
    # Torch by itself gives efficientnet_b0 and test_vit other last bits when images change their places in a batch.
    images = some(6, size_px)
    logits = backends.logits_of(net_of(encoder, size_px), section(backend=backend), "cpu")
    together = logits(images)
    assert logits(images[::-1].copy())[::-1].tolist() == together.tolist()
    assert [logits(image[None])[0] for image in images] == together.tolist()
    assert len(set(together.tolist())) == 6


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("encoder", ["test_resnet", "efficientnet_b0", "test_vit"])
def test_on_a_gpu_too(encoder: str) -> None:
    size_px = 160
    images = some(2 * BATCH, size_px)
    scoring.prepare("cuda", 1)
    logits = backends.logits_of(net_of(encoder, size_px), section(), "cuda:0")
    together = np.concatenate([logits(images[:BATCH]), logits(images[BATCH:])])
    mixed = np.concatenate([logits(images[::-2].copy()), logits(images[-2::-2].copy())])
    assert mixed.tolist() == together[[7, 5, 3, 1, 6, 4, 2, 0]].tolist()
    assert [logits(image[None])[0] for image in images] == together.tolist()


def test_a_batch_that_is_not_full_is_filled_with_black_and_gives_its_own_logits_alone() -> None:
    seen = []

    def logits(images: NDArray[np.uint8]) -> NDArray[np.float64]:
        seen.append(images.max(axis=(1, 2, 3)).tolist())
        return images[:, 0, 0, 0].astype(np.float64)

    images = np.full((3, 2, 2, 3), 7, np.uint8)
    assert backends.filled(logits, 5)(images).tolist() == [7, 7, 7]
    assert backends.filled(logits, 3)(images).tolist() == [7, 7, 7]
    assert seen == [[7, 7, 7, 0, 0], [7, 7, 7]]


def test_what_openvino_can_not_take_is_told(small: network.Network) -> None:
    class Sorting(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return torch.linalg.svdvals(images[:, 0])[:, :1]

    odd = network.Network(small.card, Sorting())
    with pytest.raises(
        UserError, match=r"^params\.yaml: predictions\.backend: openvino: it can't take test_.*set torch$"
    ):
        backends.logits_of(odd, section(), "cpu")


@pytest.mark.long
def test_a_compiled_network_gives_its_logits(small: network.Network) -> None:
    images = some(3)
    logits = backends.logits_of(small, section(backend="compiled"), "cpu")
    assert logits(images) == pytest.approx(eager(small, images), abs=1e-4)
    assert logits(images[::-1].copy())[::-1].tolist() == logits(images).tolist()


@pytest.mark.long
def test_compiling_without_a_compiler_is_told() -> None:
    code = (
        "import test_backends as tests\n"
        "from trueframe import backends, errors\n"
        "try: backends.logits_of(tests.net_of('test_efficientnet'), tests.section(backend='compiled'), 'cpu')\n"
        "except errors.UserError as error: print(error)\n"
    )
    bare = {name: value for name, value in os.environ.items() if name != "CXX"} | {"PATH": ""}
    done = subprocess.run(
        [sys.executable, "-c", code], env=bare, cwd=FOLDER, capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("params.yaml: predictions.backend: compiled: torch can't compile here (")
    assert done.stdout.endswith("install a C++ compiler, for one g++, or set openvino or torch\n")
