"""Benchmarks that ask the model itself, in memory."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path

import numpy as np
import torch

from nlhf_repro.conformance.outcomes import NotApplicableError, require
from nlhf_repro.conformance.subjects import Subject
from nlhf_repro.interfaces import ImpossibleSettingError, MetricScores, ModelBenchmark
from nlhf_repro.models.mini_llama import MiniLlama
from nlhf_repro.summaries import VOCABULARY


def a_model_is_scored_and_left_alone(subject: Subject) -> None:
    """Twice the same finite values, one an item; weights and random streams stay as they were."""
    benchmark = _benchmark(subject)
    model, tokenizer = MiniLlama(16, 1, 2, 24, 512, False).base(VOCABULARY, 0)
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    before = _streams()
    first, second = (_scored(benchmark, model, tokenizer) for _ in range(2))
    require(_streams() == before, "it leaves a global random stream changed: restore it.")
    same = all(torch.equal(value, weights[name]) for name, value in model.state_dict().items())
    require(same, "it changes the model's weights.")
    require(
        len(first.questions) == len(set(first.questions)) == len(first.values) > 0,
        "an item has several values, or none: give one each.",
    )
    require(bool(np.isfinite(first.values).all()), "a value is no number.")
    require(
        first.questions == second.questions and np.array_equal(first.values, second.values),
        "the same model scores otherwise the second time.",
    )


def a_model_benchmark_has_a_fingerprint(subject: Subject) -> None:
    """Texts by name, the same every time."""
    found = _benchmark(subject).fingerprint()
    plain = all(isinstance(x, str) for pair in found.items() for x in pair)
    require(bool(found) and plain, "its fingerprint does not map names to texts.")
    require(found == _benchmark(subject).fingerprint(), "its fingerprint changes by itself.")


def _benchmark(subject: Subject) -> ModelBenchmark:
    """The benchmark, where what it needs is there."""
    benchmark: ModelBenchmark = subject.build()
    try:
        benchmark.check()
    except ImpossibleSettingError as error:
        raise NotApplicableError(f"what it needs is not here: {error}") from error
    return benchmark


def _scored(benchmark: ModelBenchmark, model: object, tokenizer: object) -> MetricScores:
    with tempfile.TemporaryDirectory() as folder:
        metric, _ = benchmark.score_model(model, tokenizer, 0, Path(folder))
        return metric


def _streams() -> tuple[str, ...]:
    states = (random.getstate(), np.random.get_state(), torch.get_rng_state().tolist())  # noqa: NPY002
    return tuple(map(repr, states))
