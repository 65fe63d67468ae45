"""Which source files a module rests on, found by reading them and without importing any."""

from __future__ import annotations

import ast
import importlib.util
import sysconfig
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from nlhf_repro.interfaces import ImpossibleSettingError
from nlhf_repro.pipeline.files import file_digest

PACKAGE = "nlhf_repro"
PACKAGE_ROOT = Path(__file__).resolve().parents[2]


def source_hashes(modules: Iterable[str]) -> dict[str, str]:
    """SHA-256 of the file of every module that `modules` import, directly or through others.

    Followed are modules of this package and, for a module outside of it, those of its own top-level package
    and its neighbors in the same folder; installed libraries are left to their version numbers.
    """
    closure: set[str] = set()
    for module in modules:
        closure |= _closure(module)
    return {module: _hash(path) for module in sorted(closure) if (path := _file(module))}


@cache
def _closure(start: str) -> frozenset[str]:
    found: set[str] = set()
    waiting = [start]
    while waiting:
        module = waiting.pop()
        if module not in found:
            found.add(module)
            waiting += _imports(module)
    return frozenset(found)


@cache
def _imports(module: str) -> tuple[str, ...]:
    """The followed modules that a module's source names, wherever in it the import stands."""
    path = _file(module)
    if path is None:
        raise ImpossibleSettingError(
            f"The source of module {module} was not found: a stage is keyed by the source that it runs."
        )
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    names = set(_parents(module))
    for node in ast.walk(ast.parse(path.read_bytes())):
        for name in _named(node, package):
            names |= {name, *_parents(name)}
    return tuple(sorted(name for name in names if _followed(name, module)))


def _named(node: ast.AST, package: str) -> Iterator[str]:
    """Candidates: `from a import b` may name the module a.b, or an attribute of a."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        base = node.module or ""
        if node.level:
            anchor = package.split(".")[: len(package.split(".")) - node.level + 1]
            base = ".".join([*anchor, *([base] if base else [])])
        yield base
        yield from (f"{base}.{alias.name}" for alias in node.names)


def _parents(module: str) -> Iterator[str]:
    parts = module.split(".")
    return (".".join(parts[:length]) for length in range(1, len(parts)))


def _followed(name: str, importer: str) -> bool:
    path = _file_below(_root(name.partition(".")[0], importer), name)
    return path is not None


def _root(top: str, importer: str) -> Path | None:
    """The folder that holds the top-level module `top`, where imports of `importer` are followed there."""
    if top == PACKAGE:
        return PACKAGE_ROOT
    own = importer.partition(".")[0]
    if own == PACKAGE:
        return None
    root = _user_root(own)
    return root if root is not None and (top == own or not _installed(root)) else None


@cache
def _user_root(top: str) -> Path | None:
    specification = importlib.util.find_spec(top)
    if specification is None:
        return None
    if specification.submodule_search_locations:
        return Path(next(iter(specification.submodule_search_locations))).resolve().parent
    return Path(specification.origin).resolve().parent if specification.origin else None


def _installed(root: Path) -> bool:
    return root in {Path(sysconfig.get_path(kind)).resolve() for kind in ("purelib", "platlib")}


def _file(module: str) -> Path | None:
    return _file_below(_root(module.partition(".")[0], module), module)


def _file_below(root: Path | None, module: str) -> Path | None:
    if root is None or not module:
        return None
    base = root.joinpath(*module.split("."))
    for path in (base / "__init__.py", base.with_suffix(".py")):
        if path.is_file():
            return path
    return None


@cache
def _hash(path: Path) -> str:
    return file_digest(path)
