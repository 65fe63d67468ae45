"""The mini world at the smallest size that is still itself: one cell is a matter of seconds."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from nlhf_repro.cells import single_cell
from nlhf_repro.pipeline.cell import CellResult, run_cell

TINY: dict[str, Any] = {
    "prompts.training": 8,
    "prompts.selection": 4,
    "prompts.tuning": 6,
    "prompts.evaluation": 6,
    "prompts.demonstration_count": 16,
    "model.hidden_size": 16,
    "model.layers": 1,
    "model.heads": 2,
    "model.intermediate_size": 24,
    "language.fine_tuning.steps": 4,
    "language.fine_tuning.batch_size": 4,
    "language.fine_tuning.warmup_steps": 1,
    "language.max_new_tokens": 6,
    "language.evaluation_samples": 2,
    "training.iterations": 2,
    "training.record_points": 2,
    "training.groups_per_iteration": 4,
    "training.minibatch_size": 4,
}
LEARNED_FROM = 40  # comparisons


def tiny_overrides(**changes: Any) -> list[str]:
    """The default composition of the mini world at that size; changes are `a__b=c` for a.b=c."""
    changed = {key.replace("__", "."): value for key, value in changes.items()}
    groups = {key: value for key, value in changed.items() if "." not in key}
    values = TINY | {key: value for key, value in changed.items() if "." in key}
    return [
        "experiment=mini/default",
        "tracker=none",
        *(f"{key}={value}" for key, value in groups.items()),
        *(f"{key}={value}" for key, value in values.items()),
    ]


def tiny(config: Mapping[str, Any]) -> dict[str, Any]:
    """A resolved configuration of a language cell at that size."""
    small = copy.deepcopy(dict(config))
    for key, value in TINY.items():
        *path, last = key.split(".")
        node = small
        for name in path:
            node = node[name]
        node[last] = value
    for wrapper in small["oracle_wrapper"].values():
        if "comparisons" in wrapper:
            wrapper["comparisons"] = LEARNED_FROM
    for benchmark in small["benchmark"].values():
        if "repeats" in benchmark:
            benchmark["repeats"] = 2
        if "decoding" in benchmark:
            benchmark["decoding"]["max_new_tokens"] = 4
    if small["budget"]["comparisons"]:
        small["budget"]["comparisons"] = 400
    return small


def run_tiny(folder: Path, *overrides: str, **changes: Any) -> CellResult:
    """The cell, computed into `folder`."""
    arguments = [*tiny_overrides(**changes), f"output_dir={folder}", *overrides]
    cell = single_cell(arguments)
    return run_cell(cell.config, cell.overrides)


def run_record(result: CellResult) -> dict[str, Any]:
    """run.json."""
    record: dict[str, Any] = json.loads((result.directory / "run.json").read_text())
    return record


def stages(folder: Path, stage: str) -> list[Path]:
    """The folders of a stage, all of which are whole."""
    return sorted((folder / "stages").glob(f"{stage}-*"))


def training_folder(folder: Path, result: CellResult) -> Path:
    """Where the cell's checkpoints are."""
    return folder / "stages" / f"train-{run_record(result)['stages']['train'][:16]}"


def lines(path: Path) -> Iterator[dict[str, Any]]:
    """The objects of a file of JSON lines."""
    return (json.loads(line) for line in path.read_text().splitlines())
