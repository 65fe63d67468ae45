"""Figures: the numbers that are drawn, and the same bytes twice."""

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.figure import Figure

from nlhf_repro.interfaces import ImpossibleSettingError, RowRecord
from nlhf_repro.reporting import TableSpecification, draw_figures
from nlhf_repro.reporting.axes import MARKED, QUARTILED, draw_panel
from nlhf_repro.reporting.curves import figure_panels
from nlhf_repro.reporting.figure import how_to_read
from nlhf_repro.reporting.figure_specification import FigureSpecification
from nlhf_repro.uncertainty import geometric_mean

UPDATES = np.array([0.0, 1.0, 10.0, 100.0])


def figure(**changes):
    fields = {
        "name": "curves",
        "title": "Title",
        "benchmark": "duality_gap",
        "label": "gap",
        "iterates": ("last",),
        "axis": "updates",
        "panels": "regularization",
        "lines": {"start": 0.1},
        "bounds": (),
    }
    return FigureSpecification(**{**fields, **changes})


def record(label, tau, last, missing=(), **values):
    return RowRecord(
        label, tuple(range(len(last))), missing, {}, UPDATES, UPDATES, UPDATES,
        {"duality_gap/last": last, **values}, {"duality_gap": 1e-12}, False, tau, {}, {},
    )  # fmt: skip


def gaps(seed):
    decay = np.exp(-UPDATES / 5)
    return np.random.default_rng(seed).lognormal(-2.0, 0.4, (3, 12, 1)) * decay


def test_curves_are_the_engines_geometric_means():
    last = gaps(0)
    (panel,) = figure_panels([record("A, tau 0.1", 0.1, last)], figure(), 0.95)
    (curve,) = panel.curves
    assert curve.name == "A"
    for point in range(3):
        mean = geometric_mean(last[..., point], 1e-12)
        drawn = (curve.middle[point], curve.lower[point], curve.upper[point])
        assert drawn == pytest.approx((mean.estimate, mean.lower, mean.upper), rel=1e-12)


def test_values_below_the_floor_count_as_it_and_have_no_band():
    last = gaps(0)
    last[..., 3] = 1e-15
    ((curve,),) = [p.curves for p in figure_panels([record("A", 0.1, last)], figure(), 0.95)]
    assert curve.middle[3] == pytest.approx(1e-12)
    assert np.isnan(curve.lower[3]) and np.isnan(curve.upper[3])


def test_panels_by_regularization_run_from_large_to_small():
    rows = [record("A, tau 0.01", 0.01, gaps(0)), record("A, tau 1", 1.0, gaps(1))]
    assert [p.title for p in figure_panels(rows, figure(), 0.95)] == ["τ = 1", "τ = 0.01"]


def test_panels_by_iterate_and_rows_that_are_left_out():
    rows = [
        record("A", 0.1, gaps(0), **{"duality_gap/average": gaps(1)}),
        record("B", 0.1, gaps(2)),
        record("C", 0.1, gaps(3), missing=(3,)),
    ]
    wanted = figure(panels="iterate", iterates=("last", "average"))
    last, average = figure_panels(rows, wanted, 0.95)
    assert [curve.name for curve in last.curves] == ["A", "B"]
    assert last.left_out == ("C: seeds missing",)
    assert average.left_out == ("B: not recorded", "C: seeds missing")


def test_a_bound_is_drawn_at_the_largest_scale_and_needs_its_record():
    row = record("A", 0.5, gaps(0))
    exact = replace(row, deterministic=True, seeds=(0,))
    exact = replace(exact, values={"duality_gap/last": gaps(0)[:1]})
    wanted = figure(bounds=("inpo_last_iterate_kl",), lines={})
    with pytest.raises(ImpossibleSettingError, match="needs benchmark log_ratio_to_reference"):
        figure_panels([exact], wanted, 0.95)
    ratios = {"log_ratio_to_reference/last": np.full((1, 12, 4), 4.0)}
    (panel,) = figure_panels([replace(exact, values={**exact.values, **ratios})], wanted, 0.95)
    (line,) = panel.lines  # C = 4 * 0.5 = 2: 32 * 4 / (0.25 (u + 2))
    assert line.heights == pytest.approx([512 / 3, 512 / 12, 512 / 102])


def drawn(members):
    """How many thin lines a panel has, its curves' markers, and how to read it."""
    panels = figure_panels(members, figure(lines={}), 0.95)
    ax = Figure().subplots()
    look = {"color": "black", "linestyle": "-", "marker": "s"}
    draw_panel(ax, panels[0], dict.fromkeys((x.name for x in panels[0].curves), look), figure())
    thin = [line for line in ax.lines if line.get_linewidth() == 0.6]
    marks = [line.get_marker() for line in ax.lines if line.get_linewidth() == 1.8]
    return len(thin), marks, how_to_read(panels, figure(), 0.95, "games")


@pytest.mark.parametrize(("curves", "thin"), [(QUARTILED, 2 * QUARTILED), (QUARTILED + 1, 0)])
def test_quartiles_are_drawn_and_named_where_few_curves_are(curves, thin):
    found, _, reading = drawn([record(f"{n}, tau 0.1", 0.1, gaps(n)) for n in range(curves)])
    assert found == thin
    assert ("thin lines: quartiles" in reading) == (thin > 0)


def test_the_reading_tells_which_panels_have_quartiles():
    few = [record("A, tau 1", 1.0, gaps(0))]
    many = [record(f"{n}, tau 0.1", 0.1, gaps(n)) for n in range(QUARTILED + 1)]
    reading = how_to_read(figure_panels(few + many, figure(), 0.95), figure(), 0.95, "games")
    assert reading.endswith("thin lines: quartiles (where there are at most 4 curves)")


@pytest.mark.parametrize(("points", "mark"), [(MARKED, "s"), (MARKED + 1, "None")])
def test_curves_of_few_recorded_points_have_markers(points, mark):
    updates = np.arange(points) * 1.0
    values = {"duality_gap/last": np.random.default_rng(0).lognormal(size=(3, 12, points))}
    row = replace(record("A, tau 0.1", 0.1, gaps(0)), values=values, updates=updates)
    _, marks, reading = drawn([row])
    assert marks == [mark]
    assert ("markers: recorded points" in reading) == (mark == "s")


def test_same_records_give_the_same_bytes(tmp_path):
    rows = [record("A, tau 0.1", 0.1, gaps(0)), record("B, tau 0.1", 0.1, gaps(1))]
    table = TableSpecification("T", "", (), None, (figure(),), 0.95)
    first = draw_figures(rows, table, tmp_path / "one")
    second = draw_figures(rows, table, tmp_path / "two")
    assert [path.name for path in first] == ["curves.png", "curves.svg"]
    assert [p.read_bytes() for p in first] == [p.read_bytes() for p in second]
    assert b"Date" not in first[1].read_bytes().split(b"<defs>")[0]


def test_impossible_figures_are_refused():
    with pytest.raises(ImpossibleSettingError, match="name one iterate, or set panels to iterate"):
        figure(iterates=("last", "average"))
    with pytest.raises(ImpossibleSettingError, match="set axis to updates"):
        figure(axis="comparisons", bounds=("inpo_last_iterate_kl",))
