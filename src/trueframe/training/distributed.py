"""One training by several processes on this machine, each on its own device: torch's DDP, run by Lightning Fabric."""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import MethodType
from typing import TYPE_CHECKING, Any, TypeVar

import torch
import torch.distributed as dist
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from torch import Tensor, nn

from trueframe.errors import UserError, WorkerDiedError
from trueframe.pool import end_with_the_parent

if TYPE_CHECKING:
    from trueframe.tools import Tools

Job = TypeVar("Job")
Result = TypeVar("Result")
_PATIENCE_S = 10.0  # for the others to end when the first has
# The processes talk over the loopback alone: nobody outside the machine can join.
_LOOPBACK = {"GLOO_SOCKET_IFNAME": "lo", "NCCL_SOCKET_IFNAME": "lo"}


@dataclass(frozen=True)
class Place:
    """A process of a training: its number of how many, and the CUDA devices of all, in their order; none: the CPU."""

    rank: int = 0
    ranks: int = 1
    gpus: tuple[int, ...] = ()

    @property
    def kind(self) -> str:
        """Fabric's name of the kind of device, cpu or cuda."""
        return "cuda" if self.gpus else "cpu"

    def fabric(self, precision: Any) -> Fabric:
        """Fabric for this process. The number of torch's threads stays as it was, which Fabric would set."""
        threads = torch.get_num_threads()
        fabric = Fabric(
            accelerator=self.kind,
            devices=list(self.gpus) or self.ranks,
            strategy="ddp" if self.ranks > 1 else "auto",
            precision=precision,
            # One machine, also where a cluster's variables would make Fabric look for more.
            plugins=[LightningEnvironment()],
        )
        fabric.launch()
        torch.set_num_threads(threads)
        return fabric


Work = Callable[[Job, Place, "Tools"], Result]


def run(work: Work[Job, Result], job: Job, place: Place, tools: Tools, meeting: Path) -> Result:
    """Return work(job, place, tools) of this process, which has rank 0; a new process works for each other rank.

    work: a function of a module, which calls place.fabric; job: picklable; meeting: a path with no file, on which the
    processes find each other. The failure of one ends all.
    """
    if place.ranks == 1:
        return work(job, place, tools)
    context = multiprocessing.get_context("spawn")
    others = [Place(rank, place.ranks, place.gpus) for rank in range(1, place.ranks)]
    processes = [context.Process(target=_other, args=(work, job, other, tools.silenced(), meeting)) for other in others]
    for process in processes:
        process.start()
    try:
        with _joined(place, meeting, processes):
            result = work(job, place, tools)
        for process in processes:
            process.join(_PATIENCE_S)
        return result
    except RuntimeError as error:
        for process in processes:
            process.join(1)
            if process.exitcode is not None and process.exitcode < 0:  # by a signal
                raise WorkerDiedError("a process of the training died") from error
        raise
    finally:
        for process in processes:
            process.kill()
            process.join()


def _other(work: Work[Job, Result], job: Job, place: Place, tools: Tools, meeting: Path) -> None:
    threading.Thread(target=end_with_the_parent, daemon=True).start()
    try:
        with _joined(place, meeting):
            work(job, place, tools)
    except UserError:
        sys.exit(1)  # the first process has the same and tells it


@contextmanager
def _joined(place: Place, meeting: Path, others: Sequence[BaseProcess] = ()) -> Iterator[None]:
    """Join the other processes. LOCAL_RANK tells Fabric that they are there already."""
    ours = _LOOPBACK | {"LOCAL_RANK": str(place.rank)}
    before = {name: os.environ.get(name) for name in ours}
    os.environ.update(ours)
    try:
        if place.gpus:
            torch.cuda.set_device(place.gpus[place.rank])
        store = dist.FileStore(str(meeting), place.ranks)  # type: ignore[attr-defined]  # torch's stubs lack it
        # torch would wait half an hour for one that died before it was there.
        store.set(f"here/{place.rank}", "")
        while not store.check([f"here/{rank}" for rank in range(place.ranks)]):
            if any(other.exitcode is not None for other in others):
                raise WorkerDiedError("a process of the training died before all had met")
            time.sleep(0.05)
        dist.init_process_group("nccl" if place.gpus else "gloo", store=store, rank=place.rank, world_size=place.ranks)
        yield
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()
        for name, value in before.items():
            if value is None:
                os.environ.pop(name)
            else:
                os.environ[name] = value


def total(share: Tensor) -> Tensor:
    """The sum of the processes' shares, in each of them; of a single process its own."""
    if dist.is_initialized():
        dist.all_reduce(share)
    return share


def synchronize(network: nn.Module, place: Place) -> None:
    """Make the network's batch norms use the statistics of all processes' images, as one process would."""
    if place.ranks == 1:
        return
    if place.gpus:
        from timm.layers.norm_act import convert_sync_batchnorm

        convert_sync_batchnorm(network)
        return
    # torch's own works on GPUs alone.
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.forward = MethodType(_batch_norm, module)  # type: ignore[method-assign]


class _Total(torch.autograd.Function):
    """`total` with a gradient: each share has the part of all processes in the sum."""

    @staticmethod
    def forward(ctx: Any, share: Tensor) -> Tensor:
        return total(share.clone())

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return total(gradients[0].clone())


def _batch_norm(self: Any, images: Tensor) -> Tensor:
    """The forward pass of a batch norm over all processes, with what timm's kinds of it do next (drop, act)."""
    if not self.training:
        plain: Tensor = type(self).forward(self, images)
        return plain
    axes = [axis for axis in range(images.ndim) if axis != 1]
    shape = [1 if axis in axes else -1 for axis in range(images.ndim)]
    # In float32 under mixed precision too, as torch's own.
    images, kind = images.float(), images.dtype
    count = total(torch.tensor(float(images.numel() // images.shape[1])))
    mean = _Total.apply(images.sum(axes)) / count
    centred = images - mean.view(shape)
    variance = _Total.apply(centred.square().sum(axes)) / count
    with torch.no_grad():
        self.num_batches_tracked.add_(1)
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance * count / (count - 1), self.momentum)
    made: Tensor = centred * (variance + self.eps).rsqrt().view(shape)
    if self.affine:
        made = made * self.weight.view(shape) + self.bias.view(shape)
    made = made.to(kind)
    for step in ("drop", "act"):
        made = getattr(self, step, nn.Identity())(made)
    return made
