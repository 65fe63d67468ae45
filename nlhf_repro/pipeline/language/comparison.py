"""Comparing the finished rows of an experiment: what is computed, and what is read again.

Stages are keyed by pair of policies, and by policy for what concerns it alone. A new row computes
its own pairs, and its responder, and nothing of the others; the choice among the pool, which every
row enters, is made when the stages are read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from nlhf_repro.benchmarks.round_robin import PoolExploitability, best_of_pool
from nlhf_repro.interfaces import Array, ResponderTraining, RoundRobinSettings, Split
from nlhf_repro.pipeline.keys import sample_key, train_key
from nlhf_repro.pipeline.language.cell import base_folder, policy_answers, reference_answers
from nlhf_repro.pipeline.language.comparison_keys import (
    pair_key,
    reference_pair_key,
    responder_key,
    responder_sample_key,
)
from nlhf_repro.pipeline.language.comparison_stages import (
    RESPONDERS,
    TRUTH,
    WON,
    pair_stage,
    reference_stage,
)
from nlhf_repro.pipeline.language.responder import responder_stage
from nlhf_repro.pipeline.language.stages import Trained, sample_stage
from nlhf_repro.pipeline.language.task import LanguageTask
from nlhf_repro.pipeline.stages import generators
from nlhf_repro.pipeline.store import StageStore

Config = Mapping[str, Any]
Rows = Mapping[str, Config]  # label to the configuration of its cell at one world and seed
REFERENCE_RESPONDERS = ("best of the reference's answers", "reference's answers picked against it")


class NotComparedError(ValueError):
    """A stage of the comparison is not in the store."""


@final
@dataclass(frozen=True)
class SeedComparison:
    """What the rows of one world and seed did; the reference is the last of `wins`."""

    wins: Array  # [rows + 1, rows + 1, prompts]
    bound: Array | None  # [rows, prompts]
    half: NDArray[np.int64] | None  # [prompts]
    trained: Array | None  # [rows, prompts]
    truth: Array | None  # [rows, prompts]
    chosen: Mapping[str, Counter[str]]


def compute_comparison(rows: Rows, settings: RoundRobinSettings, store: StageStore) -> None:
    """Compute every stage that the comparison of these rows lacks; none of the rows is trained."""
    configs = list(rows.values())
    bases = [base_folder(config, store) for config in configs]
    folders = {
        sample_key(config): policy_answers(config, store, base, _split(config))
        for config, base in zip(configs, bases, strict=True)
    }
    reference = reference_answers(configs[0], store, bases[0], _split(configs[0]))
    for config in configs:
        store.obtain(
            "compare",
            reference_pair_key(config),
            partial(reference_stage, config, folders[sample_key(config)], reference),
        )
    if settings.trained is not None:
        for config, base in zip(configs, bases, strict=True):
            key = responder_sample_key(config, settings.trained)
            folders[key] = _responder_answers(config, settings.trained, store, base)
    for first, second in _pairs(configs, settings):
        store.obtain(
            "compare",
            pair_key(configs[0], first, second),
            partial(pair_stage, configs[0], folders[first], folders[second]),
        )


def is_compared(rows: Rows, settings: RoundRobinSettings, store: StageStore) -> bool:
    """Whether `read_comparison` finds all that it reads."""
    try:
        read_comparison(rows, settings, store)
    except NotComparedError:
        return False
    return True


def read_comparison(rows: Rows, settings: RoundRobinSettings, store: StageStore) -> SeedComparison:
    """What `compute_comparison` stored.

    Raises:
        NotComparedError: a stage is absent or broken.
    """
    configs = list(rows.values())
    keys = [sample_key(config) for config in configs]
    wins = _wins(configs, keys, store)
    truth = [_folder(store, reference_pair_key(config)) / TRUTH for config in configs]
    known = [np.load(path) for path in truth if path.exists()]
    trained = None
    if settings.trained is not None:
        others = [responder_sample_key(config, settings.trained) for config in configs]
        trained = np.array(
            [[_won(configs[0], other, key, store) for other in others] for key in keys]
        )
    pool = None if settings.exploitability is None else _pool(configs, wins, trained, store)
    names = [*rows, *REFERENCE_RESPONDERS, *(f"trained against {label}" for label in rows)]
    return SeedComparison(
        wins=wins,
        bound=None if pool is None else pool.values,
        half=None if pool is None else pool.half,
        trained=None if trained is None else _diagonal(trained) - 0.5,
        truth=np.array(known) if len(known) == len(configs) else None,
        chosen=_named(rows, names, pool),
    )


def comparison_stages(rows: Rows, settings: RoundRobinSettings) -> Iterator[str]:
    """The keys of the stages `compare` that `read_comparison` reads."""
    configs = list(rows.values())
    yield from (reference_pair_key(config) for config in configs)
    for first, second in _pairs(configs, settings):
        yield pair_key(configs[0], first, second)


def _pool(
    configs: Sequence[Config], wins: Array, trained: Array | None, store: StageStore
) -> PoolExploitability:
    """The best responders of the pool, numbered: rows, the reference's two, trained ones."""
    rows = len(configs)
    own = np.swapaxes(wins[:rows, :rows], 0, 1).copy()
    own[np.arange(rows), np.arange(rows)] = -np.inf  # a policy is no responder to itself
    picked = [np.load(_folder(store, reference_pair_key(x)) / RESPONDERS) for x in configs]
    gains = [own, np.array(picked), *(() if trained is None else (trained,))]
    task = LanguageTask(configs[0], None)
    return best_of_pool(np.concatenate(gains, axis=1), task.prompts(task.settings.evaluation_split))


