"""models: the training of one network, a seed's. Reads from top to bottom: data, model, loss, loop, checkpoint."""

from __future__ import annotations

import csv
import multiprocessing
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from trueframe import dataset, network, sampling, scoring
from trueframe.augment import Augment
from trueframe.dataset import Crops, TrainingSet, letterbox
from trueframe.errors import UserError
from trueframe.files import canonical_json
from trueframe.loss import balanced_bce, log_losses
from trueframe.schedule import polynomial

if TYPE_CHECKING:
    from trueframe.params import Models
    from trueframe.tools import Tools

Loader = DataLoader[tuple[torch.Tensor, torch.Tensor]]


@dataclass(frozen=True)
class Epoch:
    """A row of the history, counted from 0. lr: of the last batch; losses: means; figure: the lowest is chosen."""

    epoch: int
    lr: float
    train_loss: float
    train_fakes: int
    train_reals: int
    val_fake_log_loss: float
    val_real_log_loss: float
    val_log_loss: float
    val_figure: float


def run(
    *,
    unit: str,
    folds: Path,
    crops: Mapping[str, Path],
    landmarks: Mapping[str, Path],
    masks: Mapping[str, Path],
    weights: Path,
    history: Path,
    selection: Path,
    params: Models,
    tools: Tools,
) -> dict[str, int]:
    """Train the network of seed `unit` and keep the epoch that validates best.

    Raises UserError when there is nothing to train or validate on, the encoder's weights can't be had, or the loss is
    no number any more.
    """
    seed = int(unit)
    device = scoring.prepare(tools.device, params.threads)

    # Data: balanced epochs of the training folds; every so many frames of the fold held out.
    table = dataset.faces(folds, landmarks, masks)
    faces = Crops.of(table, crops, masks)
    train, unswapped = sampling.training_rows(table, faces, params, tools.workers)
    held = sampling.validation_rows(table, params)
    batches = sampling.Batches(train, faces.label, seed, params.batch_size, params.batches_per_epoch)
    items = TrainingSet(faces, Augment(params.augmentation, params.size_px), seed)
    loader = _loader(items, batches, tools.workers - 1, device)

    # Model.
    torch.manual_seed(_torch_seed(dataset.WEIGHTS, seed))
    net = network.build(
        params.encoder,
        params.weights,
        size_px=params.size_px,
        holdout_fold=params.holdout_fold,
        drop_path=params.drop_path,
        dropout=params.dropout,
    )
    optimizer = torch.optim.SGD(
        net.parameters(),
        lr=params.lr,
        momentum=params.momentum,
        nesterov=params.momentum > 0,
        weight_decay=params.weight_decay,
    )
    # One device and one process, also where a cluster's variables would make Fabric look for more.
    fabric = Fabric(accelerator=device, devices=1, precision=params.precision, plugins=[LightningEnvironment()])
    model, optimizer = fabric.setup(net, optimizer)

    # Loop: train on an epoch's sample, validate, keep a checkpoint.
    epochs: list[Epoch] = []
    start = time.monotonic()
    work = params.epochs * (len(batches.draws()) + len(held))
    with _scratch(weights) as scratch, tools.progress.task(work, "crops") as advance:
        for number in range(params.epochs):
            batches.epoch = number
            torch.manual_seed(_torch_seed(dataset.NOISE, seed, number))
            lr, loss = _train(fabric, model, optimizer, loader, number * len(batches), params, advance)
            scores = _validate(fabric, model, faces, held, params, tools.workers, advance)
            fake, real = _video_log_losses(table.iloc[held], scores)
            if not np.isfinite([loss, fake, real]).all():
                raise UserError(
                    f"params.yaml: models.lr: {params.lr}: the loss is {loss} in epoch {number}; set a lower rate"
                )
            epochs.append(_epoch(number, lr, loss, faces.label[batches.draws()[:, 0]], fake, real, params))
            network.save(net, scratch / f"{number:04d}.safetensors")
            tools.tracker.epoch(number, {name: value for name, value in asdict(epochs[-1]).items() if name != "epoch"})
            tools.progress.say(_news(epochs, params.epochs, time.monotonic() - start))

        # Checkpoint: of the epoch with the lowest figure, the earliest of equals.
        best = min(epochs, key=lambda epoch: epoch.val_figure)
        shutil.copyfile(scratch / f"{best.epoch:04d}.safetensors", weights)
    faces.close()
    _write_history(history, epochs)
    story = _story(seed, best, table.iloc[train], table.iloc[held], unswapped, params)
    selection.write_text(canonical_json(story), encoding="utf-8")
    return {"weights": 1, "history": len(epochs), "selection": 1}


def _torch_seed(*key: int) -> int:
    """A seed for torch's one generator, from a key as dataset.generator takes it."""
    return int(dataset.generator(*key).integers(2**63 - 1))


