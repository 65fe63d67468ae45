"""First losses, pair designs, ledgers and budgets."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from conftest import random_game
from laboratory import SETTINGS, algorithm, run_of, streams, trained

from nlhf_repro.interfaces import (
    Game,
    ImpossibleSettingError,
)
from nlhf_repro.losses import LogisticPair, SquaredPair, SquaredPoint
from nlhf_repro.models.tabular_softmax import TabularSoftmax
from nlhf_repro.pipeline.comparisons import tournament
from nlhf_repro.pipeline.sampled import sampled_run


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        (SquaredPair(1 / 0.005), 10_000),
        (SquaredPair(1 / 0.0075), 4444.444444),
        (SquaredPair(1 / 0.1), 25),
        (SquaredPair(1 / 0.002), 62_500),
        (LogisticPair(0.3), np.log(2)),
    ],
)
def test_first_losses_at_the_reference(loss, expected):
    margin = torch.tensor([0.5, -0.5], dtype=torch.float64)
    first = loss(torch.zeros(2, dtype=torch.float64), margin)
    np.testing.assert_allclose(first.numpy(), expected, rtol=1e-6)


def test_the_first_loss_of_sppo_is_the_mean_over_its_responses():
    wins = torch.tensor([1.0, 0.0], dtype=torch.float64)
    zero = torch.zeros(2, dtype=torch.float64)
    assert SquaredPoint(1000.0).point(zero, zero, wins).mean() == 250_000
    soft = torch.tensor([0.9, 0.1], dtype=torch.float64)
    assert SquaredPoint(1000.0).point(zero, zero, soft).mean() == pytest.approx(160_000)


COSTS = [  # algorithm, changes, comparisons, responses, scores of one group
    ("inpo", {}, 1, 2, 0),
    ("inpo", {"design": "all_pairs", "responses": 4}, 6, 4, 0),
    ("inpo", {"design": "best_worst", "responses": 4}, 6, 4, 0),
    ("inpo", {"design": "tournament", "responses": 8}, 11, 8, 0),
    ("sppo", {"responses": 1}, 1, 2, 0),
    ("sppo", {"responses": 4}, 10, 5, 0),
    ("sppo", {"responses": 5, "self_comparison": True}, 10, 5, 0),
    ("nash_md", {}, 2, 3, 0),
    ("nash_md_pg", {}, 1, 2, 0),
    ("egpo", {}, 4, 6, 0),
    ("online_ipo", {}, 1, 2, 0),
    ("online_ipo", {"form": "uniform"}, 2, 3, 0),
    ("iterative_dpo", {}, 1, 2, 0),
    ("iterative_slic", {"design": "all_pairs", "responses": 4}, 6, 4, 0),
    ("nash_md", {"opponents": 3}, 6, 5, 0),
    ("nash_md_pg", {"opponents": 3}, 3, 4, 0),
    ("egpo", {"opponents": 2}, 8, 8, 0),
    ("online_ipo", {"design": "all_pairs", "responses": 4}, 6, 4, 0),
    ("online_ipo", {"form": "uniform", "opponents": 3}, 6, 5, 0),
    ("iterative_ipo", {}, 1, 2, 0),
    ("dno", {}, 8, 6, 0),
    ("dno_prct", {}, 10, 5, 0),
    ("rebel", {}, 1, 2, 0),
    ("iterative_dpo", {"design": "best_worst", "labels": "score", "responses": 8}, 0, 8, 8),
    ("fixed", {}, 0, 0, 0),
]


@pytest.mark.parametrize(("name", "changes", "comparisons", "responses", "scores"), COSTS)
@pytest.mark.parametrize("labels", ["bernoulli", "probability"])
def test_the_ledger_is_exact_to_the_unit(name, changes, comparisons, responses, scores, labels):
    if name != "fixed" and "labels" not in changes:
        changes = changes | {"labels": labels}
    method = algorithm(name, **changes)
    game = replace(random_game(25, 2, 5), scores=np.zeros((2, 5)) + np.arange(5.0))
    ledger = trained(method, game, iterations=4).ledger
    groups = 4 * 7
    assert ledger.problems == 2
    assert ledger.comparisons == ledger.ordered_passes == groups * comparisons
    assert ledger.responses == groups * responses
    assert ledger.scores == groups * scores
    answered = ledger.bernoulli_answers if labels == "bernoulli" else ledger.probability_answers
    assert answered == groups * comparisons
    assert ledger.bernoulli_answers + ledger.probability_answers == groups * comparisons
    steps = {"egpo": 2, "fixed": 0}.get(name, getattr(method, "gradient_steps", 1))
    assert ledger.gradient_steps == 4 * steps


def test_the_oracle_is_asked_as_often_as_the_ledger_says():
    asked = 0

    @dataclass(frozen=True)
    class Counting:
        oracle: object

        def preference(self, prompts, first, second):
            nonlocal asked
            answers = self.oracle.preference(prompts, first, second)
            asked += answers.numel()
            return answers

        def score(self, prompts, responses):
            return self.oracle.score(prompts, responses)

    class Count:
        def wrap(self, oracle):
            return Counting(oracle)

    game = random_game(26, 2, 5)
    for name, changes, *_ in COSTS:
        if changes.get("labels") == "score":
            continue
        settings = replace(SETTINGS, iterations=2)
        run = sampled_run(
            algorithm(name, **changes),
            TabularSoftmax(),
            game,
            game,
            (Count(),),
            settings,
            None,
            streams(0),
        )
        asked = 0
        run.advance()
        assert asked == 2 * run.count().comparisons, name


@pytest.mark.parametrize(("name", "changes"), [(c[0], c[1]) for c in COSTS if c[2]])
@pytest.mark.parametrize("budget", [80, 200, 501])
def test_a_budget_is_never_exceeded_and_pays_for_whole_iterations_only(name, changes, budget):
    method = algorithm(name, **changes)
    found = trained(method, random_game(27, 2, 5), budget=budget, iterations=10_000)
    cost = 7 * next(c[2] for c in COSTS if c[0] == name and c[1] == changes)
    assert found.ledger.comparisons == budget // cost * cost
    assert found.updates[-1] == budget // cost
    assert found.comparisons[-1] == found.ledger.comparisons


def test_a_budget_below_one_iteration_or_without_comparisons_is_refused():
    game = replace(random_game(27, 2, 5), scores=np.zeros((2, 5)))
    with pytest.raises(ImpossibleSettingError, match="does not pay for one iteration of 28"):
        trained(algorithm("egpo"), game, budget=27)
    scored = algorithm("iterative_dpo", design="best_worst", labels="score", responses=3)
    with pytest.raises(ImpossibleSettingError, match="never ends"):
        trained(scored, game, budget=100)
    assert trained(algorithm("fixed"), game, budget=1).ledger.comparisons == 0


def test_the_tournament_by_hand():
    strength = torch.tensor([3.0, 7.0, 1.0, 0.0, 6.0, 2.0, 5.0, 4.0], dtype=torch.float64)
    asked = []

    def ask(first, second):
        asked.append(first.numel())
        return (strength[first] > strength[second]).to(torch.float64)

    data = tournament(torch.arange(8)[None, None], ask)
    assert (data.first.item(), data.second.item(), data.weight.item()) == (1, 3, 1.0)
    assert sum(asked) == 11
    halves = lambda f, s: torch.full(f.shape, 0.5).double()  # noqa: E731
    tied = tournament(torch.arange(8)[None, None], halves)
    assert (tied.first.item(), tied.second.item(), tied.weight.item()) == (0, 7, 0.0)


def test_best_and_worst_of_identical_responses_are_not_trained_on():
    game = Game(np.full((1, 3, 3), 0.5), np.log([[1e-12, 1 - 2e-12, 1e-12]]))
    method = algorithm("inpo", design="best_worst", responses=3, labels="probability")
    run = run_of(method, game)
    data = run.collector.collect(next(method.phases(0)), run.slots)
    assert (data.weight == 0).all()
    assert run.advance()
    np.testing.assert_allclose(run.policy(), np.exp(game.log_reference), atol=1e-15)
