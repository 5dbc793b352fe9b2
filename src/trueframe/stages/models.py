"""models: the training of one network, a seed's. Reads from top to bottom: data, model, loop."""

from __future__ import annotations

import csv
import multiprocessing
import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from trueframe import dataset, network, pooling, scoring, tables
from trueframe.dataset import Crops, TrainingSet, letterbox
from trueframe.errors import UserError, WorkerDiedError
from trueframe.files import canonical_json, partial, publish
from trueframe.network import Network
from trueframe.training import distributed, roles, sampling
from trueframe.training.augment import Augment
from trueframe.training.checkpoint import Checkpoints, State
from trueframe.training.distributed import Place
from trueframe.training.loss import balanced_bce, log_losses
from trueframe.training.schedule import polynomial

if TYPE_CHECKING:
    from trueframe.params import Models
    from trueframe.tools import Tools

Loader = DataLoader[tuple[torch.Tensor, torch.Tensor]]


@dataclass(frozen=True)
class Epoch:
    """A row of the history, counted from 0.

    lr: of the last batch; losses: means; dropped: left out of training as unswapped; the lowest figures are chosen.
    """

    epoch: int
    lr: float
    train_loss: float
    train_fakes: int
    train_reals: int
    dropped_crops: int
    dropped_tracks: int
    val_fake_log_loss: float
    val_real_log_loss: float
    val_log_loss: float
    val_figure: float


@dataclass(frozen=True)
class Job:
    """A training, as each of its processes gets it.

    faces: all crops; held: rows of `faces` that validate; starts: of each of their videos in `held`, and its end.
    """

    seed: int
    params: Models
    faces: Crops
    train: sampling.Training
    held: NDArray[np.int64]
    starts: NDArray[np.int64]
    checkpoints: Path


def run(
    *,
    unit: str,
    folds: Path,
    crops: Mapping[str, Path],
    landmarks: Mapping[str, Path],
    masks: Mapping[str, Path],
    changes: Mapping[str, Path],
    weights: Sequence[Path],
    history: Path,
    selection: Path,
    videos: Path,
    params: Models,
    tools: Tools,
) -> dict[str, int]:
    """Train the network of seed `unit` and keep the epochs that validate best.

    weights: a path for each of the params.keep best, the best first; videos: what became of each (tables.ROLES). A
    training that was killed goes on after its last whole epoch, where tools.partial has its state. Raises UserError
    when there is nothing to train or validate on, the encoder's weights can't be had, or the loss is no number any
    more.
    """
    kind = scoring.prepare(tools.device, params.threads)
    if kind == "cpu" and params.precision == "16-mixed":
        raise UserError(
            f"params.yaml: models.precision: {params.precision}: float16 needs a GPU; set bf16-mixed or 32-true here"
        )
    if params.batch_size < tools.devices:
        raise UserError(
            f"params.yaml: models.batch_size: {params.batch_size}: fewer crops than the {tools.devices} devices that "
            "share a batch; set a larger batch, or fewer --devices"
        )
    table = dataset.faces(folds, landmarks, changes)
    train, held = sampling.training_rows(table, params), sampling.validation_rows(table, params)
    with _folder(tools.partial, weights[0]) as folder, tools.gpus(kind) as held_gpus:
        place = Place(0, tools.devices, held_gpus)
        faces = Crops.of(table, crops, masks)
        job = Job(int(unit), params, faces, train, held, _starts(table.iloc[held]), folder)
        epochs = distributed.run(_train, job, place, tools, folder / "meeting")
        checkpoints = _checkpoints(job, place)
        best = checkpoints.best(map(asdict, epochs))
        for number, path in zip(best, weights, strict=True):
            shutil.copyfile(checkpoints.weights(number), path)
    _write_history(history, epochs)
    kept = [asdict(epochs[number]) | {"sha256": tools.sha256(path)} for number, path in zip(best, weights, strict=True)]
    story = _story(job, kept, table, place)
    selection.write_text(canonical_json(story), encoding="utf-8")
    batches = _batches(job, place)
    seen = (batches.draws(number) for number in range(max(best) + 1))
    told = tables.write(videos, roles.roles(table, train.rows, held, seen, params), tables.ROLES)
    return {"weights": 1, "history": len(epochs), "selection": len(kept), "videos": told}


