"""What a reward learned from words can say, and what only a preference between pairs can."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest

from nlhf_repro.games import cycle_share
from nlhf_repro.interfaces import (
    Array,
    ImpossibleSettingError,
    LearnedOracleWrapper,
    Message,
    Prompt,
)
from nlhf_repro.oracles.preference_model_fit import LearnedPreference, PreferenceModelFit
from nlhf_repro.oracles.reward_model_fit import LearnedReward, RewardModelFit
from nlhf_repro.seeds import generator_for

PROMPT = Prompt("p", (Message("user", "say a word"),), {})

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


def test_they_are_what_a_run_expects() -> None:
    assert isinstance(REWARD, LearnedOracleWrapper) and isinstance(PAIRS, LearnedOracleWrapper)