def _named(
    rows: Rows, names: Sequence[str], pool: PoolExploitability | None
) -> dict[str, Counter[str]]:
    if pool is None:
        return {}
    return {
        label: Counter(names[number] for number in chosen)
        for label, chosen in zip(rows, pool.chosen, strict=True)
    }


def _responder_answers(
    config: Config, settings: ResponderTraining, store: StageStore, base: Path | None
) -> Path:
    """The answers of the response that is trained against the cell's last policy.

    They are drawn from a stream of their own: an answer is independent of the policy's.
    """
    key = responder_key(config, settings)
    policy = store.folder("train", train_key(config))
    trained = store.obtain(
        "responder", key, partial(responder_stage, config, settings, base, policy)
    )
    draws = generators(("evaluation of a responder", int(config["world"])))
    last = Trained(trained, (settings.iterations,))
    return store.obtain(
        "sample",
        responder_sample_key(config, settings),
        partial(sample_stage, config, draws, base, last, _split(config)),
    )


def _split(config: Config) -> Split:
    """Whose prompts the compared policies answered."""
    split: Split = config["language"]["evaluation_split"]
    return split


def _pairs(configs: Sequence[Config], settings: RoundRobinSettings) -> Iterator[tuple[str, str]]:
    """The keys of answers that meet: rows with rows, and every responder with every row."""
    keys = [sample_key(config) for config in configs]
    met = {_ordered(one, other) for i, one in enumerate(keys) for other in keys[:i]}
    if settings.trained is not None:
        others = [responder_sample_key(config, settings.trained) for config in configs]
        met |= {_ordered(one, other) for one in keys for other in others}
    yield from sorted(met)


def _ordered(first: str, second: str) -> tuple[str, str]:
    """A pair has one stage, whichever is asked about first."""
    return (first, second) if first <= second else (second, first)


def _wins(configs: Sequence[Config], keys: Sequence[str], store: StageStore) -> Array:
    against = [np.load(_folder(store, reference_pair_key(config)) / WON) for config in configs]
    size, prompts = len(keys) + 1, len(against[0])
    wins = np.full((size, size, prompts), 0.5)
    for i, key in enumerate(keys):
        for j in range(i):
            wins[i, j] = _won(configs[0], key, keys[j], store)
            wins[j, i] = 1 - wins[i, j]
        wins[i, -1], wins[-1, i] = against[i], 1 - against[i]
    return wins


def _won(config: Config, first: str, second: str, store: StageStore) -> Array:
    """P(first over second), [prompts]."""
    ordered = _ordered(first, second)
    won: Array = np.load(_folder(store, pair_key(config, *ordered)) / WON)
    return won if ordered == (first, second) else 1 - won


def _folder(store: StageStore, key: str) -> Path:
    fault = store.fault("compare", key)
    if fault is not None:
        raise NotComparedError(f"{store.folder('compare', key)} is not whole: {fault}.")
    return store.folder("compare", key)


def _diagonal(table: Array) -> Array:
    """[rows, rows, prompts] to [rows, prompts]."""
    return np.asarray(np.moveaxis(np.diagonal(table), -1, 0))
