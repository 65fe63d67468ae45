"""Laws of selected pairs: against enumeration of ordered groups, and against the sampled designs."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations, product

import numpy as np
import pytest
import torch
from conftest import CYCLE, random_game
from laboratory import algorithm, run_of
from scipy.special import log_softmax

from nlhf_repro.interfaces import Collect, Game, ImpossibleSettingError, Responder
from nlhf_repro.pipeline.comparisons import best_worst, tournament, win_counts
from nlhf_repro.selection import best_worst_law, selected_law, tournament_law

CURRENT = Responder({"current": 1.0})


def with_ties():
    """The cycle, a game of ties, and a game of random preferences with tied scores."""
    odd = random_game(71, 1, 3)
    half = np.full((3, 3), 0.5)
    matrix = np.stack([CYCLE, half, odd.preference_matrix[0]])
    reference = log_softmax(np.random.default_rng(0).standard_normal((3, 3)), axis=-1)
    return Game(matrix, reference, np.array([[0.0, 1.0, 1.0], [2.0, 2.0, 2.0], [1.0, -1.0, 0.3]]))


def ordered_law(game, responses, select, hard):
    """Every ordered group, with every set of answers where they are drawn, by the design's code."""
    policy = np.exp(game.log_reference)
    law = np.zeros((game.games, game.actions, game.actions))
    for index in range(game.games):
        matrix = game.preference_matrix[index]
        for group in product(range(game.actions), repeat=responses):
            chance = policy[index][list(group)].prod()
            for answers, likelihood in outcomes(matrix, group, hard):
                first, second, weight = select(index, group, answers)
                law[index, first, second] += chance * likelihood * weight
    return law


def outcomes(matrix, group, hard):
    """[position, position] answers with their likelihood."""
    soft = matrix[np.ix_(group, group)]
    if not hard:
        yield soft, 1.0
        return
    pairs = list(combinations(range(len(group)), 2))
    for bits in product((0, 1), repeat=len(pairs)):
        answers, likelihood = np.full_like(soft, 0.5), 1.0
        for (one, two), bit in zip(pairs, bits, strict=True):
            answers[one, two], answers[two, one] = bit, 1 - bit
            likelihood *= soft[one, two] if bit else 1 - soft[one, two]
        yield answers, likelihood


def positions(group):
    """The group as a tensor of positions, so that `ask` can look answers up."""
    return torch.arange(len(group))[None, None]


@pytest.mark.parametrize("labels", ["probability", "bernoulli", "score"])
@pytest.mark.parametrize("responses", [2, 3, 4])
def test_best_worst_law_is_that_of_all_ordered_groups(labels, responses):
    game = with_ties()

    def select(index, group, answers):
        if labels == "score":
            ranking = torch.from_numpy(game.scores[index][list(group)])[None, None]
        else:
            ask = lambda f, s: torch.from_numpy(answers)[f, s]  # noqa: E731
            ranking = win_counts(positions(group), ask)
        data = best_worst(positions(group), ranking)
        return group[data.first.item()], group[data.second.item()], data.weight.item()

    found = best_worst_law(game, np.exp(game.log_reference), responses, labels)
    expected = ordered_law(game, responses, select, labels == "bernoulli")
    np.testing.assert_allclose(found, expected, atol=1e-14)
    assert (found[1] == 0).all() or labels == "bernoulli"


def bracket(matrix, group, hard):
    """The knock-out of comparisons.tournament, game by game: (best, worst, kept, likelihood)."""

    def meet(one, two):
        p = matrix[one, two]
        if hard:
            return [(one, two, p), (two, one, 1 - p)]
        return [(one, two, 1.0)] if p >= 0.5 else [(two, one, 1.0)]

    if len(group) == 2:
        yield from meet(*group)
        return
    half = len(group) // 2
    for (b1, w1, p1), (b2, w2, p2) in product(
        bracket(matrix, group[:half], hard), bracket(matrix, group[half:], hard)
    ):
        for (best, _, q1), (_, worst, q2) in product(meet(b1, b2), meet(w1, w2)):
            yield best, worst, p1 * p2 * q1 * q2


