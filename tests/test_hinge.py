"""The hinge loss: its population minimiser against enumeration, its ties, and iterative SLiC."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest
import torch
from conftest import CYCLE, random_game
from laboratory import algorithm, at, bradley_terry_game, run, run_of, trained
from scipy.special import log_softmax, softmax

from nlhf_repro.conformance.fixed_points import the_declared_fixed_point_is_fixed
from nlhf_repro.conformance.laboratory import comal_cycle
from nlhf_repro.hinge_regression import hinge_utility
from nlhf_repro.interfaces import Game, ImpossibleSettingError
from nlhf_repro.losses import HingePair
from nlhf_repro.pipeline.fitting import objective
from nlhf_repro.selection import selected_law
from nlhf_repro.updates import independent_wins
from nlhf_repro.verbs.check import subject_of


def loss_of(law, utility):
    gap = utility[:, None] - utility[None, :]
    return (law * np.maximum(0.0, 1.0 - gap) * ~np.eye(len(law), dtype=bool)).sum()


def laws(actions, count):
    """Smooth weights, wins of a skewed policy, and small whole numbers, which tie a lot."""
    random = np.random.default_rng(actions)
    for _ in range(count):
        yield random.random((actions, actions)) ** 3
        policy = random.dirichlet(np.full(actions, 0.3)) + 1e-6
        win = np.triu(random.random((actions, actions)), 1)
        yield policy[:, None] * policy[None, :] * (win + np.tril(1 - win.T, -1))
        yield random.integers(0, 3, (actions, actions)).astype(float)


def symmetric_cycle(strength):
    """CYCLE's shape with a probability of winning, and the uniform reference."""
    matrix = np.where(CYCLE > 0.5, strength, np.where(CYCLE < 0.5, 1 - strength, 0.5))
    return Game(matrix[None], np.log(np.full((1, 3), 1 / 3)))


@pytest.mark.parametrize(("actions", "count"), [(2, 20), (3, 20), (4, 20), (5, 8)])
def test_no_whole_gaps_have_a_smaller_loss(actions, count):
    """Some minimiser has whole gaps below the number of responses: all of them are tried."""
    every = [np.array(each, dtype=float) for each in product(range(actions), repeat=actions)]
    for law in laws(actions, count):
        found = hinge_utility(law[None])[0]
        best = min(loss_of(law, each) for each in every)
        assert abs(loss_of(law, found) - best) <= 1e-12 * law.sum()
        assert abs(found.sum()) < 1e-12 and np.ptp(found) <= actions - 1 + 1e-9


@pytest.mark.parametrize("actions", [3, 4])
def test_of_all_minimisers_the_shortest_is_returned(actions):
    """Steps to any other minimiser never shorten it; the order of responses does not matter."""
    every = [np.array(each, dtype=float) for each in product(range(actions), repeat=actions)]
    several = 0
    for law in laws(actions, 25):
        found = hinge_utility(law[None])[0]
        least = min(loss_of(law, each) for each in every)
        others = [e - e.mean() for e in every if loss_of(law, e) <= least + 1e-12 * law.sum()]
        several += any(np.abs(each - found).max() > 1e-6 for each in others)
        # Of a convex set the shortest point x is the one with <x, y - x> >= 0 for all y in it.
        assert all(found @ (each - found) > -1e-9 for each in others)
        order = list(permutations(range(actions)))[-2]
        again = hinge_utility(law[np.ix_(order, order)][None])[0]
        np.testing.assert_allclose(again, found[list(order)], atol=1e-9)
    assert several >= 10


