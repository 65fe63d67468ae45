"""Fitting preferences: the loss and its steps by hand, orders, checks, and what a model can say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch

from nlhf_repro.games import cycle_share
from nlhf_repro.interfaces import Array, ImpossibleSettingError, Message, Prompt
from nlhf_repro.oracles.preference_model_fit import LearnedPreference, PreferenceModelFit
from nlhf_repro.oracles.reward_model_fit import LearnedReward, RewardModelFit
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


# --- what a reward can say, and what only a preference between pairs can

SMALL: dict[str, Any] = {
    "comparisons": 1,
    "labels": "bernoulli",
    "hidden_size": 16,
    "layers": 1,
    "heads": 2,
    "prompt_words": 8,
    "response_words": 8,
    "word_dropout": 0.0,
    "steps": 150,
    "batch_size": 32,
    "learning_rate": 0.02,
    "warmup_steps": 5,
    "weight_decay": 0.01,
    "gradient_clip": 1.0,
}
REWARD = RewardModelFit(**SMALL)
PAIRS = PreferenceModelFit(**SMALL, pair_numbers=4, pair_hidden_size=16)
WORTH = {"dull": -1.0, "fair": 0.0, "good": 0.5, "great": 1.5}
Asked = tuple[list[Prompt], list[str], list[str]]


def sentences(number: int, name: str) -> Asked:
    """Pairs of sentences of one to four words."""
    stream = generator_for("test", "sentences", name)
    texts = [" ".join(stream.choice(list(WORTH), stream.integers(1, 5))) for _ in range(2 * number)]
    return [PROMPT] * number, texts[:number], texts[number:]


def worth(texts: Sequence[str]) -> Array:
    return np.array([sum(WORTH[word] for word in text.split()) for text in texts])


def test_the_order_of_a_linear_reward_is_recovered() -> None:
    """From drawn answers of Bradley and Terry's model; fresh sentences are ordered as they are."""
    prompts, first, second = sentences(600, "training")
    truth = 1 / (1 + np.exp(worth(second) - worth(first)))
    answers = (generator_for("test", "answers").random(600) < truth).astype(np.float64)
    learned = REWARD.learn(None, prompts, first, second, answers)  # type: ignore[arg-type]
    fresh = sentences(300, "fresh")[1]
    scores, true = learned.score([PROMPT] * 300, fresh), worth(fresh)
    apart = np.abs(true[:, None] - true) > 0.4
    same = np.sign(scores[:, None] - scores) == np.sign(true[:, None] - true)
    assert same[apart].mean() > 0.95
    assert np.corrcoef(scores, true)[0, 1] > 0.95


def test_pairs_express_the_cycle_that_a_reward_cannot() -> None:
    """Rock, paper and scissors at 9 to 1: one learns the answers, the other answers 1/2."""
    words = ["rock", "paper", "scissors"]
    pairs = [(x, y) for x, y in product(range(3), repeat=2) if x != y]
    first, second = ([words[pair[side]] for pair in pairs] for side in (0, 1))
    answers = np.array([0.9 if (x - y) % 3 == 1 else 0.1 for x, y in pairs])
    prompts = [PROMPT] * 6
    grid = [x for x in words for _ in words], words * 3
    reward, general = (
        each.learn(None, prompts, first, second, answers)  # type: ignore[arg-type]
        for each in (REWARD, PAIRS)
    )
    matrix = general.preference([PROMPT] * 9, *grid).reshape(3, 3)
    assert cycle_share(matrix) == 1
    np.testing.assert_allclose(general.preference(prompts, first, second), answers, atol=0.03)
    ranked = reward.preference([PROMPT] * 9, *grid).reshape(3, 3)
    assert cycle_share(ranked) == 0
    np.testing.assert_allclose(ranked, 0.5, atol=0.1)


@pytest.fixture(scope="module", params=[REWARD, PAIRS], ids=["reward", "pairs"])
def learned(request: pytest.FixtureRequest) -> LearnedReward | LearnedPreference:
    short = replace(request.param, steps=8)
    prompts, first, second = sentences(60, "short")
    answers = (worth(first) > worth(second)).astype(np.float64)
    found: LearnedReward | LearnedPreference = short.learn(None, prompts, first, second, answers)
    return found


def test_exchanged_responses_sum_to_one_and_equal_ones_tie(
    learned: LearnedReward | LearnedPreference,
) -> None:
    prompts, first, second = sentences(80, "more")
    there, back = (
        learned.preference(prompts, first, second),
        learned.preference(prompts, second, first),
    )
    assert np.abs(there + back - 1).max() <= 1e-15
    assert (learned.preference(prompts, first, first) == 0.5).all()
    assert there.std() > 0.01


def test_the_order_of_asking_changes_no_bit(learned: LearnedReward | LearnedPreference) -> None:
    prompts, first, second = sentences(80, "more")
    order = generator_for("test", "order").permutation(80)
    there = learned.preference(prompts, first, second)
    turned = learned.preference(
        [prompts[i] for i in order], [first[i] for i in order], [second[i] for i in order]
    )
    assert np.abs(turned - there[order]).max() < 1e-12


def test_unseen_words_and_hostile_texts_are_answered(
    learned: LearnedReward | LearnedPreference,
) -> None:
    texts = ["", " ", "never seen", "\ud800 \x00", "word " * 10_000, "great"]
    first, second = [x for x in texts for _ in texts], texts * 6
    answers = learned.preference([PROMPT] * 36, first, second)
    assert np.isfinite(answers).all() and ((answers >= 0) & (answers <= 1)).all()


def test_the_comparisons_decide_the_bytes() -> None:
    prompts, first, second = sentences(40, "bytes")
    answers = (worth(first) > worth(second)).astype(np.float64)
    short = replace(PAIRS, steps=5)
    one, again, other = (
        short.learn(None, prompts, first, second, x).preference(prompts, first, second).tobytes()
        for x in (answers, answers, 1 - answers)
    )
    assert one == again != other


def test_pairs_have_no_scores() -> None:
    with pytest.raises(ImpossibleSettingError, match="has no scores: take oracle_wrapper=\\[rew"):
        LearnedPreference(None).score([PROMPT], ["a"])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("field", "value"),
    [("comparisons", 0), ("hidden_size", 0), ("heads", 3), ("steps", 0), ("learning_rate", 0.0)],
)
def test_impossible_fields_of_a_wrapper_are_refused(field: str, value: float) -> None:
    for wrapper, name in ((REWARD, "reward_model_fit"), (PAIRS, "preference_model_fit")):
        with pytest.raises(ImpossibleSettingError, match=rf"^oracle_wrapper\.{name}\."):
            replace(wrapper, **{field: value})
    with pytest.raises(ImpossibleSettingError, match=r"preference_model_fit\.pair_numbers = 0"):
        replace(PAIRS, pair_numbers=0)
