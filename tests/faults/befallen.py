"""Units worked on in processes of their own that something befalls, and what must be true of a workspace after it.

A job is forked from a server that has imported what stages need, once: it starts in no time, so that hundreds can be
killed. It runs `runner.run_unit`, as `trueframe <stage> <unit>` does.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import multiprocessing
import os
import shutil
import signal
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from trueframe import runner
from trueframe.dag import STAGES
from trueframe.errors import UserError
from trueframe.files import partial
from trueframe.workspace import Workspace
from workspaces import edit_params, environment

_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(
    [f"trueframe.stages.{stage}" for stage in STAGES]
    + ["trueframe.runner", "trueframe.mtcnn.nets", "trueframe.faces", "mlflow", "dvc.repo", "dvc_data.hashfile.hash"]
    + ["trueframe.training.augment", "trueframe.drawing", "trueframe.scoring", "trueframe.training.distributed"]
)
_PATIENCE_S = 120
# A store that fails at once: what MLflow's troubles cost is told elsewhere.
_NO_STORE = "file:/dev/null/none"

# A parameter of each stage whose other value gives other bytes of the same unit; where no artifact's do, its record's.
OTHER: Mapping[str, Mapping[str, Any]] = {
    "index": {"index.min_frames": 13},
    "bboxes": {"bboxes.min_face_px": 40},
    "crops": {"crops.margin": 0.2},
    "landmarks": {"landmarks.thresholds": [0.5, 0.6, 0.6]},
    "masks": {"masks.window_px": 9},
    "folds": {"folds.seed": 5},
    "models": {"models.lr": 0.02},
    "predictions": {"predictions.train_folds": "all"},
    "submission": {"submission.temperature": 2.0},
    "evaluation": {"evaluation.threshold": 0.4},
}


@dataclass(frozen=True)
class End:
    """How a job ended.

    how: "ran", "fresh", "refused" with a UserError's text, "bug" with a traceback, "killed" by SIGKILL, or "died" of
    something else, with the status. moments: how many the fault counted.
    """

    how: str
    text: str = ""
    moments: int = 0


def _nothing(_: Path) -> None:
    """Arm nothing."""


@dataclass(frozen=True)
class Fault:
    """What befalls a job: `arm` is called in its process before the work, with the workspace."""

    arm: Callable[..., Any] = _nothing
    arguments: tuple[Any, ...] = ()

    def __call__(self, root: Path) -> Any:
        """Arm it."""
        return self.arm(root, *self.arguments)


@dataclass(frozen=True)
class Made:
    """What an undisturbed job made: the bytes of its files and of its record, by path."""

    files: Mapping[Path, bytes] = field(repr=False)

    @classmethod
    def of(cls, root: Path, stage: str, unit: str) -> Made:
        """What lies there now; a file that does not is left out."""
        return cls({path: (root / path).read_bytes() for path in paths(root, stage, unit) if (root / path).exists()})

    def put(self, root: Path) -> None:
        """Put it there again."""
        for path, data in self.files.items():
            (root / path).write_bytes(data)

    @property
    def digests(self) -> dict[str, str]:
        """SHA-256 by path."""
        return {str(path): hashlib.sha256(data).hexdigest() for path, data in self.files.items()}


def paths(root: Path, stage: str, unit: str) -> list[Path]:
    """A unit's artifacts, and its record last, relative to the workspace."""
    return [*Workspace(root).layout.output_paths(stage, unit), STAGES[stage].record_path(unit)]


def units(root: Path) -> list[tuple[str, str]]:
    """Every unit, in the DAG's order."""
    layout = Workspace(root).layout
    return [(stage, unit) for stage in STAGES for unit in layout.units(stage)]


def first_units(root: Path) -> list[tuple[str, str]]:
    """The first unit of each stage."""
    layout = Workspace(root).layout
    return [(stage, layout.units(stage)[0]) for stage in STAGES]


class Job:
    """A unit's job in a process of its own; `end` waits for it."""

    def __init__(
        self,
        root: Path,
        stage: str,
        unit: str,
        fault: Fault | None = None,
        workers: int = 1,
        replay: Made | None = None,
    ) -> None:
        """Start it. replay: what the stage makes, without its work."""
        self._here, there = _SERVER.Pipe(duplex=False)
        known = environment(root) | {"MLFLOW_TRACKING_URI": _NO_STORE}
        words = (root, stage, unit, fault or Fault(), workers, replay, known, there)
        self.process = _SERVER.Process(target=_work, args=words)
        self.process.start()
        there.close()

    def end(self) -> End:
        """Wait until it ends; it has two minutes."""
        self.process.join(_PATIENCE_S)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
            raise TimeoutError("the job hangs")
        try:
            return End(*self._here.recv())
        except EOFError:
            return End("killed" if self.process.exitcode == -signal.SIGKILL else "died", str(self.process.exitcode))
        finally:
            self._here.close()


