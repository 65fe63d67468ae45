"""Scoring a trained policy by a benchmark that asks the model itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nlhf_repro.interfaces import ModelBenchmark
from nlhf_repro.pipeline.language.checkpoints import checkpoint
from nlhf_repro.pipeline.language.task import LanguageTask
from nlhf_repro.pipeline.parts import build
from nlhf_repro.pipeline.stages import at_last, load_trajectory, write_scores
from nlhf_repro.seeds import seed_for
from nlhf_repro.uncertainty import plain_values

Config = Mapping[str, Any]


def score_model_stage(
    config: Config,
    name: str,
    policy_key: str,
    version: str,
    base: Path | None,
    training: Path,
    iterates: Mapping[str, int],
    folder: Path,
) -> None:
    """Score the policies of the given updates in memory; other recorded updates have NaN."""
    benchmark: ModelBenchmark = build(config["benchmark"][name])
    policy = LanguageTask(config, base).policy(())
    updates = load_trajectory(training).updates
    seed = scoring_seed(config, benchmark)
    scores, questions, notes = {}, [], []
    for iterate, update in iterates.items():
        policy.load(checkpoint(training, update))
        records = folder / "upstream" / iterate
        records.mkdir(parents=True)
        metric, said = benchmark.score_model(policy.model, policy.tokenizer, seed, records)
        scores[iterate] = at_last(plain_values(metric), len(updates))
        questions = list(metric.questions)
        notes += list(said)
    write_scores(folder, scores, updates, policy_key, name, version)
    is_said = benchmark.comparable or any("not comparable" in note for note in notes)
    published = [] if is_said else ["not comparable with published numbers"]
    description = {
        "benchmark": name,
        "version": version,
        "floor": 0.0,
        "scored_updates": [float(updates[-1])],
        "notes": [*published, *dict.fromkeys(notes)],
        "questions": questions,
    }
    (folder / "benchmark.json").write_text(json.dumps(description, sort_keys=True))


def scoring_seed(config: Config, benchmark: ModelBenchmark) -> int:
    """What a benchmark draws with: the same for all policies of a world, or of a training seed."""
    own = [config["seed"]] if benchmark.draws_by_seed else []
    return seed_for("model benchmark", config["world"], *own) % 2**31
