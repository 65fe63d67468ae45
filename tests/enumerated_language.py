"""A language model small enough to enumerate: every response is an action of a known game."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import torch
from laboratory import streams
from language_models import policy_of, prompt, three_token_model, three_token_tokenizer

from nlhf_repro.games import complete_preferences, log_space
from nlhf_repro.interfaces import Game, LanguageSettings, TrainingSettings
from nlhf_repro.pipeline.language.prompts import sum_log_prob
from nlhf_repro.pipeline.language.training import language_run

TOKENS = 3
PROMPT = prompt("a b a")
LANGUAGE = LanguageSettings(
    fine_tuning=None,
    max_new_tokens=TOKENS,
    top_p=None,
    top_k=None,
    uniform_temperature=2.0,
    backend="own",
    log_prob="sum",
    schedule="constant",
    warmup_steps=0,
    weight_decay=0.0,
    gradient_clip=None,
    microbatch=512,
    sampling_batch=None,
    unit_scale=True,
    evaluation_split="evaluation",
    evaluation_samples=4,
    selection=None,
    patience=None,
    resume_every=None,
    snapshots="memory",
)
TRAINING = TrainingSettings("sampled", 3, 2, False, 64, None, "adam", 0.01)


def responses() -> list[list[int]]:
    """Every response of at most three tokens over <eos> = 0, a = 1 and b = 2, as tokens."""
    ended = [[*x, 0] for n in range(TOKENS) for x in product((1, 2), repeat=n)]
    return [*ended, *map(list, product((1, 2), repeat=TOKENS))]


RESPONSES = responses()
TEXTS = [" ".join("ab"[token - 1] for token in each if token) for each in RESPONSES]
assert len(set(TEXTS)) == len(TEXTS)


def random_matrix(seed: int, spread: float = 0.48) -> np.ndarray:
    """Uniform preferences within `spread` of 1/2; mostly cyclic."""
    lower = 0.5 + spread * np.random.default_rng(seed).uniform(-1, 1, (len(TEXTS), len(TEXTS)))
    return complete_preferences(lower[None])[0]


def wide_matrix(seed: int, quality: float = 1.5, cycle: float = 3.0) -> np.ndarray:
    """Preferences of scores and of a cycle, wide enough that an equilibrium is far from anything.

    Log-odds are quality * (score difference) + cycle * sin(angle difference).
    """
    stream = np.random.default_rng(seed)
    scores = quality * stream.standard_normal(len(TEXTS))
    angles = stream.uniform(0, 2 * np.pi, len(TEXTS))
    odds = scores[:, None] - scores + cycle * np.sin(angles[:, None] - angles)
    return 1 / (1 + np.exp(-odds))


class EnumeratedOracle:
    """Reads a preference matrix over the texts, and scores where it is Bradley-Terry."""

    def __init__(self, matrix: np.ndarray, scores: np.ndarray | None = None) -> None:
        self.matrix, self.scores = matrix, scores

    def preference(self, prompts, first, second):
        return self.matrix[actions(first), actions(second)]

    def score(self, prompts, texts):
        assert self.scores is not None
        return self.scores[actions(texts)]


def actions(texts) -> np.ndarray:
    """The action that every text is."""
    return np.array([TEXTS.index(text) for text in texts])


def policy(seed: int = 3, reduction="sum", microbatch: int = 512):
    """The reference policy over the one prompt."""
    model, tokenizer = three_token_model(seed), three_token_tokenizer()
    return policy_of(
        model, tokenizer, [PROMPT], tokens=TOKENS, reduction=reduction, microbatch=microbatch
    )


def log_policy(of, snapshot) -> np.ndarray:
    """Log-probabilities of every response, [responses]."""
    numbers = of.bank.add([0] * len(RESPONSES), RESPONSES)[None]
    found = sum_log_prob(of, snapshot, torch.zeros_like(numbers), numbers)[0].numpy()
    assert abs(np.exp(found).sum() - 1) < 1e-5
    return found


def game_of(matrix: np.ndarray, reference: np.ndarray, scores: np.ndarray | None = None) -> Game:
    """The enumerated game."""
    normalized = log_space.log_normalize(reference[None])
    return Game(matrix[None], normalized, None if scores is None else scores[None])


def run_of(algorithm, oracle, folder: Path, seed: int = 0, wrappers=(), budget=None, **changes):
    """A run at the reference policy, or at a given `policy`.

    Changes are of the training settings, or of `language`.
    """
    language = replace(LANGUAGE, **changes.pop("language", {}))
    given = changes.pop("policy", None)
    settings = replace(TRAINING, **changes)
    folder.mkdir(parents=True, exist_ok=True)
    chosen = given or policy(reduction=language.log_prob, microbatch=language.microbatch)
    training = language_run(
        algorithm, chosen, oracle, wrappers, settings, language, budget, streams(seed), folder
    )
    return training, settings, language


def trained(algorithm, oracle, folder: Path, seed: int = 0, **changes):
    """The run after its training, and its trajectory."""
    training, settings, language = run_of(algorithm, oracle, folder, seed, **changes)
    return training, training.train(settings, language.resume_every)