def run(root: Path, stage: str, unit: str, fault: Fault | None = None, **options: Any) -> End:
    """Work on a unit to the end."""
    return Job(root, stage, unit, fault, **options).end()


def _work(
    root: Path,
    stage: str,
    unit: str,
    fault: Fault,
    workers: int,
    replay: Made | None,
    variables: Mapping[str, str],
    told: Connection,
) -> None:
    os.environ.clear()
    os.environ.update(variables)
    os.chdir(root)
    sys.stderr = open(os.devnull, "w")  # noqa: PTH123, SIM115 - the job's progress
    if replay is not None:
        importlib.import_module(f"trueframe.stages.{stage}").run = _replayed(root, stage, unit, replay)
    counter = fault(root)
    try:
        ran = runner.run_unit(Workspace(root), stage, unit, workers, "cpu")
    except UserError as error:
        end = "refused", str(error)
    except BaseException:  # noqa: BLE001 - told to the test
        end = "bug", traceback.format_exc()
    else:
        end = ("ran" if ran else "fresh"), ""
    told.send((*end, counter.done() if counter else 0))


def _replayed(root: Path, stage: str, unit: str, made: Made) -> Callable[..., dict[str, int]]:
    record = json.loads(made.files[STAGES[stage].record_path(unit)])
    items = {
        name: record["outputs"][str(found[0])]["items"]
        for name, found in Workspace(root).layout.outputs(stage, unit).items()
    }

    def play(**_: Any) -> dict[str, int]:
        for path, data in made.files.items():
            if str(path) in record["outputs"]:
                partial(root / path).write_bytes(data)
        return items

    return play


class Moments:
    """Counts what a process is about to do to files of a workspace, and kills it before the one numbered `at`."""

    def __init__(self, root: Path, at: int | None) -> None:
        """at: counted from 0; None: only count."""
        self._root, self._at, self._count = root, at, 0
        sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        match event, arguments:
            case "open", (str() | os.PathLike() as path, _, int() as flags) if flags & _WRITES:
                self._passes(os.fspath(path))
            case (("os.rename" | "os.remove" | "os.mkdir" | "os.rmdir" | "os.truncate"), (path, *_)):
                self._passes(os.fspath(path))

    def _passes(self, path: str) -> None:
        if not concerns(self._root, path):
            return
        if self._count == self._at:
            os.kill(os.getpid(), signal.SIGKILL)
        self._count += 1

    def done(self) -> int:
        """How many there were."""
        return self._count


def concerns(root: Path, path: str) -> bool:
    """Whether a path is a workspace's, and not DVC's own or MLflow's."""
    return path.startswith(f"{root}/") and "/.dvc/" not in path and "/mlflow.db" not in path


_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT


def killed_at(moment: int | None) -> Fault:
    """SIGKILL before a change to a file; None: all are counted."""
    return Fault(Moments, (moment,))


def leftovers(root: Path) -> list[str]:
    """Temporary files and folders of the workspace, and what killed trainings left."""
    ours = (path for path in root.rglob(".*") if ".dvc" not in path.parts and ".git" not in path.parts)
    found = [path for path in ours if path.name.endswith((".partial", ".spool"))]
    return sorted(str(path) for path in [*found, *(root / ".trueframe").rglob("*.safetensors")])


def falsely_fresh(root: Path, stage: str, unit: str, rights: Iterable[tuple[Mapping[str, Any], Made]]) -> list[str]:
    """Files that a fresh unit has and should not: under each of some parameters its bytes are to be those made so."""
    wrong = []
    text = (root / "params.yaml").read_text()
    for changes, made in rights:
        edit_params(root, dict(changes))
        if Workspace(root).fresh(stage, unit):
            now = Made.of(root, stage, unit).digests
            wrong += [path for path, digest in made.digests.items() if now.get(path) != digest]
        (root / "params.yaml").write_text(text)
    return wrong


def copy(workspace: Path, place: Path) -> Path:
    """A copy of a workspace."""
    return Path(shutil.copytree(workspace, place, symlinks=True))
