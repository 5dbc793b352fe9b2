"""P-, R- and O-Net on a CPU by OpenVINO, on a GPU by torch.

OpenVINO because it is two to three times as fast there as torch, and because its float32 results did not change with
the number of threads. They may change in their last bits with what shares a batch, so an image is searched alone there.
Its own thread is the only one, and not pinned to a core, which two processes would share.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from trueframe.mtcnn import area, weights

if TYPE_CHECKING:
    import torch

Floats = NDArray[np.float32]

_SETTINGS: dict[str, Any] = {
    # bfloat16, the default where the processor has it, was seen to move boxes by 14 pixels and to lose faces.
    "INFERENCE_PRECISION_HINT": "f32",
    "INFERENCE_NUM_THREADS": 1,
    "NUM_STREAMS": 1,
    "ENABLE_CPU_PINNING": False,
}
_MOST = 512  # pieces that go through R-Net or O-Net at once: what stock takes, enough for any frame


class Nets(Protocol):
    """The three nets. Images and pieces go in as uint8 or normalized float32, answers come out as float32."""

    def proposals(
        self, images: Sequence[NDArray[np.uint8]], tables: Sequence[area.Sums], height: int, width: int
    ) -> tuple[Floats, Floats]:
        """P-Net on images of one size, brought to (height, width): chances (n, h, w) and shifts (n, 4, h, w).

        tables: area.sums_of each image.
        """

    def refine(self, pieces: Floats) -> tuple[Floats, Floats]:
        """R-Net on n pieces, (n, 3, 24, 24): chances (n,) and shifts (n, 4)."""

    def output(self, pieces: Floats) -> tuple[Floats, Floats, Floats]:
        """O-Net on n pieces, (n, 3, 48, 48): chances (n,), shifts (n, 4) and points (n, 10), five x and five y."""


class OpenvinoNets:
    """On the CPU, by one thread."""

    def __init__(self) -> None:
        """Takes half a second."""
        import openvino

        core = openvino.Core()
        self._pnet, self._rnet, self._onet = (
            core.compile_model(build(weights.read(net)), "CPU", _SETTINGS).create_infer_request()
            for net, build in (("pnet", _pnet), ("rnet", _rnet), ("onet", _onet))
        )

    def proposals(
        self, images: Sequence[NDArray[np.uint8]], tables: Sequence[area.Sums], height: int, width: int
    ) -> tuple[Floats, Floats]:
        """As Nets."""
        answers = [_infer(self._pnet, area.level(table, height, width)) for table in tables]
        chances, shifts = (np.concatenate(of_one) for of_one in zip(*answers, strict=True))
        return chances[:, 0], shifts

    def refine(self, pieces: Floats) -> tuple[Floats, Floats]:
        """As Nets."""
        chances, shifts = _infer(self._rnet, pieces)
        return chances[:, 1], shifts

    def output(self, pieces: Floats) -> tuple[Floats, Floats, Floats]:
        """As Nets."""
        chances, shifts, points = _infer(self._onet, pieces)
        return chances[:, 1], shifts, points


def _infer(request: Any, images: Floats) -> list[Floats]:
    """A model's outputs for normalized images of one size, (n, 3, height, width)."""
    import openvino

    found = []
    for start in range(0, len(images), _MOST):
        # A tensor set by hand takes half the time of one that `infer` is handed. Both sides share memory: the images
        # are left alone meanwhile, and the answers last until the next call.
        request.set_input_tensor(0, openvino.Tensor(images[start : start + _MOST], shared_memory=True))
        answer = request.infer(share_outputs=True)
        found.append([answer[number].copy() for number in range(len(answer))])
    return found[0] if len(found) == 1 else [np.concatenate(of_one) for of_one in zip(*found, strict=True)]


