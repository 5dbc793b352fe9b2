"""What a machine lacks - room, memory, a worker, the right to write - ends in one message, and harms nothing."""

from __future__ import annotations

import contextlib
import os
import resource
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
import torch

from befallen import OTHER, End, Fault, Job, Made, copy, falsely_fresh, first_units, leftovers, run
from trueframe.dag import STAGES
from trueframe.stages import predictions
from workspaces import edit_params, workers_of

_QUICK = ("index", "crops", "models", "submission")
_STAGES = [stage if stage in _QUICK else pytest.param(stage, marks=pytest.mark.long) for stage in STAGES]
# Not a training: a thread of torch's that gets no memory may wait for ever.
_STARVED = [
    stage if stage in _QUICK else pytest.param(stage, marks=pytest.mark.long) for stage in STAGES if stage != "models"
]
MIB = 1 << 20


@contextmanager
def mounted(place: Path, *words: str) -> Iterator[None]:
    """A mount at a place, while it is needed."""
    if subprocess.run(("mount", *words, place), check=False, capture_output=True).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        yield
    finally:
        subprocess.run(("umount", place), check=True)


@contextmanager
def filled(folder: Path, left: int) -> Iterator[None]:
    """A file system without room but for so many bytes."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(1 << 12)):
            pass
    os.truncate(filler, max(0, filler.stat().st_size - left))
    yield
    filler.unlink()


def unit_of(root: Path, stage: str) -> str:
    return dict(first_units(root))[stage]


def unharmed(root: Path, stage: str, before: Made, end: End) -> None:
    """A job with other parameters that could not be done left all as it was."""
    unit = unit_of(root, stage)
    assert Made.of(root, stage, unit) == before
    assert falsely_fresh(root, stage, unit, [({}, before)]) == []
    assert end.how != "ran"
    if end.how == "refused":
        assert "run again" in end.text
        assert end.text.endswith("what was there is unharmed")
        assert [path for path in leftovers(root) if not path.endswith(".safetensors")] == []


@pytest.mark.parametrize("left", [0, *(pytest.param(1 << size, marks=pytest.mark.long) for size in (12, 14, 16, 18))])
@pytest.mark.parametrize("stage", _STAGES)
def test_a_full_disk_in_a_stage(finished_workspace: Path, tmp_path: Path, stage: str, left: int) -> None:
    """The whole workspace, and what DVC remembers, is on a disk with no room, or with room for a part."""
    (tmp_path / "disk").mkdir()
    with mounted(tmp_path / "disk", "-t", "tmpfs", "-o", "size=64m", "tmpfs"):
        root = copy(finished_workspace, tmp_path / "disk/w")
        unit = unit_of(root, stage)
        before = Made.of(root, stage, unit)
        edit_params(root, dict(OTHER[stage]))
        with filled(tmp_path / "disk", left):
            end = run(root, stage, unit)
            if end.how != "ran" or not left:  # what is left may do for a small stage
                assert end.how == "refused", end.text
                unharmed(root, stage, before, end)
                assert "No space left on device" in end.text or "DVC's memory of files: " in end.text
                assert "free some space" in end.text
        assert run(root, stage, unit).how == ("ran" if end.how == "refused" else "fresh")
        assert leftovers(root) == []
        made = Made.of(root, stage, unit)
    undisturbed = copy(finished_workspace, tmp_path / "w")
    edit_params(undisturbed, dict(OTHER[stage]))
    run(undisturbed, stage, unit)
    assert Made.of(undisturbed, stage, unit) == made


def _little_memory(_: Path, size: int) -> None:
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + size, used + size))


@pytest.mark.parametrize("stage", _STARVED)
def test_a_stage_that_lacks_memory_is_done_right_or_not_at_all(finished: Path, stage: str) -> None:
    """How it ends is the libraries': few of them say that it is memory that they lack. No video is blamed for it."""
    unit = unit_of(finished, stage)
    before = Made.of(finished, stage, unit)
    edit_params(finished, dict(OTHER[stage]))
    ends = []
    for size in (1, 4, 16, 64):
        ends.append(run(finished, stage, unit, Fault(_little_memory, (size * MIB,))))
        if ends[-1].how == "ran":
            break
        unharmed(finished, stage, before, ends[-1])
    made = Made.of(finished, stage, unit)
    before.put(finished)
    (finished / STAGES[stage].record_path(unit)).unlink()
    assert run(finished, stage, unit).how == "ran"
    if ends[-1].how == "ran":
        assert made == Made.of(finished, stage, unit)
    assert leftovers(finished) == []


