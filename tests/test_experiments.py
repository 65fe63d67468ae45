"""Every shipped experiment composes, is sound before any work, and runs to its table."""

from __future__ import annotations

import copy
from pathlib import Path

import mini_world
import pytest
from conftest import CONF

from nlhf_repro.cells import experiment_cells
from nlhf_repro.pipeline.cell import run_cell
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


@pytest.fixture(scope="module")
def questions_folder(tmp_path_factory):
    """One folder for all experiments on questions, which have cells and stages in common."""
    return tmp_path_factory.mktemp("questions")


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_cell_of_an_experiment_is_sound_and_distinct(name):
    cells = experiment_cells([f"experiment={name}"])
    rows = {cell.row: cell for cell in reversed(cells)}  # of the first seed and world
    for cell in rows.values():
        check_parts(cell.config)
    assert len({cell.key for cell in cells}) == len(cells), "two rows are the same computation"


@pytest.mark.slow
@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_runs_to_its_table_and_figures(name, tmp_path, questions_folder):
    folder = questions_folder if name.startswith("questions/") else tmp_path
    cells = experiment_cells([f"experiment={name}"])
    kept = list(dict.fromkeys(cell.world for cell in cells))[:2]  # of many worlds two are several
    cells = [cell for cell in cells if cell.world in kept]
    declared = []
    for cell in cells:
        config = tiny(cell.config, folder)
        key = run_cell(config, []).key
        declared.append(DeclaredCell(cell.row, cell.seed, cell.world, key, config))
    rows = row_records(declared, folder)
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
