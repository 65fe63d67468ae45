"""Forest plots: which columns, which numbers, and the same bytes twice."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
from reporting_rows import GAP, lognormal, record, specification

from nlhf_repro.reporting import draw_forest, render_table
from nlhf_repro.reporting.cells import Cell, TableRow
from nlhf_repro.reporting.columns import LedgerTotal, MeanValue
from nlhf_repro.reporting.forest import LETTERS, PANELS, ROWS, forest_columns

MEAN = MeanValue("mean", "duality_gap", "last", "last", True, better="lower")


def rows():
    return [record(label, lognormal(n, scale=0.1 * (n + 1))) for n, label in enumerate("abc")]


def test_columns_with_intervals_are_drawn_and_the_comparison_comes_first():
    asked = specification(MEAN, GAP, LedgerTotal("cost", "comparisons"), against="a", column="mean")
    found = forest_columns(render_table(rows(), asked), asked)
    assert [(x.header, x.logarithmic, x.neutral) for x in found] == [
        ("comparison: mean", False, 0),
        ("mean", False, None),
        ("gap", True, None),
    ]
    ratios = specification(GAP, against="a")
    first = forest_columns(render_table(rows(), ratios), ratios)[0]
    assert (first.header, first.logarithmic, first.neutral) == ("comparison: gap", True, 1)


def test_the_same_table_gives_the_same_bytes(tmp_path):
    asked = specification(MEAN, against="a", column="mean")
    table = render_table(rows(), asked)
    first = draw_forest(table, asked, tmp_path / "one", "x-forest")
    second = draw_forest(table, asked, tmp_path / "two", "x-forest")
    assert [path.name for path in first] == ["x-forest.png", "x-forest.svg"]
    assert [x.read_bytes() for x in first] == [x.read_bytes() for x in second]


def test_the_picture_names_every_row_and_leaves_out_a_papers(tmp_path):
    asked = specification(MEAN, against="a", column="mean")
    table = render_table(rows(), asked)
    empty = TableRow("theirs", table.rows[0].cells, published=True)
    table = type(table)(table.title, "", table.header, (*table.rows, empty), table.notes)
    _, svg = draw_forest(table, asked, tmp_path, "x")
    drawn = re.findall(r"<text[^>]*>([^<]*)</text>", svg.read_text())
    assert {"a", "b", "c", "Title", "comparison: mean"} <= set(drawn) and "theirs" not in drawn
    assert " baseline" in drawn or "baseline" in drawn
    assert any("Filled" in text for text in drawn)


def drawn_texts(svg):
    """(text, x in points) of every text of a picture."""
    place = r'(?:x="([\d.]+)"|transform="translate\(([\d.]+))'
    found = re.findall(rf'<text style="[^"]*" {place}[^>]*>([^<]*)</text>', svg.read_text())
    return [(text, float(x or moved)) for x, moved, text in found]


def test_a_row_without_a_number_says_its_cells_text_at_the_panels_edge(tmp_path):
    members = [*rows(), record("low", np.full((5, 40), 1e-15)), record("none", np.ones((0, 40)))]
    asked = specification(GAP, against="a")
    _, svg = draw_forest(render_table(members, asked), asked, tmp_path, "x")
    places = {}
    for text, x in drawn_texts(svg):
        places.setdefault(text.strip(), []).append(x)
    assert len(places["baseline"]) == 1 and "no number" not in places
    (floor,), (missing,) = places["all gaps at the floor 1e-12"], places["missing"]
    (refused,) = places["refused: all gaps at the floor 1e-12"]
    (panel,) = places["gap"]  # its title stands at the left edge
    assert floor == missing and 0 < floor - panel < 10 and refused < panel


def test_a_long_text_is_cut_to_the_panel(tmp_path):
    asked = specification(MEAN)
    table = render_table(rows(), asked)
    long = TableRow("long", (table.rows[0].cells[0], Cell("why " * 30)))
    table = replace(table, rows=(*table.rows, long))
    _, svg = draw_forest(table, asked, tmp_path, "x")
    (said,) = [text for text, _ in drawn_texts(svg) if text.startswith("why")]
    assert len(said) == LETTERS and said.endswith("…")


def test_what_cannot_be_read_is_not_drawn(tmp_path):
    asked = specification(MEAN)
    many = [record(str(n), lognormal(n)) for n in range(ROWS + 1)]
    assert draw_forest(render_table(many, asked), asked, tmp_path, "x") == []
    counted = specification(LedgerTotal("cost", "comparisons"))
    assert draw_forest(render_table(rows(), counted), counted, tmp_path, "x") == []


def test_columns_beyond_the_panels_are_said_not_to_be_drawn(tmp_path):
    columns = [MeanValue(f"m{n}", "duality_gap", "last", "last", True) for n in range(PANELS + 2)]
    asked = specification(*columns)
    _, svg = draw_forest(render_table(rows(), asked), asked, tmp_path, "x")
    assert "Not drawn: 2 further columns of the table." in svg.read_text()
