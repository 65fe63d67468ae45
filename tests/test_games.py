"""Games against closed forms, brute force and hand examples."""

from __future__ import annotations

from decimal import Decimal, getcontext

import numpy as np
import pytest

from nlhf_repro import games
from nlhf_repro.games import log_space
from nlhf_repro.interfaces import Array

CYCLE = np.array([[0.5, 0.1, 0.8], [0.9, 0.5, 0.1], [0.2, 0.9, 0.5]])
UNIFORM = np.full(3, 1 / 3)


def random_games(count: int, actions: int, seed: int = 0) -> Array:
    return games.complete_preferences(np.random.default_rng(seed).random((count, actions, actions)))


def random_policies(*shape: int, scale: float = 1.0, seed: int = 1) -> Array:
    logits = scale * np.random.default_rng(seed).standard_normal(shape)
    return np.exp(log_space.log_normalize(logits))


def test_preference_by_hand() -> None:
    assert games.preference(CYCLE, [1, 0, 0], [0, 0, 1]) == pytest.approx(0.8, abs=1e-16)
    policy, opponent = random_policies(3), random_policies(3, seed=4)
    expected = sum(policy[i] * opponent[j] * CYCLE[i, j] for i in range(3) for j in range(3))
    assert games.preference(CYCLE, policy, opponent) == pytest.approx(expected, abs=1e-15)
    assert games.preference(CYCLE, policy, policy) == pytest.approx(0.5, abs=1e-15)


def test_best_response_and_its_ties() -> None:
    np.testing.assert_array_equal(games.best_response(CYCLE, [1, 0, 0]), [0, 1, 0])
    tied = np.array([[0.5, 0.3, 0.3], [0.7, 0.5, 0.5], [0.7, 0.5, 0.5]])
    np.testing.assert_array_equal(games.best_response(tied, [1, 0, 0]), [0, 1, 0])


def objective(matrix: Array, p: Array, q: Array, reference: Array, tau: float) -> float:
    def divergence(policy: Array) -> float:
        return float((policy * np.log(policy / reference)).sum())

    return float(p @ matrix @ q) - tau * divergence(p) + tau * divergence(q)


@pytest.mark.parametrize("tau", [0.05, 0.5, 5.0])
def test_regularized_gap_is_the_definition(tau: float) -> None:
    """max_p J(p, pi) - min_q J(pi, q), the maxima searched over a fine grid and at the response."""
    matrix, reference, policy = CYCLE, random_policies(3), random_policies(3, seed=8)
    steps = np.arange(1, 200) / 200
    grid = np.array([(a, b, 1 - a - b) for a in steps for b in steps if a + b < 0.9999])
    response = games.regularized_best_response(matrix, policy, reference, tau)
    highest = objective(matrix, response, policy, reference, tau)
    lowest = objective(matrix, policy, response, reference, tau)
    values = [objective(matrix, p, policy, reference, tau) for p in grid]
    opposite = [objective(matrix, policy, q, reference, tau) for q in grid]
    assert highest - 3e-3 <= max(values) <= highest
    assert lowest <= min(opposite) <= lowest + 3e-3
    gap = games.regularized_duality_gap(matrix, policy, reference, tau)
    assert gap == pytest.approx(highest - lowest, abs=1e-14)
    half = games.regularized_exploitability(matrix, policy, reference, tau)
    assert half == pytest.approx(highest - 0.5, abs=1e-14)


def test_gap_is_brute_force_over_vertices() -> None:
    matrix, policy = random_games(1, 6)[0], random_policies(6)
    vertices = np.eye(6)
    best = max(games.preference(matrix, vertex, policy) for vertex in vertices)
    worst = min(games.preference(matrix, policy, vertex) for vertex in vertices)
    assert games.duality_gap(matrix, policy) == pytest.approx(best - worst, abs=1e-15)


def exact_kl(log_first: Array, log_second: Array) -> Decimal:
    getcontext().prec = 60
    first = [Decimal(float(x)).exp() for x in log_first]
    second = [Decimal(float(x)).exp() for x in log_second]
    totals = sum(first), sum(second)
    return sum(
        (
            p / totals[0] * ((p / totals[0]).ln() - (q / totals[1]).ln())
            for p, q in zip(first, second, strict=True)
        ),
        Decimal(0),
    )


