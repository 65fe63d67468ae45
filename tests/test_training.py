"""The sampled face: ties, gradients against enumeration, designs, ledgers and budgets."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import pytest
import torch
from conftest import CONF, random_game
from hydra.utils import instantiate
from omegaconf import OmegaConf
from scipy.special import log_softmax, softmax

from nlhf_repro import games
from nlhf_repro.interfaces import (
    Collect,
    Fit,
    Game,
    ImpossibleSettingError,
    Ledger,
    Responder,
    TrainingSettings,
)
from nlhf_repro.losses import LogisticPair, PolicyGradient, SquaredPair, SquaredPoint
from nlhf_repro.models.tabular_mlp import TabularMLP
from nlhf_repro.models.tabular_softmax import TabularSoftmax
from nlhf_repro.oracles.noisy import Noisy
from nlhf_repro.pipeline.collection import EnumeratingCollector
from nlhf_repro.pipeline.comparisons import PairData, PointData, tournament
from nlhf_repro.pipeline.fitting import Trainer, objective
from nlhf_repro.pipeline.sampled import sampled_run
from nlhf_repro.pipeline.training import recorded_updates, train
from nlhf_repro.seeds import generator_for

ALGORITHMS = sorted(path.stem for path in (CONF / "algorithm").glob("*.yaml"))
SETTINGS = TrainingSettings("sampled", 3, 10, True, 7, None, "sgd", 0.01)


def algorithm(name, **changes):
    node = OmegaConf.load(CONF / "algorithm" / f"{name}.yaml")
    return instantiate(OmegaConf.merge(node, changes))


def streams(*factors):
    return lambda stream: generator_for(stream, *factors)


def run_of(method, game, model=None, **changes):
    settings = replace(SETTINGS, **changes)
    model = TabularSoftmax() if model is None else model
    return sampled_run(method, model, game, game, (), settings, None, streams(0))


def trained(method, game, wrappers=(), budget=None, seed=0, model=None, **changes):
    model = TabularSoftmax() if model is None else model
    settings = replace(SETTINGS, **changes)
    return train(method, model, game, wrappers, settings, budget, streams(seed))


# --- Ties ---


@pytest.mark.parametrize("name", ALGORITHMS)
def test_the_tie_of_the_faces_holds(name):
    method, game = algorithm(name), random_game(21, 3, 4)
    if method.tie.kind == "gradient_step":
        run = run_of(method, game, face="expected", learning_rate=None)
        state = method.initial_state(game)
        for _ in range(10):
            run.advance()
            state = method.exact_update(state, game)
            np.testing.assert_allclose(run.policy(), state.policy, atol=1e-13, rtol=0)
    elif method.tie.kind == "minimiser":
        assert_minimiser(method, game)
    elif method.tie.kind == "identity":
        assert run_of(method, game).advance()
    else:
        assert method.tie.reason


def assert_minimiser(method, game):
    """The expected loss has gradient 0 at the exact update, and convergence finds it."""
    exact = method.exact_update(method.initial_state(game), game)
    run = run_of(method, game, face="expected")
    collect, fit = method.phases(0)
    data = run.collector.collect(collect, run.slots)
    prompts = run.collector.prompts(data.weight.shape[1])
    loss = objective(run.tabular_policy, fit, data, run.slots, prompts)
    with torch.no_grad():
        run.tabular_policy.logits.copy_(torch.from_numpy(exact.log_policy))
    loss().backward()
    gradient = run.tabular_policy.logits.grad.numpy()
    weight = softmax(game.log_reference, axis=-1)
    assert np.abs(gradient / weight).max() < 1e-11
    converged = trained(replace(method, gradient_steps=None), game, face="expected", iterations=1)
    np.testing.assert_allclose(np.exp(converged.last[-1]), exact.policy, atol=1e-6, rtol=0)


def test_every_declared_minimiser_is_checked_with_a_case_of_two_iterations():
    """Anchors at pi_t and at the reference differ only from the second iteration on."""
    game = random_game(22, 2, 4)
    for name in ("inpo", "sppo", "iterative_dpo"):
        method = replace(algorithm(name), gradient_steps=None)
        found = trained(method, game, face="expected", iterations=3)
        state = method.initial_state(game)
        for _ in range(3):
            state = method.exact_update(state, game)
        np.testing.assert_allclose(np.exp(found.last[-1]), state.policy, atol=3e-6, rtol=0)


# --- Gradients against exact enumeration ---


def enumerated(game, slots_policy, collect_kind):
    """Every outcome of one group on one game with Bernoulli answers: (items..., probability)."""
    matrix, pi = game.preference_matrix[0], slots_policy
    actions = range(len(pi))
    if collect_kind == "pair":
        for y, z, answer in product(actions, actions, (0, 1)):
            p = matrix[y, z] if answer else 1 - matrix[y, z]
            yield y, z, answer - 0.5, pi[y] * pi[z] * p
    elif collect_kind == "against_pair":
        for y, z, o, a, b in product(actions, actions, actions, (0, 1), (0, 1)):
            p = (matrix[y, o] if a else 1 - matrix[y, o]) * (
                matrix[z, o] if b else 1 - matrix[z, o]
            )
            yield y, z, a - b, pi[o] * p / len(pi) ** 2
    else:
        for y, o, answer in product(actions, actions, (0, 1)):
            p = matrix[y, o] if answer else 1 - matrix[y, o]
            yield y, o, answer, pi[y] * pi[o] * p


def data_of(outcomes, kind):
    columns = [np.array(column, dtype=float) for column in zip(*outcomes, strict=True)]
    first, second, label, weight = (torch.from_numpy(column)[None] for column in columns)
    if kind == "point":
        return PointData(first.long(), label, weight)
    return PairData(first.long(), second.long(), label, weight)


def closed_form(loss, game, theta, anchor, kind):
    """The gradient in the logits of the expected loss, with expectations taken by hand."""
    pi, matrix = softmax(theta), game.preference_matrix[0]
    sampling = softmax(theta)
    ratio = log_softmax(theta) - anchor
    win, count = matrix @ sampling, len(pi)
    if isinstance(loss, SquaredPair):
        if kind == "pair":
            mean = sampling @ ratio
            return 4 * sampling * (ratio - mean - loss.scale * (win - 0.5))
        centred = ratio - ratio.mean() - loss.scale * (win - win.mean())
        return 4 / count * centred
    if isinstance(loss, LogisticPair):
        beta = loss.inverse_temperature
        gap = ratio[:, None] - ratio[None, :]
        fitted = 1 / (1 + np.exp(-beta * gap))
        weight = sampling[:, None] * sampling[None, :]
        return 2 * beta * (weight * (fitted - matrix)).sum(axis=1)
    if isinstance(loss, SquaredPoint):
        residual = sampling * 2 * (ratio - loss.scale * (win - 0.5))
        return residual - pi * residual.sum()
    advantage = sampling * (win - loss.baseline - loss.regularization * ratio)
    return -(advantage - pi * advantage.sum())


LOSSES = [
    (SquaredPair(2.5), "pair"),
    (SquaredPair(10.0), "against_pair"),
    (LogisticPair(0.7), "pair"),
    (SquaredPoint(3.0), "point"),
    (PolicyGradient(0.2, 0.5), "point"),
]
NEEDED = {"pair": (2, "unfiltered"), "against_pair": (2, "against"), "point": (1, "against")}


@pytest.mark.parametrize(("loss", "kind"), LOSSES)
def test_gradients_of_sampled_losses_against_enumeration(loss, kind):
    """All outcomes with hard answers, the enumerating collector, and algebra by hand agree."""
    game = random_game(23, 1, 4)
    theta = game.log_reference[0] + np.array([0.7, -0.4, 0.2, 0.1])
    moved = Game(game.preference_matrix, log_softmax(theta)[None])
    policy = TabularSoftmax().build(moved, np.random.default_rng(0))
    trainer = Trainer(policy, "sgd", None, np.random.default_rng(0))
    current = trainer.snapshot()
    anchor_game = TabularSoftmax().build(game, np.random.default_rng(0))
    reference = anchor_game.snapshot({})
    slots = {"current": current, "reference": reference}
    anchors = {"reference": 0.3, "current": 0.7}
    fit = Fit("d", "current", "current", anchors, loss, 1, "continued")
    anchor = 0.3 * game.log_reference[0] + 0.7 * log_softmax(theta)
    expected = closed_form(loss, game, theta, anchor, kind)

    responses, design = NEEDED[kind]
    uniform = float("inf") if kind == "against_pair" else 1.0
    collect = Collect(
        "d",
        Responder({"current": 1.0}, uniform),
        responses,
        design,
        "bernoulli",
        opponent=(Responder({"current": 1.0}),),
        opponents=1,
    )
    collector = EnumeratingCollector(policy, game, Ledger(problems=1))
    outcomes = data_of(enumerated(game, softmax(theta), kind), kind)
    for data in (outcomes, collector.collect(collect, slots)):
        policy.zero_grad()
        prompts = collector.prompts(data.weight.shape[1])
        objective(policy, fit, data, slots, prompts)().backward()
        found = policy.logits.grad.numpy()[0]
        assert np.abs(found - expected).max() / np.abs(expected).max() < 1e-10


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["inpo", "sppo", "nash_md", "nash_md_pg", "egpo", "online_ipo", "iterative_dpo"]
)
def test_sampled_gradients_average_to_the_enumerated_one(name):
    """400,000 groups give the expected gradient to within five standard errors."""
    method, game = algorithm(name), random_game(24, 1, 3)
    collect, fit = list(method.phases(0))[:2]
    gradients = []
    for face in ("sampled", "expected"):
        run = run_of(method, game, face=face, groups_per_iteration=400_000)
        data = run.collector.collect(collect, run.slots)
        prompts = run.collector.prompts(data.weight.shape[1])
        objective(run.tabular_policy, fit, data, run.slots, prompts)().backward()
        gradients.append(run.tabular_policy.logits.grad.numpy().copy())
    scale = getattr(fit.loss, "scale", 1.0)
    assert np.abs(gradients[0] - gradients[1]).max() < 5 * 2 * scale / np.sqrt(400_000)
    assert np.abs(gradients[1]).max() > 20 * scale / np.sqrt(400_000), "too small to be a test"


# --- First losses, designs, ledgers ---


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
@pytest.mark.parametrize("budget", [1, 10, 50, 83])
def test_a_budget_is_never_exceeded_and_nearly_spent(name, changes, budget):
    method = algorithm(name, **changes)
    found = trained(method, random_game(27, 2, 5), budget=budget, iterations=10_000)
    spent = found.ledger.comparisons
    cost = next(c[2] for c in COSTS if c[0] == name and c[1] == changes)
    per_collect = cost / 2 if name == "egpo" else cost
    assert budget - per_collect < spent <= budget
    assert found.comparisons[-1] <= spent


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


# --- Noise, models, seeds ---


def test_flips_change_the_target_as_derived():
    """P' = (1 - 2 e) P + e moves the regularized Nash of tau to that of tau / (1 - 2 e)."""
    game, rate, tau = random_game(28, 3, 4), 0.2, 0.3
    method = algorithm("egpo", step_size=1.0, regularization=tau)
    found = trained(method, game, wrappers=(Noisy(rate),), face="exact", iterations=400)
    expected = games.regularized_nash_equilibrium(
        game.preference_matrix, np.exp(game.log_reference), tau / (1 - 2 * rate)
    )
    np.testing.assert_allclose(np.exp(found.last[-1]), expected, atol=1e-11)


