"""Grids in tables, comparisons and figures."""

from dataclasses import replace

import pytest
from reporting_rows import GAP, lognormal, record, specification, texts

from nlhf_repro.interfaces import ImpossibleSettingError
from nlhf_repro.reporting import (
    TableSpecification,
    draw_figures,
    render_table,
    table_specification,
    to_csv,
    to_latex,
    to_markdown,
)
from nlhf_repro.reporting.columns import MeanValue
from nlhf_repro.reporting.curves import figure_panels
from nlhf_repro.reporting.figure_specification import GridFigureSpecification
from nlhf_repro.uncertainty import estimate, geometric_mean, holm

POINTS = (-0.1, 0, 0.25)
MEAN = MeanValue("mean", "duality_gap", "last", "last", across_regularization=True)


def grid_rows(**changes):
    """Two labels at three points, a start of its own at each point, as its own games have."""
    return [
        record(
            f"{base}, epsilon {point}",
            lognormal(10 * number + index, scale=scale),
            base=base,
            grid_point=float(point),
            start=0.5 + index / 10,
            **changes,
        )
        for number, (base, scale) in enumerate((("A", 1e-3), ("B", 3e-3)))
        for index, point in enumerate(POINTS)
    ]


def figure(**changes):
    fields = {
        "name": "swept",
        "title": "Title",
        "benchmark": "duality_gap",
        "mean": "geometric",
        "label": "gap",
        "iterates": ("last",),
        "axis": "grid",
        "grid_label": "epsilon",
        "scale": "linear",
        "panels": "none",
        "lines": {"theory": {0.25: 0.2, -0.1: 0.1}},
    }
    return GridFigureSpecification(**{**fields, **changes})


def test_a_row_meets_the_baseline_at_its_own_point():
    rows = grid_rows()
    table = render_table(rows, specification(GAP, against="A"))
    comparisons = [row.cells[2] for row in table.rows]
    assert [cell.text for cell in comparisons[:3]] == ["baseline"] * 3
    unadjusted = []
    for row, baseline, cell in zip(rows[3:], rows[:3], comparisons[3:], strict=True):
        alone = GAP.compare(row, baseline, matched=False, confidence=0.95)
        unadjusted.append(alone.p_value)
        assert cell.estimate == alone.estimate
    assert [cell.p_value for cell in comparisons[3:]] == pytest.approx(list(holm(unadjusted)))
    assert any(
        "baseline at the same point: A" in note and "over the 3 comparisons" in note
        for note in table.notes
    )


def test_a_label_with_its_point_is_no_baseline():
    with pytest.raises(ImpossibleSettingError, match="names 'A, epsilon 0', which is no row"):
        render_table(grid_rows(), specification(GAP, against="A, epsilon 0"))


def test_a_missing_point_keeps_its_place_in_the_family():
    rows = grid_rows()
    rows[1] = replace(rows[1], missing=(7,))
    whole = render_table(grid_rows(), specification(GAP, against="A"))
    table = render_table(rows, specification(GAP, against="A"))
    assert texts(table)["B, epsilon 0"][2] == "no comparison: baseline incomplete†"
    unchanged = texts(table)["B, epsilon 0.25"][2]
    assert unchanged.split(", p")[0] == texts(whole)["B, epsilon 0.25"][2].split(", p")[0]


def test_points_in_columns_hold_the_same_cells():
    rows = grid_rows()
    wanted = specification(GAP, MEAN, against="A")
    long = render_table(rows, wanted)
    wide = render_table(rows, replace(wanted, grid_points="columns"))
    points = [f"epsilon {point}" for point in POINTS]
    names = ("gap", "comparison", "mean")
    assert wide.header == (
        "row", "K x n", *(f"{name}, {point}" for name in names for point in points)
    )  # fmt: skip
    assert [row.label for row in wide.rows] == ["A", "B"]
    cells = {row.label: row.cells for row in long.rows}
    for row in wide.rows:
        expected = [cells[f"{row.label}, {point}"][1 + i] for i in range(3) for point in points]
        assert list(row.cells[1:]) == expected
        assert row.cells[0].text == "5 x 40"
    assert to_markdown(wide).count("| B ") == 1
    assert to_latex(wide).count(r"B & 5 x 40 &") == 1
    assert to_csv(wide).count("\nB,") == 10


def test_points_in_columns_need_a_grid():
    wanted = replace(specification(GAP), grid_points="columns")
    with pytest.raises(ImpossibleSettingError, match="needs an experiment with a grid"):
        render_table([record("A", lognormal(0))], wanted)


