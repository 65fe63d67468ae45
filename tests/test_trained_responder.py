"""A response that is trained against a finished policy: what it reaches, and what it leaves be."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from enumerated_language import LANGUAGE, EnumeratedOracle, log_policy, policy, random_matrix
from laboratory import streams
from text_games import sentence

from nlhf_repro.benchmarks.answers import preference_table
from nlhf_repro.interfaces import ImpossibleSettingError, ResponderTraining, Snapshot
from nlhf_repro.pipeline.comparisons import PointData
from nlhf_repro.pipeline.language.prompts import PromptDeck
from nlhf_repro.pipeline.language.responder import (
    OPPONENT,
    RepeatedPrompts,
    leave_one_out,
    responder_language,
    responder_run,
)

MATRIX = random_matrix(0)
BUDGET = ResponderTraining(
    iterations=150, groups_per_iteration=64, responses=4, opponents=2, learning_rate=3e-3
)


def opponent_of(seed: int) -> Snapshot:
    """A policy with other weights than the reference's."""
    return policy(seed).snapshot({})


def trained_against(opponent: Snapshot, folder: Path, settings=BUDGET, seed: int = 0):
    """The run after its training, of a reference policy over the one prompt."""
    folder.mkdir(parents=True, exist_ok=True)
    language = responder_language(LANGUAGE)
    oracle = EnumeratedOracle(MATRIX)
    made, training = responder_run(
        settings, policy(), opponent, oracle, language, streams(seed), folder
    )
    return made, made.train(training, None)


@pytest.fixture(scope="module", params=[11, 12])
def finished(request, tmp_path_factory):
    """An opponent, and the run of the response to it."""
    opponent = opponent_of(request.param)
    return opponent, trained_against(opponent, tmp_path_factory.mktemp("finished"))[0].run


def test_it_reaches_nine_tenths_of_the_exact_best_response(finished) -> None:
    opponent, run = finished
    met = np.exp(log_policy(run.trainable, opponent))
    found = np.exp(log_policy(run.trainable, run.slots["current"]))
    start = np.exp(log_policy(run.trainable, run.slots["reference"]))
    exact = float((MATRIX @ met).max()) - 0.5
    gain, first = (float(each @ MATRIX @ met) - 0.5 for each in (found, start))
    assert exact > 0.1 and first < 0.4 * exact, "standing still would pass"
    assert gain >= 0.9 * exact


def test_what_is_measured_of_it_exceeds_the_exact_value_by_noise_alone(finished) -> None:
    opponent, run = finished
    model = run.trainable
    count, prompts = 8, torch.zeros((1, 400), dtype=torch.long)
    answers = []
    for name, slot in (("a", "current"), ("b", OPPONENT)):
        drawn = model.sample([(run.slots[slot], 1.0)], 1.0, prompts, count, streams(5)(name))
        texts = model.text(drawn.flatten())
        answers.append([texts[row * count : (row + 1) * count] for row in range(400)])
    asked = [model.prompts[0]] * 400
    values = preference_table(EnumeratedOracle(MATRIX), asked, *answers).mean(axis=(1, 2)) - 0.5
    exact = float((MATRIX @ np.exp(log_policy(model, opponent))).max()) - 0.5
    error = values.std(ddof=1) / np.sqrt(400)
    assert 0.85 * exact < values.mean() < exact + 3 * error
    assert error < 0.01


def test_its_opponent_and_its_reference_stay_as_they_are(tmp_path: Path) -> None:
    opponent = opponent_of(11)
    before = {name: value.clone() for name, value in opponent.parameters.items()}
    made, _ = trained_against(opponent, tmp_path, replace(BUDGET, iterations=5))
    assert made.run.slots[OPPONENT] is opponent
    for name, value in opponent.parameters.items():
        assert torch.equal(value, before[name])
    start = policy().snapshot({}).parameters
    moved = made.run.slots["current"].parameters
    assert all(torch.equal(made.run.slots["reference"].parameters[x], start[x]) for x in start)
    assert any(not torch.equal(moved[x], start[x]) for x in start)