@pytest.mark.parametrize("model", [TabularSoftmax(), TabularMLP(depth=3, width=10)])
def test_models_start_at_the_reference_and_share_nothing_between_games(model):
    game = random_game(29, 3, 4)
    policy = model.build(game, np.random.default_rng(0))
    start = policy.log_policy().detach().numpy()
    np.testing.assert_allclose(start, game.log_reference, atol=1e-14)
    policy.log_policy()[0, 1].backward()
    for weight in policy.parameters():
        assert weight.grad is not None
        assert (weight.grad[1:] == 0).all(), "a weight of another game moved"


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("name", ALGORITHMS)
def test_same_seed_same_bytes_other_seed_other_policy(name, optimizer):
    method, game = algorithm(name), random_game(30, 3, 4)
    options = {"optimizer": optimizer, "model": TabularMLP(2, 5), "minibatch_size": 3}
    one, again = (trained(method, game, **options) for _ in range(2))
    other = trained(method, game, seed=1, **options)
    assert one.last.tobytes() == again.last.tobytes()
    assert one.average.tobytes() == again.average.tobytes()
    moves = method.tie.kind != "identity"
    assert (one.last.tobytes() != other.last.tobytes()) == moves or name == "fixed"
    assert np.isfinite(one.last).all()
    np.testing.assert_allclose(np.exp(one.last).sum(axis=-1), 1, atol=1e-12)