def _train(job: Job, place: Place, tools: Tools) -> list[Epoch]:
    """Train and validate epoch by epoch, and leave the best epochs' weights in the checkpoints; gives the history."""
    params = job.params
    scoring.prepare(place.kind, params.threads)

    # Data: balanced epochs of the training folds, a share for each process.
    batches = _batches(job, place)
    items = TrainingSet(job.faces, Augment(params.augmentation, params.size_px), job.seed)
    loader = _loader(items, batches, tools.workers // place.ranks - 1, place)

    # Model.
    torch.manual_seed(_torch_seed(dataset.WEIGHTS, job.seed))
    net = network.build(
        params.encoder,
        params.weights,
        size_px=params.size_px,
        holdout_fold=params.holdout_fold,
        drop_path=params.drop_path,
        dropout=params.dropout,
    )
    distributed.synchronize(net, place)
    sgd = torch.optim.SGD(
        net.parameters(),
        lr=params.lr,
        momentum=params.momentum,
        nesterov=params.momentum > 0,
        weight_decay=params.weight_decay,
    )
    fabric = place.fabric(params.precision)
    model, optimizer = fabric.setup(net, sgd)

    # Loop: train on an epoch's sample, validate, keep the state to go on from.
    checkpoints = _checkpoints(job, place)
    epochs = _resume(checkpoints, net, sgd, fabric, tools)
    start, before = time.monotonic(), len(epochs)
    work = (params.epochs - before) * (len(batches.draws()) + len(job.held)) // place.ranks
    with tools.progress.task(work, "crops") as advance:
        for number in range(before, params.epochs):
            batches.epoch = number
            torch.manual_seed(_torch_seed(dataset.NOISE, job.seed, number, place.rank))
            lr, loss = _train_epoch(fabric, model, optimizer, loader, batches, params, advance)
            fake, real = _validate(fabric, net, job, place, tools.workers, advance)
            if not np.isfinite([loss, fake, real]).all():
                raise UserError(
                    f"params.yaml: models.lr: {params.lr}: the loss is {loss} in epoch {number}; set a lower rate"
                )
            epochs.append(_epoch(number, lr, loss, job, batches, fake, real))
            if place.rank == 0:
                _keep(checkpoints, net, sgd, fabric, epochs)
            _tell(tools, epochs[-1])
            tools.progress.say(_news(epochs, params.epochs, (time.monotonic() - start) / (len(epochs) - before)))
    job.faces.close()
    return epochs


@contextmanager
def _folder(partial: Path | None, weights: Path) -> Iterator[Path]:
    """Where checkpoints lie: in `partial`, which stays until the runner removes it, else beside the weights.

    The processes' meeting point lies there, too, and is new for each run.
    """
    folder = partial or weights.with_name(f"{weights.name}.spool")
    if partial is None:
        shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "meeting").unlink(missing_ok=True)
    try:
        yield folder
    finally:
        if partial is None:
            shutil.rmtree(folder)


def _batches(job: Job, place: Place) -> sampling.Batches:
    params = job.params
    return sampling.Batches(
        job.train.rows, job.faces.label, job.seed, params.batch_size, params.batches_per_epoch, place.rank, place.ranks
    )


def _checkpoints(job: Job, place: Place) -> Checkpoints:
    return Checkpoints(job.checkpoints, job.params.keep, {"device": place.kind, "devices": place.ranks})


def _resume(
    checkpoints: Checkpoints, net: Network, sgd: torch.optim.Optimizer, fabric: Fabric, tools: Tools
) -> list[Epoch]:
    """The epochs of the run before, whose state the network, the optimizer and the scaler then have."""
    state = checkpoints.load(net, sgd)
    if state is None:
        if checkpoints.state.exists():
            tools.progress.say(
                "begins anew: what a run before this one left is not whole, or of other devices or torch"
            )
        return []
    fabric.strategy.precision.load_state_dict(state.scaler)
    epochs = [Epoch(**row) for row in state.epochs]
    for epoch in epochs:
        _tell(tools, epoch)
    tools.progress.say(f"goes on after epoch {epochs[-1].epoch}, which a run before this one finished")
    return epochs


