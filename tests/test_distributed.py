"""One training by several processes: the same rows, the same statistics, and very nearly the same weights as by one."""

from __future__ import annotations

import csv
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import small_data
from small_training import Killed, Killer, digests, section, train
from trueframe import gpus
from trueframe.errors import UserError, WorkerDiedError
from trueframe.progress import Progress
from trueframe.tools import Tools
from trueframe.training import distributed, sampling
from trueframe.training.distributed import Place
from trueframe.training.loss import balanced_bce


@dataclass
class Counted(Progress):
    """How many crops this process trained on and validated."""

    title: str = ""
    crops: int = 0

    def say(self, text: str) -> None:
        """Nothing."""

    @contextmanager
    def task(self, total: int, unit: str, what: str = "") -> Iterator[Callable[[int], None]]:
        def advance(count: int) -> None:
            self.crops += count

        yield advance


@given(
    reals=st.integers(1, 30),
    fakes=st.integers(1, 30),
    size=st.integers(4, 9),
    ranks=st.integers(1, 4),
    epoch=st.integers(0, 3),
)
def test_the_ranks_take_each_draw_of_each_batch_once(reals: int, fakes: int, size: int, ranks: int, epoch: int) -> None:
    labels = np.array([0] * reals + [1] * fakes, np.int8)
    rows = np.arange(reals + fakes)
    shares = [sampling.Batches(rows, labels, 5, size, None, rank, ranks) for rank in range(ranks)]
    alone = sampling.Batches(rows, labels, 5, size, None)
    for batches in (*shares, alone):
        batches.epoch = epoch
    for number, (whole, *parts) in enumerate(zip(alone, *shares, strict=True)):
        assert sorted(draw for part in parts for draw in part) == sorted(whole)
        drawn = labels[[row for row, _, _ in whole]]
        assert shares[0].classes()[number].tolist() == [int((drawn == 1).sum()), int((drawn == 0).sum())]
    assert list(alone) == list(sampling.Batches(rows, labels, 5, size, None)) or epoch > 0


def test_the_processes_losses_add_up_to_that_of_the_whole_batch() -> None:
    logits = torch.tensor([0.3, -1.2, 2.0, 0.1, -0.4])
    labels = torch.tensor([1, 0, 1, 1, 1])
    whole = balanced_bce(logits, labels, 0.01, (4, 1))
    shares = [balanced_bce(logits[rank::2], labels[rank::2], 0.01, (4, 1)) for rank in range(2)]
    assert sum(shares).item() == pytest.approx(whole.item(), rel=1e-6)


def test_two_processes_train_as_one_does(data: small_data.Data, tmp_path: Path) -> None:
    settings = section(dropout=0.0, drop_path=0.0, batch_size=6, epochs=2)
    counts = [Counted(), Counted()]
    one = train(data, tmp_path / "one", settings, Tools(device="cpu", progress=counts[0]))
    two = train(data, tmp_path / "two", settings, Tools(device="cpu", devices=2, workers=2, progress=counts[1]))
    # Per epoch 12 crops train and 9 validate, three of each video, which is a batch: the first process has two of them.
    assert [count.crops for count in counts] == [2 * (12 + 9), 2 * (6 + 6)]
    again = train(data, tmp_path / "again", settings, Tools(device="cpu", devices=2))
    assert digests(two) == digests(again)
    told = json.loads(two["selection"].read_text())
    assert (told["device"], told["devices"]) == ("cpu", 2)
    found, expected = (safetensors.torch.load_file(outputs["weights_1"]) for outputs in (two, one))
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        # Sums in another order, through a few steps of small batches; a wrong share or norm would be off by tenths.
        torch.testing.assert_close(found[name], tensor, rtol=2e-3, atol=2e-4)
    for here, there in zip(_history(one), _history(two), strict=True):
        assert here == pytest.approx(there, rel=1e-3)


def _history(outputs: dict[str, Path]) -> list[dict[str, float]]:
    with outputs["history"].open(newline="") as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


def test_a_training_of_two_processes_goes_on_in_the_same_bytes(data: small_data.Data, tmp_path: Path) -> None:
    settings = section(dropout=0.2, epochs=3)
    once = digests(train(data, tmp_path / "once", settings, Tools(device="cpu", devices=2)))
    state = tmp_path / "state"
    killer = Killer(10)  # in the second epoch: three batches, and two of three held-out videos here
    with pytest.raises(Killed):
        train(data, tmp_path / "out", settings, Tools(device="cpu", devices=2, partial=state, progress=killer))
    assert (state / "state.safetensors").is_file()
    assert digests(train(data, tmp_path / "out", settings, Tools(device="cpu", devices=2, partial=state))) == once
    assert not multiprocessing.active_children()


def _dying(job: str, place: Place, tools: Tools) -> None:
    place.fabric("32-true")
    if place.rank:
        os.kill(os.getpid(), signal.SIGKILL)
    distributed.total(torch.ones(1))


