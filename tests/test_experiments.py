"""Every shipped experiment composes, is sound before any work, and runs to its table."""

from __future__ import annotations

import copy
from pathlib import Path

import mini_world
import pytest
from conftest import CONF

from nlhf_repro.cells import experiment_cells
from nlhf_repro.pipeline.cell import run_cell
from nlhf_repro.pipeline.keys import seed_factors
from nlhf_repro.pipeline.records import DeclaredCell, row_records
from nlhf_repro.reporting import draw_figures, render_table, table_specification, to_markdown
from nlhf_repro.verbs.run import check_parts

SCALES = ("tabular", "mini", "questions")
EXPERIMENTS = sorted(
    f"{scale}/{path.stem}"
    for scale in SCALES
    for path in (CONF / "experiment" / scale).glob("*.yaml")
    if path.stem != "default"  # the composition of a scale: one cell, without rows
)


def tiny(config, folder: Path):
    """The cell with a few updates and games, or prompts."""
    if config["language"] is not None:
        language = mini_world.tiny(config)
        language["language"]["evaluation_samples"] = 3  # as many as cycle_share needs
        for wrapper in language["oracle_wrapper"].values():
            if "steps" in wrapper:  # of a learned oracle
                wrapper["steps"] = 20
        return {**language, "output_dir": str(folder)}
    small = copy.deepcopy(config)
    small["training"]["iterations"] = min(4, small["training"]["iterations"])
    small["training"]["record_points"] = 4
    small["training"]["groups_per_iteration"] = 3
    if small["oracle"]["games"] > 1:  # one constructed game of a uniform reference stays one
        small["oracle"]["games"] = 3
    if small["budget"]["comparisons"]:
        small["budget"]["comparisons"] = 400
    small["output_dir"] = str(folder)
    return small


def of_one_seed(cells):
    """The cells of every row's first seed: seeds of a row differ in nothing but the seed."""
    first: dict = {}
    for cell in cells:
        first.setdefault((cell.row, cell.world), cell)
    return list(first.values())


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """Where language cells are computed, once for all experiments whose rows are the same."""
    return tmp_path_factory.mktemp("shared")


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_cell_of_an_experiment_is_sound_and_distinct(name):
    cells = experiment_cells([f"experiment={name}"])
    checked = of_one_seed(cells)
    for cell in checked:
        check_parts(cell.config)
    assert len({cell.key for cell in checked}) == len(checked), "two rows are one computation"
    assert len({seed_factors(cell.config) for cell in cells}) >= len({cell.seed for cell in cells})


def of_two(cells):
    """The cells of two worlds and two seeds: two of many are several."""
    worlds = list(dict.fromkeys(cell.world for cell in cells))[:2]
    seeds = list(dict.fromkeys(cell.seed for cell in cells))[:2]
    return [cell for cell in cells if cell.world in worlds and cell.seed in seeds]


@pytest.mark.slow
@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_runs_to_its_table_and_figures(name, shared, tmp_path):
    cells = experiment_cells([f"experiment={name}"])
    if cells[0].config["language"] is not None:
        cells = of_two(cells)
    declared = []
    for cell in cells:
        config = tiny(cell.config, shared)
        key = run_cell(config, []).key
        declared.append(DeclaredCell(cell.row, cell.seed, cell.world, key, config))
    rows = row_records(declared, shared)
    specification = table_specification(cells[0].config["table"])
    table = render_table(rows, specification)
    text = to_markdown(table)
    for row in rows:
        label = row.label if specification.grid_points == "rows" else row.base
        assert f"| {label} " in text
    body = "".join(line for line in text.splitlines() if line.startswith("| "))
    assert "failed" not in body
    assert "missing" not in body
    figures = draw_figures(rows, specification, tmp_path)
    assert len(figures) == 2 * len(specification.figures)
    assert all(path.stat().st_size > 1000 for path in figures)