def _keep(
    checkpoints: Checkpoints, net: Network, sgd: torch.optim.Optimizer, fabric: Fabric, epochs: list[Epoch]
) -> None:
    rows = [asdict(epoch) for epoch in epochs]
    number = epochs[-1].epoch
    if number in checkpoints.best(rows):
        network.save(net, partial(checkpoints.weights(number)), number)
        publish(checkpoints.weights(number))
    checkpoints.save(net, sgd, State(rows, fabric.strategy.precision.state_dict()))


def _tell(tools: Tools, epoch: Epoch) -> None:
    tools.tracker.epoch(epoch.epoch, {name: value for name, value in asdict(epoch).items() if name != "epoch"})


def _torch_seed(*key: int) -> int:
    """A seed for torch's one generator, from a key as dataset.generator takes it."""
    return int(dataset.generator(*key).integers(2**63 - 1))


def _loader(items: TrainingSet, batches: sampling.Batches, workers: int, place: Place) -> Loader:
    """Batches of (images, labels), made in `workers` processes that live as long as the loader; in this one for 0.

    They are forked from a server that has imported once what all need, not from this process, which has threads: a copy
    of such a process can hang.
    """
    server = multiprocessing.get_context("forkserver")
    server.set_forkserver_preload(["trueframe.training.augment", "albumentations"])
    return DataLoader(
        items,  # type: ignore[arg-type]
        batch_sampler=batches,
        num_workers=max(0, workers),
        persistent_workers=workers > 0,
        multiprocessing_context=server if workers > 0 else None,
        worker_init_fn=dataset.one_thread,
        pin_memory=place.kind == "cuda",
        generator=torch.Generator(),  # its own, so that the network's random numbers don't depend on workers
    )


def _batches_of(loader: Loader) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """The loader's batches. torch puts a worker's traceback before the message of its UserError; here it goes. A worker
    that died has no class of error of its own there, only words.
    """
    try:
        yield from loader
    except UserError as error:
        raise UserError(str(error).rpartition(f"{UserError.__name__}: ")[2].strip()) from error
    except RuntimeError as error:
        if re.match(r"DataLoader worker \(pid.* (exited|is killed)", str(error)):
            raise WorkerDiedError("a process that loads for the training died") from error
        raise


def _train_epoch(
    fabric: Fabric,
    model: Any,
    optimizer: Any,
    loader: Loader,
    batches: sampling.Batches,
    params: Models,
    advance: Callable[[int], None],
) -> tuple[float, float]:
    """Train one epoch; returns the last batch's learning rate and the mean loss.

    Half precision gives no number now and then; its scaler leaves out such a batch's step, and the mean does, too.
    """
    done = batches.epoch * len(batches)
    length = params.schedule_batches or params.epochs * len(batches)
    lr, losses = 0.0, []
    model.train()
    for batch, ((images, labels), counts) in enumerate(
        zip(_batches_of(loader), batches.classes().tolist(), strict=True)
    ):
        lr = polynomial(params.lr, done + batch, length, params.lr_power)
        for group in optimizer.param_groups:
            group["lr"] = lr
        logits = model(images.to(fabric.device, non_blocking=True))
        on_device = labels.to(fabric.device, non_blocking=True)
        loss = balanced_bce(logits, on_device, params.label_smoothing, counts)
        optimizer.zero_grad()
        fabric.backward(loss * fabric.world_size)  # DDP takes the mean over the processes, the loss is their sum
        fabric.clip_gradients(model, optimizer, max_norm=params.clip_norm, error_if_nonfinite=False)
        optimizer.step()
        losses.append(loss.detach())
        advance(len(images))
    found = distributed.total(torch.stack(losses).double()).cpu()
    return lr, float(found[found.isfinite()].mean())


