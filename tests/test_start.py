"""Starting is cheap: torch is imported only where it works, and nothing phones home."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from workspaces import call

HEAVY = ("torch", "timm", "pandas", "cv2", "mlflow", "sklearn", "albumentations")


@pytest.mark.parametrize("module", ["trueframe.cli", "trueframe.engine", "trueframe.runner", "trueframe.upkeep"])
def test_the_command_line_and_the_engine_import_nothing_heavy(module: str) -> None:
    code = f"import sys, {module}; print([name for name in {HEAVY} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.parametrize("stage", ["index", "crops", "folds", "submission"])
def test_stages_that_do_without_torch_do_not_import_it(stage: str) -> None:
    code = f"import sys, trueframe.stages.{stage}; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def test_a_search_for_faces_on_a_cpu_does_without_torch() -> None:
    code = (
        "import ctypes, sys, numpy\n"
        "from trueframe import devices, faces\n"
        "there = ctypes.CDLL\n"
        "def absent(name): raise OSError(name)\n"
        "ctypes.CDLL = absent\n"
        "device = devices.resolved('auto')\n"
        "ctypes.CDLL = there\n"
        "nets = faces.nets(device)\n"
        "grey = faces.picture(numpy.full((60, 80, 3), 99, numpy.uint8), 1.0)\n"
        "faces.find(nets, [grey], (0.6, 0.7, 0.7), 20)\n"
        "print(device, faces.backend(device).partition(' ')[0], 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "cpu openvino False\n"


def _cpu_s(*words: str, cwd: Path) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    call(cwd, *words)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def test_help_and_the_snakefile_take_under_a_second_of_cpu_each(finished: Path) -> None:
    # CPU seconds, not wall time, and beside Snakemake's own on a Snakefile without us: a second is several times more.
    assert _cpu_s("python", "-m", "trueframe", "--help", cwd=finished) < 1
    words = ("snakemake", "--list-rules")
    (finished / "bare").mkdir()
    (finished / "bare/Snakefile").write_text("rule all:\n    output: 'x'\n    shell: 'touch x'\n")
    pairs = [(_cpu_s(*words, cwd=finished), _cpu_s(*words, cwd=finished / "bare")) for _ in range(5)]
    ours, bare = (min(seconds) for seconds in zip(*pairs, strict=True))
    assert ours - bare < 1


def test_nothing_phones_home() -> None:
    code = "import trueframe, os; print(*(os.environ[name] for name in {!r}))"
    names = ("DO_NOT_TRACK", "DVC_NO_ANALYTICS", "HF_HUB_DISABLE_TELEMETRY", "MLFLOW_DISABLE_TELEMETRY")
    names += ("NO_ALBUMENTATIONS_UPDATE",)
    told = subprocess.run([sys.executable, "-c", code.format(names)], capture_output=True, text=True, check=True)
    assert told.stdout.split() == ["1", "1", "1", "true", "1"]
    config = (Path(__file__).parents[1] / ".dvc/config").read_text()
    assert "analytics = false" in config
    assert "check_update = false" in config
