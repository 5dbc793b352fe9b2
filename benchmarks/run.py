"""Measures what the project promises, in one command (`make bench`), for results.json and the pages' tables.

`run.py --only decoding detection` renews those sections alone; `run.py --list` names all. Each section has a process of
its own, so that none finds another's threads, settings or memory, and is saved as soon as it is done.
"""

from __future__ import annotations

import argparse
import importlib
import json
import multiprocessing
import os
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pages
from beside import Comparison

# name -> module and function, which takes an empty folder to write in and that of the real clips, if any
SECTIONS = {
    "decoding": "decoding.measure",
    "detection": "detection.measure",
    "face_chain": "face_chain.measure",
    "masks": "images_and_masks.measure",
    "prediction": "prediction.measure",
    "prediction_gpu": "prediction.gpu",
    "loading": "training.measure",
    "hashing": "knowing.measure",
    "jobs": "jobs.measure",
    "demo": "pipeline.demo",
    "audits": "pipeline.audits",
    "many_parts": "knowing.many_parts",
    "memory": "pipeline.memory",
    "crop": "training.loading",
    "training": "training.trainings",
    "formats": "images_and_masks.formats",
    "scale": "scale.measure",
}


def main(words: Sequence[str] | None = None) -> None:
    """Measure, and write down."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS), metavar="SECTION")
    parser.add_argument("--list", action="store_true", help="name the sections and do nothing")
    chosen = parser.parse_args(words)
    if chosen.list:
        print("\n".join(SECTIONS))
        return
    if shutil.which("snakemake") is None:
        sys.exit("snakemake is not on the PATH; run `make bench`")
    clips = pages.clips()
    print(f"bench: {len(chosen.only)} sections, {'with' if clips else 'without'} the real clips", flush=True)
    for name in (name for name in SECTIONS if name in chosen.only):
        start = time.perf_counter()
        print(f"bench: {name} …", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            save(name, alone(SECTIONS[name], Path(folder), clips))
        print(f"bench: {name} {time.perf_counter() - start:.0f} s", flush=True)


def alone(place: str, folder: Path, clips: Path | None) -> Any:
    """What a section measured, in a process of its own."""
    # spawn: a forked copy would have this process's state, and its threads not
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as executor:
        return executor.submit(measured, place, folder, clips).result()


def measured(place: str, folder: Path, clips: Path | None) -> Any:
    """A section's figures as plain values. place: module and function."""
    module, _, function = place.partition(".")
    found = getattr(importlib.import_module(module), function)(folder, clips)
    return [one.values() if isinstance(one, Comparison) else one for one in found] if isinstance(found, list) else found


def save(name: str, found: Any) -> None:
    """A section's figures into results.json, with the machine, and from there into the pages; other sections stay."""
    kept = pages.results() | {name: {"machine": machine(), "found": found}}
    ordered = {section: kept[section] for section in SECTIONS if section in kept}
    half = pages.RESULTS.with_suffix(".half")
    half.write_text(json.dumps(ordered, indent=2) + "\n")
    half.replace(pages.RESULTS)
    pages.write()


def machine() -> str:
    """What these figures were measured on."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "?")
    return f"{os.cpu_count()} cores of {model}, {platform.system()}, Python {platform.python_version()}"


if __name__ == "__main__":
    main()
