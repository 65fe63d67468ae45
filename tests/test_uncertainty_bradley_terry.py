"""Bradley-Terry on a round-robin against evalica, closed forms and a clustered bootstrap; curl."""

from __future__ import annotations

import math

import evalica
import numpy as np
import pytest
from scipy import special, stats

from nlhf_repro.interfaces import Array
from nlhf_repro.uncertainty import (
    bootstrap_bradley_terry,
    bradley_terry,
    bradley_terry_contrast,
    cluster_totals,
    curl_test,
    estimate,
    weighted_ratio,
)

STRENGTHS = np.array([0.0, 0.4, -0.3, 0.8])


def round_robin(
    seed: int, clusters: int, log_odds: Array, spread: float = 0.0, both_orders: bool = True
) -> Array:
    """Wins [clusters, items, items]; questions move every pair's log-odds by `spread`."""
    rng = np.random.default_rng(seed)
    items = len(log_odds)
    own = spread * rng.normal(size=(clusters, items, items))
    chance = special.expit(log_odds + own - own.transpose(0, 2, 1))
    games = 2 if both_orders else 1
    won = np.triu(rng.binomial(games, chance).astype(float), 1)
    return np.asarray(won + np.triu(games - won, 1).transpose(0, 2, 1))


def transitive(strengths: Array) -> Array:
    return np.asarray(strengths[:, None] - strengths[None])


def test_strengths_equal_those_of_evalica_with_ties() -> None:
    rng = np.random.default_rng(0)
    names = np.arange(5)
    pairs = [(i, j) for i in names for j in names if i < j] * 30
    outcomes = rng.choice(3, len(pairs), p=[0.45, 0.35, 0.2])
    winners = [[evalica.Winner.X, evalica.Winner.Y, evalica.Winner.Draw][o] for o in outcomes]
    wins = np.zeros((len(pairs), 5, 5))
    for row, ((i, j), outcome) in enumerate(zip(pairs, outcomes, strict=True)):
        wins[row, i, j] = (1, 0, 0.5)[outcome]
        wins[row, j, i] = 1 - wins[row, i, j]
    left, right = zip(*pairs, strict=True)
    expected = evalica.bradley_terry(left, right, winners, tolerance=1e-14, limit=100_000)
    scores = np.log(expected.scores.sort_index().to_numpy())
    found = bradley_terry(wins)
    assert found.strengths == pytest.approx(scores - scores[0], abs=1e-8)


def test_a_star_is_the_weighted_win_rate() -> None:
    """Strengths and errors: the log-odds' pseudo-observations are the ratio's, by the chain."""
    rng = np.random.default_rng(1)
    wins = np.zeros((60, 4, 4))
    wins[:, 1:, 0] = rng.integers(0, 4, (60, 3)) + rng.choice([0, 0.5], (60, 3))
    wins[:, 0, 1:] = rng.integers(0, 3, (60, 3))
    fit = bradley_terry(wins)
    for item in (1, 2, 3):
        won, met = wins[:, item, 0], wins[:, item, 0] + wins[:, 0, item]
        rate = won.sum() / met.sum()
        assert special.expit(fit.strengths[item]) == pytest.approx(rate, abs=1e-9)
        z = bradley_terry_contrast(fit, np.eye(4)[item] - np.eye(4)[0])
        slope = rate * (1 - rate)
        expected = special.logit(rate) + (weighted_ratio(won, met) - rate) / slope
        assert z == pytest.approx(expected, abs=1e-8)


def test_an_item_that_wins_nearly_all_is_fitted() -> None:
    totals = np.array([[[0, 1, 3], [9999, 0, 5000], [4, 1, 0.0]]])
    fit = bradley_terry(totals)
    met = totals[0] + totals[0].T
    expected = met * special.expit(transitive(fit.strengths))
    assert expected.sum(axis=1) == pytest.approx(totals[0].sum(axis=1), rel=1e-9)


def test_clustered_error_is_that_of_the_clustered_bootstrap() -> None:
    wins = round_robin(2, 500, transitive(STRENGTHS), spread=1.5)
    fit = bradley_terry(wins)
    rounds = bootstrap_bradley_terry(wins, np.random.default_rng(3))
    for item in (1, 2, 3):
        z = bradley_terry_contrast(fit, np.eye(4)[item] - np.eye(4)[0])
        found = estimate(z[None])
        assert found.estimate == pytest.approx(fit.strengths[item], abs=1e-12)
        assert found.standard_error == pytest.approx(rounds[:, item].std(ddof=1), rel=0.03)


def test_contrasts_are_antisymmetric_and_do_not_depend_on_the_fixed_item() -> None:
    wins = round_robin(4, 80, transitive(STRENGTHS))
    forward = bradley_terry_contrast(bradley_terry(wins), [0, 1, 0, -1])
    order = np.array([3, 2, 1, 0])
    turned = bradley_terry(wins[:, order][:, :, order])
    assert bradley_terry_contrast(turned, [1, 0, -1, 0]) == pytest.approx(-forward, abs=1e-9)


def test_tripled_rows_change_no_interval() -> None:
    wins = round_robin(5, 80, transitive(STRENGTHS))
    z = [bradley_terry_contrast(bradley_terry(n * wins), [-1, 1, 0, 0]) for n in (1, 3)]
    assert z[1] == pytest.approx(z[0], abs=1e-9)