def _validate(
    fabric: Fabric, net: Network, job: Job, place: Place, workers: int, advance: Callable[[int], None]
) -> tuple[float, float]:
    """The mean log loss of the fake videos and of the real ones held out, scored and pooled as predictions are.

    Each process scores its share of the batches.
    """
    net.eval()
    videos = np.repeat(np.arange(len(job.starts) - 1), np.diff(job.starts))
    numbers = scoring.batches(videos.tolist(), job.params.batch_size)[place.rank :: place.ranks]
    found = scoring.scores(
        [scoring.by_torch(net, fabric.device)],
        lambda number: letterbox(job.faces.image(int(job.held[number])), job.params.size_px),
        numbers,
        workers=max(1, workers // place.ranks),
        advance=advance,
    )[0]
    scores = torch.zeros(len(job.held), dtype=torch.float64)
    scores[[number for batch in numbers for number in batch]] = torch.from_numpy(found)
    scores = distributed.total(scores.to(fabric.device)).cpu()
    stored = scores.numpy().astype(np.float32)  # as predictions stores them
    pooled = [pooling.pool(stored[start:end], job.params.pooling)[0] for start, end in pairwise(job.starts)]
    return log_losses(np.array(pooled), job.faces.label[job.held[job.starts[:-1]]])


def _starts(held: pd.DataFrame) -> NDArray[np.int64]:
    """Where each video's rows begin, and the end of the last."""
    keys = held[["part", "video"]].to_numpy()
    new = np.flatnonzero((keys[1:] != keys[:-1]).any(axis=1)) + 1
    return np.concatenate([[0], new, [len(keys)]])


def _epoch(number: int, lr: float, loss: float, job: Job, batches: sampling.Batches, fake: float, real: float) -> Epoch:
    fakes, reals = batches.classes().sum(axis=0).tolist()
    figure = (job.params.choice_fake_weight * fake + real) / 2
    dropped = (job.train.dropped_crops, job.train.dropped_tracks)
    return Epoch(number, lr, loss, fakes, reals, *dropped, fake, real, (fake + real) / 2, figure)


def _news(epochs: list[Epoch], count: int, seconds: float) -> str:
    last = epochs[-1]
    return (
        f"epoch {last.epoch} ({len(epochs)} of {count}): train loss {last.train_loss:.4f}, validation log loss "
        f"{last.val_fake_log_loss:.4f} fake, {last.val_real_log_loss:.4f} real, figure {last.val_figure:.4f}, "
        f"{seconds * (count - len(epochs)):.0f} s left"
    )


def _write_history(path: Path, epochs: list[Epoch]) -> None:
    """A row per epoch; numbers in as many digits as bring back the same float."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Epoch)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(epoch) for epoch in epochs)


def _counts(crops: pd.DataFrame) -> dict[str, int]:
    return {"fake": int((crops["label"] == 1).sum()), "real": int((crops["label"] == 0).sum())}


def _story(job: Job, kept: list[dict[str, Any]], table: pd.DataFrame, place: Place) -> dict[str, Any]:
    """How the epochs were chosen, on what. kept: the best first; table: of all crops; place: sums depend on it."""
    params, train, held = job.params, table.iloc[job.train.rows], table.iloc[job.held]
    videos = held[["part", "video", "label"]].drop_duplicates()
    names = videos["part"] + "/" + videos["video"]
    dropped = {"dropped_crops": job.train.dropped_crops, "dropped_tracks": job.train.dropped_tracks}
    return {
        "seed": job.seed,
        "device": place.kind,
        "devices": place.ranks,
        "rule": f"lowest ({params.choice_fake_weight!r} * fake log loss + real log loss) / 2, the earliest of equals",
        "pooling": params.pooling.model_dump(mode="json"),
        "kept": [
            {"rank": rank, "file": f"weights_{rank}.safetensors"} | figures for rank, figures in enumerate(kept, 1)
        ],
        "epochs": params.epochs,
        "holdout_fold": params.holdout_fold,
        "training_crops": _counts(train) | dropped,
        "validation_crops": _counts(held),
        "validation_videos": {
            "fake": names[videos["label"] == 1].tolist(),
            "real": names[videos["label"] == 0].tolist(),
        },
    }
