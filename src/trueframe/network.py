"""The network: a timm encoder, average pooling, dropout and one logit, which takes images as they are decoded."""

from __future__ import annotations

import difflib
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import safetensors.torch
import timm
import torch
from huggingface_hub.errors import HfHubHTTPError
from safetensors import SafetensorError
from torch import Tensor, nn

from trueframe import card as cards
from trueframe.card import Card
from trueframe.errors import UserError

HUB = "hub"
_HUB_FILE = "model.safetensors"
NONE = "none"
_GIVE_A_FILE = "or name the path of a safetensors file of this encoder's weights there, or none to start untrained"


class Network(nn.Module):
    """Images to logits. `card` says what `encoder` is and what it expects."""

    mean: Tensor
    std: Tensor

    def __init__(self, card: Card, encoder: nn.Module) -> None:
        """encoder: a module that takes float images of shape (n, 3, side, side) and gives (n, 1)."""
        super().__init__()
        self.card = card
        # As the images come: convolutions need not turn either around. It changes the last bits, so always.
        self.encoder = encoder.to(memory_format=torch.channels_last)
        # Kept in the card, not in the weights.
        self.register_buffer("mean", 255 * torch.tensor(card.mean), persistent=False)
        self.register_buffer("std", 255 * torch.tensor(card.std), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Logits of fake, float of shape (n,), for RGB images, uint8 of shape (n, side, side, 3)."""
        logits: Tensor = self.encoder(((images - self.mean) / self.std).permute(0, 3, 1, 2))
        return logits[:, 0]


def build(
    encoder: str, weights: str, *, size_px: int, holdout_fold: int, drop_path: float = 0.0, dropout: float = 0.0
) -> Network:
    """A network to train. weights: "hub", "none" or the path of a safetensors file, as params.yaml's models.weights.

    The last layer is new, from torch's random numbers, and with "none" every layer. Raises UserError when timm has no
    such encoder, its weights can't be fetched, or the file does not fit.
    """
    require_known(encoder, f"params.yaml: models.encoder: {encoder}")
    if weights not in (HUB, NONE):
        cards.refuse_pickle(Path(weights), f"params.yaml: models.weights: {weights}")
    made = _create(encoder, weights == HUB, size_px, drop_path=drop_path, dropout=dropout)
    settings = _settings(made)
    card = Card(encoder, size_px, tuple(settings["mean"]), tuple(settings["std"]), holdout_fold, epoch=0)
    if weights not in (HUB, NONE):
        _fill(made, Path(weights))
    return Network(card, made)


def save(network: Network, path: Path, epoch: int) -> None:
    """Write the weights as they are after an epoch, and the card, as safetensors. Equal weights give equal bytes."""
    state = {name: value.detach().cpu().contiguous() for name, value in network.encoder.state_dict().items()}
    safetensors.torch.save_file(state, path, metadata=replace(network.card, epoch=epoch).metadata())


def load(path: Path) -> Network:
    """The network that `save` wrote, ready to score (in evaluation mode).

    Raises UserError for a file of anything else: it may be from elsewhere, and nothing in it is run.
    """
    card = cards.read(path)
    require_known(card.encoder, f"{path}: {card.encoder}")
    encoder = _create(card.encoder, False, card.size_px)
    try:
        encoder.load_state_dict(safetensors.torch.load_file(path))
    except RuntimeError as error:
        raise UserError(
            f"{path}: its tensors are not those of {card.encoder} ({_first_sentence(error)}); run `snakemake models`, "
            "which makes it"
        ) from error
    return Network(card, encoder).eval()


def require_known(encoder: str, where: str) -> None:
    """Raise UserError unless timm itself has the encoder: other names of its kind fetch code's settings from a hub."""
    name = encoder.partition(".")[0]
    if not timm.is_model(name):
        close = ", ".join(difflib.get_close_matches(name, timm.list_models(), 3)) or "see timm.list_models()"
        raise UserError(f"{where}: timm {timm.__version__} has none such; near it: {close}")
    try:
        timm.get_pretrained_cfg(encoder)
    except RuntimeError as error:
        known = ", ".join(timm.list_pretrained(f"{name}.*")) or "none"
        raise UserError(f"{where}: timm {timm.__version__} has no such weights of {name}; it has {known}") from error


def _from_hub(encoder: str) -> dict[str, str]:
    """What makes timm fetch an encoder's safetensors and nothing else: left to itself it may read a pickle instead."""
    published = timm.get_pretrained_cfg(encoder)
    if published is None or not published.hf_hub_id:
        raise UserError(
            f"params.yaml: models.weights: {HUB}: of {encoder} the hub has no safetensors; name another encoder, "
            f"{_GIVE_A_FILE}"
        )
    return {"hf_hub_filename": _HUB_FILE, "url": ""}


def _create(encoder: str, pretrained: bool, size_px: int, *, drop_path: float = 0.0, dropout: float = 0.0) -> nn.Module:
    # Not every encoder has both kinds of drop.
    drops = {name: rate for name, rate in (("drop_rate", dropout), ("drop_path_rate", drop_path)) if rate}
    settings: dict[str, Any] = {"num_classes": 1, **drops}
    published = timm.get_pretrained_cfg(encoder)
    if published is not None and published.fixed_input_size:
        settings["img_size"] = size_px
    if pretrained:
        settings["pretrained_cfg_overlay"] = _from_hub(encoder)
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # its retries fill a screen
    try:
        made: nn.Module = timm.create_model(encoder, pretrained=pretrained, **settings)
    except TypeError as error:
        key, rate = ("drop_path", drop_path) if "'drop_path_rate'" in str(error) else ("dropout", dropout)
        if not any(repr(name) in str(error) for name in drops):
            raise
        raise UserError(f"params.yaml: models.{key}: {rate}: the encoder {encoder} has none; set it to 0.0") from error
    except (OSError, HfHubHTTPError) as error:
        if not pretrained:
            raise
        raise UserError(
            f"params.yaml: models.weights: {HUB}: could not fetch the weights of {encoder} ({_first_sentence(error)}); "
            f"connect to the hub, {_GIVE_A_FILE}"
        ) from error
    return made


def _settings(encoder: nn.Module) -> dict[str, Any]:
    """What timm says of an encoder: the mean and deviation of its images, the names of its last layer, …"""
    return cast("dict[str, Any]", encoder.pretrained_cfg)


def _fill(encoder: nn.Module, path: Path) -> None:
    """Put a file's tensors into the encoder, but for the last layer, which stays new."""
    where = f"params.yaml: models.weights: {path}"
    try:
        found = safetensors.torch.load_file(path)
    except FileNotFoundError as error:
        raise UserError(f"{where}: no such file; expected {HUB}, {NONE} or the path of a safetensors file") from error
    except (SafetensorError, OSError) as error:
        raise UserError(
            f"{where}: not a safetensors file ({_first_sentence(error)}); save them with safetensors.torch.save_file"
        ) from error
    wanted = encoder.state_dict()
    names = _settings(encoder)["classifier"]  # of the last layer, or of several
    head = tuple(f"{name}." for name in ([names] if isinstance(names, str) else names))
    body = {name for name in wanted if not name.startswith(head)}
    wrong = [f"{name} is missing" for name in sorted(body - found.keys())]
    wrong += [f"{name} is unknown" for name in sorted(found.keys() - wanted.keys()) if not name.startswith(head)]
    wrong += [
        f"{name} is {tuple(found[name].shape)}, not {tuple(wanted[name].shape)}"
        for name in sorted(body & found.keys())
        if found[name].shape != wanted[name].shape
    ]
    if wrong:
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise UserError(f"{where}: does not fit models.encoder: {'; '.join(wrong[:3])}{more}; give this encoder's own")
    encoder.load_state_dict({name: found[name] for name in body}, strict=False)


def _first_sentence(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].partition(". ")[0]