def test_settings_of_a_grid_are_said_once_for_a_label_and_once_for_a_point():
    rows = [
        replace(row, variants={"algorithm": row.base, "epsilon": str(row.grid_point)})
        for row in grid_rows()
    ]
    notes = [x for x in render_table(rows, specification(GAP)).notes if x.startswith("Variants")]
    assert notes == [
        "Variants of A: algorithm A.",
        "Variants of B: algorithm B.",
        "Variants of epsilon -0.1: epsilon -0.1.",
        "Variants of epsilon 0: epsilon 0.0.",
        "Variants of epsilon 0.25: epsilon 0.25.",
    ]


def test_points_of_a_figure_are_the_engines_estimates():
    rows = grid_rows()
    (panel,) = figure_panels(rows[::-1], figure(), 0.95)
    assert [curve.name for curve in panel.curves] == ["B", "A"]
    curve = panel.curves[1]
    assert panel.logarithmic
    assert list(curve.counts) == list(POINTS)
    for point, row in enumerate(rows[:3]):
        mean = geometric_mean(row.values["duality_gap/last"][..., -1], 1e-12)
        drawn = (curve.middle[point], curve.lower[point], curve.upper[point])
        assert drawn == pytest.approx((mean.estimate, mean.lower, mean.upper), rel=1e-12)
    (line,) = panel.lines
    assert list(line.counts) == [-0.1, 0.25]
    assert list(line.heights) == [0.1, 0.2]


def test_arithmetic_means_are_those_of_the_engine():
    rows = grid_rows()
    (panel,) = figure_panels(rows, figure(mean="arithmetic"), 0.95)
    assert not panel.logarithmic
    mean = estimate(rows[0].values["duality_gap/last"][..., -1])
    drawn = (panel.curves[0].middle[0], panel.curves[0].lower[0], panel.curves[0].upper[0])
    assert drawn == (mean.estimate, mean.lower, mean.upper)


def test_what_is_not_finished_is_left_out_by_name():
    rows = grid_rows()
    rows[1] = replace(rows[1], missing=(7,))
    (panel,) = figure_panels(rows, figure(), 0.95)
    assert list(panel.curves[0].counts) == [-0.1, 0.25]
    assert panel.left_out == ("A, epsilon 0: seeds missing",)


@pytest.mark.parametrize("scale", ["linear", "symlog"])
def test_figures_of_grids_are_drawn_with_the_same_bytes(scale, tmp_path):
    table = TableSpecification("T", "", (), None, (figure(scale=scale),), 0.95)
    first = draw_figures(grid_rows(), table, tmp_path / "one")
    second = draw_figures(grid_rows(), table, tmp_path / "two")
    assert [p.read_bytes() for p in first] == [p.read_bytes() for p in second]
    assert first[0].stat().st_size > 1000


def test_figures_of_grids_that_mean_nothing_are_refused():
    with pytest.raises(ImpossibleSettingError, match="has axis: grid, and the experiment has no"):
        figure_panels([record("A", lognormal(0))], figure(), 0.95)
    bare = [replace(row, floors=dict.fromkeys(row.floors, 0.0)) for row in grid_rows()]
    with pytest.raises(ImpossibleSettingError, match="no floor: set mean to arithmetic"):
        figure_panels(bare, figure(), 0.95)
    with pytest.raises(ImpossibleSettingError, match="has a line without points"):
        figure(lines={"theory": {}})


def test_the_axis_decides_which_figure_a_table_describes():
    drawn = {
        "name": "swept", "title": "T", "benchmark": "duality_gap", "mean": "geometric",
        "label": "gap", "iterates": ["last"], "axis": "grid", "grid_label": "x", "scale": "log",
        "panels": "none", "lines": {},
    }  # fmt: skip
    node = {
        "title": "T", "caption": "", "columns": [], "primary": None, "level": 0.95,
        "figures": [drawn],
    }  # fmt: skip
    (found,) = table_specification(node).figures
    assert isinstance(found, GridFigureSpecification)
    with pytest.raises(ImpossibleSettingError, match=r"figures\[0\] has no key 'bounds'"):
        table_specification({**node, "figures": [{**drawn, "bounds": []}]})
    with pytest.raises(ImpossibleSettingError, match=r"table\.grid_points is 'across'"):
        table_specification({**node, "grid_points": "across"})