def test_the_same_budget_starts_from_the_same_policy_and_costs_the_same(tmp_path: Path) -> None:
    small = replace(BUDGET, iterations=3)
    runs = [trained_against(opponent_of(s), tmp_path / str(s), small)[0] for s in (11, 12)]
    costs = [made.run.count() for made in runs]
    assert costs[0].comparisons == costs[1].comparisons == 3 * 64 * 4 * 2
    assert costs[0].responses == costs[1].responses == 3 * 64 * 4 * (1 + 2)
    assert costs[0].gradient_steps == costs[1].gradient_steps == 3
    files = [(tmp_path / str(s) / "checkpoint-0.safetensors").read_bytes() for s in (11, 12)]
    assert files[0] == files[1]
    first = [made.log.lines[0] for made in runs]
    assert first[0] != first[1], "the opponents are different ones"


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    small = replace(BUDGET, iterations=2)

    def weights(seed: int, name: str) -> bytes:
        trained_against(opponent_of(11), tmp_path / name, small, seed)
        return (tmp_path / name / "checkpoint-2.safetensors").read_bytes()

    assert weights(0, "a") == weights(0, "b") != weights(1, "c")


def test_the_leave_one_out_gradient_is_the_exact_one() -> None:
    """All groups of three responses of a policy of three actions, with their probabilities."""
    logits = torch.tensor([0.3, -0.5, 0.9], dtype=torch.float64, requires_grad=True)
    reward = torch.tensor([0.2, 0.9, 0.4], dtype=torch.float64)
    exact = torch.autograd.grad(logits.softmax(0) @ reward, logits)[0]
    log_policy_ = logits.log_softmax(0)
    policy_ = log_policy_.detach().exp()
    total = torch.zeros((), dtype=torch.float64)
    for group in product(range(3), repeat=3):
        chosen = torch.tensor(group)
        advantage = leave_one_out(reward[chosen][None], 3)[0] - 0.5
        weight = policy_[chosen].prod()
        total = total + weight * (advantage * log_policy_[chosen]).mean()
    found = torch.autograd.grad(total, logits)[0]
    torch.testing.assert_close(found, exact, rtol=1e-12, atol=1e-14)


def test_a_response_is_compared_with_the_others_of_its_own_prompt() -> None:
    value = torch.tensor([[0.1, 0.5, 0.9, 1.0, 0.0, 0.2]], dtype=torch.float64)
    expected = [0.1 - 0.7, 0.5 - 0.5, 0.9 - 0.3, 1.0 - 0.1, 0.0 - 0.6, 0.2 - 0.5]
    found = leave_one_out(value, 3)[0] - 0.5
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-15)


def test_prompts_are_repeated_in_a_row_and_every_one_comes_before_any_again() -> None:
    made = policy()
    made.prompts = [made.prompts[0]] * 6  # type: ignore[misc]
    source = RepeatedPrompts(PromptDeck(made, streams(0)("prompts")), 3)
    drawn = source.draw(18)[0].reshape(6, 3)
    assert (drawn == drawn[:, :1]).all()
    assert sorted(drawn[:, 0].tolist()) == list(range(6))
    assert source.unique == 6
    numbers = made.bank.add([4, 2], [[1, 0], [2, 0]])[None]
    data = PointData(numbers, torch.zeros(1, 2), torch.ones(1, 2))
    assert source.of(data).tolist() == [[4, 2]]


@pytest.mark.parametrize("name", ["iterations", "groups_per_iteration", "opponents"])
def test_a_budget_of_nothing_is_refused(name: str) -> None:
    said = sentence(lambda: replace(BUDGET, **{name: 0}), kind=ImpossibleSettingError)
    assert f"table.round_robin.trained.{name} = 0" in said


def test_one_response_has_no_baseline_and_a_rate_is_a_number() -> None:
    assert "responses = 1" in sentence(
        lambda: replace(BUDGET, responses=1), kind=ImpossibleSettingError
    )
    for rate in (0.0, -1.0, float("inf"), float("nan")):
        with pytest.raises(ImpossibleSettingError, match="learning_rate"):
            replace(BUDGET, learning_rate=rate)


def test_truncated_sampling_is_refused_and_training_settings_of_rows_are_not_taken_over() -> None:
    for changes in ({"top_k": 2}, {"top_p": 0.9}):
        with pytest.raises(ImpossibleSettingError, match=r"language\.top_p and language\.top_k"):
            responder_language(replace(LANGUAGE, **changes))
    one = replace(LANGUAGE, schedule="cosine", warmup_steps=9, weight_decay=0.3, log_prob="mean")
    other = replace(LANGUAGE, gradient_clip=7.0, resume_every=3, snapshots="disk")
    assert responder_language(one) == responder_language(other)