@pytest.mark.timeout(120)
@pytest.mark.parametrize("met", [False, True])
def test_a_process_that_is_killed_ends_the_others_and_is_told(tmp_path: Path, met: bool) -> None:
    def kill() -> None:
        while not (others := multiprocessing.active_children()):
            time.sleep(0.001)
        others[0].kill()

    if not met:
        threading.Thread(target=kill).start()
    with pytest.raises(WorkerDiedError, match="a process of the training died"):
        distributed.run(_dying, "", Place(0, 2), Tools(device="cpu"), tmp_path / "meeting")
    assert not multiprocessing.active_children()


def _norm(job: Path, place: Place, tools: Tools) -> None:
    """Train a batch norm on this rank's half of a batch of uneven halves; leave its gradients and statistics."""
    place.fabric("32-true")
    norm = _network()
    distributed.synchronize(norm, place)
    images = _images().requires_grad_()
    share = images[:1] if place.rank == 0 else images[1:]
    _target(norm(share)).backward()
    gradient = images.grad
    assert gradient is not None
    for value in (gradient, norm[0].weight.grad, norm[0].bias.grad):
        distributed.total(value)
    found = {"images": gradient, "weight": norm[0].weight.grad, "bias": norm[0].bias.grad}
    torch.save(found | {"mean": norm[0].running_mean, "var": norm[0].running_var}, job / str(place.rank))


def _network() -> Any:
    return nn.Sequential(nn.BatchNorm2d(3), nn.ReLU())


def _images() -> torch.Tensor:
    return torch.linspace(-3, 5, 4 * 3 * 5 * 2).sin().reshape(4, 3, 5, 2)


def _target(made: torch.Tensor) -> torch.Tensor:
    return (made.pow(3) * torch.arange(made[0].numel()).reshape(made.shape[1:])).sum()


def test_batch_norm_over_processes_is_batch_norm_over_the_whole_batch(tmp_path: Path) -> None:
    norm, images = _network(), _images().requires_grad_()
    _target(norm(images)).backward()
    expected = {"images": images.grad, "weight": norm[0].weight.grad, "bias": norm[0].bias.grad}
    expected |= {"mean": norm[0].running_mean, "var": norm[0].running_var}
    distributed.run(_norm, tmp_path, Place(0, 2), Tools(), tmp_path / "meeting")
    for rank in ("0", "1"):
        torch.testing.assert_close(torch.load(tmp_path / rank), expected, rtol=1e-4, atol=1e-3)


def _fail(job: int, place: Place, tools: Tools) -> None:
    if place.rank == job:
        raise RuntimeError(f"rank {job} fails")
    distributed.total(torch.ones(1))


@pytest.mark.parametrize("rank", [1, pytest.param(0, marks=pytest.mark.long)])
def test_a_process_that_fails_ends_the_others(tmp_path: Path, rank: int) -> None:
    with pytest.raises(RuntimeError, match="rank 0 fails" if rank == 0 else "(?i)closed|reset|rank"):
        distributed.run(_fail, rank, Place(0, 2), Tools(), tmp_path / "meeting")


def test_more_devices_than_crops_in_a_batch_is_a_message(data: small_data.Data, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"models\.batch_size: 4: fewer crops than the 5 devices"):
        train(data, tmp_path / "out", section(), Tools(device="cpu", devices=5))


def test_each_has_gpus_of_its_own_and_waits_where_none_is_free(tmp_path: Path) -> None:
    names, held, most, said = ["0", "1"], set[int](), 0, list[str]()

    def work(number: int) -> None:
        nonlocal most
        with gpus.lease(names, 1, said.append, tmp_path) as mine:
            assert not held & set(mine)
            held.update(mine)
            most = max(most, len(held))
            time.sleep(0.3)
            held.difference_update(mine)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    assert most == 2
    assert any("waiting for 1 of 2 GPUs" in line for line in said)


def test_one_training_may_have_several_gpus_but_no_more_than_there_are(tmp_path: Path) -> None:
    with gpus.lease(["0", "1", "2"], 2, print, tmp_path) as mine:
        assert mine == (0, 1)
        with gpus.lease(["0", "1", "2"], 1, print, tmp_path) as other:
            assert other == (2,)
    with pytest.raises(UserError, match="--devices 2: torch sees 1 GPUs"), gpus.lease(["0"], 2, print, tmp_path):
        pass


def test_a_killed_holder_holds_no_gpu(tmp_path: Path) -> None:
    code = f"""
import time
from pathlib import Path
from trueframe import gpus
with gpus.lease(["0"], 1, print, Path({str(tmp_path)!r})):
    print("held", flush=True)
    time.sleep(60)
"""
    holder = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    with gpus.lease(["0"], 1, print, tmp_path) as mine:
        assert mine == (0,)