def test_rare_responses_are_placed_as_well_as_frequent_ones():
    """No set of responses gains by a step, in the currency of the pairs that the step changes."""
    random, worst = np.random.default_rng(0), 0.0
    for _ in range(100):
        policy = np.array([1.0, 0.7, *np.exp(-22 * random.random(3) ** 0.2)])
        win = np.triu(0.02 + 0.96 * random.random((5, 5)), 1)
        law = policy[:, None] * policy[None, :] * (win + np.tril(1 - win.T, -1))
        found = hinge_utility(law[None])[0]
        for bits in product((False, True), repeat=5):
            moved = np.array(bits)
            crossing = law * (moved[:, None] != moved[None, :])
            if crossing.any():
                change = loss_of(crossing, found + moved) - loss_of(crossing, found)
                worst = min(worst, change / crossing.sum())
    assert worst > -1e-9


def test_by_hand_certain_orders_ties_and_what_is_not_compared():
    certain = np.triu(np.ones((1, 4, 4)), 1)
    np.testing.assert_allclose(hinge_utility(certain), [[1.5, 0.5, -0.5, -1.5]], atol=1e-12)
    tied = np.array([[[0.0, 1, 1], [0, 0, 1], [1, 1, 0]]])  # 0 beats 1, and 2 ties with both
    np.testing.assert_allclose(hinge_utility(tied), [[0.5, -0.5, 0.0]], atol=1e-12)
    apart = np.array([[[0.0, 2, 0], [1, 0, 0], [0, 0, 0]]])
    np.testing.assert_allclose(hinge_utility(apart), [[0.5, -0.5, 0.0]], atol=1e-12)
    np.testing.assert_array_equal(hinge_utility(np.zeros((2, 3, 3))), np.zeros((2, 3)))


def test_wins_that_balance_but_for_rounding_are_taken_to_balance():
    """At 1e-11 of a pair's weight nothing moves; at 1e-7 the loss has a vertex for minimum."""
    for excess, span in ((1e-11, 0.0), (1e-7, 1.0)):
        law = symmetric_cycle(0.8).preference_matrix[0].copy()
        law[0, 1] *= 1 + excess
        law[1, 0] *= 1 - excess
        assert np.ptp(hinge_utility(law[None])) == pytest.approx(span, abs=1e-12)


def test_a_response_without_weight_is_refused_in_a_sentence():
    policy = np.array([[0.5, 0.5, 1e-11]])
    law = policy[..., :, None] * policy[..., None, :] * CYCLE
    with pytest.raises(ImpossibleSettingError, match=r"response 2 of game 0.*keeps its support\.$"):
        hinge_utility(law)


def test_the_loss_and_its_slope_by_hand():
    gap = torch.tensor([-3.0, -1.0, 0.0, 1.0, 3.0], requires_grad=True)
    margin = torch.tensor([0.5, 0.5, 0.2, -0.5, 0.1])
    values = HingePair(0.5)(gap, margin)
    # p = 1, 1, .7, 0, .6; beta gap = -1.5, -.5, 0, .5, 1.5
    np.testing.assert_allclose(values.detach(), [2.5, 1.5, 1.0, 1.5, 0.4 * 2.5], rtol=1e-6)
    values.sum().backward()
    np.testing.assert_allclose(gap.grad, [-0.5, -0.5, -0.2, 0.5, 0.2], rtol=1e-6)


SLIC_DESIGNS = [
    {"labels": "bernoulli"},
    {"labels": "probability"},
    {"design": "best_worst", "responses": 3, "labels": "bernoulli"},
    {"design": "best_worst", "responses": 3, "labels": "probability"},
    {"design": "best_worst", "responses": 3, "labels": "score"},
]


