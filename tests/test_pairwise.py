"""All pairs of algorithms: adjusted p-values, ranks and groups."""

from __future__ import annotations

import numpy as np
import pytest

from nlhf_repro.uncertainty import best_set, difference, holm, pairwise


def tables(count: int, step: float, seed: int = 0, clusters: int = 200) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    common = rng.standard_normal(clusters)
    return [(common + step * k + 0.5 * rng.standard_normal(clusters))[None] for k in range(count)]


def test_differences_and_holm_are_those_of_every_pair() -> None:
    found = pairwise(values := tables(4, 0.1), np.random.default_rng(0))
    assert found.pairs == ((0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3))
    expected = [difference(values[i], values[j]) for i, j in found.pairs]
    assert [one.estimate for one in found.differences] == [one.estimate for one in expected]
    raw = np.array([one.p_value for one in expected])
    np.testing.assert_allclose(found.holm, holm(raw))
    assert found.max_t is not None
    assert ((raw <= found.max_t) & (found.max_t <= np.minimum(6 * raw, 1))).all()


def test_ranks_and_groups_follow_from_the_adjusted_p_values() -> None:
    found = pairwise(tables(5, 0.12), np.random.default_rng(0))
    apart = {pair for pair, p in zip(found.pairs, found.adjusted, strict=True) if p < 0.05}
    assert 0 < len(apart) < len(found.pairs)
    for pair in found.pairs:
        together = any(set(pair) <= set(group) for group in found.groups)
        assert together == (pair not in apart)
    for k, (low, high) in enumerate(found.ranks):
        better = sum((k, j) in apart for j in range(k + 1, 5))  # the means rise with the place
        worse = sum((j, k) in apart for j in range(k))
        assert (low, high) == (1 + better, 5 - worse)


def test_the_best_set_is_of_rank_one() -> None:
    values = tables(5, 0.12)
    found = pairwise(values, np.random.default_rng(0))
    members = best_set(values, np.random.default_rng(0)).members
    assert [low == 1 for low, _ in found.ranks] == list(members)


def test_many_algorithms_are_adjusted_by_holm_alone() -> None:
    found = pairwise(tables(21, 0.1), np.random.default_rng(0))
    assert found.max_t is None and found.groups == () and found.adjusted is found.holm
    assert found.ranks[0][1] == 21 and found.ranks[20][0] == 1


def test_nothing_estimable_tells_nobody_apart() -> None:
    found = pairwise([[[1.0]], [[2.0]], [[3.0]]], np.random.default_rng(0))
    assert np.isnan(found.holm).all() and set(found.ranks) == {(1, 3)}


@pytest.mark.slow
def test_true_ranks_are_covered_at_once() -> None:
    """Six algorithms .03 apart, 300 questions, 400 simulations."""
    covered = []
    for seed in range(400):
        found = pairwise(tables(6, 0.03, seed, 300), np.random.default_rng(seed))
        covered.append(all(low <= 6 - k <= high for k, (low, high) in enumerate(found.ranks)))
    assert np.mean(covered) >= 0.95 - 3 * np.sqrt(0.95 * 0.05 / 400)
