"""Gradients on a language model whose responses are all enumerated, in float64 (defect P1).

P1: a loss that multiplies every token's log-probability by that token's own log-ratio drops the
divergence that a token causes later, a third of the gradient. Here every expectation over responses
is a weighted sum over all of them, so that the gradient of the expected sampled loss is exact, and
is compared with autograd through the objective, written out with a loop over single tokens.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from enumerated_language import EnumeratedOracle, run_of
from laboratory import ALGORITHMS, algorithm
from language_models import every_response, given_tokens, plain_step, three_token_policy

from nlhf_repro.games import complete_preferences
from nlhf_repro.interfaces import Collect, Fit
from nlhf_repro.losses import (
    LogisticPair,
    MarginLogisticPair,
    PolicyGradient,
    RewardLogisticPair,
    SmoothedLogisticPair,
    SquaredPair,
    SquaredPoint,
)
from nlhf_repro.pipeline.comparisons import PairData, PointData
from nlhf_repro.pipeline.fitting import objective

RESPONSES = every_response(3, 0, 4)
COUNT = len(RESPONSES)
VALUE = torch.from_numpy(np.random.default_rng(0).uniform(0.05, 0.95, COUNT))
MATRIX = torch.from_numpy(
    complete_preferences(np.random.default_rng(1).uniform(0.05, 0.95, (1, COUNT, COUNT)))[0]
)
TOLERANCE = 1e-9


def score_function_fits(name: str) -> list[Fit]:
    """The phases of the first two iterations that take policy gradients, those that differ."""
    phases = [x for iteration in (0, 1) for x in algorithm(name).phases(iteration)]
    fits = [x for x in phases if isinstance(x, Fit) and isinstance(x.loss, PolicyGradient)]
    return list({(repr(x.anchors), x.loss): x for x in fits}.values())


SCORE_FUNCTION_ROWS = [name for name in ALGORITHMS if score_function_fits(name)]


def in_float64(model: torch.nn.Module) -> None:
    """All of it: the norms of a Llama compute in float32 whatever they are given."""
    for module in list(model.modules()):
        for name, child in module.named_children():
            if type(child).__name__ == "LlamaRMSNorm":
                norm = torch.nn.RMSNorm(child.weight.shape, eps=child.variance_epsilon)
                norm.weight = child.weight
                setattr(module, name, norm)
    model.double()


class Enumerated:
    """A policy off its reference, in float64, with the numbers of all responses to a prompt."""

    def __init__(self, prompt: int = 1) -> None:
        self.policy = three_token_policy(3)
        in_float64(self.policy.model)
        self.prompt = prompt
        self.slots = {name: self._perturbed(seed) for seed, name in enumerate(["reference"])}
        self.slots |= {name: self._perturbed(seed) for seed, name in enumerate(["b", "c"], 1)}
        self.slots["current"] = self._perturbed(7)
        self.numbers = self.policy.bank.add([prompt] * COUNT, RESPONSES)
        self.prompts = torch.full((1, COUNT), prompt)

    def _perturbed(self, seed: int):
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for value in self.policy.parameters():
                noise = torch.randn(value.shape, generator=generator, dtype=torch.float64)
                value.add_(0.3 * noise)
        return self.policy.snapshot({})

    def spelled(self) -> torch.Tensor:
        """Log-probabilities of all responses under the present weights, one token at a time."""
        given, steps = given_tokens(self.policy, self.prompt).tolist(), {}
        totals = []
        for response in RESPONSES:
            total = torch.zeros((), dtype=torch.float64)
            for place, token in enumerate(response):
                prefix = tuple(response[:place])
                if prefix not in steps:
                    steps[prefix] = plain_step(self.policy.model, [*given, *prefix])
                total = total + steps[prefix][token]
            totals.append(total)
        return torch.stack(totals)

    def at(self, name: str) -> torch.Tensor:
        """Log-probabilities under a named policy, without gradient."""
        self.policy.load(self.slots[name])
        with torch.no_grad():
            return self.spelled()

    def gradient(self, loss: torch.Tensor) -> torch.Tensor:
        self.policy.model.zero_grad()
        loss.backward()
        return torch.cat([x.grad.flatten() for x in self.policy.parameters()]).clone()


def relative_error(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found - expected).norm() / expected.norm())


def anchored(enumerated: Enumerated, fit: Fit) -> torch.Tensor:
    named = {name: enumerated.slots.get(name, enumerated.slots["b"]) for name in fit.anchors}
    enumerated.slots |= named
    total = torch.zeros(COUNT, dtype=torch.float64)
    for name, weight in fit.anchors.items():
        total += weight * enumerated.at(name)
    return total


def test_the_rows_of_policy_gradients_are_found() -> None:
    assert {"nash_md_pg", "self_play", "best_response", "rlhf"} <= set(SCORE_FUNCTION_ROWS)


@pytest.mark.parametrize("name", SCORE_FUNCTION_ROWS)
def test_the_expected_policy_gradient_is_that_of_the_objective(name: str) -> None:
    """P1: E_y[gradient of the loss] = -gradient of (E[value] - tau KL(pi, anchor)), to 1e-9."""
    for fit in score_function_fits(name):
        enumerated = Enumerated()
        anchor = anchored(enumerated, fit)
        weight = enumerated.at("current").exp()
        assert float(weight.sum()) == pytest.approx(1, abs=1e-12)
        data = PointData(enumerated.numbers[None], VALUE[None], weight[None])
        expected_loss = objective(
            enumerated.policy, fit, data, enumerated.slots, enumerated.prompts
        )
        found = enumerated.gradient(expected_loss())
        log_policy, tau = enumerated.spelled(), fit.loss.regularization
        gain = (log_policy.exp() * (VALUE - tau * (log_policy - anchor))).sum()
        assert relative_error(found, enumerated.gradient(-gain)) < TOLERANCE


def test_dropping_later_divergence_would_be_seen() -> None:
    """P1 itself: every token's log-probability times its own log-ratio, by the same enumeration."""
    enumerated = Enumerated()
    fit = score_function_fits("nash_md_pg")[0]
    enumerated.policy.load(enumerated.slots["current"])
    numbers, prompts = enumerated.numbers[None], enumerated.prompts
    own, _ = enumerated.policy.token_log_probs(prompts, numbers)
    reference, _ = enumerated.policy.token_log_probs(
        prompts, numbers, enumerated.slots["reference"]
    )
    weight = own.detach().sum(dim=-1).exp()
    advantage = VALUE[None, :, None] - 1.0 * (own - reference).detach()
    defective = -(weight[..., None] * advantage * own).sum()
    found = enumerated.gradient(defective)
    anchor = enumerated.at("reference")
    enumerated.policy.load(enumerated.slots["current"])
    log_policy = enumerated.spelled()
    gain = (log_policy.exp() * (VALUE - 1.0 * (log_policy - anchor))).sum()
    assert fit.anchors == {"reference": 1.0}
    assert relative_error(found, enumerated.gradient(-gain)) > 0.05