def test_minibatches_visit_every_item_once_a_pass():
    method, game = algorithm("inpo", gradient_steps=3), random_game(31, 2, 4)
    run = run_of(method, game, minibatch_size=3)
    seen = []
    collect, fit = method.phases(0)
    data = run.collector.collect(collect, run.slots)
    loss = objective(run.tabular_policy, fit, data, run.slots, run.collector.prompts(7))

    class Spy:
        prompts = loss.prompts

        def __call__(self, items):
            seen.append(items)
            return loss(items)

    run.trainer.fit(fit, run.slots["current"], Spy(), 0.01)
    for problem in range(2):
        items = torch.cat([batch[problem] for batch in seen])
        assert sorted(items.tolist()) == list(range(7))


def test_sampling_follows_the_mixture():
    game = random_game(32, 2, 4)
    policy = TabularSoftmax().build(game, np.random.default_rng(0))
    snapshot = policy.snapshot({})
    other = replace(snapshot, parameters={"logits": snapshot.parameters["logits"] * -0.5})
    prompts = torch.arange(2)[:, None].expand(-1, 100_000)
    for temperature in (1.0, 2.0, float("inf")):
        mixture = [(snapshot, 0.7), (other, 0.3)]
        drawn = policy.sample(mixture, temperature, prompts, 2, np.random.default_rng(1))
        assert drawn.shape == (2, 100_000, 2)
        expected = softmax((0.7 - 0.15) * game.log_reference / temperature, axis=-1)
        for problem in range(2):
            counts = np.bincount(drawn[problem].flatten(), minlength=4)
            error = np.sqrt(expected[problem] * (1 - expected[problem]) / 200_000)
            assert (np.abs(counts / 200_000 - expected[problem]) < 5 * error).all()


