"""A trained network as it scores: by OpenVINO, by torch as it stands, or by torch compiled.

To the last bit, an image's logit depends on the image alone. On a CPU torch's own kernels treat the places of a batch
differently: of efficientnet_b0 at 96 px in batches of 8, 28 of 168 logits changed with the order of the images, by up
to 2e-5; of tf_efficientnet_b7 at 64 px 44 of 84, by up to 6e-4. So a CPU takes one image at a time, whatever was loaded
together. That costs nothing where it counts: at 380 px OpenVINO scores 19 images/s of efficientnet_b0 one by one, 16 in
batches of 16, and torch 8.7 and 5.8 (one thread, Xeon with AVX-512). A GPU takes batches of one shape, so that it uses
the same kernels each time; the last one is filled up.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch.jit import TracerWarning

from trueframe.dataset import Image
from trueframe.errors import UserError
from trueframe.network import Network
from trueframe.scoring import Logits, by_torch

if TYPE_CHECKING:
    from trueframe.params import Predictions


def logits_of(net: Network, params: Predictions, device: str) -> Logits:
    """The network's logits by the backend that the parameters name; device: "cpu", or "cuda:" and a number.

    On a GPU `openvino` is torch as it stands, for OpenVINO's GPUs are others. Raises UserError where the backend can't
    take the encoder, can't compute in the precision here, or finds no compiler.
    """
    if device == "cpu" and params.backend == "openvino":
        return _each(_by_openvino(net, params))
    bfloat16 = params.precision == "bfloat16"
    found = by_torch(net.to(device), device, bfloat16)
    if params.backend == "compiled":
        found = by_torch(torch.compile(net, dynamic=False), device, bfloat16)
        _warm_up(found, net.card.size_px, 1 if device == "cpu" else params.batch_size)
    return _each(found) if device == "cpu" else filled(found, params.batch_size)


def _by_openvino(net: Network, params: Predictions) -> Logits:
    """One image's logit. The preparation of the pixels is part of the graph."""
    import openvino
    from openvino import properties
    from openvino.properties import hint

    where = f"params.yaml: predictions.precision: {params.precision}"
    core = openvino.Core()
    if params.precision == "bfloat16" and "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        raise UserError(f"{where}: this CPU has no bfloat16, and OpenVINO would take float32 unasked; set float32")
    example = torch.zeros((1, net.card.size_px, net.card.size_px, 3), dtype=torch.uint8)
    try:
        with warnings.catch_warnings():
            # Of torch.jit, by which OpenVINO reads a network; that its shape is kept is what is wanted.
            warnings.simplefilter("ignore", TracerWarning)
            warnings.filterwarnings("ignore", "`torch.jit.trace", FutureWarning)
            model = openvino.convert_model(net, example_input=example, input=[openvino.PartialShape(example.shape)])
    except (RuntimeError, openvino.frontend.OpConversionFailure) as error:
        raise UserError(
            f"params.yaml: predictions.backend: openvino: it can't take {net.card.encoder} "
            f"({str(error).splitlines()[0]}); set torch"
        ) from error
    # Said in full: by itself OpenVINO takes bfloat16 where the CPU has it, and as many threads and streams as cores.
    settings = {
        hint.inference_precision: openvino.Type.bf16 if params.precision == "bfloat16" else openvino.Type.f32,
        hint.execution_mode: hint.ExecutionMode.ACCURACY,
        hint.enable_cpu_pinning: False,  # two jobs would share a core
        properties.inference_num_threads: params.threads,
        properties.num_streams: 1,
    }
    request = core.compile_model(model, "CPU", settings).create_infer_request()
    return lambda images: request.infer([images])[0].astype(np.float64)


def _warm_up(logits: Logits, size_px: int, batch: int) -> None:
    """Compile now, so that what can't be compiled is told before the work."""
    try:
        logits(np.zeros((batch, size_px, size_px, 3), np.uint8))
    except torch._dynamo.exc.BackendCompilerFailed as error:
        raise UserError(
            f"params.yaml: predictions.backend: compiled: torch can't compile here ({str(error).splitlines()[0]}); "
            "install a C++ compiler, for one g++, or set openvino or torch"
        ) from error


def _each(logits: Logits) -> Logits:
    """The same of one image at a time."""
    return lambda images: np.concatenate([logits(images[number : number + 1]) for number in range(len(images))])


def filled(logits: Logits, size: int) -> Logits:
    """The same in batches of `size`: black images fill one that is short, and their logits are thrown away."""

    def found(images: Image) -> NDArray[np.float64]:
        black = np.zeros((size - len(images), *images.shape[1:]), np.uint8)
        return logits(np.concatenate([images, black]))[: len(images)]

    return found
