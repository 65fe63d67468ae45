"""Intervals of means are cut to what a mean can be."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from reporting_rows import record, specification

from nlhf_repro.interfaces import ImpossibleSettingError
from nlhf_repro.reporting import render_table, table_answers
from nlhf_repro.reporting.columns import MeanValue

FREE = MeanValue("score", "duality_gap", "last", "last", True)
CUT = replace(FREE, limits=(0.0, 100.0))


def rows(high=(60.0, 99.0, 98.0)):
    """Three runs that differ by tens of points, near both ends of the scale."""
    rng = np.random.default_rng(0)
    found = []
    for label, runs in (("low", (1.0, 2.0, 40.0)), ("high", high)):
        values = np.clip(np.array(runs)[:, None] + rng.normal(0, 1, (3, 30)), 0, 100)
        found.append(replace(record(label, values), clusters="prompts", problems=1))
    return found


def cells(column):
    table = render_table(rows(), specification(column, against="low", column="score"))
    return {row.label: row.cells for row in table.rows}, table


def test_an_interval_ends_where_the_scale_does_and_its_estimate_stays():
    (free, _), (cut, table) = cells(FREE), cells(CUT)
    assert free["low"][1].lower < 0 and free["high"][1].upper > 100
    assert cut["low"][1].lower == 0 and cut["high"][1].upper == 100
    for label in free:
        assert cut[label][1].estimate == free[label][1].estimate
    assert cut["high"][1].lower == free["high"][1].lower
    assert any("prompts as clusters, cut to 0 to 100]" in note for note in table.notes)


def test_a_difference_is_cut_to_the_span_of_the_scale():
    (free, _), (cut, _) = cells(FREE), cells(CUT)
    assert free["high"][2].upper > 100 and cut["high"][2].upper == 100
    assert cut["high"][2].lower == max(free["high"][2].lower, -100)
    assert cut["high"][2].p_value == free["high"][2].p_value


def test_a_power_beyond_the_scale_is_not_promised():
    (answer,) = table_answers(
        rows((1.0, 2.0, 99.0)), specification(CUT, against="low", column="score")
    )
    assert answer.kind == "undecided"
    assert "no possible difference has 80% power" in answer.text


def test_limits_in_the_wrong_order_are_refused():
    with pytest.raises(ImpossibleSettingError, match="has limits \\[1, 0\\]: give the smaller"):
        replace(CUT, limits=(1, 0))
