"""Networks as they are built, kept and given weights, on the smallest that timm has."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import safetensors.torch
import timm
import torch

from trueframe import card, network
from trueframe.errors import UserError

ENCODER = "test_efficientnet"
PUBLISHED = "test_efficientnet.r160_in1k"


def built(encoder: str = ENCODER, weights: str = "none", size_px: int = 32, seed: int = 0) -> network.Network:
    torch.manual_seed(seed)
    return network.build(encoder, weights, size_px=size_px, holdout_fold=2, dropout=0.5)


def environment() -> dict[str, str]:
    """For another process that imports what this one does."""
    return {**os.environ, "PYTHONPATH": ":".join(sys.path)}


def test_a_saved_network_comes_back_with_its_card_and_its_scores(tmp_path: Path) -> None:
    made = built().eval()
    network.save(made, tmp_path / "weights.safetensors", epoch=4)
    loaded = network.load(tmp_path / "weights.safetensors")
    assert card.read(tmp_path / "weights.safetensors") == loaded.card == replace(made.card, epoch=4)
    assert made.card == card.Card(ENCODER, 32, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), 2, 0)
    images = torch.randint(0, 256, (3, 32, 32, 3), dtype=torch.uint8)
    with torch.inference_mode():
        logits = loaded(images)
        assert torch.equal(logits, made(images))
    assert logits.shape == (3,)
    assert not loaded.training


def test_images_are_normalized_as_the_encoder_expects() -> None:
    made = built()
    seen = []
    made.encoder = torch.nn.Sequential(torch.nn.Flatten())
    made.encoder.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    image = torch.tensor([0, 51, 255], dtype=torch.uint8).expand(1, 32, 32, 3)
    made(image)
    assert seen[0].shape == (1, 3, 32, 32)
    expected = [(0 - 0.485) / 0.229, (0.2 - 0.456) / 0.224, (1 - 0.406) / 0.225]
    assert seen[0][0, :, 5, 7].tolist() == pytest.approx(expected, abs=1e-6)


def test_equal_weights_are_equal_bytes_in_every_process(tmp_path: Path) -> None:
    network.save(built(), tmp_path / "here.safetensors", epoch=0)
    code = (
        "import torch; from trueframe import network; from pathlib import Path; torch.manual_seed(0);"
        f"network.save(network.build({ENCODER!r}, 'none', size_px=32, holdout_fold=2, dropout=0.5), Path('there'), 0)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment(), check=True)
    assert (tmp_path / "there").read_bytes() == (tmp_path / "here.safetensors").read_bytes()


def test_a_transformer_takes_the_size_that_is_asked_for() -> None:
    assert built("test_vit", size_px=48)(torch.zeros(2, 48, 48, 3, dtype=torch.uint8)).shape == (2,)


def test_weights_of_the_hub_are_loaded_but_for_the_last_layer(tmp_path: Path) -> None:
    """Through the hub's own cache, as it is after a download: the hub itself can't be reached from everywhere."""
    published = timm.create_model(ENCODER, num_classes=1000)
    commit = "0" * 40
    repository = tmp_path / "hub" / f"models--timm--{PUBLISHED}"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs/main").write_text(commit)
    (repository / "snapshots" / commit).mkdir(parents=True)
    safetensors.torch.save_file(published.state_dict(), repository / "snapshots" / commit / "model.safetensors")
    code = f"""
