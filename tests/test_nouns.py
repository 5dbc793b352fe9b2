"""The noun law: a stage's noun is the name of its section, DVC stage, rule, module, subcommand, folder and test."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from imports import closure, path_of
from trueframe.dag import STAGES, Layout
from trueframe.params import Params

REPO = Path(__file__).parents[1]
DVC = yaml.safe_load((REPO / "dvc.yaml").read_text())["stages"]
RULES = "\n".join(path.read_text() for path in [REPO / "Snakefile", *sorted((REPO / "workflow/rules").glob("*.smk"))])


def _rule(name: str) -> str:
    """The text of a rule, up to the next one."""
    return re.split(r"^(?:rule|include|onstart|onsuccess)\b", RULES.split(f"\nrule {name}:", 1)[1], flags=re.MULTILINE)[
        0
    ]


def _section(rule: str, name: str) -> str:
    """The lines below a rule's keyword."""
    return re.split(r"^    (?=\w)", rule.split(f"\n    {name}:", 1)[1], flags=re.MULTILINE)[0]


def _outs(stage: str) -> list[str]:
    entries = [out for kind in ("outs", "metrics", "plots") for out in DVC[stage].get(kind, [])]
    assert all(isinstance(entry, dict) and next(iter(entry.values()))["persist"] for entry in entries)
    return [next(iter(entry)) for entry in entries]


def test_the_same_ten_nouns_stand_everywhere() -> None:
    nouns = list(STAGES)
    assert len(nouns) == 10
    assert list(Params.model_fields) == nouns
    assert list(DVC) == nouns
    help_text = subprocess.run(
        [sys.executable, "-m", "trueframe", "--help"], capture_output=True, text=True, check=True
    )
    assert [noun for noun in nouns if re.search(rf"^  {noun} ", help_text.stdout, re.MULTILINE)] == nouns


@pytest.mark.parametrize("noun", STAGES)
def test_a_noun_has_its_rule_module_folder_and_test(noun: str) -> None:
    unit_rule = _rule(f"{noun}_unit")
    assert f"python -m trueframe {noun} " in unit_rule
    assert f'engine.units("{noun}")' in _rule(noun)
    assert "def run(" in (REPO / f"src/trueframe/stages/{noun}.py").read_text()
    assert (REPO / f"tests/test_{noun}.py").is_file()
    assert f"/{noun}" in f"/{STAGES[noun].record}"
    assert DVC[noun]["params"] == [noun]
    assert DVC[noun]["cmd"] == f"snakemake --cores all {noun}"


@pytest.mark.parametrize("noun", STAGES)
def test_the_modules_that_dvc_declares_are_those_that_the_stage_imports(noun: str) -> None:
    declared = {dep for dep in DVC[noun]["deps"] if dep.endswith(".py")}
    assert declared == {path_of(module) for module in closure(f"trueframe.stages.{noun}")}


@pytest.mark.parametrize("noun", STAGES)
def test_a_stage_imports_at_run_time_no_more_than_is_declared(noun: str) -> None:
    code = (
        f"import sys, trueframe.stages.{noun}\n"
        "modules = [(name, module) for name, module in sys.modules.items() if name.startswith('trueframe.')]\n"
        "print(*[name for name, module in modules if not hasattr(module, '__path__')])"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert {path_of(name) for name in loaded} <= set(DVC[noun]["deps"])


def test_packages_hold_no_code_that_could_change_a_byte() -> None:
    assert (REPO / "src/trueframe/stages/__init__.py").read_text().count("\n") <= 2
    assert "import os" in (REPO / "src/trueframe/__init__.py").read_text()


@pytest.mark.parametrize("noun", STAGES)
def test_dvcs_outs_are_what_the_units_of_the_rule_write(noun: str) -> None:
    wildcards = {"one": "all", "seed": "{seed}", "seed and part": "{seed}/{part}", "part": "{part}"}
    unit = wildcards.get(STAGES[noun].units, "{train_part}")
    assert _section(_rule(f"{noun}_unit"), "output").split() == [f'touch(".snakemake/units/{noun}/{unit}"),']
    written = [STAGES[noun].record, *STAGES[noun].outputs.values()]
    outs = _outs(noun)
    for path in written:
        assert sum(path == out or path.startswith(f"{out}/") for out in outs) == 1, path
    for out in outs:
        assert any(path == out or path.startswith(f"{out}/") for path in written), out


@pytest.mark.parametrize("noun", STAGES)
def test_dvcs_deps_are_the_artifacts_that_a_unit_reads(noun: str) -> None:
    layout = Layout(("a", "b"), ("c",), (1, 2), keep=2)
    read = {str(path) for unit in layout.units(noun) for path in layout.inputs(noun, unit)}
    data = {dep for dep in DVC[noun]["deps"] if not dep.endswith(".py")}
    assert data - {"data/raw", "data/withdrawn.csv"} == {
        next(dep for dep in _all_outs() if path == dep or path.startswith(f"{dep}/")) for path in read
    }
    # bboxes and crops read raw videos too, but the index, which they also read, holds every video's digest.
    assert ("data/raw" in data) == (noun in ("index", "evaluation"))
    # The others find in the index what is withdrawn.
    assert ("data/withdrawn.csv" in data) == STAGES[noun].reads_withdrawn == (noun == "index")


def _all_outs() -> list[str]:
    return [out for noun in STAGES for out in _outs(noun)]
