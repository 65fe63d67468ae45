"""A reward fitted to comparisons: closed forms, recovery, and what it cannot say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.special import expit
from summary_texts import HAND_FACTS, annotators, post, posts

from nlhf_repro.conformance.laboratory import random_game
from nlhf_repro.games import cycle_share
from nlhf_repro.interfaces import (
    Array,
    ImpossibleSettingError,
    LearnedOracleWrapper,
    Prompt,
    TextOracle,
)
from nlhf_repro.oracles.bradley_terry_fit import BradleyTerryFit, FittedReward, fit_logistic
from nlhf_repro.oracles.matrix import MatrixOracle
from nlhf_repro.seeds import generator_for

FIT = BradleyTerryFit(comparisons=4000, ridge=1e-4)
Pairs = tuple[list[Prompt], list[str], list[str]]


def pairs(number: int, world: int = 0, name: str = "training") -> Pairs:
    """Pairs of demonstrations of one post."""
    shown = posts(training=200, demonstration_count=4000).demonstrations(world)
    stream = generator_for("test", "pairs", name)
    rows = stream.integers(4000, size=number)
    others = (rows + 200 * stream.integers(1, 20, size=number)) % 4000
    first, second = ([shown[i].response for i in each] for each in (rows, others))
    return [shown[i].prompt for i in rows], first, second


def drawn(oracle: TextOracle, asked: Pairs) -> Array:
    answers = oracle.preference(*asked)
    return (generator_for("test", "answers").random(len(answers)) < answers).astype(np.float64)


# --- the fit


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_one_feature_has_the_logit_of_the_share(share: float) -> None:
    answers = np.r_[np.ones(round(1000 * share)), np.zeros(round(1000 * (1 - share)))]
    (weight,) = fit_logistic(np.full((1000, 1), 2.0), answers, 1e-12)
    assert 2 * weight == pytest.approx(np.log(share / (1 - share)), abs=1e-6)


def test_the_fit_is_a_stationary_point() -> None:
    stream = generator_for("test", "stationary")
    gaps = stream.standard_normal((500, 4)) * [1, 10, 0.1, 0]
    answers = (stream.random(500) < expit(gaps @ [1, -0.1, 5, 0])).astype(np.float64)
    ridge = 0.01
    weights = fit_logistic(gaps, answers, ridge)
    scale = np.sqrt((gaps**2).mean(axis=0))
    gradient = gaps.T @ (expit(gaps @ weights) - answers) / 500 + ridge * weights * scale**2
    np.testing.assert_allclose(gradient, 0, atol=1e-6)
    assert weights[3] == 0  # it never differs


def test_the_ridge_decides_where_comparisons_do_not() -> None:
    """Separable answers, and two features that always differ by the same."""
    weights = fit_logistic(np.ones((10, 2)), np.ones(10), 0.1)
    assert np.isfinite(weights).all() and weights[0] == pytest.approx(weights[1]) and weights[0] > 0
    # 2w is the whole reward: the stationary point is ridge w = sigmoid(-2 w).
    assert 0.1 * weights[0] == pytest.approx(expit(-2 * weights[0]), abs=1e-7)


# --- learning


@pytest.mark.parametrize("group", [0, 1, 2])
def test_the_weights_of_one_group_are_recovered(group: int) -> None:
    """From exact answers, up to what no comparison of demonstrations tells."""
    oracle = annotators(group_weights=[float(each == group) for each in range(3)])
    asked = pairs(4000)
    learned = BradleyTerryFit(4000, 1e-9).learn(oracle, *asked, oracle.preference(*asked))
    np.testing.assert_allclose(learned.weights, oracle.utilities[0, group], atol=1e-3)
    fresh = pairs(1000, name="fresh")
    np.testing.assert_allclose(
        learned.preference(*fresh), oracle.preference(*fresh), rtol=0, atol=1e-4
    )


def agreement(oracle: TextOracle, learned: TextOracle, asked: Pairs) -> float:
    """Share of a majority's preferences that the learned oracle has as well."""
    truth, found = oracle.preference(*asked), learned.preference(*asked)
    return float(np.mean((truth > 0.5) == (found > 0.5)))


