"""`trueframe doctor` on the machine: Python, packages, GPU."""

from __future__ import annotations

import sys
import types
from pathlib import Path

import pytest

from examination import found, only
from trueframe import devices


def test_another_python_is_told(well: Path) -> None:
    project = well / "pyproject.toml"
    project.write_text(project.read_text().replace('requires-python = ">=3.11"', 'requires-python = ">=9.9"'))
    one = only(well, "Python")
    assert one.state == "bad"
    assert ">=9.9" in one.detail


def test_packages_that_are_not_the_locks_are_told(well: Path) -> None:
    lock = well / "requirements.lock"
    text = lock.read_text()
    pinned = next(line for line in text.splitlines() if line.startswith("packaging=="))
    lock.write_text(
        text.replace(pinned, "packaging==1.0 \\")
        + "no-such-package==1.2 \\\n    --hash=sha256:00\n"
        + "no-such-package-either==1.2 ; sys_platform == 'win32' \\\n    --hash=sha256:00\n"
    )
    other, missing = found(well, "packages")
    assert (other.state, missing.state) == ("bad", "bad")
    assert "packaging 2" in other.detail
    assert "expected 1.0" in other.detail
    assert missing.detail.endswith(": no-such-package")
    assert "make .venv/ready" in missing.advice


def test_a_local_build_of_a_locked_version_is_as_good(well: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (well / "requirements.lock").write_text("torch==2.7.0 ; sys_platform != 'nowhere' \\\n")
    monkeypatch.setattr("trueframe.doctor.machine.version", lambda name: "2.7.0+cpu")
    assert only(well, "packages").state == "ok"


@pytest.mark.parametrize("text", [None, "torch=2.7\n"])
def test_a_lock_that_is_absent_or_no_lock_is_told(well: Path, text: str | None) -> None:
    lock = well / "requirements.lock"
    lock.unlink() if text is None else lock.write_text(text)
    one = only(well, "packages")
    assert one.state == "bad"
    assert "requirements.lock" in one.detail
    assert "git checkout requirements.lock" in one.advice


class _NoDriverError(Exception):
    pass


def _driver(names: list[str]) -> types.ModuleType:
    """NVIDIA's library as Python sees it, on a machine with these GPUs."""
    module = types.ModuleType("pynvml")

    def init() -> None:
        if not names:
            raise _NoDriverError

    vars(module).update(
        NVMLError=_NoDriverError,
        nvmlInit=init,
        nvmlShutdown=lambda: None,
        nvmlSystemGetDriverVersion=lambda: "580.1",
        nvmlDeviceGetCount=lambda: len(names),
        nvmlDeviceGetHandleByIndex=lambda number: number,
        nvmlDeviceGetName=lambda number: names[number],
    )
    return module


@pytest.mark.parametrize(
    ("names", "kind", "visible", "state", "told"),
    [
        ([], "cpu", None, "ok", "none; everything runs on the CPU"),
        (["H200"], "cuda", None, "ok", "H200 (driver 580.1)"),
        (["H200"], "cpu", None, "warn", "can't use it"),
        (["H200"], "cpu", "", "ok", "hidden by CUDA_VISIBLE_DEVICES"),
    ],
)
def test_the_gpu_is_told_and_that_torch_cant_use_it(
    well: Path,
    monkeypatch: pytest.MonkeyPatch,
    names: list[str],
    kind: str,
    visible: str | None,
    state: str,
    told: str,
) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", _driver(names))
    monkeypatch.setattr(devices, "resolved", lambda device: kind)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    one = only(well, "GPU")
    assert one.state == state
    assert told in one.detail


def test_a_gpu_that_is_lost_is_told(well: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    driver = _driver(["H200"])

    def lost(number: int) -> str:
        raise _NoDriverError("GPU is lost")

    monkeypatch.setattr(driver, "nvmlDeviceGetName", lost)
    monkeypatch.setitem(sys.modules, "pynvml", driver)
    one = only(well, "GPU")
    assert (one.state, "GPU is lost" in one.detail) == ("bad", True)
    assert "nvidia-smi" in one.advice
