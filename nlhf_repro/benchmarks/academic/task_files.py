"""Tasks of lm-eval as files, read without importing it: which there are, and what they stand on."""

from __future__ import annotations

import difflib
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml

from nlhf_repro.interfaces import ImpossibleSettingError

# Items of lists too, as tags often are: a name too many is harmless, as lm-eval looks again.
_NAMES = re.compile(
    rb"^(?:(?:task|group|tag):|[ \t]*-)[ \t]*[\"']?([^\s\"'#\[\]{},]+)", re.MULTILINE
)


class _Loader(yaml.SafeLoader):
    """Plain YAML; a function that lm-eval would import is not."""


_Loader.add_multi_constructor("!", lambda loader, suffix, node: None)


def require_tasks(names: Iterable[str], folder: Path | None) -> None:
    """Every name is a task, group or tag of the folder or of lm-eval.

    Raises:
        ImpossibleSettingError: naming the first that is not, and what looks like it.
    """
    known = declared(folder)
    places = [lm_eval_tasks() / name.split("_")[0] for name in names]  # where most of them are
    left = set(names) - known
    for place in [*places, lm_eval_tasks()]:
        if not left:
            return
        for path in place.rglob("*yaml"):  # templates end in _yaml
            found = {each.decode() for each in _NAMES.findall(path.read_bytes())}
            known |= found
            left -= found
    if left:
        name = sorted(left)[0]
        close = difflib.get_close_matches(name, known, n=1)
        raise ImpossibleSettingError(
            f"{name} is no task or group of lm-eval"
            f"{'' if folder is None else f' nor of {folder}'}: "
            + (f"did you mean {close[0]}?" if close else "run lm-eval ls tasks for their names.")
        )


def declared(folder: Path | None) -> set[str]:
    """Names of tasks, groups and tags in the folder."""
    found: set[str] = set()
    for node in _nodes(folder):
        tags = node.get("tag") or []
        names = [node.get("group"), node.get("task"), *([tags] if isinstance(tags, str) else tags)]
        found |= {name for name in names if isinstance(name, str)}
    return found


def needs_lm_evals_own(names: Iterable[str], folder: Path | None) -> bool:
    """Whether a name, or a member of a group in the folder, is not of the folder."""
    wanted = set(names)
    for node in _nodes(folder):
        members = node.get("task")
        for member in members if isinstance(members, list) else []:
            name = member.get("task", member.get("group")) if isinstance(member, dict) else member
            wanted |= {name} if isinstance(name, str) else set()
    return not wanted <= declared(folder)


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file of the folder, and of the local data that its tasks name elsewhere."""
    paths = {
        path.relative_to(folder).as_posix(): path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }
    for node in _nodes(folder):
        arguments = node.get("dataset_kwargs")
        files = arguments.get("data_files") if isinstance(arguments, Mapping) else None
        paths |= {text: Path(text) for text in _texts(files) if Path(text).is_file()}
    return {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in paths.items()}


@cache
def lm_eval_tasks() -> Path:
    """The folder of the tasks that come with lm-eval."""
    found = find_spec("lm_eval")
    if found is None or not found.submodule_search_locations:
        raise ImpossibleSettingError("academic tasks need lm-eval: pip install 'lm-eval[hf]'.")
    return Path(found.submodule_search_locations[0]) / "tasks"


def _nodes(folder: Path | None) -> Iterator[Mapping[str, Any]]:
    """The YAML files of the folder; one that is no mapping is no task."""
    for path in sorted(folder.rglob("*yaml")) if folder else []:
        try:
            node = yaml.load(path.read_text(encoding="utf-8"), _Loader)
        except yaml.YAMLError as error:
            raise ImpossibleSettingError(
                f"{path} is no YAML ({' '.join(str(error).split())}): mend it."
            ) from error
        if isinstance(node, Mapping):
            yield node


def _texts(node: object) -> Iterator[str]:
    if isinstance(node, str):
        yield node
    elif isinstance(node, Mapping):
        for child in node.values():
            yield from _texts(child)
    elif isinstance(node, list):
        for child in node:
            yield from _texts(child)
