"""What bounds of preferences say of Nash mixtures, against games whose equilibria are known."""

from __future__ import annotations

import numpy as np
import pytest

from nlhf_repro.games import (
    MalformedGameError,
    equilibrium_share_bounds,
    exploitability,
    exploitability_upper_bound,
    nash_equilibrium,
)

CYCLE = np.array([[0, 1, -1], [-1, 0, 1], [1, -1, 0]])
DICE = 0.5 + CYCLE / 18  # 5/9 around


def cyclic(first, second, third):
    """Rock, paper, scissors with these edges over 1/2; its equilibrium has the opposite edges."""
    edges = np.array([[0, first, -third], [-first, 0, second], [third, -second, 0]])
    return 0.5 + edges, np.array([second, third, first]) / (first + second + third)


def bounds_around(matrix, half_width):
    lower = np.clip(matrix - half_width, 0, 1)
    np.fill_diagonal(lower, 0.5)
    return lower


@pytest.mark.parametrize(
    ("matrix", "expected"),
    [
        (DICE, [1 / 3, 1 / 3, 1 / 3]),
        (*cyclic(0.1, 0.2, 0.4),),
        (np.array([[0.5, 0.6, 0.7], [0.4, 0.5, 0.6], [0.3, 0.4, 0.5]]), [1, 0, 0]),
        (np.array([[0.5]]), [1]),
    ],
)
def test_a_known_game_has_its_only_equilibrium_as_bounds(matrix, expected):
    least, most = equilibrium_share_bounds(matrix)
    np.testing.assert_allclose(least, expected, atol=1e-6)
    np.testing.assert_allclose(most, expected, atol=1e-6)
    np.testing.assert_allclose(nash_equilibrium(matrix), expected, atol=1e-12)
    assert exploitability_upper_bound(matrix, expected) == pytest.approx(0, abs=1e-12)


def test_a_game_of_many_equilibria_has_their_extent_as_bounds():
    tied = np.full((3, 3), 0.5)
    tied[2, :2], tied[:2, 2] = 0.3, 0.7
    least, most = equilibrium_share_bounds(tied)
    np.testing.assert_allclose((least, most), [[0, 0, 0], [1, 1, 0]], atol=1e-6)


def test_the_bounds_of_a_cycle_by_hand():
    """Edges in [.12, .18]: neighbours' shares differ by a factor of at most 1.5."""
    least, most = equilibrium_share_bounds(bounds_around(cyclic(0.15, 0.15, 0.15)[0], 0.03))
    np.testing.assert_allclose(least, 1 / (1 + 1.5 + 1.5**2), atol=1e-6)
    np.testing.assert_allclose(most, 1.5**2 / (1 + 1.5 + 1.5**2), atol=1e-6)


def test_what_loses_to_all_has_no_share_though_the_others_are_not_told_apart():
    """Without the second condition its bound would be 1/2."""
    lower = np.array([[0.5, 0.4, 0.55], [0.4, 0.5, 0.55], [0.3, 0.3, 0.5]])
    least, most = equilibrium_share_bounds(lower)
    assert most[2] == 0 and least.max() == 0
    np.testing.assert_allclose(most[[0, 1]], 1, atol=1e-6)


def test_what_loses_to_all_that_remain_is_left_out_in_turn():
    """3 loses to all; 2 beats 3 alone, so that it remains until 3 is out."""
    center = np.array([[0, 0.0, 0.1, 0.2], [0, 0, 0.1, 0.2], [0, 0, 0, 0.4], [0, 0, 0, 0]])
    lower = bounds_around(0.5 + center - center.T, 0.08)
    most = equilibrium_share_bounds(lower)[1]
    assert most[2] == most[3] == 0


def test_no_equilibrium_within_the_bounds_lies_outside_of_the_shares():
    rng = np.random.default_rng(0)
    for size in (2, 3, 5):
        center = 0.3 * (rng.random((size, size)) - 0.5)
        center = 0.5 + np.triu(center, 1) - np.triu(center, 1).T
        lower = bounds_around(center, 0.06)
        least, most = equilibrium_share_bounds(lower)
        for _ in range(40):
            moved = np.triu(rng.uniform(-0.06, 0.06, (size, size)), 1)
            game = center + moved - moved.T
            shares = nash_equilibrium(game)
            assert (shares >= least - 1e-6).all() and (shares <= most + 1e-6).all()
            policy = rng.dirichlet(np.ones(size))
            assert exploitability(game, policy) <= exploitability_upper_bound(lower, policy) + 1e-12


def test_wide_bounds_say_nothing():
    lower = np.zeros((3, 3)) + np.eye(3) / 2
    np.testing.assert_allclose(equilibrium_share_bounds(lower), [[0] * 3, [1] * 3], atol=1e-6)
    assert exploitability_upper_bound(lower, [1, 0, 0]) == 0.5


@pytest.mark.parametrize(
    ("lower", "said"),
    [
        ([[0.5, 0.2]], "has shape"),
        ([[0.5, np.nan], [0.2, 0.5]], "finite"),
        ([[0.4, 0.2], [0.2, 0.5]], "1/2 on the diagonal"),
        ([[0.5, 0.7], [0.4, 0.5]], r"lower\[0, 1\] \+ lower\[1, 0\] = 1.1 is above 1"),
    ],
)
def test_malformed_bounds_are_refused(lower, said):
    with pytest.raises(MalformedGameError, match=said):
        equilibrium_share_bounds(lower)
    with pytest.raises(MalformedGameError, match="policy"):
        exploitability_upper_bound(DICE, [0.5, 0.5])
