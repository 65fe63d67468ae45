"""The stages of a language cell: fine-tune, train, sample, score the samples."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from nlhf_repro.interfaces import (
    Array,
    PolicySamples,
    Snapshot,
    Split,
    TextBenchmark,
    TextOracle,
    TrainingSettings,
    oracle_at,
)
from nlhf_repro.models.causal_lm import CausalLanguageModelPolicy
from nlhf_repro.models.fine_tuning import FineTuningSettings, fine_tune
from nlhf_repro.models.snapshots import write_parameters
from nlhf_repro.pipeline.language.checkpoints import checkpoint, checkpoint_path
from nlhf_repro.pipeline.language.early_stopping import EarlyStopping, best_so_far
from nlhf_repro.pipeline.language.oracle_notes import oracle_notes
from nlhf_repro.pipeline.language.prompts import sum_log_prob
from nlhf_repro.pipeline.language.samples import read_samples, write_samples
from nlhf_repro.pipeline.language.task import FINE_TUNED, LanguageTask, base_model
from nlhf_repro.pipeline.language.training import language_run
from nlhf_repro.pipeline.measured import PeakMemory
from nlhf_repro.pipeline.parts import build
from nlhf_repro.seeds import Generators, generator_for

Config = Mapping[str, Any]
# Of the policies of a world, and of its reference as an opponent.
EVALUATION_STREAMS = ("evaluation", "evaluation of the reference")


@dataclass(frozen=True)
class Trained:
    """A finished training: its folder, the recorded updates, and the answers of update 0.

    Without `start`, those are drawn like the others, if update 0 is recorded.
    """

    folder: Path
    updates: tuple[int, ...]
    start: Path | None = None


def fine_tune_stage(config: Config, folder: Path) -> None:
    """Fine-tune the model on the world's demonstrations; write its weights and its losses."""
    task = LanguageTask(config, None)
    settings = task.settings.fine_tuning
    assert settings is not None
    model, tokenizer = base_model(config)
    start = time.perf_counter()
    with PeakMemory() as memory:
        losses = fine_tune(
            model,
            tokenizer,
            task.family.demonstrations(config["world"]),
            FineTuningSettings(**vars(settings)),
            generator_for("fine_tuning", config["world"]),
        )
    trained = {name: x for name, x in model.named_parameters() if x.requires_grad}
    write_parameters(folder / FINE_TUNED, trained)
    (folder / "losses.json").write_text(json.dumps(losses))
    _write_measured(folder, start, memory)


def train_language_stage(
    config: Config, generators: Generators, base: Path | None, folder: Path, scratch: Path
) -> None:
    """Train as configured; write checkpoints, trajectory.npz, ledger.json, training.jsonl.

    `scratch` holds the state of an unfinished training, which goes on from there.
    """
    from nlhf_repro.pipeline.stages import save_trajectory

    task = LanguageTask(config, base)
    settings, language = TrainingSettings(**config["training"]), task.settings
    start = time.perf_counter()
    with PeakMemory() as memory:
        scratch.mkdir(parents=True, exist_ok=True)
        training = language_run(
            build(config["algorithm"]),
            task.policy(task.prompts("training")),
            task.oracle(),
            task.wrappers(),
            settings,
            language,
            config["budget"]["comparisons"],
            generators,
            scratch,
        )
        trajectory = training.train(settings, language.resume_every, _stopping(task, scratch))
    for update in trajectory.updates:
        # Linked, not moved: a kill before the stage is whole leaves the unfinished training whole.
        os.link(checkpoint_path(scratch, int(update)), checkpoint_path(folder, int(update)))
    save_trajectory(folder, trajectory)
    (folder / "training.jsonl").write_text(training.log.text())
    _write_measured(folder, start, memory)


def _stopping(task: LanguageTask, scratch: Path) -> EarlyStopping | None:
    """Judges the checkpoints in `scratch` on the selection prompts, drawn as those are scored."""
    from nlhf_repro.pipeline.stages import generators as streams

    settings, world = task.settings, int(task.config["world"])
    iterations = task.config["training"]["iterations"]
    if settings.patience is None or settings.selection is None:
        return None
    benchmark: TextBenchmark = build(task.config["benchmark"][settings.selection])
    policy, oracle = task.policy(task.prompts("selection")), task.oracle()
    reference = policy.snapshot({})
    of_policy, of_reference = (streams((x, "selection", world)) for x in EVALUATION_STREAMS)
    opponent = draw(policy, reference, reference, task, of_reference)

    def value(update: int) -> float:
        answers = draw(policy, checkpoint(scratch, update), reference, task, of_policy)
        asked = oracle_at(oracle, update / iterations)
        return float(_sign(benchmark) * benchmark.score_samples(answers, opponent, asked).mean())

    return EarlyStopping(settings.patience, value)


