"""Tests over few training runs have their size at every level that tables print."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from reporting_rows import lognormal, record, specification
from scipy import special

from nlhf_repro.interfaces import Array
from nlhf_repro.reporting import render_table
from nlhf_repro.reporting.columns import MeanValue
from nlhf_repro.uncertainty import difference

MEAN = MeanValue("mean", "duality_gap", "last", "last", True)
ROUNDS = 3000


def p_values(
    runs: tuple[int, int], run_sds: tuple[float, float], clusters: int
) -> tuple[Array, Array]:
    """Of equal algorithms, in points of a win rate; and what Satterthwaite's t would say.

    A side of 0 runs is a fixed policy.
    """
    rng = np.random.default_rng(7)
    found = np.empty((2, ROUNDS))
    for place in range(ROUNDS):
        sides = [22 * rng.standard_normal((1, clusters))]
        sides.append(sides[0] + 14 * rng.standard_normal((1, clusters)))
        for side, (count, run_sd) in enumerate(zip(runs, run_sds, strict=True)):
            if count:
                noise = 23 * rng.standard_normal((count, clusters))
                sides[side] = sides[side] + noise + run_sd * rng.standard_normal((count, 1))
        one = difference(*sides, deterministic=(runs[0] == 0, False))
        statistic = -abs(one.estimate) / one.standard_error
        found[:, place] = one.p_value, 2 * special.stdtr(one.degrees_of_freedom, statistic)
    return found[0], found[1]


@pytest.mark.parametrize(
    ("runs", "run_sds", "clusters", "satterthwaite_fails"),
    [
        ((0, 2), (0.0, 8.0), 100, True),
        ((0, 3), (0.0, 8.0), 100, True),
        ((0, 3), (0.0, 8.0), 800, True),
        ((0, 5), (0.0, 8.0), 100, False),
        ((3, 3), (5.0, 5.0), 100, False),
        ((3, 3), (0.0, 0.0), 100, False),
        ((3, 3), (15.0, 1.5), 100, False),
        ((2, 5), (8.0, 2.0), 100, True),
        ((2, 5), (2.0, 8.0), 100, False),
        ((3, 5), (8.0, 2.0), 100, False),
    ],
)
def test_small_p_values_of_few_runs_come_no_more_often_than_they_say(
    runs, run_sds, clusters, satterthwaite_fails
):
    """Bounds: three Monte-Carlo standard errors above the level."""
    found, satterthwaite = p_values(runs, run_sds, clusters)
    for level in (0.05, 0.01, 0.001):
        allowed = level + 3 * np.sqrt(level * (1 - level) / ROUNDS)
        assert (found < level).mean() <= allowed
    if satterthwaite_fails:
        assert (satterthwaite < 0.001).mean() > 0.005, "what the law of the error is for"


def test_runs_that_vary_are_told_apart_where_the_difference_is_large():
    rng = np.random.default_rng(1)
    common = 22 * rng.standard_normal((1, 100))
    found = [
        difference(
            common + rng.standard_normal((3, 100)) + rng.standard_normal((3, 1)),
            common + 20 + rng.standard_normal((3, 100)) + rng.standard_normal((3, 1)),
        ).p_value
        for _ in range(50)
    ]
    assert np.mean(np.array(found) < 0.01) > 0.9


def crossed(label, seed, runs=3, scale=1.0):
    row = record(label, lognormal(seed, (runs, 40), scale))
    return replace(row, clusters="prompts", problems=1)


@pytest.mark.parametrize("runs", [2, 3, 5])
def test_a_table_prints_the_p_value_of_its_few_runs(runs):
    rows = [crossed("a", 0, runs), crossed("b", 1, runs, scale=9.0)]
    table = render_table(rows, specification(MEAN, against="a", column="mean"))
    (cell,) = (row.cells[2] for row in table.rows if row.label == "b")
    first, second = (row.values["duality_gap/last"][:, :, -1] for row in rows)
    expected = difference(second, first)
    assert cell.p_value == pytest.approx(expected.p_value, rel=1e-9)
    assert (cell.lower, cell.upper) == (expected.lower, expected.upper)
    assert "[95% interval, prompts as clusters]" in "\n".join(table.notes)
