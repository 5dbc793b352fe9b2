"""Which of our modules a module imports, directly or not, wherever in its source: what a stage's code really is."""

from __future__ import annotations

import ast
from pathlib import Path

SRC = Path(__file__).parents[1] / "src"


def closure(module: str) -> set[str]:
    """Modules of trueframe that run when `module` runs, itself included; type-checking imports are not among them."""
    found: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        waiting += _imported(ast.parse(_path(name).read_text()))
    return found


def path_of(module: str) -> str:
    """The module's path in the repository."""
    return str(_path(module).relative_to(SRC.parent))


def _path(module: str) -> Path:
    return SRC / (module.replace(".", "/") + ".py")


def _imported(tree: ast.AST) -> list[str]:
    names: list[str] = []
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        names += _imported(node)
    return [name for name in names if name.startswith("trueframe.") and _path(name).is_file()]
