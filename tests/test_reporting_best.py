"""Bold face: who stays in it, and how often an equal of the best is wrongly left out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from reporting_rows import GAP, lognormal, record, specification

from nlhf_repro.reporting import render_table, to_latex, to_markdown
from nlhf_repro.reporting.best_cells import with_best
from nlhf_repro.reporting.cells import Cell
from nlhf_repro.reporting.columns import MeanValue

MEAN = MeanValue("mean", "duality_gap", "last", "last", True, better="lower")
SIMULATIONS = 600


def bold(table, column=1):
    return {row.label for row in table.rows if row.cells[column].best}


@pytest.mark.parametrize(
    ("column", "best"), [(MEAN, {"low", "low too"}), (replace(MEAN, better="higher"), {"high"})]
)
def test_the_better_direction_decides_and_equals_stay_together(column, best):
    rows = [
        record("low", lognormal(0, scale=1.0)),
        record("low too", lognormal(1, scale=1.0)),
        record("high", lognormal(2, scale=5.0)),
    ]
    table = render_table(rows, specification(column))
    assert bold(table) == best
    assert any(note.startswith("Bold: not shown to be worse") for note in table.notes)
    marked = [line for line in to_markdown(table).splitlines() if "**" in line]
    assert {line.split("|")[1].strip() for line in marked} == best
    assert to_latex(table).count("textbf") == len(best)


def test_ratios_of_gaps_are_better_when_they_are_smaller():
    rows = [record("small", lognormal(0)), record("large", lognormal(1, scale=1e-2))]
    assert bold(render_table(rows, specification(GAP))) == {"small"}


def test_nothing_is_bold_where_a_column_has_no_better_direction():
    rows = [record("low", lognormal(0, scale=1.0)), record("high", lognormal(1, scale=5.0))]
    table = render_table(rows, specification(replace(MEAN, better=None)))
    assert not bold(table) and not any(note.startswith("Bold") for note in table.notes)


@pytest.mark.parametrize(
    "fields", [{"missing": (9,)}, {"failed": {9: "diverged"}}, {"clusters": "prompts"}]
)
def test_nothing_is_bold_beside_a_row_that_lacks_runs_or_has_one(fields):
    other = lognormal(1, shape=(1, 40) if "clusters" in fields else (5, 40), scale=5.0)
    rows = [
        replace(record("low", lognormal(0, scale=1.0)), clusters=fields.get("clusters", "games")),
        record("high", other, **fields),
    ]
    assert not bold(render_table(rows, specification(MEAN)))


def test_points_of_a_grid_are_told_apart_by_themselves():
    rows = [
        record("a, 1", lognormal(0, scale=1.0), grid_point="1"),
        record("b, 1", lognormal(1, scale=5.0), grid_point="1"),
        record("a, 2", lognormal(2, scale=50.0), grid_point="2"),
        record("b, 2", lognormal(3, scale=10.0), grid_point="2"),
    ]
    marked = with_best(MEAN, [MEAN.cell(x, 0.95) for x in rows], rows, specification(MEAN))
    assert [cell.best for cell in marked] == [True, False, False, True]


def test_a_cell_without_a_number_is_never_bold_nor_anything_beside_it():
    rows = [record("low", lognormal(0, scale=1.0)), record("high", lognormal(1, scale=5.0))]
    cells = [MEAN.cell(rows[0], 0.95), Cell("refused")]
    assert with_best(MEAN, cells, rows, specification(MEAN)) == cells


def test_an_equal_of_the_best_is_left_out_in_at_most_five_percent():
    """Three equal rows and a worse one: any of the three is missing in at most 5 %."""
    rng = np.random.default_rng(0)
    left_out = found = 0
    for _ in range(SIMULATIONS):
        games = rng.standard_normal(40)
        rows = [
            record(str(k), 1.0 + shift + games + rng.standard_normal((3, 40)))
            for k, shift in enumerate((0.0, 0.0, 0.0, 1.5))
        ]
        cells = [MEAN.cell(row, 0.95) for row in rows]
        best = [cell.best for cell in with_best(MEAN, cells, rows, specification(MEAN))]
        left_out += not all(best[:3])
        found += not best[3]
    error = 3 * np.sqrt(0.05 * 0.95 / SIMULATIONS)
    assert left_out / SIMULATIONS <= 0.05 + error
    assert found / SIMULATIONS > 0.5, "a worse row of this size has to be found"
