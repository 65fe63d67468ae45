"""The stage of a learned oracle: data, fit, and the report on prompts that were held out."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from nlhf_repro.interfaces import Array, Prompt, TextOracle
from nlhf_repro.pipeline.language.cell import base_folder
from nlhf_repro.pipeline.language.fit_data import Comparisons, data_comparisons, world_comparisons
from nlhf_repro.pipeline.language.oracle_fit_key import oracle_fit_key
from nlhf_repro.pipeline.language.task import LanguageTask, base_model
from nlhf_repro.pipeline.measured import PeakMemory
from nlhf_repro.pipeline.store import StageStore
from nlhf_repro.preferences.fitting import Fit, fit, predictions
from nlhf_repro.preferences.measures import (
    HeldOut,
    against_truth,
    cycles,
    numbered,
    position,
    quality,
)
from nlhf_repro.preferences.records import (
    PreferenceRecord,
    conversation_key,
    split_by_prompt,
)
from nlhf_repro.preferences.report import write_report
from nlhf_repro.preferences.settings import WORLD, OracleFit
from nlhf_repro.preferences.transformer_models import (
    TransformerLearner,
    too_long,
    transformer_learner,
)
from nlhf_repro.seeds import generator_for, seed_for

Config = Mapping[str, Any]
MODEL = "model"  # the folder that an oracle loads, in the stage's


def fitted_oracle(config: Config, store: StageStore) -> Path:
    """The folder of the learned oracle and its report, computed where it lacks."""
    base = base_folder(config, store) if config["fit"]["data"] == WORLD else None
    return store.obtain(
        "fit_oracle", oracle_fit_key(config), partial(fit_oracle_stage, config, base)
    )


def fit_oracle_stage(config: Config, base: Path | None, folder: Path) -> None:
    """Learn an oracle; write model/, report.json, report.md, reliability.png, fit.json.

    In a world the reference policy is where learning starts, with a data set the configured model.

    Raises:
        ImpossibleSettingError: too few comparisons, or prompts, for the parts.
    """
    settings, seed = OracleFit(**config["fit"]), int(config["seed"])
    start = time.perf_counter()
    with PeakMemory() as memory:
        if settings.data == WORLD:
            task = LanguageTask(config, base)
            policy = task.policy(task.prompts("training"))
            comparisons = world_comparisons(policy, task.oracle(), settings, config["world"], seed)
            # The policy still answers when the oracle is learned.
            model, tokenizer = deepcopy(policy.model), deepcopy(policy.tokenizer)
        else:
            comparisons = data_comparisons(settings)
            model, tokenizer = base_model(config)
        learner = transformer_learner(settings.kind, model, tokenizer, seed_for("oracle fit", seed))
        parts = _parts(comparisons, learner, settings)
        stream = generator_for("oracle fit", "passes", seed)
        done = fit(learner, parts.training, parts.validation, settings.fitting(), stream)
    learner.save(folder / MODEL)
    write_report(folder, _report(learner, comparisons, parts, done, settings))
    measured = {"seconds": time.perf_counter() - start, "peak_memory_mib": memory.mebibytes}
    (folder / "measured.json").write_text(json.dumps(measured))
    (folder / "fit.json").write_text(json.dumps({"losses": done.losses, "checks": done.checks}))


@dataclass(frozen=True)
class _Parts:
    training: tuple[PreferenceRecord, ...]
    validation: tuple[PreferenceRecord, ...]
    held_out: tuple[PreferenceRecord, ...]
    left_out: int


def _parts(comparisons: Comparisons, learner: TransformerLearner, settings: OracleFit) -> _Parts:
    kept = [x for x in comparisons.records if not too_long(learner, x, settings.max_tokens)]
    shares = [settings.held_out, *([settings.validation] if settings.validation else [])]
    held_out, *others = split_by_prompt(kept, shares, "oracle fit")
    validation = others[0] if settings.validation else ()
    return _Parts(others[-1], validation, held_out, len(comparisons.records) - len(kept))


def _report(
    learner: TransformerLearner,
    comparisons: Comparisons,
    parts: _Parts,
    done: Fit,
    settings: OracleFit,
) -> dict[str, Any]:
    shown = predictions(learner, parts.held_out, settings.microbatch)
    swapped = [record.swapped() for record in parts.held_out]
    held_out = HeldOut(
        np.array([record.probability for record in parts.held_out]),
        shown,
        predictions(learner, swapped, settings.microbatch),
        numbered([conversation_key(record.prompt) for record in parts.held_out]),
    )
    groups = _groups(comparisons, parts.held_out, settings.cycle_responses)
    learned = [_matrix(learner, *group, settings.microbatch) for group in groups]
    report = {
        "kind": settings.kind,
        "source": comparisons.source,
        "kept_step": done.kept_step,
        "unknown_tokens": _unknown_share(learner, parts.training),
        "parts": {
            name: len(getattr(parts, name)) for name in ("training", "validation", "held_out")
        }
        | {"left_out": parts.left_out},
        **quality(held_out, settings.calibration_bins),
        **(position(held_out) if learner.reads_order else {}),
        **((cycles(learned) or {}) if learner.reads_order else {}),
    }
    if comparisons.truth is not None:
        true = [_true_matrix(comparisons.truth, *group) for group in groups]
        truth = _asked(comparisons.truth, parts.held_out)
        report |= against_truth(held_out, truth, learned, true)
        report |= {f"true_{name}": value for name, value in (cycles(true) or {}).items()}
    return report


def _groups(
    comparisons: Comparisons, held_out: Sequence[PreferenceRecord], most: int
) -> list[tuple[Prompt, tuple[str, ...]]]:
    """Held-out prompts with responses to them: those that were drawn, or that the data have."""
    prompts = {conversation_key(record.prompt): record.prompt for record in held_out}
    if comparisons.responses is not None:
        answered = comparisons.responses([*prompts.values()])
        return list(zip(prompts.values(), answered, strict=True))
    found: dict[str, dict[str, None]] = {key: {} for key in prompts}
    for record in held_out:
        key = conversation_key(record.prompt)
        found[key] |= dict.fromkeys((record.first, record.second))
    return [(prompt, tuple(found[key])[:most]) for key, prompt in prompts.items()]


def _matrix(
    learner: TransformerLearner, prompt: Prompt, responses: tuple[str, ...], microbatch: int
) -> Array:
    """Learned preferences [responses, responses], the mean over both orders."""
    records = [PreferenceRecord(prompt, x, y, 0.5) for x in responses for y in responses]
    size = len(responses)
    shown = predictions(learner, records, microbatch).reshape(size, size)
    return np.asarray((shown + 1 - shown.T) / 2)


def _true_matrix(oracle: TextOracle, prompt: Prompt, responses: tuple[str, ...]) -> Array:
    size = len(responses)
    first, second = [x for x in responses for _ in responses], [*responses] * size
    return oracle.preference([prompt] * size**2, first, second).reshape(size, size)


def _asked(oracle: TextOracle, records: Sequence[PreferenceRecord]) -> Array:
    return oracle.preference(
        [x.prompt for x in records], [x.first for x in records], [x.second for x in records]
    )


def _unknown_share(learner: TransformerLearner, records: Sequence[PreferenceRecord]) -> float:
    """Of the tokens that are learned from, those that the tokenizer does not know."""
    unknown = learner.tokenizer.unk_token_id
    tokens = [token for record in records for row in learner.rows(record) for token in row]
    return float(np.mean([token == unknown for token in tokens]))
