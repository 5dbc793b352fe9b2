"""Every leaf of params.yaml: changing it makes exactly the stages downstream of its section stale, in both engines."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import networkx
import pytest
import yaml

from trueframe.dag import STAGES, downstream
from trueframe.workspace import Workspace
from workspaces import REPO, TINY, call, edit_params, planned, stages

# Where a neighbour of the value would be refused, or would mean the same.
OTHERS: dict[str, Any] = {
    "predictions.backend": "compiled",
    "predictions.precision": "bfloat16",
    "folds.method": "original",
    "folds.count": 3,
    "models.encoder": "test_resnet",
    "models.weights": "weights.safetensors",
    "models.precision": "bf16-mixed",
    "predictions.train_folds": "all",
    "models.pooling.rule": "mean",
    "submission.pooling.rule": "mean",
    "evaluation.pooling.rule": "mean",
    "models.keep": 1,
    "evaluation.face_size_px": [50.0],
    "masks.window_px": 9,
}


def _leaves(value: Any, name: str) -> Iterator[tuple[str, Any]]:
    """(name, value) of every leaf; a list is one, since it is one value to whoever reads it."""
    if isinstance(value, dict):
        for key, child in value.items():
            yield from _leaves(child, f"{name}.{key}" if name else key)
    else:
        yield name, value


def _other(name: str, value: Any) -> Any:
    if name in OTHERS:
        return OTHERS[name]
    match value:
        case None:
            return 7
        case bool():
            return not value
        case int():
            return value + 1
        case float():
            return value * 0.5 if value else 0.25
        case [dict() as first, *rest]:
            return [{**first, "scale": first["scale"] * 0.5}, *rest]
        case [*others, last]:
            return [*others, _other(name, last)]
    raise AssertionError(f"{name}: no other value known for {value!r}")


LEAVES = dict(_leaves(yaml.safe_load((REPO / "params.yaml").read_text()), ""))


@pytest.fixture(scope="module")
def workspace(finished_workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished workspace of this process, whose params.yaml the tests below change and put back."""
    return Path(shutil.copytree(finished_workspace, tmp_path_factory.mktemp("leaves") / "w", symlinks=True))


@pytest.fixture(scope="module")
def dvc_downstream(workspace: Path) -> dict[str, set[str]]:
    """By DVC's own graph and parameters: section to the stages that a change of it reaches."""
    edges = re.findall(r'"([\w/.]+)" -> "([\w/.]+)"', call(workspace, "dvc", "dag", "--dot").stdout)
    graph = networkx.DiGraph([(source, target) for source, target in edges if {source, target} <= set(STAGES)])
    declared = yaml.safe_load((workspace / "dvc.yaml").read_text())["stages"]
    readers = {section: [name for name in STAGES if section in declared[name]["params"]] for section in STAGES}
    return {
        section: {stage for name in names for stage in {name} | networkx.descendants(graph, name)}
        for section, names in readers.items()
    }


# A dry run of Snakemake takes seconds: one leaf of each section here, and all of them in the long run.
_FIRST = {name.partition(".")[0]: name for name in reversed(LEAVES)}
_LEAVES = [name if name in _FIRST.values() else pytest.param(name, marks=pytest.mark.long) for name in LEAVES]


@contextmanager
def _changed(workspace: Path, name: str) -> Iterator[str]:
    """The workspace with another value of a leaf; gives the leaf's section."""
    before = (workspace / "params.yaml").read_text()
    try:
        edit_params(workspace, {name: _other(name, TINY.get(name, LEAVES[name]))})
        yield name.partition(".")[0]
    finally:
        (workspace / "params.yaml").write_text(before)


@pytest.mark.parametrize("name", LEAVES)
def test_a_leaf_makes_the_stages_below_its_section_stale(
    name: str, workspace: Path, dvc_downstream: dict[str, set[str]]
) -> None:
    with _changed(workspace, name) as section:
        stale = stages(set(Workspace(workspace).stale_units()))
        assert stale == downstream([section])
        assert set(stale) == dvc_downstream[section]


@pytest.mark.parametrize("name", _LEAVES)
def test_snakemake_plans_what_is_stale(name: str, workspace: Path) -> None:
    with _changed(workspace, name):
        assert planned(workspace) == set(Workspace(workspace).stale_units())


def test_dvc_sees_a_changed_leaf_in_the_stage_of_its_section(workspace: Path) -> None:
    before = (workspace / "params.yaml").read_text()
    try:
        edit_params(workspace, {name: _other(name, TINY.get(name, value)) for name, value in LEAVES.items()})
        told = call(workspace, "dvc", "status", "--json").stdout
    finally:
        (workspace / "params.yaml").write_text(before)
    for stage in STAGES:
        assert f'"{stage}": [{{"changed deps": {{"params.yaml": {{"{stage}": "modified"' in told