def _loader(items: TrainingSet, batches: sampling.Batches, workers: int, device: str) -> Loader:
    """Batches of (images, labels), made in `workers` processes that live as long as the loader; in this one for 0.

    They are forked from a server that has imported once what all need, not from this process, which has threads: a copy
    of such a process can hang.
    """
    server = multiprocessing.get_context("forkserver")
    server.set_forkserver_preload(["trueframe.augment", "albumentations"])
    return DataLoader(
        items,  # type: ignore[arg-type]
        batch_sampler=batches,
        num_workers=workers,
        persistent_workers=workers > 0,
        multiprocessing_context=server if workers else None,
        worker_init_fn=dataset.one_thread,
        pin_memory=device == "cuda",
        generator=torch.Generator(),  # its own, so that the network's random numbers don't depend on workers
    )


@contextmanager
def _scratch(weights: Path) -> Iterator[Path]:
    """An empty folder beside the weights, gone afterwards; the runner removes it too when this process is killed."""
    folder = weights.with_name(f"{weights.name}.spool")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def _train(
    fabric: Fabric,
    model: Any,
    optimizer: Any,
    loader: Loader,
    done: int,
    params: Models,
    advance: Callable[[int], None],
) -> tuple[float, float]:
    """Train one epoch; returns the last batch's learning rate and the mean loss. done: batches of earlier epochs.

    Half precision gives no number now and then; its scaler leaves out such a batch's step, and the mean does, too.
    """
    length = params.schedule_batches or params.epochs * len(loader)
    lr, losses = 0.0, []
    model.train()
    for batch, (images, labels) in enumerate(loader):
        lr = polynomial(params.lr, done + batch, length, params.lr_power)
        for group in optimizer.param_groups:
            group["lr"] = lr
        logits = model(images.to(fabric.device, non_blocking=True))
        loss = balanced_bce(logits, labels.to(fabric.device, non_blocking=True), params.label_smoothing)
        optimizer.zero_grad()
        fabric.backward(loss)
        fabric.clip_gradients(model, optimizer, max_norm=params.clip_norm, error_if_nonfinite=False)
        optimizer.step()
        losses.append(loss.detach())
        advance(len(images))
    found = torch.stack(losses).double().cpu()
    return lr, float(found[found.isfinite()].mean())


def _validate(
    fabric: Fabric,
    model: Any,
    faces: Crops,
    rows: NDArray[np.int64],
    params: Models,
    workers: int,
    advance: Callable[[int], None],
) -> NDArray[np.float64]:
    """Probability of fake per row, as predictions computes it."""
    model.eval()
    return scoring.scores(
        model,
        lambda number: letterbox(faces.image(int(rows[number])), params.size_px),
        len(rows),
        batch_size=params.batch_size,
        device=fabric.device,
        workers=workers,
        advance=advance,
    )


def _video_log_losses(crops: pd.DataFrame, scores: NDArray[np.float64]) -> tuple[float, float]:
    """The mean log loss of the fake videos and of the real ones; a video's score is the mean of its crops'."""
    videos = crops.assign(score=scores).groupby(["part", "video"])[["score", "label"]].mean()
    return log_losses(videos["score"].to_numpy(), videos["label"].to_numpy())


def _epoch(
    number: int, lr: float, loss: float, drawn: NDArray[np.int8], fake: float, real: float, params: Models
) -> Epoch:
    fakes = int(drawn.sum())
    figure = (params.choice_fake_weight * fake + real) / 2
    return Epoch(number, lr, loss, fakes, len(drawn) - fakes, fake, real, (fake + real) / 2, figure)


def _news(epochs: list[Epoch], count: int, seconds: float) -> str:
    last = epochs[-1]
    left = seconds / len(epochs) * (count - len(epochs))
    return (
        f"epoch {last.epoch} ({len(epochs)} of {count}): train loss {last.train_loss:.4f}, validation log loss "
        f"{last.val_fake_log_loss:.4f} fake, {last.val_real_log_loss:.4f} real, figure {last.val_figure:.4f}, "
        f"{left:.0f} s left"
    )


def _write_history(path: Path, epochs: list[Epoch]) -> None:
    """A row per epoch; numbers in as many digits as bring back the same float."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Epoch)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(epoch) for epoch in epochs)


def _counts(crops: pd.DataFrame) -> dict[str, int]:
    return {"fake": int((crops["label"] == 1).sum()), "real": int((crops["label"] == 0).sum())}


def _story(
    seed: int, best: Epoch, train: pd.DataFrame, held: pd.DataFrame, unswapped: int, params: Models
) -> dict[str, Any]:
    """How the epoch was chosen, on what."""
    videos = held[["part", "video", "label"]].drop_duplicates()
    names = videos["part"] + "/" + videos["video"]
    return {
        "seed": seed,
        "rule": f"lowest ({params.choice_fake_weight!r} * fake log loss + real log loss) / 2, the earliest of equals",
        "chosen": asdict(best),
        "epochs": params.epochs,
        "holdout_fold": params.holdout_fold,
        "training_crops": _counts(train) | {"left_out_unswapped": unswapped},
        "validation_crops": _counts(held),
        "validation_videos": {
            "fake": names[videos["label"] == 1].tolist(),
            "real": names[videos["label"] == 0].tolist(),
        },
    }
