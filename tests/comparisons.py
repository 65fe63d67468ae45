"""Rows of a tiny language experiment, finished, in a folder of their own."""

from __future__ import annotations

import copy
import shutil
from dataclasses import replace
from functools import cache
from pathlib import Path

from nlhf_repro.cells import experiment_cells
from nlhf_repro.interfaces import ResponderTraining, RoundRobinSettings
from nlhf_repro.pipeline.cell import run_cell, stage_store
from nlhf_repro.pipeline.evaluation_keys import cell_key
from nlhf_repro.pipeline.language.comparison import compute_comparison
from nlhf_repro.pipeline.language.round_robins import complete_rows, round_robin_record, units
from nlhf_repro.pipeline.records import DeclaredCell, row_records

TRAINED = ResponderTraining(
    iterations=2, groups_per_iteration=6, responses=3, opponents=1, learning_rate=3e-3
)
POOL = RoundRobinSettings("pool", None)
BOTH = RoundRobinSettings("pool", TRAINED)
ROWS = ("INPO", "Nash-MD-PG", "SPPO")


def tiny_cells(folder: Path, rows=ROWS, seeds=(0, 1), worlds=(0,)) -> list[DeclaredCell]:
    """The declared cells, not run."""
    declared = []
    for cell in _declared():
        if cell.row not in rows or cell.seed != 0:
            continue
        for seed in seeds:
            for world in worlds:
                config = _tiny(cell.config, folder, seed, world)
                declared.append(DeclaredCell(cell.row, seed, world, cell_key(config), config))
    return declared


@cache
def _declared():
    return experiment_cells(["experiment=mini/round_robin"])


def finished_cells(folder: Path, **chosen) -> list[DeclaredCell]:
    """The declared cells, run."""
    cells = tiny_cells(folder, **chosen)
    for cell in cells:
        run_cell(cell.config, [])
    return cells


def compared(cells, folder: Path, settings=POOL) -> None:
    """Compare the rows of the cells that are complete."""
    labels, _ = complete_rows(row_records(cells, folder))
    for rows in units(cells, labels).values():
        compute_comparison(rows, settings, stage_store(folder))


def stages(folder: Path, *kinds: str) -> dict[str, tuple[int, bytes]]:
    """Every file of the stages of these kinds: when it was written, and what it holds."""
    return {
        str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.read_bytes())
        for kind in kinds
        for path in sorted((folder / "stages").glob(f"{kind}-*/*"))
    }


def _tiny(config, folder: Path, seed: int, world: int):
    small = copy.deepcopy(dict(config))
    small["training"] |= {"iterations": 2, "record_points": 2, "groups_per_iteration": 6}
    small["prompts"] |= {"training": 24, "evaluation": 10, "selection": 2, "tuning": 2}
    small["prompts"]["demonstration_count"] = 32
    small["model"] |= {"hidden_size": 16, "heads": 2, "intermediate_size": 16}
    small["language"] |= {"evaluation_samples": 4}
    small["language"]["fine_tuning"] |= {"steps": 30, "warmup_steps": 2, "batch_size": 16}
    small |= {"output_dir": str(folder), "seed": seed, "world": world}
    return small


def record_of(folder, cells, settings=POOL):
    """What the complete rows did, read from the store."""
    return round_robin_record(cells, row_records(cells, folder), settings, stage_store(folder))


def at(cells, seed):
    """The rows of a seed."""
    return {cell.row: cell.config for cell in cells if cell.seed == seed}


def copy_of(shared, folder: Path):
    """The shared folder and its cells, in a folder of the test's own."""
    source, cells, _ = shared
    shutil.copytree(source, folder)
    configs = [{**cell.config, "output_dir": str(folder)} for cell in cells]
    return folder, [replace(cell, config=x) for cell, x in zip(cells, configs, strict=True)]
