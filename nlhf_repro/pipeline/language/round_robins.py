"""From the cells of an experiment to what its complete rows did against each other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nlhf_repro.interfaces import (
    Array,
    FeatureOracle,
    ImpossibleSettingError,
    Prompt,
    RoundRobinRecord,
    RoundRobinSettings,
    RowRecord,
    ShownAnswer,
    ShownPrompt,
    TextOracle,
)
from nlhf_repro.pipeline.keys import is_language, reference_sample_key, sample_key
from nlhf_repro.pipeline.language.comparison import Rows, SeedComparison, read_comparison
from nlhf_repro.pipeline.language.comparison_stages import last_answers
from nlhf_repro.pipeline.language.responder import responder_language
from nlhf_repro.pipeline.language.task import LanguageTask, language_settings
from nlhf_repro.pipeline.records import DeclaredCell
from nlhf_repro.pipeline.store import StageStore

Units = Mapping[tuple[int, int], Rows]  # (seed, world) to the rows there
REFERENCE = "the reference"


def check_round_robin(cells: Sequence[DeclaredCell], settings: RoundRobinSettings) -> None:
    """Refuse rows that cannot meet.

    Raises:
        ImpossibleSettingError: games are played, the rows are judged by different oracles, start
            from different references, or a responder cannot be trained.
    """
    first = cells[0].config
    if not is_language(first):
        raise ImpossibleSettingError(
            "table.round_robin compares answers of language models, and policies play games here: "
            "set it to null, or take a duality gap."
        )
    for cell in cells:
        if cell.config["language"]["evaluation_samples"] < 2:
            raise ImpossibleSettingError(
                f"language.evaluation_samples = 1 of row {cell.row!r} leaves table.round_robin no "
                "pair of independent answers: set it to at least 2."
            )
        if cell.config["oracle"] != first["oracle"]:
            raise ImpossibleSettingError(
                f"table.round_robin compares rows by one oracle, and rows {cells[0].row!r} and "
                f"{cell.row!r} have different ones: set it to null, or give all rows one oracle."
            )
        if settings.trained is not None:
            responder_language(language_settings(cell.config))
    _check_references(cells)


def _check_references(cells: Sequence[DeclaredCell]) -> None:
    starts: dict[int, tuple[str, str]] = {}
    for cell in cells:
        key = reference_sample_key(cell.config)
        row, other = starts.setdefault(cell.world, (cell.row, key))
        if key != other:
            raise ImpossibleSettingError(
                f"table.round_robin sets rows against one reference and on one set of prompts, and "
                f"rows {row!r} and {cell.row!r} differ in model, prompts or language settings: set "
                "it to null, or give all rows the same."
            )


def complete_rows(records: Sequence[RowRecord]) -> tuple[list[str], dict[str, str]]:
    """The labels of rows whose declared seeds have all finished, and what each other row lacks."""
    lacking: dict[str, str] = {}
    for row in records:
        said = [f"failed: seed {seed}: {error}" for seed, error in sorted(row.failed.items())]
        if row.missing:
            said.append(f"missing: seeds {', '.join(map(str, row.missing))}")
        if said:
            lacking[row.label] = "; ".join(said)
    return [row.label for row in records if row.label not in lacking], lacking


def units(cells: Sequence[DeclaredCell], labels: Sequence[str]) -> Units:
    """The rows of these labels at every seed and world."""
    found: dict[tuple[int, int], dict[str, Any]] = {}
    for cell in cells:
        if cell.row in labels:
            found.setdefault((cell.seed, cell.world), {})[cell.row] = cell.config
    return found


def round_robin_record(
    cells: Sequence[DeclaredCell],
    records: Sequence[RowRecord],
    settings: RoundRobinSettings,
    store: StageStore,
) -> RoundRobinRecord | None:
    """What the complete rows did, from the store; None where no row is complete.

    Raises:
        NotComparedError: a stage of the comparison is absent or broken.
    """
    labels, lacking = complete_rows(records)
    if not labels:
        return None
    found = {
        at: read_comparison(rows, settings, store) for at, rows in units(cells, labels).items()
    }
    return record_of_units(labels, lacking, found, settings)


def record_of_units(
    labels: Sequence[str],
    lacking: Mapping[str, str],
    found: Mapping[tuple[int, int], SeedComparison],
    settings: RoundRobinSettings,
) -> RoundRobinRecord:
    """What rows of these labels did, from what they did at every (seed, world)."""
    seeds = tuple(dict.fromkeys(seed for seed, _ in found))
    worlds = tuple(dict.fromkeys(world for _, world in found))
    grid = [[found[seed, world] for world in worlds] for seed in seeds]
    only = grid[0][0]
    return RoundRobinRecord(
        labels=tuple(labels),
        left_out=lacking,
        seeds=seeds,
        clusters="prompts" if len(worlds) == 1 else "worlds",
        wins=np.array([_items([each.wins for each in row]) for row in grid]),
        bound=_gathered(grid, "bound"),
        half=only.half if len(worlds) == 1 else None,
        trained=_gathered(grid, "trained"),
        truth=_gathered(grid, "truth"),
        chosen={label: _counted(grid, label) for label in only.chosen},
        trained_settings=settings.trained,
    )


def _gathered(grid: Sequence[Sequence[SeedComparison]], name: str) -> Array | None:
    """A field of every seed, [seeds, rows, items]; None where it was not asked for."""
    if any(getattr(each, name) is None for row in grid for each in row):
        return None
    return np.array([_items([getattr(each, name) for each in row]) for row in grid])


def _items(worlds: Sequence[Array]) -> Array:
    """Values [..., prompts] of one world; of several their means over prompts, [..., worlds]."""
    if len(worlds) == 1:
        return worlds[0]
    return np.stack([each.mean(axis=-1) for each in worlds], axis=-1)


def _counted(grid: Sequence[Sequence[SeedComparison]], label: str) -> Counter[str]:
    return sum((each.chosen[label] for row in grid for each in row), Counter())


def shown_prompts(
    cells: Sequence[DeclaredCell],
    records: Sequence[RowRecord],
    count: int | None,
    store: StageStore,
) -> list[ShownPrompt]:
    """The first evaluation prompts of the first world, and one answer of the reference and a row.

    It is the first that the last policy of the first seed gave; `preferred` compares it with the
    reference's. A count of None shows all prompts.
    """
    first = cells[0]
    labels, _ = complete_rows(records)
    task = LanguageTask(first.config, None)
    prompts = task.prompts(task.settings.evaluation_split)
    rows = {x.row: x.config for x in cells if (x.seed, x.world) == (first.seed, first.world)}
    keys: dict[str, str | None] = {REFERENCE: reference_sample_key(first.config)}
    keys |= {row: sample_key(x) if row in labels else None for row, x in rows.items()}
    texts = {label: _stored(store, key, prompts, count) for label, key in keys.items()}
    oracle = task.oracle()
    answers = {
        label: _answers(label, oracle, prompts[:count], found, texts[REFERENCE])
        for label, found in texts.items()
    }
    return [
        ShownPrompt(
            identifier=prompt.identifier,
            text="\n".join(message.content for message in prompt.messages),
            answers=tuple(found[index] for found in answers.values()),
        )
        for index, prompt in enumerate(prompts[:count])
    ]


def _stored(
    store: StageStore, key: str | None, prompts: Sequence[Prompt], count: int | None
) -> list[str] | None:
    """The first answer to each of the first prompts; None where the samples lack or are broken."""
    if key is None or store.fault("sample", key) is not None:
        return None
    return [
        each[0] for each in last_answers(store.folder("sample", key), prompts).responses[:count]
    ]


def _answers(
    label: str,
    oracle: TextOracle,
    prompts: Sequence[Prompt],
    texts: Sequence[str] | None,
    reference: Sequence[str] | None,
) -> list[ShownAnswer]:
    """A row's answers with what the oracle reads of them and how it prefers them, where it tells.

    Only an oracle that reads features is asked: others may be models that are slow to load.
    """
    if texts is None:
        return [ShownAnswer(label, None, {})] * len(prompts)
    if not isinstance(oracle, FeatureOracle):
        return [ShownAnswer(label, text, {}) for text in texts]
    values = oracle.features(prompts, texts)
    preferred: list[float | None] = [None] * len(texts)
    if reference is not None and label != REFERENCE:
        preferred = [float(x) for x in oracle.preference(prompts, texts, reference)]
    return [
        ShownAnswer(label, text, dict(zip(oracle.feature_names, map(float, row), strict=True)), won)
        for text, row, won in zip(texts, values, preferred, strict=True)
    ]
