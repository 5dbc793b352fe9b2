"""The examination: every check in turn, and how what they find is printed."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from trueframe import raw, workspace
from trueframe.addresses import without_passwords
from trueframe.audit.terminal import count
from trueframe.doctor import disk, leftovers, machine, sharing, tracking
from trueframe.doctor.case import Case
from trueframe.doctor.findings import Finding, UnknownError, trouble
from trueframe.engine import require_weights
from trueframe.errors import UserError
from trueframe.files import canonical_json
from trueframe.printable import printable

Check = Callable[[Case], Iterable[Finding]]


def code(case: Case) -> Iterator[Finding]:
    """Whether the workspace can be read, by code of its own."""
    workspace.require_own_code(case.root)
    layout = case.workspace.layout
    parts, seeds = len(layout.parts("every")), len(layout.seeds)
    yield Finding("workspace", "ok", f"{case.root}: {count(parts, 'part')}, {count(seeds, 'seed')}")


def training(case: Case) -> Iterator[Finding]:
    """Whether there are the encoder and the weights to start from, which a run comes to late."""
    models = case.workspace.params.models
    require_weights(case.root, models.weights)
    from trueframe import network  # takes seconds

    network.require_known(models.encoder, f"{workspace.PARAMS}: models.encoder: {models.encoder}")
    yield Finding("training", "ok", f"{models.encoder}, from weights: {models.weights}")


def videos(case: Case) -> Iterator[Finding]:
    """Whether there is anything to work on."""
    try:
        case.workspace.require_raw()
    except UserError as error:
        if case.workspace.layout.parts("every") and not case.workspace.has_raw:
            yield Finding(
                "raw videos", "warn", f"{raw.RAW}: not here; all but a run works without", "run `dvc pull` to run"
            )
            return
        yield trouble("raw videos", error)
        return
    yield Finding("raw videos", "ok", f"in {raw.RAW}")


# In this order: who asks first for what several need tells what is wrong with it.
CHECKS: dict[str, Check] = {
    "Python": machine.python,
    "packages": machine.packages,
    "GPU": machine.gpu,
    "git": sharing.git,
    "workspace": code,
    "training": training,
    "raw videos": videos,
    "folders": disk.writable,
    "records": leftovers.records,
    "DVC's cache": sharing.cache,
    "DVC's memory": sharing.memory,
    "DVC remote": sharing.remotes,
    "disk space": disk.space,
    "MLflow": tracking.mlflow,
    "locks": leftovers.locks,
    "DVC's lock": leftovers.owed,
    "temporary files": leftovers.temporary_files,
    "checkpoints": leftovers.checkpoints,
    "removed units": leftovers.removed_units,
    "predictions": leftovers.scored,
}


def examine(root: Path, offline: bool = False, checks: Mapping[str, Check] = CHECKS) -> list[Finding]:
    """What the checks find. offline: nothing is asked over the network."""
    case = Case(root, offline)
    return [finding for what, check in checks.items() for finding in _findings(what, check, case)]


def _findings(what: str, check: Check, case: Case) -> list[Finding]:
    try:
        return list(check(case))
    except UnknownError as error:
        return [Finding(what, "skipped", str(error))]
    except (UserError, OSError) as error:
        return [trouble(what, error)]
    except Exception as error:  # noqa: BLE001 - a bug, told with its traceback, must not hide what the others find
        traceback.print_exc()
        told = without_passwords(" ".join(f"{type(error).__name__}: {error}".split()))
        return [Finding(what, "bad", f"this check itself failed: {told}", "report that with the traceback")]


def show(findings: Sequence[Finding], json: bool) -> None:
    """Print them: a line each, and one below it with what to do; or as JSON."""
    if json:
        text = canonical_json({"ok": not wrong(findings), "findings": [asdict(one) for one in findings]})
    else:
        text = "".join(f"{line}\n" for line in _lines(findings))
    sys.stdout.buffer.write(text.encode("utf-8", "backslashreplace"))
    sys.stdout.buffer.flush()


def wrong(findings: Iterable[Finding]) -> bool:
    """Whether something must be done."""
    return any(finding.state == "bad" for finding in findings)


def _lines(findings: Sequence[Finding]) -> Iterator[str]:
    width = max(len(printable(finding.what)) for finding in findings)
    for finding in findings:
        yield f"{finding.state:<7}  {printable(finding.what):<{width}}  {printable(finding.detail)}"
        if finding.advice:
            yield f"{'':<7}  {'':<{width}}  to do: {printable(finding.advice)}"
    must = sum(finding.state == "bad" for finding in findings)
    may = sum(finding.state == "warn" for finding in findings)
    yield f"{count(must, 'thing')} must be done, {count(may, 'thing')} may be done" if must or may else "all is well"
