"""Run stages in some folders, one after the other, and print what each folder took as a line of JSON.

`growing.py WORKERS STAGE,… FOLDER…`; a folder has the part's videos in `raw`, and gets what is made of them. A program,
so that the memory of what ran before in the test's process does not count. The detector is a stand-in, in the processes
of a pool too: they import this file.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import fake_faces
from trueframe.tools import Tools

sys.modules["trueframe.faces"] = fake_faces.module(fake_faces.one)
SIZE_PX = 32  # of the network's images


def main(workers: int, stages: list[str], folders: list[Path]) -> None:
    """peak_mib: this process's memory; cpu_s: of this process; items: of each stage's first output."""
    import parts

    tools = Tools(workers, "cpu")
    for folder in folders:
        Path("/proc/self/clear_refs").write_text("5")  # the peak is that of now: proc(5)
        items, start = {}, time.process_time()
        for name in stages:
            made = _OTHERS[name](folder, tools) if name in _OTHERS else parts.stage(name, folder / "raw", folder, tools)
            items[name] = next(iter(made.values()))
        cpu_s = time.process_time() - start
        high = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
        print(json.dumps({"peak_mib": int(high.split()[1]) / 1024, "cpu_s": cpu_s, "items": items}))


def _folds(work: Path, tools: Tools) -> dict[str, int]:
    import parts
    from trueframe.stages import folds

    return folds.run(
        unit="all",
        index={parts.UNIT: work / "index"},
        crops={parts.UNIT: work / "crops"},
        table=work / "folds",
        params=parts.PARAMS.folds.model_copy(update={"method": "original", "count": 2}),
        tools=tools,
    )


def _predictions(work: Path, tools: Tools) -> dict[str, int]:
    import parts
    from trueframe import network
    from trueframe.stages import predictions

    weights = work / "weights.safetensors"
    network.save(network.build("test_efficientnet", "none", size_px=SIZE_PX, holdout_fold=0), weights, epoch=0)
    return predictions.run(
        unit=f"1/test/{work.name}",
        weights=(weights,),
        folds=work / "folds",
        crops=work / "crops",
        scores=work / "scores",
        params=parts.PARAMS.predictions.model_copy(update={"backend": "torch"}),
        tools=tools,
    )


_OTHERS = {"folds": _folds, "predictions": _predictions}

if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2].split(","), [Path(word) for word in sys.argv[3:]])