@pytest.mark.parametrize("changes", SLIC_DESIGNS)
def test_enumerated_and_drawn_losses_are_those_that_the_exact_update_minimises(changes):
    game = bradley_terry_game()
    game = Game(game.preference_matrix[:1], game.log_reference[:1], game.scores[:1])
    method = algorithm("iterative_slic", **changes)
    theta = game.log_reference + np.array([[1.5, -2.0, 0.3, 0.0, 3.0, -1.0]])
    reference = np.exp(game.log_reference)
    if method.design == "best_worst":
        law = selected_law(game, reference, "best_worst", 3, method.labels)[0]
    else:
        law = independent_wins(game, reference)[0]
    same = np.eye(6, dtype=bool)
    unequal = loss_of(law, method.regularization * (theta - game.log_reference)[0])
    expected = (unequal + law[same].sum()) / law.sum()  # a response beside itself costs 1
    np.testing.assert_allclose(loss_at(method, game, theta, face="expected"), expected, rtol=1e-12)
    drawn = [
        loss_at(method, game, theta, face="sampled", groups_per_iteration=500, stream=number)
        for number in range(20)
    ]
    error = np.std(drawn, ddof=1) / np.sqrt(len(drawn))
    assert abs(np.mean(drawn) - expected) < 5 * error
    assert error < 0.05 * expected


def loss_at(method, game, theta, stream=0, **settings):
    """The loss of a run's first fit, data from the reference, at these logits."""
    run = run_of(method, game, **settings)
    collect, fit = method.phases(0)
    for _ in range(stream + 1):
        data = run.collector.collect(collect, run.slots)
    prompts = run.collector.prompts(data)
    measured = objective(run.tabular_policy, fit, data, run.slots, prompts)
    with torch.no_grad():
        run.tabular_policy.logits.copy_(torch.from_numpy(theta))
        return float(measured())


@pytest.mark.parametrize("beta", [0.1, 0.5, 3.0])
@pytest.mark.parametrize("p", [0.0, 0.02, 0.49, 0.5, 0.51, 0.98, 1.0])
@pytest.mark.parametrize("anchor", ["reference", "previous"])
def test_two_responses_end_one_over_beta_apart_whoever_sampled(beta, p, anchor):
    game = Game(np.array([[[0.5, p], [1 - p, 0.5]]]), log_softmax([[0.3, -0.4]], axis=-1))
    method = algorithm("iterative_slic", regularization=beta, anchor=anchor)
    state = at(np.array([[2.0, -1.0]]))
    start = game.log_reference if anchor == "reference" else state.log_policy
    found = method.exact_update(state, game).log_policy - start
    assert found[0, 0] - found[0, 1] == pytest.approx(np.sign(p - 0.5) / beta, abs=1e-12)


def test_nothing_near_the_exact_update_and_no_descent_reaches_a_smaller_loss():
    """Random policies around it, and 4,000 subgradient steps that end within 1% of its loss."""
    game, random = random_game(91, 3, 5), np.random.default_rng(0)
    method = algorithm("iterative_slic")
    exact = run(method, game, 1).log_policy - game.log_reference
    laws_of_pairs = independent_wins(game, np.exp(game.log_reference))
    for law, log_ratio in zip(laws_of_pairs, method.regularization * exact, strict=True):
        least = loss_of(law, log_ratio)
        for scale in np.logspace(-6, 1, 200):
            noise = scale * random.standard_normal(5)
            assert loss_of(law, log_ratio + noise) >= least - 1e-15
        reached = descended(law)
        assert least - 1e-15 <= reached <= 1.01 * least


def descended(law):
    """The least loss along subgradient descent from 0, steps of 1 / sqrt(t), means kept at 0."""
    law = law * ~np.eye(len(law), dtype=bool)
    utility, least = np.zeros(len(law)), np.inf
    total = law.sum(axis=0) + law.sum(axis=1)
    for step in range(1, 4001):
        open_pairs = law * (utility[:, None] - utility[None, :] < 1)
        slope = open_pairs.sum(axis=0) - open_pairs.sum(axis=1)
        utility = utility - slope / total / np.sqrt(step)
        utility -= utility.mean()
        least = min(least, loss_of(law, utility))
    return least


