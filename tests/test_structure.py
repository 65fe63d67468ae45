"""The house rules that a machine can check: imports point down, files stay short."""

from __future__ import annotations

import ast
import statistics
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "nlhf_repro"
MODULES = sorted(PACKAGE.rglob("*.py"))
PLUGINS = {"algorithms", "models", "oracles", "prompts", "judges", "benchmarks"}
LAYERS = [
    {"interfaces"},
    {
        "seeds",
        "asking",
        "weights",
        "questions",
        "games",
        "losses",
        "phases",
        "updates",
        "regressions",
        "hinge_regression",
        "selection",
        "summaries",
        "uncertainty",
    },
    {"preferences"},
    PLUGINS,
    {"pipeline", "reporting"},
    {"tracking", "templates"},
    {"validation", "search", "config", "tuned", "cells", "trials", "progress"},
    {"conformance"},
    {"verbs", "cli", "__main__"},
]
HEAVY = {"torch", "transformers", "wandb", "matplotlib", "pandas", "pyarrow", "lm_eval"}
HEAVY_ALLOWED = {
    "torch": {"models", "losses", "oracles", "judges", "weights", "pipeline", "conformance"}
    | {"preferences"}
}


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imports(path: Path) -> Iterator[tuple[str, bool]]:
    """Imported names, and whether importing the module imports them."""
    tree = ast.parse(path.read_text())
    at_import = {id(node) for node in _executed(tree)}
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: write the absolute import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        yield from ((name, id(node) in at_import) for name in names)


def _executed(tree: ast.AST) -> Iterator[ast.AST]:
    for node in ast.iter_child_nodes(tree):
        guarded = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        if not guarded and not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node
            yield from _executed(node)


def layer(name: str) -> int:
    return next(level for level, rooms in enumerate(LAYERS) if name in rooms)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_down(path: Path) -> None:
    if path == PACKAGE / "__init__.py":
        return
    own = room(path)
    for name, _ in imports(path):
        parts = name.split(".")
        if parts[0] != "nlhf_repro" or len(parts) == 1 or parts[1] == own:
            continue
        assert layer(parts[1]) <= layer(own), f"{path} imports {name}, which lies above it"
        peers = {own, parts[1]} <= PLUGINS or {own, parts[1]} == {"pipeline", "reporting"}
        assert not peers, f"{path} imports {name}, its peer"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_heavy_packages_are_imported_where_they_are_used(path: Path) -> None:
    for name, at_import in imports(path):
        top = name.partition(".")[0]
        if at_import and top in HEAVY:
            assert room(path) in HEAVY_ALLOWED.get(top, ()), f"{path} imports {top} at once"


def test_files_stay_under_300_lines() -> None:
    files = [*MODULES, *Path(__file__).parent.glob("*.py")]
    assert {str(x): n for x in files if (n := len(x.read_text().splitlines())) > 300} == {}


def code_lines(path: Path) -> int:
    """Lines that are neither blank nor comment nor docstring."""
    text = path.read_text()
    documented: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(
            node
        ):
            first = node.body[0]
            documented |= set(range(first.lineno, (first.end_lineno or first.lineno) + 1))
    lines = enumerate(text.splitlines(), 1)
    return sum(
        bool(line.strip()) and not line.strip().startswith("#") and number not in documented
        for number, line in lines
    )


def test_an_algorithm_is_a_short_file() -> None:
    lengths = {
        path.stem: code_lines(path)
        for path in (PACKAGE / "algorithms").glob("*.py")
        if path.stem != "__init__"
    }
    assert len(lengths) > 20
    assert statistics.median(lengths.values()) <= 80
    assert max(lengths.values()) <= 150, lengths
