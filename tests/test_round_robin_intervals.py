"""The intervals of rows against each other: whose they are, and how often they hold."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from meetings import LEVEL, cells, full, meetings, record

from nlhf_repro.reporting import render_round_robin
from nlhf_repro.reporting.cells import CHECKPOINT
from nlhf_repro.reporting.round_robin import BOUND
from nlhf_repro.reporting.round_robin_family import family_of
from nlhf_repro.uncertainty import estimate

# --- intervals


def test_a_cell_is_the_engines_estimate_at_the_familys_confidence():
    found = full()
    family = family_of(found, LEVEL)
    assert len(family.pairs) == 6
    pointwise = family.adjusted.pointwise_confidence
    assert 0.98 < pointwise < 1 - 0.05 / 7
    cell = cells(render_round_robin(found, "T", LEVEL), "A")["over C"]
    expected = estimate(found.wins[:, 0, 2], confidence=pointwise)
    assert (cell.estimate, cell.lower, cell.upper) == (
        expected.estimate,
        expected.lower,
        expected.upper,
    )
    assert (cell.seeds, cell.clusters, cell.level) == (3, 60, "algorithm")
    mirrored = cells(render_round_robin(found, "T", LEVEL), "C")["over A"]
    np.testing.assert_allclose(
        (mirrored.estimate, mirrored.lower, mirrored.upper, mirrored.p_value),
        (1 - cell.estimate, 1 - cell.upper, 1 - cell.lower, cell.p_value),
        atol=1e-12,
    )


def covered(simulations, seeds, items, seed_sd, pointwise=None):
    """How often all intervals of four entrants hold the truth at once."""
    strength = np.array([0.08, 0.03, 0.0, -0.1])
    truth = 0.5 + strength[:, None] - strength[None]
    rng, hits = np.random.default_rng(7), 0
    for _ in range(simulations):
        found = record(meetings(rng, 3, seeds, items, strength, seed_sd))
        pointwise = pointwise or family_of(found, LEVEL).adjusted.pointwise_confidence
        inside = []
        for i in range(4):
            for j in range(i):
                one = estimate(found.wins[:, i, j], confidence=pointwise)
                inside.append(one.lower <= truth[i, j] <= one.upper)
        hits += all(inside)
    return hits / simulations


@pytest.mark.slow
@pytest.mark.parametrize(
    ("seeds", "items", "seed_sd"),
    [(10, 200, 0.01), (5, 200, 0.02), (3, 60, 0.005), (2, 200, 0.05)],
)
def test_the_intervals_hold_all_pairs_at_once(seeds, items, seed_sd):
    """400 simulations: three Monte-Carlo standard errors are 3.3 points."""
    adjusted = covered(400, seeds, items, seed_sd)
    assert adjusted >= 0.95 - 0.033
    alone = covered(400, seeds, items, seed_sd, pointwise=LEVEL)
    assert alone < adjusted, "unadjusted ones hold less often"


def test_two_seeds_have_simultaneous_intervals_wider_than_each_by_itself():
    two = record(full().wins[:2])
    table = render_round_robin(two, "T", LEVEL)
    assert "simultaneous at 95% over the 6 pairs" in "\n".join(table.notes)
    cell, alone = cells(table, "A")["over B"], estimate(two.wins[:, 0, 1])
    assert cell.lower < alone.lower < alone.upper < cell.upper


def test_p_values_are_of_one_half_and_adjusted():
    rng = np.random.default_rng(0)
    found = record(meetings(rng, strength=np.array([0.3, 0.0, 0.0, 0.0]), seed_sd=0.005))
    family = family_of(found, LEVEL)
    assert family.p_value(0, 1) < 0.001
    assert family.p_value(1, 2) == family.p_value(2, 1) > 0.05
    table = render_round_robin(found, "T", LEVEL)
    assert cells(table, "A")["over B"].lower > 0.5
    cell = cells(table, "B")["over C"]
    assert cell.lower < 0.5 < cell.upper


def test_worlds_are_nested_and_one_item_gives_no_interval():
    found = replace(full(), clusters="worlds", half=None)
    table = render_round_robin(found, "T", LEVEL)
    family = family_of(found, LEVEL)
    pointwise = family.adjusted.pointwise_confidence
    expected = estimate(found.wins[:, 0, 1], confidence=pointwise, nested=True)
    assert cells(table, "A")["over B"].lower == expected.lower
    bound = estimate(found.bound[:, 0], nested=True)
    assert cells(table, "A")[BOUND].lower == bound.lower
    assert any("worlds, which share no weights" in note for note in table.notes)
    one = replace(
        record(found.wins[..., :1], clusters="worlds"), bound=found.bound[..., :1], half=None
    )
    alone = render_round_robin(one, "T", LEVEL)
    assert family_of(one, LEVEL).adjusted is None
    assert np.isnan(cells(alone, "A")["over B"].lower)
    assert any("no simultaneous ones are estimable from 1 world" in x for x in alone.notes)


def test_one_seed_is_a_checkpoint_without_p_values():
    found = full()
    one = record(found.wins[:1])
    table = render_round_robin(one, "T", LEVEL)
    cell = cells(table, "A")["over B"]
    assert cell.text.endswith(CHECKPOINT) and np.isnan(cell.p_value)
    assert any(note.startswith(CHECKPOINT) for note in table.notes)


def test_an_interval_stays_in_the_range_of_a_probability():
    rng = np.random.default_rng(1)
    wins = np.full((2, 2, 2, 8), 0.5)
    wins[:, 0, 1] = 1 - np.abs(rng.normal(0, 0.01, (2, 8)))
    wins[0, 0, 1, 0] = 0.7
    wins[:, 1, 0] = 1 - wins[:, 0, 1]
    table = render_round_robin(record(wins), "T", LEVEL)
    cell = cells(table, "A")["over the reference"]
    assert 0 <= cell.lower < cell.estimate < cell.upper <= 1
    assert any("the reference over A" in note and "Beyond 5%" in note for note in table.notes)
