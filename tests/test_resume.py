"""A training that was killed goes on after its last whole epoch, and ends in the bytes of one that was not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch

import small_data
from small_training import Killed, Killer, digests, section, train
from trueframe.tools import Tools
from trueframe.training import checkpoint

EPOCHS = 4
STEPS = 3 + 3  # of an epoch: three batches, and a batch for each of three videos held out


@dataclass
class Epochs:
    numbers: list[int] = field(default_factory=list)

    def epoch(self, number: int, figures: Mapping[str, float]) -> None:
        self.numbers.append(number)

    def finished(self, record: Any) -> None:
        """Nothing."""


def settings(**changes: Any) -> Any:
    return section(epochs=EPOCHS, keep=2, dropout=0.2, drop_path=0.1, **changes)


@pytest.fixture(scope="module")
def undisturbed(data: small_data.Data, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return digests(train(data, tmp_path_factory.mktemp("undisturbed"), settings()))


@pytest.mark.parametrize("step", [0, 2, STEPS, 2 * STEPS - 1, 2 * STEPS + 4, EPOCHS * STEPS - 1])
def test_a_training_killed_at_any_step_ends_in_the_same_bytes(
    data: small_data.Data, tmp_path: Path, undisturbed: list[str], step: int
) -> None:
    state = tmp_path / "state"
    with pytest.raises(Killed):
        train(data, tmp_path / "out", settings(), Tools(device="cpu", partial=state, progress=Killer(step)))
    heard = Epochs()
    again = Killer(1000)
    outputs = train(
        data, tmp_path / "out", settings(), Tools(device="cpu", partial=state, progress=again, tracker=heard)
    )
    assert digests(outputs) == undisturbed
    assert heard.numbers == list(range(EPOCHS))  # those of the killed run are told anew, for the tracker
    done = step // STEPS
    assert 1000 - again.after == (EPOCHS - done) * STEPS  # nothing of a finished epoch was done again
    assert bool(done) == any(f"goes on after epoch {done - 1}" in line for line in again.said)


def test_killed_again_and_again_it_still_ends_in_the_same_bytes(
    data: small_data.Data, tmp_path: Path, undisturbed: list[str]
) -> None:
    kills = 0
    while True:
        tools = Tools(device="cpu", partial=tmp_path / "state", progress=Killer(STEPS + 2))
        try:
            outputs = train(data, tmp_path / "out", settings(), tools)
        except Killed:
            kills += 1
            continue
        break
    assert kills == EPOCHS - 1
    assert digests(outputs) == undisturbed


@pytest.mark.parametrize("harm", ["truncated", "empty", "no weights", "other devices"])
def test_a_state_that_is_not_whole_or_not_of_this_place_is_not_used(
    data: small_data.Data, tmp_path: Path, undisturbed: list[str], harm: str
) -> None:
    state = tmp_path / "state"
    with pytest.raises(Killed):
        train(data, tmp_path / "out", settings(), Tools(device="cpu", partial=state, progress=Killer(2 * STEPS + 1)))
    file = state / "state.safetensors"
    whole = file.read_bytes()
    match harm:
        case "truncated":
            file.write_bytes(whole[: len(whole) // 2])
        case "empty":
            file.write_bytes(b"")
        case "no weights":
            next(state.glob("epoch_*")).unlink()
        case "other devices":
            file.write_bytes(whole.replace(rb"\"devices\": 1", rb"\"devices\": 2"))
            assert file.read_bytes() != whole
    again = Killer(1000)
    outputs = train(data, tmp_path / "out", settings(), Tools(device="cpu", partial=state, progress=again))
    assert digests(outputs) == undisturbed
    assert 1000 - again.after == EPOCHS * STEPS
    assert any("begins anew" in line for line in again.said)


def test_the_scaler_of_half_precision_comes_back_as_it_was(tmp_path: Path) -> None:
    network = torch.nn.Linear(2, 1)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**-7 / 3)
    state = checkpoint.State([], scaler.state_dict())
    checkpoint.Checkpoints(tmp_path, 1, {}).save(network, optimizer, state)
    assert checkpoint.Checkpoints(tmp_path, 1, {}).load(network, optimizer) == state


def test_mixed_precision_goes_on_in_the_same_bytes(data: small_data.Data, tmp_path: Path) -> None:
    half = settings(precision="bf16-mixed")
    once = digests(train(data, tmp_path / "once", half))
    state = tmp_path / "state"
    with pytest.raises(Killed):
        train(data, tmp_path / "out", half, Tools(device="cpu", partial=state, progress=Killer(2 * STEPS + 1)))
    assert digests(train(data, tmp_path / "out", half, Tools(device="cpu", partial=state))) == once
