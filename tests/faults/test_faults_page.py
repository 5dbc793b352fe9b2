"""docs/reliability.md names tests that are there, and every test that tells of faults."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from workspaces import REPO

_TEST = re.compile(r"`(test_\w+)`")


def _tests(folder: Path, pattern: str) -> set[str]:
    trees = [ast.parse(path.read_text()) for path in folder.glob(pattern)]
    return {node.name for tree in trees for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_the_page_names_tests_that_are_there_and_leaves_none_of_this_folder_out() -> None:
    named = set(_TEST.findall((REPO / "docs/reliability.md").read_text()))
    assert named <= _tests(REPO / "tests", "**/test_*.py")
    mine = {name for name in _tests(REPO / "tests/faults", "test_faults_*.py") if name.startswith("test_")}
    assert mine - named == {"test_the_page_names_tests_that_are_there_and_leaves_none_of_this_folder_out"} | {
        "test_a_record_with_the_digest_of_other_bytes_makes_stale_what_reads_them"
    }
