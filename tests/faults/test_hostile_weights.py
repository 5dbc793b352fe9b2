"""Weights that would run code, or are not of the network that their card tells: nothing in them is run."""

from __future__ import annotations

import json
import os
import pickle
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import timm
import torch

from hostile import ENCODER, Payload, weights
from trueframe import card, network
from trueframe.errors import UserError

PUBLISHED = "test_efficientnet.r160_in1k"


@pytest.mark.parametrize("protocol", [2, 3, 4, 5, "torch", "torch before 1.6"])
def test_a_pickle_is_refused_by_its_content_and_runs_nothing(tmp_path: Path, protocol: int | str) -> None:
    path, pwned = tmp_path / "weights.safetensors", tmp_path / "pwned"
    if isinstance(protocol, int):
        path.write_bytes(pickle.dumps(Payload(pwned), protocol))
    else:
        torch.save(Payload(pwned), path, _use_new_zipfile_serialization=protocol == "torch")
    reads: list[Callable[[], Any]] = [
        lambda: network.build(ENCODER, str(path), size_px=32, holdout_fold=0),
        lambda: network.load(path),
        lambda: card.read(path),
    ]
    for read in reads:
        with pytest.raises(UserError, match=r"weights\.safetensors: a pickle by its content, .* may run any code"):
            read()
    assert not pwned.exists()
    path.rename(tmp_path / "weights.pt")
    if isinstance(protocol, int):
        pickle.loads((tmp_path / "weights.pt").read_bytes())  # noqa: S301 - that is what it is for
    else:
        torch.load(tmp_path / "weights.pt", weights_only=False)
    assert pwned.exists()  # it would have


@pytest.mark.parametrize("name", ["w.pth", "w.pt", "w.bin", "w.ckpt", "w.pkl", "w.PTH", "w.pth.tar"])
def test_a_pickle_is_refused_by_its_name_whatever_is_in_it(tmp_path: Path, name: str) -> None:
    path = weights(tmp_path / name)
    with pytest.raises(UserError, match=rf"params\.yaml: models\.weights: {path}: named \.\w+, as pickles are"):
        network.build(ENCODER, str(path), size_px=32, holdout_fold=0)
    path.unlink()
    with pytest.raises(UserError, match="as pickles are"):
        network.build(ENCODER, str(path), size_px=32, holdout_fold=0)


def test_a_header_that_begins_as_a_pickle_does_is_none(tmp_path: Path) -> None:
    """A header of 1152 bytes: the file begins with 0x80 and 4."""
    path = tmp_path / "w.safetensors"
    header = json.dumps({"__metadata__": {"x": "y"}}).encode().ljust(0x0480)
    path.write_bytes(struct.pack("<Q", len(header)) + header)
    card.refuse_pickle(path, "x")
    with pytest.raises(UserError, match="its metadata has no trueframe"):
        card.read(path)


def test_the_hub_is_asked_for_safetensors_alone(tmp_path: Path) -> None:
    """A repository of the hub's that has a pickle and nothing else, as it is after a download."""
    commit = "0" * 40
    repository = tmp_path / "hub" / f"models--timm--{PUBLISHED}"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs/main").write_text(commit)
    (repository / "snapshots" / commit).mkdir(parents=True)
    state = timm.create_model(ENCODER).state_dict()
    torch.save(state, repository / "snapshots" / commit / "pytorch_model.bin")
    # The hub itself says that it has no other.
    (repository / ".no_exist" / commit).mkdir(parents=True)
    (repository / ".no_exist" / commit / "model.safetensors").touch()
    code = f"""
import timm, torch
from trueframe import network
from trueframe.errors import UserError
timm.create_model({PUBLISHED!r}, pretrained=True)  # left to itself, timm reads it
def load(*args, **more): raise SystemExit("read a pickle")
torch.load = load
try:
    network.build({PUBLISHED!r}, "hub", size_px=32, holdout_fold=0)
except UserError as error:
    print(error)
"""
    offline = {**os.environ, "PYTHONPATH": ":".join(sys.path), "HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run([sys.executable, "-c", code], env=offline, capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"params.yaml: models.weights: hub: could not fetch the weights of {PUBLISHED}")


def test_an_encoder_that_the_hub_has_as_a_pickle_alone_is_refused() -> None:
    name = next(name for name in timm.list_models(pretrained=True) if not timm.get_pretrained_cfg(name).hf_hub_id)
    with (
        torch.device("meta"),
        pytest.raises(UserError, match=f"models.weights: hub: of {name} the hub has no safetens"),
    ):
        network.build(name, "hub", size_px=224, holdout_fold=0)


GOOD = {
    "format": 1,
    "encoder": ENCODER,
    "size_px": 32,
    "mean": [0.5] * 3,
    "std": [0.5] * 3,
    "holdout_fold": 0,
    "epoch": 0,
}
CARDS = {
    "of a hub": (GOOD | {"encoder": "hf-hub:someone/model"}, "timm .* has none such"),
    "of a folder": (GOOD | {"encoder": "local-dir:/tmp"}, "timm .* has none such"),
    "of unknown weights": (
        GOOD | {"encoder": f"{ENCODER}.evil"},
        "timm .* has no such weights of test_efficientnet; it",
    ),
    "of another network": (GOOD | {"encoder": "test_vit"}, "its tensors are not those of test_vit"),
    "that is huge": (GOOD | {"size_px": 1 << 40}, "does not tell its network .*less than or equal to 1024"),
    "that is short": ({"format": 1, "encoder": ENCODER}, "does not tell its network .*"),
    "without a format": ({name: value for name, value in GOOD.items() if name != "format"}, "its network .no format"),
    "that is newer": (GOOD | {"format": 2}, "format 2, expected 1: a newer trueframe made it"),
    "that is a list": ([GOOD], "does not tell its network"),
    "of two colours": (GOOD | {"mean": [0.5, 0.5]}, "does not tell its network"),
}


@pytest.mark.parametrize("name", [*CARDS, "no JSON", "deep"])
def test_a_card_that_is_not_ours_is_refused_by_the_files_name(tmp_path: Path, name: str) -> None:
    odd = {"no JSON": ("{", "does not tell its network"), "deep": ("[" * 100_000, "does not tell its network")}
    told, message = odd[name] if name in odd else (json.dumps(CARDS[name][0]), CARDS[name][1])
    path = weights(tmp_path / "weights.safetensors", told)
    with pytest.raises(UserError, match=message) as caught:
        network.load(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_the_card_that_those_were_made_of_is_one(tmp_path: Path) -> None:
    assert network.load(weights(tmp_path / "weights.safetensors", json.dumps(GOOD))).card.encoder == ENCODER
