"""Defects found in other trainers of language models, P1 to P7: each would be caught here."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from enumerated_language import EnumeratedOracle, random_matrix, run_of, trained
from laboratory import algorithm
from language_models import (
    given_tokens,
    plain_log_prob,
    policy_of,
    prompt,
    three_token_model,
    three_token_policy,
    three_token_tokenizer,
)

from nlhf_repro.interfaces import Collect, Fit, ImpossibleSettingError
from nlhf_repro.losses import LogisticPair, SquaredPair
from nlhf_repro.pipeline.comparisons import PairData, PointData
from nlhf_repro.pipeline.fitting import objective
from nlhf_repro.pipeline.language.log import TrainingLog
from nlhf_repro.pipeline.language.settings import check_language_settings

MATRIX = random_matrix(0)
PAIR = Fit("pairs", "current", "current", {"reference": 1.0}, SquaredPair(2.0), 1, "continued")


@dataclass(frozen=True)
class Tempered:
    """Nash-MD-PG whose responses are drawn at a temperature."""

    method: object
    temperature: float

    def __getattr__(self, name: str):
        return getattr(self.method, name)

    def phases(self, iteration: int):
        for phase in self.method.phases(iteration):
            if isinstance(phase, Collect):
                candidate = replace(phase.candidate, temperature=self.temperature)
                phase = replace(phase, candidate=candidate)
            yield phase


@pytest.mark.parametrize(("temperature", "refused"), [(0.9, True), (1.0, False)])
def test_policy_gradients_of_tempered_responses_are_refused(temperature, refused, tmp_path) -> None:
    """P4: sampling at .9 and log-probabilities at 1 make the score-function estimate off policy."""
    method = Tempered(algorithm("nash_md_pg"), temperature)
    _, settings, language = run_of(algorithm("nash_md_pg"), EnumeratedOracle(MATRIX), tmp_path)
    if not refused:
        check_language_settings(method, settings, language, (), None)
        return
    with pytest.raises(ImpossibleSettingError, match=r"at temperature 0.9, which are off policy"):
        check_language_settings(method, settings, language, (), None)


def test_adapters_are_off_in_the_reference_of_a_training(tmp_path: Path) -> None:
    """P2: with LoRA the reference was the policy, so that mixture, anchor and KL were its own."""
    peft = pytest.importorskip("peft", reason="adapters need the optional extra peft")
    base, plain = three_token_model(3), three_token_model(3)
    model = peft.get_peft_model(base, peft.LoraConfig(r=4, target_modules=["q_proj", "v_proj"]))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, value in model.named_parameters():
            if "lora_A" in name:  # lora_B is 0: the adapter begins by changing nothing
                value.copy_(torch.randn(value.shape, generator=generator))
    chosen = policy_of(model, three_token_tokenizer(), [prompt("a b a")], tokens=3)
    method = algorithm("nash_md_pg", mixture_weight=0.5)
    training, settings, _ = run_of(
        method,
        EnumeratedOracle(MATRIX),
        tmp_path,
        policy=chosen,
        iterations=5,
        learning_rate=0.3,
    )
    training.train(settings, None)
    numbers = chosen.bank.add([0, 0], [[1, 0], [2, 1, 2]])[None]
    prompts = torch.zeros_like(numbers)
    slots = training.run.slots
    given = given_tokens(chosen, 0)
    wanted = [float(plain_log_prob(plain, given, x).detach().sum()) for x in ([1, 0], [2, 1, 2])]
    reference = chosen.frozen_log_prob(slots["reference"], prompts, numbers)[0]
    current = chosen.frozen_log_prob(slots["current"], prompts, numbers)[0]
    np.testing.assert_allclose(reference.numpy(), wanted, atol=1e-5)
    assert float((current - reference).abs().max()) > 0.1
    last = [x for x in training.log.lines if x["kind"] == "collect"][-1]
    assert last["largest_log_ratio"] > 0.05  # 0 where the reference is the policy


@pytest.mark.parametrize("words", ["a", "a <eos> b <eos>"])
def test_what_ended_is_read_from_the_response_alone(words: str) -> None:
    """P3: an end in the prompt, as chat templates have, passed for the end of the response."""
    policy = policy_of(three_token_model(), three_token_tokenizer(), [prompt(words)], tokens=3)
    assert (0 in given_tokens(policy, 0)) == ("<eos>" in words)
    numbers = policy.bank.add([0] * 4, [[1, 2, 1], [1, 2, 0], [0], [2, 2, 2]])
    assert policy.ended(numbers).tolist() == [False, True, True, False]
    log, slots, data = observed(policy, numbers)
    log.collected(one_collect(), data, numbers[None, :, None], slots, 0)
    assert log.lines[-1]["ended_share"] == 0.5
    assert log.lines[-1]["response_length"] == 2.5


def one_collect() -> Collect:
    return next(x for x in algorithm("self_play").phases(0) if isinstance(x, Collect))


def observed(policy, numbers):
    """A log, slots whose current policy is off the reference, and data of these responses."""
    reference = policy.snapshot({})
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for value in policy.parameters():
            value.add_(0.2 * torch.randn(value.shape, generator=generator))
    slots = {"reference": reference, "current": policy.snapshot({})}
    value = torch.full((1, len(numbers)), 0.5, dtype=torch.float64)
    return TrainingLog(policy), slots, PointData(numbers[None], value, torch.ones_like(value))


def test_divergences_are_logged_over_response_tokens_alone() -> None:
    """P5: KL and entropy were summed over padding, 18 times too large where ends are likely.

    Equal responses are held once and count as often as they were drawn: else KL is biased too.
    """
    responses = [[0], [1, 0], [0], [2, 1, 1, 2], [0], [2, 0]]
    policy = three_token_policy()
    numbers = policy.bank.add([1] * len(responses), responses)
    log, slots, data = observed(policy, numbers)
    log.collected(one_collect(), data, numbers[None, None], slots, 7)
    given = given_tokens(policy, 1)

    def total(snapshot, tokens) -> float:
        policy.load(slots[snapshot])
        return float(plain_log_prob(policy.model, given, tokens).detach().sum())

    own = np.array([total("current", x) for x in responses])
    reference = np.array([total("reference", x) for x in responses])
    padded = [[*x, *[0] * (4 - len(x))] for x in responses]
    with_padding = np.array([total("current", x) for x in padded])
    line = log.lines[-1]
    assert line["kl_to_reference"] == pytest.approx((own - reference).mean(), abs=1e-5)
    assert line["entropy"] == pytest.approx(-own.mean(), abs=1e-5)
    assert line["largest_log_ratio"] == pytest.approx(np.abs(own - reference).max(), abs=1e-5)
    assert -with_padding.mean() > 1.5 * line["entropy"]  # so that padding would be seen
    assert line["comparisons"] == 7


@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_the_reduction_over_tokens_is_what_the_setting_says(reduction: str, tmp_path) -> None:
    """P6: `ipo` meant sums in one trainer and means in another; by hand, on unequal lengths."""
    policy = policy_of(
        three_token_model(3), three_token_tokenizer(), [prompt("a b a")], reduction=reduction
    )
    sides = [[1, 2, 2, 0], [2, 0]]
    numbers = policy.bank.add([0, 0], sides)
    _, slots, _ = observed(policy, numbers)
    margin = torch.tensor([[0.3]], dtype=torch.float64)
    data = PairData(numbers[None, :1], numbers[None, 1:], margin, torch.ones_like(margin))
    found = float(objective(policy, PAIR, data, slots, torch.tensor([[0]]))().detach())
    given = given_tokens(policy, 0)

    def score(name: str, tokens) -> float:
        policy.load(slots[name])
        each = plain_log_prob(policy.model, given, tokens).detach()
        return float(each.sum() if reduction == "sum" else each.mean())

    ratios = [score("current", x) - score("reference", x) for x in sides]
    assert found == pytest.approx((ratios[0] - ratios[1] - 2.0 * 0.3) ** 2, rel=1e-4)


def test_a_tie_does_not_depend_on_which_completion_comes_first() -> None:
    """P7: a tie went to the first completion, whose probability then rose."""
    policy = three_token_policy()
    numbers = policy.bank.add([0, 0], [[1, 2, 0], [2, 0]])
    _, slots, _ = observed(policy, numbers)

    def gradient(order, loss) -> torch.Tensor:
        first, second = numbers[None, order[:1]], numbers[None, order[1:]]
        tie = torch.zeros(1, 1, dtype=torch.float64)
        data = PairData(first, second, tie, torch.ones_like(tie))
        policy.load(slots["current"])
        policy.model.zero_grad()
        fit = replace(PAIR, loss=loss)
        objective(policy, fit, data, slots, torch.tensor([[0]]))().backward()
        return torch.cat([x.grad.flatten() for x in policy.parameters()])

    for loss in (SquaredPair(2.0), LogisticPair(0.5)):
        one, other = gradient([0, 1], loss), gradient([1, 0], loss)
        assert float(one.norm()) > 1e-3
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "changes", "comparisons"),
    [
        ("sppo", {"responses": 4}, 10),
        ("inpo", {"responses": 8, "design": "best_worst"}, 28),
        ("inpo", {"responses": 8, "design": "tournament"}, 11),
        ("inpo", {"responses": 3, "design": "all_pairs"}, 3),
    ],
)
def test_more_than_two_responses_are_counted_to_the_unit(name, changes, comparisons, tmp_path):
    """P7: exactly two samples; here K is a parameter, and what the oracle was asked is counted."""

    class Counting(EnumeratedOracle):
        asked = 0

        def preference(self, prompts, first, second):
            self.asked += len(prompts)
            return super().preference(prompts, first, second)

    oracle = Counting(MATRIX)
    method = algorithm(name, gradient_steps=1, **changes)
    _, trajectory = trained(method, oracle, tmp_path, iterations=2, groups_per_iteration=6)
    assert trajectory.ledger.comparisons == oracle.asked == 2 * 6 * comparisons
    # Four opponents besides the response itself: five responses, ten comparisons.
    assert trajectory.ledger.responses == 2 * 6 * (changes["responses"] + (name == "sppo"))


def test_a_soft_label_gives_the_loss_written_out_by_hand(tmp_path: Path) -> None:
    """P7: labels were made hard, so that a regression on P(y > y') could not be expressed."""
    method = algorithm("inpo", labels="probability", gradient_steps=1, regularization=0.0)
    changes = {"iterations": 1, "language": {"unit_scale": False}}
    training, _ = trained(method, EnumeratedOracle(MATRIX), tmp_path, **changes)
    (data,) = training.run.data.values()
    texts = [training.run.trainable.text(side) for side in (data.first, data.second)]
    asked = EnumeratedOracle(MATRIX).preference(None, *texts)
    assert len(set(np.round(asked, 6))) > 5  # neither 0 nor 1
    np.testing.assert_array_equal(data.margin.numpy()[0], asked - 0.5)
    # At the reference every gap is 0: the loss is the mean of the squared scaled margins.
    loss = next(line["loss"] for line in training.log.lines if line["kind"] == "step")
    assert loss == pytest.approx(np.mean((0.3 * (asked - 0.5)) ** 2), rel=1e-6)