def test_recorded_updates_are_declared_and_complete():
    assert recorded_updates(5, 9) == [0, 1, 2, 3, 4, 5]
    grid = recorded_updates(100_000, 61)
    assert grid[0] == 0 and grid[1] == 1 and grid[-1] == 100_000
    assert grid == sorted(set(grid))


def test_the_average_is_of_the_policies_that_were_played():
    game, method = random_game(33, 2, 4), algorithm("egpo")
    found = trained(method, game, face="exact", iterations=4, record_points=4)
    played = np.exp(found.last)
    for point in range(1, 5):
        mean = played[:point].mean(axis=0)
        np.testing.assert_allclose(np.exp(found.average[point]), mean, atol=1e-14)
    np.testing.assert_allclose(found.average[0], found.last[0], atol=1e-14)


def test_a_diverging_run_says_where():
    method, game = algorithm("nash_md", labels="probability"), random_game(34, 2, 4)
    with pytest.raises(FloatingPointError, match="no longer finite"):
        trained(method, game, iterations=2000, learning_rate=1e6)


@pytest.mark.parametrize(
    ("changes", "budget", "message"),
    [
        ({"iterations": 0}, None, "training.iterations = 0"),
        ({"groups_per_iteration": 0}, None, "training.groups_per_iteration"),
        ({"minibatch_size": 0}, None, "training.minibatch_size"),
        ({"learning_rate": -1.0}, None, "training.learning_rate"),
        ({"face": "exact"}, 10, "budget.comparisons = 10"),
        ({"learning_rate": None, "optimizer": "adam"}, None, "training.learning_rate = null"),
    ],
)
def test_impossible_training_is_refused(changes, budget, message):
    with pytest.raises(ImpossibleSettingError, match=message):
        trained(algorithm("egpo"), random_game(35, 1, 3), budget=budget, **changes)


def test_selected_pairs_have_no_expected_face():
    method = algorithm("inpo", design="best_worst", responses=3)
    with pytest.raises(ImpossibleSettingError, match="cannot enumerate"):
        trained(method, random_game(35, 1, 3), face="expected")


def test_scores_need_an_oracle_that_has_them():
    method = algorithm("iterative_dpo", design="best_worst", labels="score", responses=3)
    with pytest.raises(ImpossibleSettingError):
        trained(method, random_game(35, 1, 3))