def test_strengths_that_are_infinite_or_unknown_are_refused() -> None:
    unbeaten = np.array([[[0, 0, 0], [2, 0, 1], [1, 1, 0.0]]])
    with pytest.raises(ValueError, match="2 groups that never lost to"):
        bradley_terry(unbeaten)
    rounds = bootstrap_bradley_terry(unbeaten, np.random.default_rng(6), 3)
    assert np.isnan(rounds).all()
    with pytest.raises(ValueError, match=r"shape \(1, 2, 3\)"):
        bradley_terry(np.zeros((1, 2, 3)))
    with pytest.raises(ValueError, match="summing to 0"):
        bradley_terry_contrast(bradley_terry(1 + 0 * unbeaten), [1, 0, 0])


# --- The curl test ------------------------------------------------------------------------------


def cyclic(items: int, size: float) -> Array:
    """A round-robin of equal items with the 3-cycle 0 > 1 > 2 > 0."""
    odds = np.zeros((items, items))
    for a, b in ((0, 1), (1, 2), (2, 0)):
        odds[a, b], odds[b, a] = size, -size
    return odds


def test_three_items_have_one_curl_with_its_own_test() -> None:
    """d = 1: F is the squared ratio of the curl to its clustered error."""
    wins = round_robin(7, 120, cyclic(3, 0.3) + transitive(np.array([0.0, 0.6, -0.6])))
    found = curl_test(wins)
    odds, influence = [], []
    for a, b in ((0, 1), (1, 2), (2, 0)):
        won, met = wins[:, a, b], wins[:, a, b] + wins[:, b, a]
        rate = won.sum() / met.sum()
        odds.append(special.logit(rate))
        influence.append((weighted_ratio(won, met) - rate) / (rate * (1 - rate)))
    error = stats.sem(np.sum(influence, axis=0))
    total = np.sum(np.square(odds)) - sum(stats.sem(each) ** 2 for each in influence)
    share = (sum(odds) ** 2 - error**2) / 3 / total
    assert found.cyclic_share == pytest.approx(share, rel=1e-10)
    assert (found.triples, found.degrees_of_freedom) == (((0, 1, 2),), (1, 119))
    assert found.curl == pytest.approx([sum(odds)], abs=1e-12)
    assert found.curl_standard_error == pytest.approx([error], rel=1e-10)
    assert found.statistic == pytest.approx((sum(odds) / error) ** 2, rel=1e-9)
    assert found.p_value == pytest.approx(2 * stats.t.sf(sum(odds) / error, 119), rel=1e-8)
    assert (found.level, "ignores training seeds" in found.note) == ("checkpoint", True)


def test_cyclic_share_of_pure_cycles_and_of_pure_strengths() -> None:
    cycle = curl_test(round_robin(8, 3000, cyclic(4, 0.8)))
    strength = curl_test(round_robin(9, 3000, transitive(STRENGTHS)))
    assert cycle.cyclic_share > 0.7
    assert strength.cyclic_share < 0.02
    assert len(cycle.triples) == 4
    assert cycle.degrees_of_freedom == (3, 2997)


def test_order_of_items_and_questions_is_irrelevant_to_the_curl() -> None:
    wins = round_robin(10, 100, cyclic(5, 0.2))
    rng = np.random.default_rng(11)
    items, questions = rng.permutation(5), rng.permutation(100)
    before, after = curl_test(wins), curl_test(wins[questions][:, items][:, :, items])
    assert after.statistic == pytest.approx(before.statistic, rel=1e-9)
    assert after.cyclic_share == pytest.approx(before.cyclic_share, rel=1e-9)
    assert curl_test(3 * wins).statistic == pytest.approx(before.statistic, rel=1e-9)


def test_what_has_no_curl_is_refused_or_not_estimable() -> None:
    few = curl_test(0.5 + round_robin(12, 3, transitive(STRENGTHS)))
    assert math.isnan(few.p_value) and math.isnan(few.statistic)
    assert few.note.startswith("not estimable")
    alone = curl_test(0.5 + round_robin(12, 1, transitive(STRENGTHS)))
    assert np.isnan([alone.p_value, alone.cyclic_share, *alone.curl_standard_error]).all()
    with pytest.raises(ValueError, match="at least three"):
        curl_test(np.ones((9, 2, 2)))
    lost = np.ones((9, 3, 3))
    lost[:, 0, 2] = 0
    with pytest.raises(ValueError, match="Items 0 and 2 have a win rate of 0"):
        curl_test(lost)


@pytest.mark.slow
@pytest.mark.parametrize(("items", "questions", "spread"), [(4, 80, 0), (4, 500, 1), (6, 500, 0)])
def test_curl_test_has_its_size(items: int, questions: int, spread: float) -> None:
    odds = transitive(np.linspace(-0.6, 0.6, items))
    trials = [curl_test(round_robin(s, questions, odds, spread)).p_value for s in range(1000)]
    rate = 100 * np.mean(np.array(trials) < 0.05)
    assert 3 <= rate <= 7


@pytest.mark.slow
def test_curl_test_finds_a_cycle_of_five_points() -> None:
    trials = [curl_test(round_robin(s, 500, cyclic(4, 0.2))).p_value for s in range(500)]
    assert np.mean(np.array(trials) < 0.05) > 0.9


def test_totals_of_rows_are_wins() -> None:
    """A pair's wins as rows of games: the path from annotation rows to the round-robin."""
    won, met = cluster_totals([1, 0.5, 0], [1, 1, 1], [0, 0, 1])
    wins = np.zeros((2, 2, 2))
    wins[:, 0, 1], wins[:, 1, 0] = won, met - won
    assert bradley_terry(wins).strengths[1] == pytest.approx(0, abs=1e-12)
