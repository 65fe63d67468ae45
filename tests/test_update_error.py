"""The error of one step's estimate, against every outcome written out."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import numpy as np
import pytest
import torch

from nlhf_repro.benchmarks.update_error import UpdateError
from nlhf_repro.games import log_space
from nlhf_repro.interfaces import Array, ImpossibleSettingError
from nlhf_repro.losses import SquaredPair, SquaredPoint
from nlhf_repro.oracles.random_games import RandomGames

GAME = RandomGames(games=2, actions=3, reference="normal_logits").game(0)
POLICIES = log_space.log_normalize(np.random.default_rng(1).standard_normal((2, 2, 3)))
ESTIMATORS = (
    ("pair", 1),
    ("response", 1),
    ("response", 2),
    ("response_without_baseline", 1),
    ("response_without_baseline", 2),
    ("uniform_pair", 1),
    ("uniform_pair", 2),
)


def answers(matrix: Array, asked: list[tuple[int, int]], labels: str) -> Iterator[tuple]:
    """(probability, answers) of every outcome."""
    if labels == "probability":
        yield 1.0, [matrix[pair] for pair in asked]
        return
    for drawn in product((0, 1), repeat=len(asked)):
        chances = [matrix[p] if a else 1 - matrix[p] for p, a in zip(asked, drawn, strict=True)]
        yield float(np.prod(chances)), list(drawn)


def outcomes(
    estimator: str, opponents: int, labels: str, matrix: Array, policy: Array
) -> Iterator[tuple[float, Array]]:
    """(probability, natural step) of every outcome, by the Fisher matrix's pseudo-inverse."""
    actions = range(len(policy))
    unit = np.eye(len(policy))
    natural = np.linalg.pinv(np.diag(policy) - np.outer(policy, policy))
    if estimator == "pair":
        for y, z in product(actions, actions):
            for chance, (a,) in answers(matrix, [(y, z)], labels):
                step = 0.5 * (a - 0.5) * natural @ (unit[y] - unit[z])
                yield policy[y] * policy[z] * chance, step
    elif estimator == "uniform_pair":
        for y, z, met in product(actions, actions, product(actions, repeat=opponents)):
            drawn = float(np.prod(policy[list(met)])) / len(policy) ** 2
            asked = [(y, x) for x in met] + [(z, x) for x in met]
            for chance, a in answers(matrix, asked, labels):
                gap = np.mean(a[:opponents]) - np.mean(a[opponents:])
                yield drawn * chance, len(policy) / 2 * gap * (unit[y] - unit[z])
    else:
        baseline = 0.5 if estimator == "response" else 0.0
        for y, met in product(actions, product(actions, repeat=opponents)):
            drawn = policy[y] * float(np.prod(policy[list(met)]))
            for chance, a in answers(matrix, [(y, x) for x in met], labels):
                yield drawn * chance, (np.mean(a) - baseline) * natural @ (unit[y] - policy)


def by_hand(estimator: str, opponents: int, labels: str, quantity: str) -> Array:
    result = np.empty(POLICIES.shape[:2])
    for point, game in np.ndindex(*result.shape):
        matrix, policy = GAME.preference_matrix[game], np.exp(POLICIES[point, game])
        fisher = np.diag(policy) - np.outer(policy, policy)
        every = list(outcomes(estimator, opponents, labels, matrix, policy))
        assert sum(chance for chance, _ in every) == pytest.approx(1)
        mean = sum(chance * step for chance, step in every)
        if quantity == "bias":
            error = mean - (matrix @ policy - 0.5)
            result[point, game] = np.sqrt(policy @ (error - policy @ error) ** 2)
            continue
        spread = sum(c * (step - mean) @ fisher @ (step - mean) for c, step in every)
        result[point, game] = spread * (opponents * (1 + (estimator == "uniform_pair")))
    return result


@pytest.mark.parametrize("labels", ["bernoulli", "probability"])
@pytest.mark.parametrize(("estimator", "opponents"), ESTIMATORS)
def test_variance_is_that_of_every_outcome(estimator: str, opponents: int, labels: str) -> None:
    found = UpdateError(estimator, opponents, labels, "variance").score(GAME, POLICIES)
    expected = by_hand(estimator, opponents, labels, "variance")
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize(("estimator", "opponents"), ESTIMATORS)
def test_every_estimator_is_unbiased(estimator: str, opponents: int) -> None:
    assert by_hand(estimator, opponents, "bernoulli", "bias").max() < 1e-14
    found = UpdateError(estimator, opponents, "bernoulli", "bias").score(GAME, POLICIES)
    assert found.max() < 1e-15


def test_second_moments_of_drawn_answers_are_those_of_the_docstring() -> None:
    policy = np.exp(POLICIES)
    signal = UpdateError("pair", 1, "bernoulli", "signal").score(GAME, POLICIES)
    advantage = np.einsum("gij,pgj->pgi", GAME.preference_matrix, policy) - 0.5
    np.testing.assert_allclose(signal, (policy * advantage**2).sum(-1), rtol=1e-13)
    expected = {
        "pair": 2 / 8,
        "response": 2 / 4,
        "response_without_baseline": 2 / 2 + advantage.sum(-1),
    }
    for estimator, second in expected.items():
        variance = UpdateError(estimator, 1, "bernoulli", "variance").score(GAME, POLICIES)
        np.testing.assert_allclose(variance + signal, second * np.ones((2, 2)), rtol=1e-12)


def test_a_pair_is_the_gradient_of_inpos_loss_and_of_sppos() -> None:
    """At pi_t: -4 alpha and -2 alpha times 1/2 (a - 1/2) (e_y - e_y')."""
    logits = torch.tensor([0.3, -0.4, 1.0], dtype=torch.float64, requires_grad=True)
    start = torch.log_softmax(logits.detach(), dim=0)
    ratio = torch.log_softmax(logits, dim=0) - start
    y, z, answer, alpha = 0, 2, 1.0, 0.7
    step = torch.zeros(3, dtype=torch.float64)
    step[y], step[z] = 0.5 * (answer - 0.5), -0.5 * (answer - 0.5)
    pair = SquaredPair(alpha)(ratio[y] - ratio[z], torch.tensor(answer - 0.5).double())
    (gradient,) = torch.autograd.grad(pair, logits, retain_graph=True)
    torch.testing.assert_close(gradient, -4 * alpha * step, rtol=1e-14, atol=1e-15)
    values = torch.tensor([answer, 1 - answer], dtype=torch.float64)
    pairs = torch.stack([ratio[y], ratio[z]])
    points = SquaredPoint(alpha).point(pairs, pairs, values).mean()
    (gradient,) = torch.autograd.grad(points, logits)
    torch.testing.assert_close(gradient, -2 * alpha * step, rtol=1e-14, atol=1e-15)


def test_settings_without_meaning_are_refused() -> None:
    with pytest.raises(ImpossibleSettingError, match="has no meaning for a pair"):
        UpdateError("pair", 2, "bernoulli", "variance")
    with pytest.raises(ImpossibleSettingError, match="asks nothing"):
        UpdateError("response", 0, "bernoulli", "variance")