@pytest.mark.parametrize("labels", ["probability", "bernoulli"])
def test_tournament_law_is_that_of_all_ordered_groups(labels):
    """Two actions and eight responses: 256 groups, each with all its outcomes."""
    hard = labels == "bernoulli"
    for preference, share in ((0.8, 0.3), (0.5, 0.6)):
        matrix = np.array([[0.5, preference], [1 - preference, 0.5]])
        policy, expected = np.array([share, 1 - share]), np.zeros((2, 2))
        for group in product((0, 1), repeat=8):
            for best, worst, likelihood in bracket(matrix, group, hard):
                kept = matrix[best, worst] if hard else float(matrix[best, worst] > 0.5)
                expected[best, worst] += policy[list(group)].prod() * likelihood * kept
        found = tournament_law(matrix[None], policy[None], labels)[0]
        np.testing.assert_allclose(found, expected, atol=1e-13)


def test_deterministic_tournament_law_is_that_of_the_designs_code():
    """Three actions: all 6561 groups through comparisons.tournament."""
    game = with_ties()
    groups = torch.tensor(list(product(range(3), repeat=8)))[None].expand(3, -1, -1)
    matrix = torch.from_numpy(game.preference_matrix)
    games = torch.arange(3)[:, None, None]
    data = tournament(groups, lambda f, s: matrix[games, f, s])
    policy = np.exp(game.log_reference)
    chance = np.stack([policy[g][groups[g].numpy()].prod(axis=-1) for g in range(3)])
    expected = np.zeros((3, 3, 3))
    for g in range(3):
        weight = chance[g] * data.weight[g].numpy()
        np.add.at(expected[g], (data.first[g].numpy(), data.second[g].numpy()), weight)
    found = tournament_law(game.preference_matrix, policy, "probability")
    np.testing.assert_allclose(found, expected, atol=1e-14)


@pytest.mark.parametrize(
    ("design", "responses", "labels"),
    [
        ("best_worst", 3, "bernoulli"),
        ("best_worst", 5, "bernoulli"),
        ("best_worst", 5, "probability"),
        ("best_worst", 5, "score"),
        ("tournament", 8, "bernoulli"),
        ("tournament", 8, "probability"),
    ],
)
def test_laws_are_those_of_the_sampled_designs(design, responses, labels):
    """400,000 groups, within five standard errors in every cell."""
    game, groups = with_ties(), 400_000
    run = run_of(algorithm("inpo"), game, groups_per_iteration=groups)
    data = run.collector.collect(Collect("x", CURRENT, responses, design, labels), run.slots)
    law = selected_law(game, np.exp(game.log_reference), design, responses, labels)
    for index in range(3):
        found = np.zeros((3, 3))
        cell = (data.first[index].numpy(), data.second[index].numpy())
        np.add.at(found, cell, data.weight[index].numpy() / groups)
        error = np.sqrt(law[index] * (1 - law[index]) / groups)
        assert (np.abs(found - law[index]) <= 5 * error + 1e-12).all()
    assert law[0].max() > 0.1


def test_the_best_and_worst_of_two_are_the_unfiltered_pair():
    game = random_game(72, 3, 5)
    policy = np.exp(game.log_reference)
    found = best_worst_law(game, policy, 2, "bernoulli")
    expected = policy[..., :, None] * policy[..., None, :] * game.preference_matrix * 2
    np.testing.assert_allclose(found, expected, atol=1e-15)


def test_laws_are_probabilities_and_the_final_drops_what_the_worst_wins():
    game = random_game(73, 2, 6)
    policy = np.exp(game.log_reference)
    law = best_worst_law(game, policy, 5, "bernoulli")
    assert (law >= 0).all() and (law.sum(axis=(1, 2)) <= 1 + 1e-12).all()
    law = tournament_law(game.preference_matrix, policy, "bernoulli")
    assert (law >= 0).all() and (law.sum(axis=(1, 2)) < 1).all()


def test_groups_too_large_to_enumerate_are_refused_with_their_number():
    game = random_game(74, 1, 10)
    policy = np.exp(game.log_reference)
    with pytest.raises(ImpossibleSettingError, match="responses = 8 with bernoulli.*outcomes"):
        best_worst_law(game, policy, 8, "bernoulli")
    assert best_worst_law(game, policy, 8, "probability").sum() <= 1 + 1e-12
    with pytest.raises(ImpossibleSettingError, match="needs an oracle with scores"):
        best_worst_law(replace(game, scores=None), policy, 3, "score")
