"""Token trees as models of games, and how far mixtures by token are from mixtures by sequence."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from conftest import random_game
from laboratory import ALGORITHMS, algorithm, run_of, trained
from spelling import MIXTURES, logits_of, mixed, random_logits, spelled, tree, tree_at

from nlhf_repro.cells import single_cell
from nlhf_repro.games import log_space
from nlhf_repro.interfaces import Advance, ImpossibleSettingError
from nlhf_repro.models.tabular import sequence_mixture
from nlhf_repro.models.token_tree import TokenTree, sequences, token_mixture
from nlhf_repro.pipeline.parts import build


def random_policies(rng, count, vocabulary, length):
    """Log-probabilities of sequences from standard normal logits at every prefix."""
    shapes = [(count, vocabulary**depth, vocabulary) for depth in range(length)]
    levels = [torch.from_numpy(rng.standard_normal(shape)) for shape in shapes]
    return sequences([torch.log_softmax(level, dim=-1) for level in levels])


# --- The model ---


def test_trees_start_at_the_reference_and_share_nothing_between_games():
    game = random_game(51, 3, 8, spread=5.0)
    policy = TokenTree(2, 3, "sequence").build(game, np.random.default_rng(0))
    found = policy.log_policy().detach().numpy()
    np.testing.assert_allclose(found, game.log_reference, atol=1e-13, rtol=0)
    assert [tuple(level.shape) for level in policy.parameters()] == [
        (3, 1, 2),
        (3, 2, 2),
        (3, 4, 2),
    ]
    policy.log_policy()[0, 1].backward()
    for level in policy.parameters():
        assert (level.grad[1:] == 0).all(), "a weight of another game moved"
        assert (level.grad[0, 0] != 0).all(), "every prefix of sequence 1 is the first"
        assert (level.grad[0, 1:] == 0).all(), "a prefix moved that sequence 1 does not have"


@pytest.mark.parametrize("kind", MIXTURES)
def test_mixtures_are_those_spelled_out(kind):
    rng = np.random.default_rng(52)
    policy, snapshots = tree_at(spelled(random_logits(rng)), kind), []
    for _ in range(2):
        snapshots.append(tree_at(spelled(random_logits(rng))).snapshot({}))
    for weight in (0.0, 0.125, 0.5, 1.0):
        mixture = list(zip(snapshots, (1 - weight, weight), strict=True))
        found = policy.mixture_log_policy(mixture, 1.0)[0]
        expected = mixed([(logits_of(each), w) for each, w in mixture], kind)
        torch.testing.assert_close(found, expected, atol=1e-13, rtol=0)
    hot = policy.mixture_log_policy(mixture, float("inf"))
    torch.testing.assert_close(hot, torch.full_like(hot, -np.log(81)), atol=1e-13, rtol=0)


def test_a_temperature_of_token_mixtures_acts_at_every_prefix():
    logits = random_logits(np.random.default_rng(53))
    policy = tree_at(spelled(logits), "token")
    found = policy.mixture_log_policy([(policy.snapshot({}), 1.0)], 2.0)[0]
    expected = spelled([torch.log_softmax(level, dim=-1) / 2 for level in logits])
    torch.testing.assert_close(found, expected, atol=1e-13, rtol=0)


def test_responses_of_a_token_mixture_follow_it():
    policy = tree_at(spelled(random_logits(np.random.default_rng(54))), "token")
    other = tree_at(spelled(random_logits(np.random.default_rng(55)))).snapshot({})
    mixture = [(policy.snapshot({}), 0.5), (other, 0.5)]
    prompts = torch.zeros(1, 400_000, dtype=torch.long)
    drawn = policy.sample(mixture, 1.0, prompts, 1, np.random.default_rng(1))
    share = np.bincount(drawn.flatten(), minlength=81) / 400_000
    by_token, by_sequence = (
        mixed([(logits_of(each), w) for each, w in mixture], kind).exp().numpy()
        for kind in ("token", "sequence")
    )
    error = np.sqrt(by_token * (1 - by_token) / 400_000)
    assert (np.abs(share - by_token) < 5 * error).all()
    assert (np.abs(share - by_sequence) > 5 * error).any()


def test_averaged_weights_are_a_token_mixture():
    """Of two policies: what `Advance` with a share does to a tree."""
    run = run_of(algorithm("fixed"), random_game(56, 1, 81), model=tree())
    slow, fast = (tree_at(spelled(random_logits(np.random.default_rng(x)))) for x in (57, 58))
    run.slots |= {"slow": slow.snapshot({}), "fast": fast.snapshot({})}
    moved = run._moved(Advance("slow", "fast", 0.3))
    both = [(logits_of(run.slots["slow"]), 0.7), (logits_of(run.slots["fast"]), 0.3)]
    torch.testing.assert_close(spelled(logits_of(moved)), mixed(both, "token"), atol=1e-13, rtol=0)


@pytest.mark.parametrize("face", ["sampled", "expected"])
@pytest.mark.parametrize("name", ALGORITHMS)
def test_every_algorithm_trains_trees(name, face):
    game = random_game(59, 2, 9)
    found = trained(algorithm(name), game, model=TokenTree(3, 2, "token"), face=face)
    np.testing.assert_allclose(np.exp(found.last).sum(axis=-1), 1, atol=1e-12)
    moved = np.abs(found.last[-1] - game.log_reference).max() > 1e-6
    assert moved == (algorithm(name).tie.kind != "identity")


def test_what_spells_no_game_is_refused():
    config = single_cell(["model=token_tree", "oracle.actions=9", "tracker=none"]).config
    model, rng = build(config["model"]), np.random.default_rng(0)
    assert model.build(random_game(60, 1, 9), rng).log_policy().shape == (1, 9)
    with pytest.raises(ImpossibleSettingError, match=r"model.vocabulary = 3 .* oracle.actions = 9"):
        model.build(random_game(60, 1, 10), rng)
    for vocabulary, length in ((1, 3), (3, 0)):
        with pytest.raises(ImpossibleSettingError, match=f"model.vocabulary = {vocabulary} must"):
            TokenTree(vocabulary, length, "token")


# --- How far the mixtures are apart, in numbers of our own ---


@pytest.mark.parametrize(
    ("weight", "variation", "divergence"), [(0.125, 0.033, 0.0037), (0.5, 0.077, 0.0208)]
)
def test_mixtures_by_token_and_by_sequence_differ(weight, variation, divergence):
    """500 pairs of random trees of 81 sequences: mean total variation and KL(token, sequence)."""
    rng = np.random.default_rng(61)
    policies = [
        (random_policies(rng, 500, 3, 4), 1 - weight),
        (random_policies(rng, 500, 3, 4), weight),
    ]
    by_sequence = sequence_mixture(policies, 1.0).numpy()
    by_token = token_mixture(policies, 1.0, 3, 4).numpy()
    distance = np.abs(np.exp(by_token) - np.exp(by_sequence)).sum(axis=1) / 2
    kl = log_space.kl_divergence(by_token, by_sequence)
    assert abs(distance.mean() - variation) < 0.002
    assert abs(kl.mean() / divergence - 1) < 0.1


def nash_md_fixed_point(game, kind, weight, regularization):
    """The policy that is a regularized best response to its mixture: Nash-MD-PG on the tree."""
    method = algorithm("nash_md_pg", mixture_weight=weight, regularization=regularization)
    model = TokenTree(3, 2, kind)
    run = run_of(method, game, model=model, face="expected", learning_rate=20.0)
    for _ in range(6000):
        run.advance()
    found = run.log_policy()
    policies = [(run.slots["current"], 1 - weight), (run.slots["reference"], weight)]
    opponent = run.tabular_policy.mixture_log_policy(policies, 1.0).numpy()
    response = log_space.regularized_best_response(
        game.preference_matrix, opponent, game.log_reference, regularization
    )
    np.testing.assert_allclose(np.exp(found), np.exp(response), atol=1e-8)
    return found


@pytest.mark.slow
@pytest.mark.parametrize(
    ("weight", "apart", "gaps"),
    [(0.125, 0.0033, (8.1e-4, 7.3e-4)), (0.5, 0.0096, (1.72e-2, 1.69e-2))],
)
def test_fixed_points_of_nash_md_pg_differ_with_the_mixture(weight, apart, gaps):
    """20 random games of 9 sequences, tau 1/10: mean total variation, mean regularized gaps."""
    game = random_game(7, 20, 9)
    points = [nash_md_fixed_point(game, kind, weight, 0.1) for kind in MIXTURES]
    distance = np.abs(np.exp(points[0]) - np.exp(points[1])).sum(axis=1) / 2
    found = [
        log_space.regularized_duality_gap(game.preference_matrix, each, game.log_reference, 0.1)
        for each in points
    ]
    np.testing.assert_allclose(distance.mean(), apart, rtol=0.02)
    np.testing.assert_allclose(np.mean(found, axis=1), gaps, rtol=0.02)
