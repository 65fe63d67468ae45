"""The stages of one language cell, each computed once and shared by the cells that need it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from nlhf_repro.interfaces import Split
from nlhf_repro.pipeline.keys import (
    benchmark_version,
    evaluation_key,
    fine_tune_key,
    reference_sample_key,
    sample_key,
    seed_factors,
    start_sample_key,
    train_key,
)
from nlhf_repro.pipeline.language.stages import (
    Answered,
    Trained,
    fine_tune_stage,
    sample_stage,
    score_samples_stage,
    train_language_stage,
)
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
    split = config["language"]["evaluation_split"]
    samples = answered(config, store, base, split)
    selecting = config["language"]["selection"] is not None
    selection = answered(config, store, base, "selection") if selecting else None
    evaluations = {
        name: store.obtain(
            "evaluate",
            evaluation_key(config, name),
            partial(
                score_samples_stage,
                config,
                name,
                policy_key,
                benchmark_version(config, name),
                samples,
                selection,
            ),
        )
        for name in config["benchmark"]
    }
    return training, evaluations


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
    draws = _draws("evaluation", config, split)
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
            _draws("evaluation of the reference", config, split),
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