@pytest.mark.parametrize("distance", [1e-12, 1e-8, 1e-3, 0.09, 0.11, 1.0, 10.0, 300.0])
def test_divergence_keeps_its_digits(distance: float) -> None:
    logs = log_space.log_normalize(np.random.default_rng(0).standard_normal(6))
    other = log_space.log_normalize(logs + distance * np.random.default_rng(1).standard_normal(6))
    found = float(log_space.kl_divergence(logs, other))
    # An argument off normalization by 1e-16 moves the divergence by about 1e-32.
    assert found == pytest.approx(float(exact_kl(logs, other)), rel=1e-7)


def test_divergence_without_support() -> None:
    assert games.kl_to_equilibrium([0.5, 0.5, 0.0], [0.25, 0.5, 0.25]) == pytest.approx(
        0.5 * np.log(2), abs=1e-16
    )
    assert games.kl_to_equilibrium([0.5, 0.5], [1.0, 0.0]) == np.inf
    assert games.kl_to_equilibrium([0.0, 1.0], [0.0, 1.0]) == 0.0


def test_gaps_of_a_policy_without_full_support() -> None:
    """A vertex has KL(vertex || response) = -log response(vertex)."""
    vertex = np.array([1.0, 0.0, 0.0])
    response = games.regularized_best_response(CYCLE, vertex, UNIFORM, 0.1)
    assert games.regularized_duality_gap(CYCLE, vertex, UNIFORM, 0.1) == pytest.approx(
        -0.2 * np.log(response[0]), rel=1e-14
    )
    assert games.duality_gap(CYCLE, vertex) == pytest.approx(0.8, abs=1e-15)


# --- structure


def test_majority_cycles_of_many_games() -> None:
    ranking = np.array([[0.5, 0.9, 0.6], [0.1, 0.5, 0.6], [0.4, 0.4, 0.5]])
    twice = ranking[[0, 0, 1]][:, [0, 0, 1]]  # the winner's other copy does not beat it
    assert games.majority_cycles([CYCLE, ranking, ranking]) == (1 / 3, 1 / 3)
    assert games.majority_cycles([ranking, twice]) == (0.0, 0.0)
    below = np.full((4, 4), 0.1)  # an action that loses to all of a cycle
    below[:3, :3], below[:3, 3], below[3, 3] = CYCLE, 0.9, 0.5
    above = 1 - below  # and one that beats them
    above[:3, :3] = CYCLE
    assert games.majority_cycles([below, above]) == (1 / 4, 1 / 2)


def test_cycle_share() -> None:
    assert games.cycle_share(CYCLE) == 1.0
    assert games.cycle_share(np.full((4, 4), 0.5)) == 0.0
    assert games.cycle_share([[0.5, 0.6], [0.4, 0.5]]) == 0.0
    tournament = random_games(1, 7)[0]
    beats = tournament > 0.5
    triples = [(i, j, k) for i in range(7) for j in range(i) for k in range(j)]
    cycles = [
        (beats[i, j] and beats[j, k] and beats[k, i])
        or (beats[j, i] and beats[k, j] and beats[i, k])
        for i, j, k in triples
    ]
    assert games.cycle_share(tournament) == pytest.approx(np.mean(cycles), abs=1e-15)
    assert 0 < np.mean(cycles) < 1


def test_hodge_decomposition() -> None:
    matrix = random_games(3, 6)
    logits = np.log(matrix / (1 - matrix))
    scores, transitive, cyclic, share = games.hodge_decomposition(matrix)
    np.testing.assert_allclose(transitive + cyclic, logits, rtol=0, atol=1e-13)
    np.testing.assert_allclose(cyclic, -np.swapaxes(cyclic, 1, 2), rtol=0, atol=1e-14)
    np.testing.assert_allclose((transitive * cyclic).sum((1, 2)), 0, rtol=0, atol=1e-12)
    np.testing.assert_allclose(share, (cyclic**2).sum((1, 2)) / (logits**2).sum((1, 2)), rtol=1e-12)
    pairs = [(i, j) for i in range(6) for j in range(i)]
    incidence = np.array([np.eye(6)[i] - np.eye(6)[j] for i, j in pairs])
    fitted = np.linalg.lstsq(incidence, np.array([logits[0, i, j] for i, j in pairs]), rcond=None)[
        0
    ]
    np.testing.assert_allclose(scores[0], fitted, rtol=0, atol=1e-12)


