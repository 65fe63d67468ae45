"""The Nash mixture of a table's rows: its shares where they are known, and its bounds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from meetings import LEVEL, cells, cyclic, full, meetings, record

from nlhf_repro.games import exploitability
from nlhf_repro.reporting import render_round_robin
from nlhf_repro.reporting.cells import CHECKPOINT
from nlhf_repro.reporting.round_robin import NASH
from nlhf_repro.reporting.round_robin_family import family_of, lower_bounds
from nlhf_repro.reporting.round_robin_mixture import nash_mixture, nash_shares


def mixture(found):
    return nash_mixture(found, family_of(found, LEVEL), LEVEL)


def test_the_mixture_is_the_equilibrium_of_the_rows():
    shares = nash_shares(record(cyclic()))
    np.testing.assert_allclose(shares, 1 / 3, atol=0.03)
    mean = record(cyclic()).wins[:, :3, :3].mean(axis=(0, -1))
    assert (mean @ shares).max() <= 0.5 + 1e-9
    strong = record(meetings(np.random.default_rng(0), strength=np.array([0.3, 0, 0, 0.4])))
    np.testing.assert_allclose(nash_shares(strong), [1, 0, 0], atol=1e-9)
    np.testing.assert_array_equal(nash_shares(record(cyclic()[:, [0, 3]][:, :, [0, 3]])), [1])


def test_a_row_that_beats_all_others_for_sure_has_the_whole_share_for_sure():
    strong = record(meetings(np.random.default_rng(0), strength=np.array([0.3, 0, 0, -0.1])))
    found = mixture(strong)
    np.testing.assert_allclose([found.least, found.most], [[1, 0, 0]] * 2, atol=1e-6)
    assert found.gain == 0
    text = [row.cells[-1].text for row in render_round_robin(strong, "T", LEVEL).rows]
    assert text == ["100% [100%, 100%]", "0% [0%, 0%]", "0% [0%, 0%]", "-"]


def test_the_reference_counts_as_an_opponent_of_the_mixture():
    strong = record(meetings(np.random.default_rng(0), strength=np.array([0.3, 0, 0, 0.4])))
    found = mixture(strong)
    lower = lower_bounds(strong, family_of(strong, LEVEL), LEVEL)
    assert found.gain == pytest.approx(0.5 - lower[0, 3]) and found.gain > 0.1
    text = "\n".join(render_round_robin(strong, "T", LEVEL).notes)
    assert f"among the rows and the reference: at most {found.gain:.2g} by" in text


def test_rows_that_nothing_tells_apart_have_shares_from_none_to_all():
    equal = record(meetings(np.random.default_rng(1), seed_sd=0.03))
    found = mixture(equal)
    assert found.least.max() == 0 and found.most.min() > 0.99
    assert found.shares.sum() == pytest.approx(1)


def test_the_cells_hold_what_the_bounds_say():
    found = record(cyclic())
    expected = mixture(found)
    cell = cells(render_round_robin(found, "T", LEVEL), "B")[NASH]
    ends = (expected.shares[1], expected.least[1], expected.most[1])
    assert (cell.estimate, cell.lower, cell.upper) == ends
    assert 0.2 < cell.lower < 1 / 3 < cell.upper < 0.5 and cell.text.count("%") == 3


@pytest.mark.parametrize(
    ("edges", "known"),
    [
        ((0.05, 0.05, 0.05), [[1 / 3, 1 / 3, 1 / 3]]),
        ((0.04, 0.1, 0.0), [[1, 0, 0], [0.1 / 0.14, 0, 0.04 / 0.14]]),
    ],
)
def test_the_bounds_hold_every_true_equilibrium(edges, known):
    """The second game has a tie, and with it two equilibria and all between."""
    first, second, third = edges
    truth = np.zeros((4, 4))
    truth[0, 1], truth[1, 2], truth[2, 0] = first, second, third
    truth[:3, 3] = 0.2
    truth = 0.5 + truth - truth.T
    assert all(exploitability(truth[:3, :3], one) < 1e-12 for one in known)
    rng, hits, wide = np.random.default_rng(5), 0, []
    for _ in range(30):
        noise = 0.02 * rng.standard_normal((5, 4, 4, 1)) + 0.1 * rng.standard_normal((5, 4, 4, 60))
        wins = truth[None, :, :, None] + (noise - np.swapaxes(noise, 1, 2)) / 2
        found = mixture(record(wins))
        inside = (found.least - 1e-6 <= known) & (known <= found.most + 1e-6)
        gain = (truth[:, :3] @ found.shares).max() - 0.5
        hits += bool(inside.all()) and gain <= found.gain + 1e-12
        wide.append(found.most - found.least)
    assert hits >= 29
    assert np.mean(wide) < 0.9, "they say something"


def test_two_seeds_bound_shares_one_prompt_does_not_and_one_seed_those_of_checkpoints():
    two = render_round_robin(record(full().wins[:2]), "T", LEVEL)
    cell = cells(two, "A")[NASH]
    assert cell.lower <= cell.estimate <= cell.upper
    alone = render_round_robin(record(full().wins[..., :1]), "T", LEVEL)
    assert np.isnan(cells(alone, "A")[NASH].lower)
    assert any("no simultaneous intervals, so none of its shares" in note for note in alone.notes)
    one = render_round_robin(record(cyclic()[:1]), "T", LEVEL)
    cell = cells(one, "A")[NASH]
    assert cell.text.endswith(CHECKPOINT) and cell.lower < cell.estimate < cell.upper
    worlds = replace(record(full().wins), clusters="worlds")
    assert np.isfinite(mixture(worlds).least).all() and not mixture(worlds).checkpoint


def test_the_notes_say_what_the_brackets_are():
    text = "\n".join(render_round_robin(full(), "T", LEVEL).notes)
    assert "of any Nash mixture of any preferences within the simultaneous intervals" in text
    assert "they hold all at once where those do (95%)" in text