def sample_stage(
    config: Config,
    generators: Generators,
    base: Path | None,
    trained: Trained | None,
    split: Split,
    folder: Path,
) -> None:
    """Answer the prompts of a split with every recorded policy, or (None) with the reference."""
    task = LanguageTask(config, base)
    policy = task.policy(task.prompts(split))
    reference = policy.snapshot({})
    samples: dict[int, PolicySamples] = {}
    if trained is None:
        samples[0] = draw(policy, reference, reference, task, generators)
    else:
        if trained.start is not None:
            samples = read_samples(trained.start, policy.prompts)
        for update in trained.updates:
            if update not in samples:
                snapshot = checkpoint(trained.folder, update)
                samples[update] = draw(policy, snapshot, reference, task, generators)
    write_samples(folder, samples)


def draw(
    policy: CausalLanguageModelPolicy,
    snapshot: Snapshot,
    reference: Snapshot,
    task: LanguageTask,
    generators: Generators,
) -> PolicySamples:
    """`evaluation_samples` responses to every prompt, temperature 1, with log-probabilities."""
    count = task.settings.evaluation_samples
    prompts = torch.arange(len(policy.prompts))[None]
    numbers = policy.sample([(snapshot, 1.0)], 1.0, prompts, count, generators("evaluation"))[0]
    flat = numbers.flatten()[None]
    repeated = prompts.repeat_interleave(count, dim=1)
    shape = tuple(numbers.shape)
    texts = policy.text(flat[0])
    result = PolicySamples(
        prompts=tuple(policy.prompts),
        responses=tuple(
            tuple(texts[row * count : (row + 1) * count]) for row in range(len(policy.prompts))
        ),
        tokens=policy.lengths(flat[0]).numpy().reshape(shape),
        ended=policy.ended(flat[0]).numpy().reshape(shape),
        log_prob=_log_prob(policy, snapshot, repeated, flat).reshape(shape),
        reference_log_prob=_log_prob(policy, reference, repeated, flat).reshape(shape),
    )
    policy.bank.keep([])
    return result


def _log_prob(
    policy: CausalLanguageModelPolicy, snapshot: Snapshot, prompts: torch.Tensor, flat: torch.Tensor
) -> Array:
    values: Array = sum_log_prob(policy, snapshot, prompts, flat).numpy()
    return values


def score_samples_stage(
    config: Config,
    name: str,
    policy_key: str,
    benchmark_version: str,
    samples: Answered,
    selection: Answered | None,
    folder: Path,
) -> None:
    """Score every recorded policy's answers with one benchmark; write scores, benchmark.json.

    With `selection`, answers to the selection prompts, the iterate `selected` is at every recorded
    update the best one so far by the benchmark `language.selection` on those.
    """
    from nlhf_repro.pipeline.stages import check_scores, write_scores

    task = LanguageTask(config, None)
    benchmark: TextBenchmark = build(config["benchmark"][name])
    oracle = task.oracle()
    updates, values = _scores(task, oracle, benchmark, task.settings.evaluation_split, samples)
    if not getattr(benchmark, "may_refuse", False):
        check_scores(values, name, "last", updates, "prompt")
    scores = {"last": values}
    if selection is not None:
        scores["selected"] = values[selected_points(config, selection)]
    write_scores(folder, scores, updates, policy_key, name, benchmark_version)
    description: dict[str, Any] = {
        "benchmark": name,
        "version": benchmark_version,
        "floor": float(benchmark.floor),
    }
    if notes := oracle_notes(oracle):
        description["notes"] = notes
    (folder / "benchmark.json").write_text(json.dumps(description, sort_keys=True))


def selected_points(config: Config, selection: Answered) -> NDArray[np.int64]:
    """At every recorded point that of the best policy so far, by the benchmark of the selection."""
    from nlhf_repro.pipeline.stages import check_scores

    task = LanguageTask(config, None)
    chosen_by = task.settings.selection
    assert chosen_by is not None
    judge: TextBenchmark = build(config["benchmark"][chosen_by])
    updates, judged = _scores(task, task.oracle(), judge, "selection", selection)
    check_scores(judged, chosen_by, "last", updates, "selection prompt")
    return best_so_far(_sign(judge) * judged.mean(axis=1))


def _sign(benchmark: TextBenchmark) -> float:
    """-1 where less is better."""
    return -1.0 if getattr(benchmark, "estimates_a_gap", False) else 1.0


@dataclass(frozen=True)
class Answered:
    """Where the answers of the recorded policies lie, and those of the reference."""

    policies: Path
    reference: Path


def _scores(
    task: LanguageTask,
    oracle: TextOracle,
    benchmark: TextBenchmark,
    split: Split,
    answered: Answered,
) -> tuple[Array, Array]:
    """Recorded updates [points], and the benchmark's values [points, prompts]."""
    prompts = task.prompts(split)
    iterations = task.config["training"]["iterations"]
    own = read_samples(answered.policies, prompts)
    reference = read_samples(answered.reference, prompts)[0]
    values = np.stack(
        [
            benchmark.score_samples(x, reference, oracle_at(oracle, update / iterations))
            for update, x in own.items()
        ]
    )
    return np.array(list(own), dtype=np.float64), values


def _write_measured(folder: Path, start: float, memory: PeakMemory) -> None:
    measured = {"seconds": time.perf_counter() - start, "peak_memory_mib": memory.mebibytes}
    (folder / "measured.json").write_text(json.dumps(measured))
