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
    samples = _answered(config, store, base, training, config["language"]["evaluation_split"])
    selecting = config["language"]["selection"] is not None
    selection = _answered(config, store, base, training, "selection") if selecting else None
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


def _answered(
    config: Config,
    store: StageStore,
    base: Path | None,
    training: Path,
    split: Split,
) -> Answered:
    """The answers of the recorded policies, and of the reference, to the prompts of a split."""

    def sampled(key: str, policies: Trained | None) -> Path:
        draws = _evaluation_draws(config)
        compute = partial(sample_stage, config, draws, base, policies, split)
        return store.obtain("sample", key, compute)

    updates = tuple(int(update) for update in load_trajectory(training).updates)
    reference = sampled(reference_sample_key(config, split), None)
    trained = Trained(training, updates, reference)
    return Answered(sampled(sample_key(config, split), trained), reference)


def base_folder(config: Config, store: StageStore) -> Path | None:
    """The folder of the fine-tuned model; None where the configured one is taken as it is."""
    key = fine_tune_key(config)
    if key is None:
        return None
    return store.obtain("fine_tune", key, partial(fine_tune_stage, config))


def _evaluation_draws(config: Config) -> Any:
    """The streams of evaluation: the same for every policy of a world, so that answers pair."""
    return generators(("evaluation", int(config["world"])))
