"""Fitting preferences: the loss and its steps by hand, both orders, and checks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from nlhf_repro.interfaces import ImpossibleSettingError, Message, Prompt
from nlhf_repro.preferences.fitting import (
    fit,
    learning_rate,
    log_loss,
    predictions,
    preference_loss,
)
from nlhf_repro.preferences.records import PreferenceRecord
from nlhf_repro.preferences.settings import FittingSettings
from nlhf_repro.seeds import generator_for

PROMPT = Prompt("p", (Message("user", "say a word"),), {})
ONE_STEP = FittingSettings(
    steps=1,
    batch_size=1,
    microbatch=1,
    learning_rate=0.1,
    warmup_steps=0,
    weight_decay=0.0,
    gradient_clip=None,
    check_every=None,
    patience=1,
)


def record(first: str, second: str, probability: float = 1.0) -> PreferenceRecord:
    return PreferenceRecord(PROMPT, first, second, probability)


class OneWeight:
    """Margin w x, x the number that the first response is, whatever the second."""

    def __init__(self, reads_order: bool = False) -> None:
        self.reads_order = reads_order
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.seen: list[list[str]] = []

    def margins(self, records: Sequence[PreferenceRecord]) -> torch.Tensor:
        self.seen.append([each.first for each in records])
        return self.weight * torch.tensor([float(each.first) for each in records])

    def weights(self) -> list[torch.nn.Parameter]:
        return [self.weight]


def test_the_loss_by_hand() -> None:
    """At odds 3 to 1: -log 3/4 for the first, -log 1/4 for the second, and their mixtures."""
    margins = torch.full((3,), float(np.log(3)), dtype=torch.float64)
    found = preference_loss(margins, torch.tensor([1.0, 0.0, 0.25], dtype=torch.float64))
    right, wrong = np.log(4 / 3), np.log(4)
    np.testing.assert_allclose(found, [right, wrong, right / 4 + wrong * 3 / 4], rtol=1e-12)


def test_the_loss_is_least_at_the_logit_and_the_same_for_exchanged_responses() -> None:
    labels = torch.tensor([0.1, 0.5, 0.8], dtype=torch.float64)
    margins = torch.logit(labels).requires_grad_()
    preference_loss(margins, labels).sum().backward()
    assert margins.grad is not None
    np.testing.assert_allclose(margins.grad, 0, atol=1e-15)
    away = torch.tensor([3.0, -1.0, 0.2], dtype=torch.float64)
    np.testing.assert_allclose(
        preference_loss(away, labels), preference_loss(-away, 1 - labels), rtol=1e-12
    )


def test_the_learning_rate_by_hand() -> None:
    settings = replace(ONE_STEP, steps=6, warmup_steps=2, learning_rate=1.0)
    rates = [learning_rate(settings, step) for step in range(6)]
    falling = 0.5 * (1 + np.cos(np.pi * np.arange(4) / 4))
    np.testing.assert_allclose(rates, [0.5, 1.0, *falling], rtol=1e-12)


def test_the_first_step_of_adam_is_the_rate_against_the_gradient() -> None:
    """d loss / d w = (sigmoid(0) - p) x < 0, so that w becomes the rate."""
    learner = OneWeight()
    done = fit(learner, [record("2", "0")], [], ONE_STEP, generator_for("test"))
    assert float(learner.weight.detach()) == pytest.approx(0.1, rel=1e-6)
    assert done.losses == pytest.approx([np.log(2)]) and done.kept_step == 1


def test_a_learner_that_reads_the_order_is_shown_both_in_one_step() -> None:
    settings = replace(ONE_STEP, microbatch=8)
    for reads_order, seen in ((True, [["2", "7"]]), (False, [["2"]])):
        learner = OneWeight(reads_order)
        fit(learner, [record("2", "7")], [], settings, generator_for("test"))
        assert learner.seen == seen


def test_the_log_loss_of_a_learner_that_reads_the_order_is_over_both() -> None:
    learner = OneWeight(reads_order=True)
    learner.weight.data.fill_(1.0)
    found = log_loss(learner, [record("2", "3", 1.0)], 1)
    assert found == pytest.approx((np.log1p(np.exp(-2)) + np.log1p(np.exp(3))) / 2, rel=1e-6)


def test_the_best_check_is_kept_and_patience_ends_the_fit() -> None:
    """Validation says the opposite of training, so that every check is worse than the first."""
    settings = replace(ONE_STEP, steps=100, check_every=2, patience=3)
    learner = OneWeight()
    done = fit(learner, [record("1", "0")], [record("1", "0", 0.0)], settings, generator_for("a"))
    assert [steps for steps, _ in done.checks] == [2, 4, 6, 8]
    assert len(done.losses) == 8 and done.kept_step == 2
    again = OneWeight()
    fit(again, [record("1", "0")], [], replace(settings, check_every=None), generator_for("a"))
    two = OneWeight()
    same_rate = replace(settings, check_every=2, patience=1)
    fit(two, [record("1", "0")], [record("1", "0", 0.0)], same_rate, generator_for("a"))
    assert learner.weight == two.weight < again.weight


def test_microbatches_change_the_step_by_rounding_alone() -> None:
    records = [record(str(x), "0", p) for x, p in ((1, 1.0), (2, 0.3), (-1, 0.8), (3, 0.5))]
    found = []
    for microbatch in (1, 3, 4):
        learner = OneWeight()
        settings = replace(ONE_STEP, steps=5, batch_size=4, microbatch=microbatch)
        fit(learner, records, [], settings, generator_for("test"))
        found.append(float(learner.weight.detach()))
    assert found[1:] == pytest.approx(found[:1] * 2, rel=1e-5)


def test_nothing_to_learn_from_is_refused() -> None:
    with pytest.raises(ImpossibleSettingError, match="0 comparisons to learn from"):
        fit(OneWeight(), [], [], ONE_STEP, generator_for("test"))
    with pytest.raises(ImpossibleSettingError, match="0 to check on"):
        settings = replace(ONE_STEP, check_every=1)
        fit(OneWeight(), [record("1", "0")], [], settings, generator_for("test"))


def test_a_loss_that_is_no_number_stops() -> None:
    with pytest.raises(FloatingPointError, match="the loss of step 0 is"):
        fit(OneWeight(), [record("nan", "0")], [], ONE_STEP, generator_for("test"))


def test_predictions_are_sigmoids_in_their_order() -> None:
    learner = OneWeight()
    learner.weight.data.fill_(1.0)
    found = predictions(learner, [record(str(x), "0") for x in (-1, 0, 2)], 2)
    np.testing.assert_allclose(found, 1 / (1 + np.exp([1.0, 0.0, -2.0])), rtol=1e-6)


@pytest.mark.parametrize(
    "change",
    [
        {"steps": 0},
        {"batch_size": 0},
        {"check_every": 0},
        {"patience": 0},
        {"warmup_steps": 2},
        {"learning_rate": 0.0},
        {"learning_rate": float("nan")},
        {"weight_decay": -1.0},
        {"gradient_clip": 0.0},
    ],
)
def test_impossible_numbers_are_refused(change: dict[str, Any]) -> None:
    (name,) = change
    with pytest.raises(ImpossibleSettingError, match=f"^{name} = "):
        replace(ONE_STEP, **change)