def spelled_pair_loss(loss, gap: torch.Tensor, margin: torch.Tensor) -> torch.Tensor:
    """The formulas of the papers."""
    log_sigmoid = torch.nn.functional.logsigmoid
    preferred = margin + 0.5
    if isinstance(loss, SquaredPair):
        return (gap - loss.scale * margin) ** 2
    beta, target = loss.inverse_temperature, 0.0
    if isinstance(loss, SmoothedLogisticPair):
        e = loss.label_smoothing
        preferred = preferred * (1 - e) + (1 - preferred) * e
    if isinstance(loss, RewardLogisticPair):
        preferred = 1 / (1 + torch.exp(-margin))
    if isinstance(loss, MarginLogisticPair):
        target = loss.target_margin
    first = log_sigmoid(beta * gap - target)
    return -(preferred * first + (1 - preferred) * log_sigmoid(-beta * gap - target))


@pytest.mark.parametrize(
    "loss",
    [
        SquaredPair(3.0),
        LogisticPair(0.7),
        SmoothedLogisticPair(0.7, 0.1),
        MarginLogisticPair(2.0, 1.0),
        RewardLogisticPair(0.7),
    ],
    ids=lambda loss: type(loss).__name__,
)
def test_the_expected_pair_gradient_is_that_of_the_formula(loss) -> None:
    """P1: over all ordered pairs of responses, with anchors that mix two policies."""
    enumerated = Enumerated()
    fit = Fit("x", "current", "current", {"reference": 0.3, "b": 0.7}, loss, 1, "continued")
    anchor = anchored(enumerated, fit)
    weight = enumerated.at("c").exp()
    first, second = torch.cartesian_prod(torch.arange(COUNT), torch.arange(COUNT)).T
    margin = MATRIX[first, second] - 0.5
    law = weight[first] * weight[second]
    numbers = enumerated.numbers
    data = PairData(numbers[first][None], numbers[second][None], margin[None], law[None])
    prompts = torch.full((1, len(first)), enumerated.prompt)
    expected_loss = objective(enumerated.policy, fit, data, enumerated.slots, prompts)
    enumerated.policy.load(enumerated.slots["current"])
    value = expected_loss()
    found = enumerated.gradient(value)
    ratio = enumerated.spelled() - anchor
    spelled = (law * spelled_pair_loss(loss, ratio[first] - ratio[second], margin)).sum()
    assert float(value.detach()) == pytest.approx(float(spelled.detach()), rel=TOLERANCE)
    assert relative_error(found, enumerated.gradient(spelled)) < TOLERANCE


