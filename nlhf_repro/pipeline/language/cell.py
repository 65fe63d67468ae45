"""The stages of one language cell, each computed once and shared by the cells that need it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from nlhf_repro.interfaces import Split
from nlhf_repro.pipeline.evaluation_keys import (
    answers_key,
    asks_reference,
    benchmark_version,
    evaluation_key,
    judgments_key,
    reference_answers_key,
)
from nlhf_repro.pipeline.keys import (
    fine_tune_key,
    reference_sample_key,
    sample_key,
    seed_factors,
    start_sample_key,
    train_key,
)
from nlhf_repro.pipeline.language.answering import answer_stage
from nlhf_repro.pipeline.language.harness import score_model_stage
from nlhf_repro.pipeline.language.judged import Compared, judge_stage, score_judged_stage
from nlhf_repro.pipeline.language.stages import (
    EVALUATION_STREAMS,
    Answered,
    Trained,
    fine_tune_stage,
    sample_stage,
    score_samples_stage,
    selected_points,
    train_language_stage,
)
from nlhf_repro.pipeline.scored import judged_benchmark, kind_of
from nlhf_repro.pipeline.stages import generators, load_trajectory
from nlhf_repro.pipeline.store import StageStore
from nlhf_repro.seeds import Generators

Config = Mapping[str, Any]


def language_stages(config: Config, store: StageStore) -> tuple[Path, dict[str, Path]]:
    """The folders of the training and of every evaluation, computed where they lack."""
    base = base_folder(config, store)
    policy_key = train_key(config)
    draws = generators(seed_factors(config))
    training = store.obtain(
        "train",
        policy_key,
        lambda folder: train_language_stage(
            config, draws, base, folder, store.scratch("train", policy_key)
        ),
    )
    scored = Scored(config, store, base, training, policy_key)
    return training, {name: scored.evaluation(name) for name in config["benchmark"]}


@dataclass(frozen=True)
class Scored:
    """What the evaluations of one trained cell share."""

    config: Config
    store: StageStore
    base: Path | None
    training: Path
    policy_key: str

    def evaluation(self, name: str) -> Path:
        """The folder of one benchmark's scores."""
        stages = {"samples": self._samples, "judged": self._judged, "model": self._model}
        stage = stages[kind_of(self.config["benchmark"][name])]
        key = evaluation_key(self.config, name)
        return self.store.obtain("evaluate", key, lambda folder: stage(name)(folder))

    def _samples(self, name: str) -> Callable[[Path], None]:
        split = self.config["language"]["evaluation_split"]
        return partial(
            score_samples_stage,
            *self._named(name),
            answered(self.config, self.store, self.base, split),
            self._selection(),
        )

    def _judged(self, name: str) -> Callable[[Path], None]:
        config = self.config
        compared = Compared(self._answers(name), self._reference_answers(name))
        asked = self.store.obtain(
            "judge", judgments_key(config, name), partial(judge_stage, config, name, compared)
        )
        return partial(score_judged_stage, *self._named(name), self.training, compared, asked)

    def _model(self, name: str) -> Callable[[Path], None]:
        return partial(
            score_model_stage, *self._named(name), self.base, self.training, self._iterates()
        )

    def _answers(self, name: str) -> Path:
        stage = partial(answer_stage, self.config, name, self.base, self.training, self._iterates())
        return self.store.obtain("answer", answers_key(self.config, name), stage)

    def _reference_answers(self, name: str) -> Path | None:
        if not asks_reference(judged_benchmark(self.config, name)):
            return None
        key = reference_answers_key(self.config, name)
        stage = partial(answer_stage, self.config, name, self.base, None, {"last": 0})
        return self.store.obtain("answer", key, stage)

    def _named(self, name: str) -> tuple[Config, str, str, str]:
        return self.config, name, self.policy_key, benchmark_version(self.config, name)

    def _iterates(self) -> dict[str, int]:
        """The updates whose policies are scored where not all recorded ones are."""
        updates = load_trajectory(self.training).updates
        selection = self._selection()
        iterates = {"last": int(updates[-1])}
        if selection is not None:
            chosen = selected_points(self.config, selection)[-1]
            iterates["selected"] = int(updates[chosen])
        return iterates

    def _selection(self) -> Answered | None:
        if self.config["language"]["selection"] is None:
            return None
        return answered(self.config, self.store, self.base, "selection")


def answered(config: Config, store: StageStore, base: Path | None, split: Split) -> Answered:
    """The answers of the recorded policies, and of the reference, to the prompts of a split."""
    return Answered(
        policy_answers(config, store, base, split), reference_answers(config, store, base, split)
    )


def policy_answers(config: Config, store: StageStore, base: Path | None, split: Split) -> Path:
    """The answers of every policy that the cell's training, which is stored, recorded.

    All policies of a world draw from the same streams: what is alike answers alike, and rows are
    compared with less noise. Training starts at the reference, whose answers of update 0 are drawn
    once for all rows.
    """
    training = store.folder("train", train_key(config))
    updates = tuple(int(update) for update in load_trajectory(training).updates)
    draws = _draws(EVALUATION_STREAMS[0], config, split)
    start = store.obtain(
        "sample",
        start_sample_key(config, split),
        partial(sample_stage, config, draws, base, None, split),
    )
    return store.obtain(
        "sample",
        sample_key(config, split),
        partial(sample_stage, config, draws, base, Trained(training, updates, start), split),
    )


def reference_answers(config: Config, store: StageStore, base: Path | None, split: Split) -> Path:
    """The answers of the reference as an opponent, independent of every policy's answers."""
    return store.obtain(
        "sample",
        reference_sample_key(config, split),
        partial(
            sample_stage,
            config,
            _draws(EVALUATION_STREAMS[1], config, split),
            base,
            None,
            split,
        ),
    )


def base_folder(config: Config, store: StageStore) -> Path | None:
    """The folder of the fine-tuned model; None where the configured one is taken as it is."""
    key = fine_tune_key(config)
    if key is None:
        return None
    return store.obtain("fine_tune", key, partial(fine_tune_stage, config))


def _draws(purpose: str, config: Config, split: Split) -> Generators:
    """The streams of one purpose on one split of a world."""
    return generators((purpose, split, int(config["world"])))