class _Graph:
    """Builds an OpenVINO model node by node."""

    def __init__(self, tensors: weights.Weights, *sides: int) -> None:
        from openvino import Type, opset1

        self._ops, self._tensors = opset1, tensors
        self.input = opset1.parameter([-1, 3, *sides], Type.f32)

    def conv(self, node: Any, name: str, activation: str) -> Any:
        return self._prelu(self._convolution(node, *self._layer(name)), activation)

    def map(self, node: Any, chances: str, others: str) -> Any:
        """The model that ends in two layers at each place: the chance of a face, (n, 1, h, w), and others.

        Both are one convolution, whose channels the processor takes sixteen at a time however few there are. The chance
        is what softmax gives the second of two: the logistic function of their difference.
        """
        from openvino import Model

        ops = self._ops
        (kernel, bias), (other_kernel, other_bias) = self._layer(chances), self._layer(others)
        kernel, bias = np.concatenate([np.diff(kernel, axis=0), other_kernel]), np.append(np.diff(bias), other_bias)
        made = self._convolution(node, kernel, bias)
        parts = ops.variadic_split(made, ops.constant(np.array(1)), ops.constant(np.array([1, len(other_bias)])))
        return Model([ops.sigmoid(parts.output(0)).output(0), parts.output(1)], [self.input])

    def dense(self, node: Any, name: str, activation: str = "") -> Any:
        ops = self._ops
        weight, bias = self._layer(name)
        made = ops.add(ops.matmul(node, ops.constant(weight), False, True), ops.constant(bias))
        return self._prelu(made, activation) if activation else made

    def pool(self, node: Any, side: int) -> Any:
        return self._ops.max_pool(node, [2, 2], [0, 0], [0, 0], [side, side], "ceil", "explicit")

    def flat(self, node: Any, size: int) -> Any:
        ops = self._ops
        turned = ops.transpose(node, ops.constant(np.array([0, 3, 2, 1])))
        return ops.reshape(turned, ops.constant(np.array([-1, size])), False)

    def model(self, chances: Any, *others: Any) -> Any:
        from openvino import Model

        return Model([self._ops.softmax(chances, 1), *others], [self.input])

    def _layer(self, name: str) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        return self._tensors[f"{name}.weight"], self._tensors[f"{name}.bias"]

    def _convolution(self, node: Any, kernel: NDArray[np.float32], bias: NDArray[np.float32]) -> Any:
        made = self._ops.convolution(node, self._ops.constant(kernel), [1, 1], [0, 0], [0, 0], [1, 1])
        return self._ops.add(made, self._ops.constant(bias.reshape(1, -1, 1, 1)))

    def _prelu(self, node: Any, name: str) -> Any:
        return self._ops.prelu(node, self._ops.constant(self._tensors[f"{name}.weight"]))


def _pnet(tensors: weights.Weights) -> Any:
    graph = _Graph(tensors, -1, -1)
    node = graph.pool(graph.conv(graph.input, "conv1", "prelu1"), 2)
    node = graph.conv(graph.conv(node, "conv2", "prelu2"), "conv3", "prelu3")
    return graph.map(node, "conv4_1", "conv4_2")


def _rnet(tensors: weights.Weights) -> Any:
    graph = _Graph(tensors, 24, 24)
    node = graph.pool(graph.conv(graph.input, "conv1", "prelu1"), 3)
    node = graph.pool(graph.conv(node, "conv2", "prelu2"), 3)
    node = graph.flat(graph.conv(node, "conv3", "prelu3"), 576)
    node = graph.dense(node, "dense4", "prelu4")
    return graph.model(graph.dense(node, "dense5_1"), graph.dense(node, "dense5_2"))


def _onet(tensors: weights.Weights) -> Any:
    graph = _Graph(tensors, 48, 48)
    node = graph.pool(graph.conv(graph.input, "conv1", "prelu1"), 3)
    node = graph.pool(graph.conv(node, "conv2", "prelu2"), 3)
    node = graph.pool(graph.conv(node, "conv3", "prelu3"), 2)
    node = graph.flat(graph.conv(node, "conv4", "prelu4"), 1152)
    node = graph.dense(node, "dense5", "prelu5")
    return graph.model(*(graph.dense(node, name) for name in ("dense6_1", "dense6_2", "dense6_3")))


class TorchNets:
    """By facenet-pytorch's modules on a torch device: many images of one size at once."""

    def __init__(self, device: str) -> None:
        """device: "cuda", or "cpu" to compare."""
        import torch
        from facenet_pytorch.models import mtcnn

        self._device = device
        self._nets = [
            net().eval().to(device, memory_format=torch.channels_last) for net in (mtcnn.PNet, mtcnn.RNet, mtcnn.ONet)
        ]

    def proposals(
        self, images: Sequence[NDArray[np.uint8]], tables: Sequence[area.Sums], height: int, width: int
    ) -> tuple[Floats, Floats]:
        """As Nets."""
        import torch

        with torch.inference_mode():
            stack = torch.from_numpy(np.stack(images)).to(self._device).permute(0, 3, 1, 2).float()
            stack = torch.nn.functional.interpolate(stack, (height, width), mode="area")
            shifts, chances = self._nets[0]((stack - 127.5) * 0.0078125)
        return _array(chances[:, 1]), _array(shifts)

    def refine(self, pieces: Floats) -> tuple[Floats, Floats]:
        """As Nets."""
        shifts, chances = self._through(1, pieces)
        return chances[:, 1], shifts

    def output(self, pieces: Floats) -> tuple[Floats, Floats, Floats]:
        """As Nets."""
        shifts, points, chances = self._through(2, pieces)
        return chances[:, 1], shifts, points

    def _through(self, number: int, pieces: Floats) -> list[Floats]:
        import torch

        with torch.inference_mode():
            found = [
                self._nets[number](torch.from_numpy(pieces[start : start + _MOST]).to(self._device))
                for start in range(0, len(pieces), _MOST)
            ]
            return [_array(torch.cat(of_one)) for of_one in zip(*found, strict=True)]


def _array(tensor: torch.Tensor) -> Floats:
    return np.ascontiguousarray(tensor.cpu().numpy(), np.float32)


@functools.cache
def cpu() -> OpenvinoNets:
    """The nets on this process's CPU."""
    return OpenvinoNets()


@functools.cache
def cuda() -> TorchNets:
    """The nets on the GPU."""
    return TorchNets("cuda")
