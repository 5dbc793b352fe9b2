"""What it costs to know what is there: digests, `trueframe status` and `snakemake -n` on many parts."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import large_workspace
from beside import ROUNDS, Comparison, compare

from trueframe.files import sha256_file

PARTS = 500
_HASHED_BYTES = 512 << 20


def measure(folder: Path, clips: Path | None) -> list[Comparison]:
    """Hashing beside sha256sum."""
    del clips  # no picture is looked at
    return [hashing(folder)]


def many_parts(folder: Path, clips: Path | None) -> dict[str, Any]:
    """Two questions to a workspace of 500 parts with nothing to do, beside the bare start of the same program."""
    del clips
    workspace = folder / "knowing"
    large_workspace.make(workspace, PARTS)
    return {"parts": PARTS, "snakemake -n": dry_run(workspace), "trueframe status": status(workspace)}


def hashing(folder: Path) -> Comparison:
    """SHA-256 of half a gigabyte that is in memory, beside coreutils' program."""
    path = folder / "hashed"
    path.write_bytes(os.urandom(1 << 20) * (_HASHED_BYTES >> 20))
    assert sha256_file(path) == _sha256sum(path)
    found = compare("SHA-256 of 512 MB, beside sha256sum", lambda: sha256_file(path), lambda: _sha256sum(path), 0.9)
    path.unlink()
    return found


def _sha256sum(path: Path) -> str:
    return subprocess.run(("sha256sum", path), capture_output=True, text=True, check=True).stdout.split()[0]


def dry_run(workspace: Path) -> dict[str, float]:
    """`snakemake -n submission` with nothing to do, beside Snakemake's own start on a Snakefile of one rule."""
    bare = workspace.parent / "bare"
    bare.mkdir(exist_ok=True)
    (bare / "Snakefile").write_text("rule all:\n    output: 'x'\n    shell: 'touch x'\n")
    (bare / "x").touch()
    return _beside(("snakemake", "-n", "submission"), workspace, ("snakemake", "-n", "--cores", "1"), bare)


def status(workspace: Path) -> dict[str, float]:
    """`trueframe status` with nothing to do, beside `trueframe --help`."""
    words = (sys.executable, "-m", "trueframe")
    return _beside((*words, "status"), workspace, (*words, "--help"), workspace)


def _beside(words: tuple[str, ...], place: Path, reference: tuple[str, ...], reference_place: Path) -> dict[str, float]:
    ours, theirs = [], []
    for _ in range(ROUNDS):
        ours.append(child(words, place))
        theirs.append(child(reference, reference_place))
    return {
        "ours_s": statistics.median(seconds for seconds, _ in ours),
        "reference_s": statistics.median(seconds for seconds, _ in theirs),
        "memory_mb": max(memory for _, memory in ours),
    }


def child(words: tuple[str, ...], cwd: Path) -> tuple[float, float]:
    """Seconds that a program took, and the most memory in MB that it or one of its children had."""
    code = (
        "import resource, subprocess, sys\n"
        "done = subprocess.run(sys.argv[1:], capture_output=True)\n"
        "sys.stderr.buffer.write(done.stderr if done.returncode else b'')\n"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)\n"
        "sys.exit(done.returncode)"
    )
    environment = os.environ | {"PYTHONPATH": str(cwd / "src")}
    start = time.perf_counter()
    told = subprocess.run(
        (sys.executable, "-c", code, *words), cwd=cwd, env=environment, stdout=subprocess.PIPE, check=True
    )
    return time.perf_counter() - start, float(told.stdout)