def _torch_asks_for_a_petabyte(_: Path) -> None:
    def run(**_: object) -> None:
        torch.empty(1 << 50, dtype=torch.uint8)

    predictions.run = run


def _the_gpus_memory_is_full(_: Path) -> None:
    def run(**_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    predictions.run = run


@pytest.mark.parametrize("arm", [_torch_asks_for_a_petabyte, _the_gpus_memory_is_full])
def test_torchs_lack_of_memory_is_told_as_any_other(finished: Path, arm: Callable[[Path], None]) -> None:
    unit = unit_of(finished, "predictions")
    before = Made.of(finished, "predictions", unit)
    edit_params(finished, dict(OTHER["predictions"]))
    end = run(finished, "predictions", unit, Fault(arm))
    assert end.how == "refused", end.text
    unharmed(finished, "predictions", before, end)
    assert f"predictions {unit}: memory ran out; run again with fewer --cores or more memory" in end.text


def _few_files(_: Path, more: int) -> None:
    count = len(os.listdir("/proc/self/fd")) - 1  # noqa: PTH208 - but for the one that lists
    resource.setrlimit(resource.RLIMIT_NOFILE, (count + more, count + more))


@pytest.mark.parametrize("stage", ["index", "crops"])
def test_a_process_that_may_open_no_more_files_blames_no_video(finished: Path, stage: str) -> None:
    unit = unit_of(finished, stage)
    before = Made.of(finished, stage, unit)
    edit_params(finished, {"crops.margin": 0.2, "index.min_frames": 3})
    refused = 0
    while (end := run(finished, stage, unit, Fault(_few_files, (refused,)))).how != "ran":
        unharmed(finished, stage, before, end)
        assert "Too many open files" in end.text or "unable to open database file" in end.text
        refused += 1
    assert refused
    made = Made.of(finished, stage, unit)
    (finished / STAGES[stage].record_path(unit)).unlink()
    assert run(finished, stage, unit).how == "ran"
    assert Made.of(finished, stage, unit) == made


def _workers(job: Job) -> list[psutil.Process]:
    """The pool's processes, or those of torch's loader, which are forked from a server."""
    process = psutil.Process(job.process.pid)
    servers = [child for child in process.children() if "forkserver" in str(child.cmdline())]
    return [worker for server in servers for worker in server.children()] or workers_of(process)


@pytest.mark.parametrize(
    "stage",
    ["crops", "models", *(pytest.param(s, marks=pytest.mark.long) for s in ("index", "bboxes", "landmarks", "masks"))],
)
def test_a_worker_that_is_killed_ends_its_job_with_one_message(finished: Path, stage: str) -> None:
    """As the kernel does when memory runs out."""
    unit = unit_of(finished, stage)
    before = Made.of(finished, stage, unit)
    # So many epochs that the loader has work left when it is seen: killed after its last batch it would not be missed.
    edit_params(finished, {**OTHER[stage], "models.epochs": 200})
    job = Job(finished, stage, unit, workers=2)
    while not (workers := _workers(job)):
        time.sleep(0.01)
    workers[-1].kill()
    end = job.end()
    assert end.how == "refused", end
    unharmed(finished, stage, before, end)
    assert f"{stage} {unit}: a worker process died" in end.text
    edit_params(finished, {"models.epochs": 2})
    assert run(finished, stage, unit).how == "ran"
    assert leftovers(finished) == []


def test_data_that_may_not_be_written_is_told_and_raw_videos_need_not_be(finished: Path) -> None:
    before = Made.of(finished, "crops", "train/part_00")
    edit_params(finished, {"crops.margin": 0.2})
    data, raw = finished / "data", finished / "data/raw"
    with mounted(data, "--bind", "-o", "ro", str(data)):
        end = run(finished, "crops", "train/part_00")
        assert end.how == "refused", end
        unharmed(finished, "crops", before, end)
        assert "data/crops/train" in end.text
        assert "Read-only file system; make it writable" in end.text
    with mounted(raw, "--bind", "-o", "ro", str(raw)):
        assert run(finished, "crops", "train/part_00").how == "ran"