def test_on_a_symmetric_cycle_the_loss_is_flat_and_the_update_stays():
    for strength in (0.6, 0.9, 1.0):
        game = symmetric_cycle(strength)
        for anchor in ("reference", "previous"):
            method = algorithm("iterative_slic", anchor=anchor)
            np.testing.assert_allclose(run(method, game, 5).policy, 1 / 3, atol=1e-15)
            found = trained(method, game, face="expected").last[-1]
            np.testing.assert_allclose(np.exp(found), 1 / 3, atol=1e-15)
        law = independent_wins(game, np.full((1, 3), 1 / 3))[0]
        flat = loss_of(law, np.zeros(3))
        for inside in ([0.5, -0.5, 0.0], [1.0, 0.0, 0.0], [0.9, 0.4, 0.2]):
            assert loss_of(law, np.array(inside)) == pytest.approx(flat, abs=1e-15)
        assert loss_of(law, np.array([1.1, 0.0, 0.0])) > flat + 0.003


def test_on_comals_cycle_iterates_go_round_three_policies():
    method, game = algorithm("iterative_slic"), comal_cycle(1)
    state = run(method, game, 30)
    three = [state := method.exact_update(state, game) for _ in range(4)]
    np.testing.assert_allclose(three[3].policy, three[0].policy, atol=1e-12)
    assert np.abs(three[1].policy - three[0].policy).max() > 0.1
    assert method.fixed_point == "none"


def test_with_the_previous_policy_as_anchor_an_equilibrium_is_at_rest_and_its_surroundings_not():
    changes = ["algorithm.anchor=previous"]
    the_declared_fixed_point_is_fixed(subject_of("algorithm=iterative_slic", changes, []))
    method = algorithm("iterative_slic", anchor="previous")
    assert method.fixed_point == "nash"
    game = comal_cycle(1)
    near = at(np.log(np.array([[4.0, 3.0, 4.0]]) / 11 + [[1e-7, 0.0, -1e-7]]))
    moved = method.exact_update(near, game).log_policy - near.log_policy
    assert np.ptp(moved) == pytest.approx(1 / method.regularization, abs=1e-9)
    assert algorithm("iterative_slic", anchor="previous", design="best_worst").fixed_point == "none"


def test_upper_level_sets_of_the_first_fit_win_as_often_as_they_lose():
    """What the promised improvement rests on; a policy of any beta inherits it."""
    game = random_game(92, 40, 6)
    reference = np.exp(game.log_reference)
    law = independent_wins(game, reference)
    for each, utility in zip(law, hinge_utility(law), strict=True):
        for level in np.unique(np.round(utility, 6))[1:]:
            upper = utility > level - 1e-3
            assert each[np.ix_(upper, ~upper)].sum() >= each[np.ix_(~upper, upper)].sum()
    for beta in (0.1, 20.0):
        moved = run(algorithm("iterative_slic", regularization=beta), game, 1).policy
        wins = np.einsum("gi,gij,gj->g", moved, game.preference_matrix, reference)
        assert wins.min() >= 0.5


def test_scores_rank_the_responses_one_over_beta_apart():
    """The logistic optimum lies at infinity there; a lead of 1 / beta is all the hinge asks for."""
    game = bradley_terry_game()
    method = algorithm(
        "iterative_slic", design="best_worst", responses=4, labels="score", gradient_steps=3
    )
    ranks = game.scores.argsort(axis=-1).argsort(axis=-1)
    expected = softmax(game.log_reference + ranks / method.regularization, axis=-1)
    np.testing.assert_allclose(run(method, game, 1).policy, expected, atol=1e-12)
    assert method.tie.kind == "none" and "kink" in method.tie.reason


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"regularization": 0.0}, "must be positive"),
        ({"responses": 3}, "unfiltered takes 2"),
        ({"design": "all_pairs", "responses": 1}, "the others at least 2"),
        ({"labels": "score"}, "set design to best_worst"),
        ({"gradient_steps": None}, "at a kink"),
    ],
)
def test_impossible_settings_are_refused_in_one_sentence(changes, message):
    with pytest.raises(Exception, match=message) as caught:
        algorithm("iterative_slic", **changes)
    cause = caught.value.__cause__ or caught.value
    assert isinstance(cause, ImpossibleSettingError)
    assert "\n" not in str(cause) and str(cause).endswith(".")