@pytest.mark.parametrize("world", [0, 1, 2])
def test_4000_answers_are_nearly_as_good_as_the_truth(world: int) -> None:
    oracle = annotators(world)
    asked, many = pairs(4000, world), pairs(20_000, world, "many")
    fresh = pairs(8000, world, "fresh")
    learned = FIT.learn(oracle, *asked, drawn(oracle, asked))
    best = FIT.learn(oracle, *many, oracle.preference(*many))
    assert agreement(oracle, best, fresh) > 0.85
    assert agreement(oracle, learned, fresh) > agreement(oracle, best, fresh) - 0.03
    truth = oracle.preference(*fresh)
    accuracy = [
        float(np.where(each.preference(*fresh) > 0.5, truth, 1 - truth).mean())
        for each in (learned, best, oracle)
    ]
    assert accuracy[0] > accuracy[1] - 0.01
    assert accuracy[0] < accuracy[2]
    assert learned.feature_weights["coverage"] > 0 > learned.feature_weights["inventions"]


def test_accuracy_and_log_loss_are_those_of_the_training_answers() -> None:
    oracle = annotators()
    asked = pairs(300)
    answers = drawn(oracle, asked)
    learned = FIT.learn(oracle, *asked, answers)
    found = learned.preference(*asked)
    ties = found == 0.5
    right = np.where(ties, 0.5, (found > 0.5) == (answers == 1))
    assert learned.accuracy == pytest.approx(right.mean())
    likelihood = np.where(answers == 1, found, 1 - found)
    assert learned.log_loss == pytest.approx(-np.log(likelihood).mean(), abs=1e-12)
    assert learned.log_loss < np.log(2)


def test_its_scores_are_its_preferences() -> None:
    oracle = annotators()
    asked = pairs(500)
    learned = FIT.learn(oracle, *asked, drawn(oracle, asked))
    scores = [learned.score(asked[0], texts) for texts in asked[1:]]
    there = learned.preference(*asked)
    np.testing.assert_allclose(there, expit(scores[0] - scores[1]), rtol=0, atol=1e-15)
    back = learned.preference(asked[0], asked[2], asked[1])
    assert np.abs(there + back - 1).max() <= 1e-15


def test_it_ranks_what_the_majority_cycles_over() -> None:
    oracle = annotators(cycle_strength=6.0)
    asked = pairs(4000)
    learned = FIT.learn(oracle, *asked, drawn(oracle, asked))
    openers = ("in summary", "so basically", "just picture")
    styles = [f"{opener} {' '.join(HAND_FACTS)}" for opener in openers]
    first, second = [x for x in styles for _ in styles], styles * 3
    matrices = [
        each.preference([post()] * 9, first, second).reshape(3, 3) for each in (oracle, learned)
    ]
    assert [cycle_share(each) for each in matrices] == [1, 0]


# --- refusals


class Featureless:
    def preference(self, prompts: Any, first: Any, second: Any) -> Array:
        return np.full(len(first), 0.5)

    def score(self, prompts: Any, responses: Any) -> Array:
        return np.zeros(len(responses))


def test_an_oracle_without_features_is_refused() -> None:
    with pytest.raises(ImpossibleSettingError, match="Featureless has none: take oracle=annotator"):
        FIT.learn(Featureless(), [post()], ["a"], ["b"], np.ones(1))


def test_a_game_is_refused() -> None:
    with pytest.raises(ImpossibleSettingError, match="responses of a game have none"):
        FIT.wrap(MatrixOracle(random_game(0, 2, 3)))


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ([1.0, 0.0], r"1 comparisons have answers of shape \(2,\)"),
        ([2.0], "an answer is no number from 0 to 1"),
        ([np.nan], "an answer is no number from 0 to 1"),
    ],
)
def test_answers_that_are_none_are_refused(answers: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FIT.learn(annotators(), [post()], ["a"], ["b"], np.array(answers))


def test_no_comparison_is_refused() -> None:
    with pytest.raises(ValueError, match="one comparison at least"):
        FIT.learn(annotators(), [], [], [], np.empty(0))


@pytest.mark.parametrize(
    ("field", "value"),
    [("comparisons", 0), ("ridge", 0.0), ("ridge", -1.0), ("ridge", np.nan), ("ridge", np.inf)],
)
def test_impossible_fields_are_refused(field: str, value: float) -> None:
    fields: dict[str, Any] = {"comparisons": 10, "ridge": 1.0, field: value}
    with pytest.raises(
        ImpossibleSettingError, match=rf"^oracle_wrapper\.bradley_terry_fit\.{field} = "
    ):
        BradleyTerryFit(**fields)


def test_it_is_what_a_run_expects() -> None:
    assert isinstance(FIT, LearnedOracleWrapper)
    assert isinstance(FittedReward(annotators(), np.zeros(9), 0.5, 0.7), TextOracle)