def test_hodge_decomposition_of_pure_games() -> None:
    scores = np.array([0.3, -1.0, 0.7])
    ranked = 1 / (1 + np.exp(scores[None, :] - scores[:, None]))
    assert games.hodge_decomposition(games.complete_preferences(ranked)).cyclic_share < 1e-28
    cycle = games.complete_preferences(np.array([[0, 0, 0], [0.2, 0, 0], [0.8, 0.2, 0]]))
    assert games.hodge_decomposition(cycle).cyclic_share == pytest.approx(1.0, abs=1e-15)
    assert games.hodge_decomposition(np.full((3, 3), 0.5)).cyclic_share == 0.0


# --- what is refused


def bad_matrix(index: tuple[int, ...], value: float, mirror: float | None = None) -> Array:
    matrix = random_games(5, 3)
    matrix[index] = value
    if mirror is not None:
        matrix[index[0], index[2], index[1]] = mirror
    return matrix


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (bad_matrix((3, 1, 2), 1.2), r"preference_matrix\[3, 1, 2\] = 1\.2 is outside \[0, 1\]"),
        (bad_matrix((0, 2, 1), -0.1), r"preference_matrix\[0, 2, 1\] = -0\.1 is outside"),
        (bad_matrix((4, 0, 1), np.nan), r"preference_matrix\[4, 0, 1\] is not a number"),
        (
            bad_matrix((2, 0, 1), 0.6, 0.6),
            r"preference_matrix\[2, 0, 1\] \+ preference_matrix\[2, 1, 0\] = 1\.2 must be 1",
        ),
        (bad_matrix((1, 2, 2), 0.25), r"preference_matrix\[1, 2, 2\] \+ .* = 0\.5 must be 1"),
        (np.full((2, 3), 0.5), r"preference_matrix has shape \(2, 3\)"),
        (np.full(3, 0.5), r"preference_matrix has shape \(3,\)"),
    ],
)
def test_malformed_matrices_are_named(matrix: Array, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        games.check_preference_matrix(matrix)
    with pytest.raises(games.MalformedGameError, match=message):
        games.nash_equilibrium(matrix)


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        ([0.5, 0.5], r"policy has shape \(2,\): its last axes must be those of the game, \(3,\)"),
        ([0.5, 0.7, -0.2], r"policy\[2\] = -0\.2 is negative"),
        ([0.5, 0.3, 0.1], r"policy sums to 0\.9 and must sum to 1"),
        ([0.5, np.nan, 0.5], r"policy\[1\] is not a number"),
        ([[1, 0, 0], [0.5, 0, 0]], r"policy\[1\] sums to 0\.5 and must sum to 1"),
        ([np.inf, 0.5, 0.5], r"policy sums to inf"),
    ],
)
def test_malformed_policies_are_named(policy: list[float], message: str) -> None:
    with pytest.raises(games.MalformedGameError, match=message):
        games.duality_gap(CYCLE, policy)


def test_malformed_references_and_weights_are_named() -> None:
    with pytest.raises(
        games.MalformedGameError, match=r"reference_policy\[1\] = 0: a reference gives"
    ):
        games.regularized_nash_equilibrium(CYCLE, [0.5, 0.0, 0.5], 0.1)
    with pytest.raises(games.MalformedGameError, match=r"reference_policy has shape \(2, 3\)"):
        games.regularized_nash_equilibrium(CYCLE, [UNIFORM, UNIFORM], 0.1)
    for weight in (0.0, -1.0, np.nan, np.inf):
        with pytest.raises(games.MalformedGameError, match=r"regularization = .* must be positive"):
            games.regularized_duality_gap(CYCLE, UNIFORM, UNIFORM, weight)
    with pytest.raises(
        games.MalformedGameError, match=r"preference_matrix\[0, 1\] = 1\.0 has an inf"
    ):
        games.hodge_decomposition([[0.5, 1.0], [0.0, 0.5]])