def test_the_expected_point_gradient_is_that_of_the_formula() -> None:
    """P1, of SPPO's regression; the parts of microbatches sum to the same."""
    enumerated = Enumerated()
    fit = Fit("x", "current", "current", {"b": 1.0}, SquaredPoint(4.0), 1, "continued")
    anchor = anchored(enumerated, fit)
    weight = enumerated.at("b").exp()
    data = PointData(enumerated.numbers[None], VALUE[None], weight[None])
    expected_loss = objective(enumerated.policy, fit, data, enumerated.slots, enumerated.prompts)
    enumerated.policy.load(enumerated.slots["current"])
    spelled = (weight * (enumerated.spelled() - anchor - 4.0 * (VALUE - 0.5)) ** 2).sum()
    expected = enumerated.gradient(spelled)
    assert relative_error(enumerated.gradient(expected_loss()), expected) < TOLERANCE
    enumerated.policy.model.zero_grad()
    for part in expected_loss.parts(None, 7):
        part.backward()
    parts = torch.cat([x.grad.flatten() for x in enumerated.policy.parameters()])
    assert relative_error(parts, expected) < TOLERANCE


def test_drawn_policy_gradients_average_to_the_exact_one(tmp_path) -> None:
    """P1 and P4: what the collector draws is what the gradient is of, by 4 standard errors."""
    method = algorithm("self_play", labels="bernoulli")
    matrix = np.clip(np.random.default_rng(0).uniform(0.1, 0.9, (15, 15)), 0, 1)
    oracle = EnumeratedOracle(complete_preferences(matrix[None])[0])
    training, _, _ = run_of(method, oracle, tmp_path, groups_per_iteration=400)
    run = training.run
    collect, fit = list(method.phases(0))
    assert isinstance(collect, Collect)
    gradients = []
    for _ in range(60):
        data = run.collector.collect(collect, run.slots)
        run.trainable.model.zero_grad()
        prompts = run.collector.prompts(data)
        objective(run.trainable, fit, data, run.slots, prompts)().backward()
        gradients.append(torch.cat([x.grad.flatten() for x in run.trainable.parameters()]).numpy())
    drawn = np.stack(gradients).astype(float)
    from enumerated_language import PROMPT, RESPONSES, log_policy

    assert run.trainable.prompts == (PROMPT,)
    law = np.exp(log_policy(run.trainable, run.slots["current"]))
    value = oracle.matrix @ law
    numbers = run.trainable.bank.add([0] * len(RESPONSES), RESPONSES)[None]
    run.trainable.model.zero_grad()
    log_prob = run.trainable.log_prob(torch.zeros_like(numbers), numbers)[0]
    (-(log_prob.exp() * torch.from_numpy(value)).sum()).backward()
    exact = torch.cat([x.grad.flatten() for x in run.trainable.parameters()]).numpy()
    direction = exact / np.linalg.norm(exact)
    along = drawn @ direction
    error = along.std(ddof=1) / np.sqrt(len(along))
    assert abs(along.mean() - np.linalg.norm(exact)) < 4 * error
    assert np.linalg.norm(exact) > 8 * error  # so that a wrong one would be seen