from pathlib import Path
from trueframe import network
made = network.build({PUBLISHED!r}, "hub", size_px=32, holdout_fold=0)
network.save(made, Path("loaded.safetensors"), 0)
"""
    offline = environment() | {"HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1"}
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=offline, check=True)
    loaded = safetensors.torch.load_file(tmp_path / "loaded.safetensors")
    assert loaded.pop("classifier.weight").shape == (1, 256)
    assert loaded.pop("classifier.bias").shape == (1,)
    for name, tensor in loaded.items():
        assert torch.equal(tensor, published.state_dict()[name]), name


@pytest.mark.parametrize("encoder", sorted(timm.list_models("test_*")))
def test_each_of_timms_small_families_learns_and_comes_back(encoder: str, tmp_path: Path) -> None:
    """timm keeps a tiny member of its main families; one that knows no drop path does without."""
    torch.manual_seed(0)
    made = network.build(encoder, "none", size_px=96, holdout_fold=0, drop_path=0.1, dropout=0.1).train()
    images = torch.randint(0, 256, (2, 96, 96, 3), dtype=torch.uint8)
    made(images).square().sum().backward()
    assert any(value.grad is not None and value.grad.abs().sum() > 0 for value in made.parameters())
    network.save(made, tmp_path / "weights.safetensors", 0)
    with torch.inference_mode():
        assert torch.equal(network.load(tmp_path / "weights.safetensors")(images), made.eval()(images))


@pytest.mark.parametrize(
    ("encoder", "drops", "key"),
    [("vgg11", {"drop_path": 0.2}, "drop_path: 0.2"), ("gemma4_vit_167m_enc", {"dropout": 0.5}, "dropout: 0.5")],
)
def test_an_encoder_without_such_a_drop_is_a_message(encoder: str, drops: dict[str, float], key: str) -> None:
    with torch.device("meta"), pytest.raises(UserError, match=f"models.{key}: the encoder {encoder} has none"):
        network.build(encoder, "none", size_px=224, holdout_fold=0, **drops)


def test_a_file_fills_all_but_the_last_layer(tmp_path: Path) -> None:
    given = {name: value.contiguous() for name, value in built(seed=1).encoder.state_dict().items()}
    thousand = {"classifier.weight": torch.zeros(1000, 256), "classifier.bias": torch.zeros(1000)}
    safetensors.torch.save_file(given | thousand, tmp_path / "imagenet.safetensors")
    filled = built(weights=str(tmp_path / "imagenet.safetensors")).encoder.state_dict()
    untrained = built().encoder.state_dict()
    for name, value in filled.items():
        assert torch.equal(value, untrained[name] if name.startswith("classifier.") else given[name])
    assert not torch.equal(given["conv_stem.weight"], untrained["conv_stem.weight"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such file"),
        (b"not safetensors", "not a safetensors file"),
        ({"conv_stem.weight": torch.zeros(2)}, "does not fit models.encoder"),
    ],
)
def test_a_file_that_does_not_fit_is_named(
    tmp_path: Path, content: bytes | dict[str, torch.Tensor] | None, message: str
) -> None:
    path = tmp_path / "given.safetensors"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        safetensors.torch.save_file(content, path)
    with pytest.raises(UserError, match=message) as caught:
        built(weights=str(path))
    assert str(caught.value).startswith(f"params.yaml: models.weights: {path}: ")


def test_what_does_not_fit_is_told_by_name_and_shape(tmp_path: Path) -> None:
    state = {name: value.contiguous() for name, value in built().encoder.state_dict().items()}
    del state["conv_stem.weight"]
    state |= {"bn1.weight": torch.zeros(3), "other": torch.zeros(1)}
    safetensors.torch.save_file(state, tmp_path / "given")
    with pytest.raises(
        UserError, match=r"conv_stem.weight is missing; other is unknown; bn1.weight is \(3,\), not \(\d+,\)"
    ):
        built(weights=str(tmp_path / "given"))


def test_an_unreachable_hub_is_one_message_that_says_how_to_give_a_file(tmp_path: Path) -> None:
    code = f"from trueframe import network; network.build({ENCODER!r}, 'hub', size_px=32, holdout_fold=0)"
    offline = environment() | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=offline, capture_output=True, text=True)
    *_, last = done.stderr.strip().splitlines()
    assert "params.yaml: models.weights: hub: could not fetch the weights of test_efficientnet" in last
    assert "path of a safetensors file" in last


def test_an_unknown_encoder_is_told_its_neighbours() -> None:
    with pytest.raises(UserError, match=r"models\.encoder: mobilenet_v3_small_050: .*mobilenetv3_small_050"):
        built("mobilenet_v3_small_050")


def test_a_file_that_says_nothing_of_its_network_is_refused(tmp_path: Path) -> None:
    safetensors.torch.save_file({"a": torch.zeros(1)}, tmp_path / "weights.safetensors")
    with pytest.raises(UserError, match="its metadata has no trueframe"):
        card.read(tmp_path / "weights.safetensors")
    (tmp_path / "broken.safetensors").write_bytes(b"")
    with pytest.raises(UserError, match="not a safetensors file"):
        card.read(tmp_path / "broken.safetensors")
