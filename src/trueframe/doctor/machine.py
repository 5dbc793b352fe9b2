"""The machine: Python, the packages, the GPU."""

from __future__ import annotations

import os
import platform
import tomllib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet

from trueframe import devices
from trueframe.audit.terminal import count, listed
from trueframe.doctor.case import Case
from trueframe.doctor.findings import Finding
from trueframe.errors import UserError
from trueframe.records import LOCK

_RENEW = "run `rm -f .venv/ready; make .venv/ready`, or in an environment of your own `uv pip sync requirements.lock`"
_PROJECT = Path("pyproject.toml")
_SHOWN = 4
_NO_GPU = ("", "-1")  # what CUDA_VISIBLE_DEVICES says where GPUs are hidden by intent


def python(case: Case) -> Iterator[Finding]:
    """Whether the project runs with this Python."""
    here = platform.python_version()
    try:
        text = (case.root / _PROJECT).read_text(encoding="utf-8")
        wanted = SpecifierSet(tomllib.loads(text)["project"]["requires-python"])
    except (ValueError, KeyError, TypeError) as error:  # no UTF-8, no TOML, no versions, nothing of them
        raise UserError(
            f"{_PROJECT}: expected project.requires-python ({error}); `git checkout {_PROJECT}` brings it back"
        ) from error
    if wanted.contains(here, prereleases=True):
        yield Finding("Python", "ok", here)
    else:
        yield Finding(
            "Python", "bad", f"{here}, expected {wanted}", "install such a Python, then make the environment anew"
        )


def packages(case: Case) -> Iterator[Finding]:
    """Whether what is installed is what the lock says; a record tells the lock's digest, so that must be true."""
    wanted = _locked(case)
    missing, other = [], []
    for package in wanted:
        try:
            here = version(package.name)
        except PackageNotFoundError:
            missing.append(package.name)
            continue
        if not package.specifier.contains(here, prereleases=True):
            other.append(f"{package.name} {here} (expected {str(package.specifier).removeprefix('==')})")
    if other:
        yield Finding("packages", "bad", f"other versions than {LOCK} has: {listed(other, _SHOWN)}", _RENEW)
    if missing:
        yield Finding("packages", "bad", f"not installed, but in {LOCK}: {listed(missing, _SHOWN)}", _RENEW)
    if not other and not missing:
        yield Finding("packages", "ok", f"{count(len(wanted), 'package')}, as {LOCK} has them")


def _locked(case: Case) -> list[Requirement]:
    """What the lock has for a machine such as this."""
    path = case.root / LOCK
    if not path.is_file():
        raise UserError(f"{LOCK}: not there; `git checkout {LOCK}` brings it back, `make lock` makes it anew")
    found = []
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
        if not line.strip() or line.startswith((" ", "#")):
            continue  # a hash, or who asked for it
        try:
            found.append(Requirement(line.removesuffix("\\").strip()))
        except InvalidRequirement as error:
            raise UserError(
                f"{LOCK}: line {number}: expected a package with its version, found {line[:60]}; "
                f"`git checkout {LOCK}` brings it back, `make lock` makes it anew"
            ) from error
    return [package for package in found if package.marker is None or package.marker.evaluate()]


def gpu(case: Case) -> Iterator[Finding]:
    """What trains: a GPU, or the CPU because there is none, or because torch can't use the one that is there."""
    import pynvml

    try:
        there = _nvidia()
    except pynvml.NVMLError as error:
        yield Finding(
            "GPU",
            "bad",
            f"NVIDIA's driver is there, but can't tell of its GPUs ({error})",
            "see what `nvidia-smi` says; a GPU that is lost comes back when the machine is started anew",
        )
        return
    if devices.resolved("auto") == devices.CUDA:
        yield Finding("GPU", "ok", listed(there, _SHOWN) or "one that torch sees")
    elif os.environ.get("CUDA_VISIBLE_DEVICES", "0") in _NO_GPU:
        yield Finding("GPU", "ok", "hidden by CUDA_VISIBLE_DEVICES; everything runs on the CPU")
    elif there:
        yield Finding(
            "GPU",
            "warn",
            f"{listed(there, _SHOWN)}: torch {version('torch')} can't use it; everything runs on the CPU",
            "update NVIDIA's driver, or install a torch that is built for it (https://pytorch.org/get-started)",
        )
    else:
        yield Finding("GPU", "ok", "none; everything runs on the CPU")


def _nvidia() -> list[str]:
    """NVIDIA's GPUs and their driver, by the driver itself: torch tells nothing of those that it can't use.

    Raises NVMLError where the driver is there and a GPU does not answer.
    """
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return []  # no driver, or one that answers nobody
    try:
        driver = pynvml.nvmlSystemGetDriverVersion()
        handles = [pynvml.nvmlDeviceGetHandleByIndex(number) for number in range(pynvml.nvmlDeviceGetCount())]
        return [f"{pynvml.nvmlDeviceGetName(handle)} (driver {driver})" for handle in handles]
    finally:
        pynvml.nvmlShutdown()
