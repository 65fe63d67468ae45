"""Learners over transformers models: what they start from, say, keep in a folder, and learn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nlhf_repro.interfaces import ImpossibleSettingError, Message, Prompt
from nlhf_repro.models.mini_llama import MiniLlama
from nlhf_repro.oracles.joint_classifier import JointClassifier
from nlhf_repro.oracles.pair_preference_model import PairPreferenceModel
from nlhf_repro.oracles.reward_model import RewardModel
from nlhf_repro.preferences.fitting import fit, predictions
from nlhf_repro.preferences.records import PreferenceRecord
from nlhf_repro.preferences.settings import FittingSettings, Kind
from nlhf_repro.preferences.templates import pair_row, response_row
from nlhf_repro.preferences.transformer_models import (
    TransformerLearner,
    too_long,
    transformer_learner,
)
from nlhf_repro.seeds import generator_for

WORDS = ("say", "a", "word", "rock", "paper", "scissors")
PROMPT = Prompt("p", (Message("user", "say a word"),), {})
KINDS: tuple[Kind, ...] = ("reward_model", "pair_preference_model", "joint_classifier")
PAIRS = [(x, y) for x in WORDS[3:] for y in WORDS[3:]]
RECORDS = [PreferenceRecord(PROMPT, x, y, 0.5) for x, y in PAIRS]


def base(seed: int = 0) -> tuple[Any, Any]:
    return MiniLlama(16, 1, 2, 24, 64, False).base(WORDS, seed)


def learner(kind: Kind) -> TransformerLearner:
    return transformer_learner(kind, *base(), 0)


def test_classifiers_start_undecided_from_the_body_of_the_language_model() -> None:
    for kind in ("reward_model", "joint_classifier"):
        made = learner(kind)
        assert (predictions(made, RECORDS, 4) == 0.5).all()
        model, _ = base()
        own = made.model.base_model.layers[0].mlp.up_proj.weight
        assert torch.equal(own, model.base_model.layers[0].mlp.up_proj.weight)
    assert predictions(learner("pair_preference_model"), RECORDS, 4).std() > 0


def test_texts_are_those_that_the_oracles_read() -> None:
    made = learner("pair_preference_model")
    text = made.tokenizer.decode(pair_row(made.tokenizer, PROMPT, "rock", "paper word"))
    words = "<user> [CONTEXT] <turn> user say a word [RESPONSE A] rock [RESPONSE B] paper word"
    assert text.split() == words.split()
    text = made.tokenizer.decode(response_row(made.tokenizer, PROMPT, "rock"))
    assert text.split() == ["<user>", "say", "a", "word", "<assistant>", "rock", "<eos>"]


@pytest.mark.parametrize("kind", KINDS)
def test_padding_and_order_change_nothing(kind: Kind) -> None:
    made = learner(kind)
    with torch.no_grad():
        for weight in made.model.score.parameters() if hasattr(made.model, "score") else ():
            weight.fill_(0.3)
    longer = [*RECORDS[:3], PreferenceRecord(PROMPT, "rock paper a a a", "say", 0.5)]
    together = predictions(made, longer, 4)
    alone = [predictions(made, [each], 1)[0] for each in longer]
    np.testing.assert_allclose(together, alone, atol=1e-6)
    assert together.std() > 0
    swapped = predictions(made, [each.swapped() for each in longer], 4)
    assert (np.abs(together + swapped - 1).max() < 1e-6) == (kind == "reward_model")


SETTINGS = FittingSettings(80, 6, 12, 0.02, 2, 0.0, 1.0, None, 1)


@pytest.mark.parametrize("kind", KINDS)
def test_a_cycle_is_learned_by_what_reads_both_and_comes_back_from_its_folder(
    kind: Kind, tmp_path: Path
) -> None:
    answers = [
        PreferenceRecord(PROMPT, x, y, 0.9 if (WORDS.index(x) - WORDS.index(y)) % 3 == 1 else 0.1)
        for x, y in PAIRS
        if x != y
    ]
    made = learner(kind)
    fit(made, answers, [], SETTINGS, generator_for("test"))
    found = predictions(made, answers, 12)
    wanted = np.array([each.probability for each in answers])
    if kind == "reward_model":
        assert np.abs(found - 0.5).max() < 0.2
    else:
        np.testing.assert_allclose(found, wanted, atol=0.1)
    made.save(tmp_path)
    assert {path.suffix for path in tmp_path.iterdir()} <= {".json", ".safetensors", ".jinja"}
    from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

    classes = {"pair_preference_model": AutoModelForCausalLM}
    again = classes.get(kind, AutoModelForSequenceClassification).from_pretrained(tmp_path)
    loaded = TransformerLearner(kind, again, AutoTokenizer.from_pretrained(tmp_path))
    assert predictions(loaded, answers, 12).tobytes() == found.tobytes()


def test_the_seed_decides_every_byte() -> None:
    records = [PreferenceRecord(PROMPT, "rock", "paper", 1.0), *RECORDS[:3]]
    few = FittingSettings(3, 2, 4, 0.02, 1, 0.0, 1.0, None, 1)
    states = []
    for seed in (0, 0, 1):
        made = transformer_learner("pair_preference_model", *base(), seed)
        fit(made, records, [], few, generator_for("test", seed))
        states.append([weight.detach().numpy().tobytes() for weight in made.weights()])
    assert states[0] == states[1] != states[2]


def test_what_is_too_long_is_told() -> None:
    made = learner("reward_model")
    short, long = RECORDS[0], PreferenceRecord(PROMPT, "rock " * 80, "say", 1.0)
    assert not too_long(made, short, 4096) and too_long(made, long, 4096)
    assert too_long(made, short, 3)


def test_a_tokenizer_without_a_chat_template_is_refused() -> None:
    model, tokenizer = base()
    tokenizer.chat_template = None
    with pytest.raises(ImpossibleSettingError, match="has no chat template"):
        transformer_learner("reward_model", model, tokenizer, 0)


def test_a_joint_classifier_answers_as_it_was_learned(tmp_path: Path) -> None:
    made = learner("joint_classifier")
    with torch.no_grad():
        made.model.score.weight.fill_(0.3)
    made.save(tmp_path)
    oracle = JointClassifier(str(tmp_path), 4, 64, "cpu").oracle(0)
    first, second = ([pair[side] for pair in PAIRS] for side in (0, 1))
    found = oracle.preference([PROMPT] * 9, first, second)
    shown = predictions(made, RECORDS, 9)
    exchanged = predictions(made, [each.swapped() for each in RECORDS], 9)
    np.testing.assert_allclose(found, 0.5 + (shown - exchanged) / 2, atol=1e-6)
    back = oracle.preference([PROMPT] * 9, second, first)
    assert np.abs(found + back - 1).max() <= 1e-15
    assert (found[[0, 4, 8]] == 0.5).all() and found.std() > 0
    long = ["rock " * 500, "rock " * 600, "\ud800 \x00", ""]
    answers = oracle.preference([PROMPT] * 4, long, ["paper"] * 4)
    assert np.isfinite(answers).all() and answers[0] == answers[1]
    with pytest.raises(ImpossibleSettingError, match="leaves no room for responses"):
        JointClassifier(str(tmp_path), 4, 8, "cpu").oracle(0).preference([PROMPT], ["a"], ["a"])
    with pytest.raises(ImpossibleSettingError, match="has no score of one"):
        oracle.score([PROMPT], ["rock"])


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ImpossibleSettingError, match="is no folder with a model"):
        JointClassifier(str(tmp_path), 4, 64, "cpu").oracle(0)
    with pytest.raises(ImpossibleSettingError, match=r"oracle\.batch_size = 0"):
        JointClassifier(str(tmp_path), 0, 64, "cpu")


@pytest.mark.parametrize("name", ["reward_model", "pair_preference_model"])
def test_the_oracle_of_the_name_answers_as_it_was_learned(name: Any, tmp_path: Path) -> None:
    family: Any = RewardModel if name == "reward_model" else PairPreferenceModel
    made = learner(name)
    with torch.no_grad():
        for weight in made.model.score.parameters() if name == "reward_model" else ():
            weight.fill_(0.3)
    made.save(tmp_path)
    fields = {"name_or_path": str(tmp_path), "revision": None, "dtype": "float32", "device": "cpu"}
    fields |= {"batch_size": 4, "max_length": 64, "strip_bos": True, "unsafe_weights": False}
    own = {} if name == "reward_model" else {"generation_prompt": False}
    oracle = family(**fields, **own).oracle(0)
    first, second = ([pair[side] for pair in PAIRS] for side in (0, 1))
    shown = predictions(made, RECORDS, 9)
    exchanged = predictions(made, [each.swapped() for each in RECORDS], 9)
    expected = 0.5 + (shown - exchanged) / 2
    np.testing.assert_allclose(oracle.preference([PROMPT] * 9, first, second), expected, atol=1e-6)
