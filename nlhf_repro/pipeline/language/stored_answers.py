"""Answers to evaluation prompts as they lie in a folder, read without any part of the run."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from nlhf_repro.interfaces import RowRecord, ShownAnswer, ShownPrompt
from nlhf_repro.pipeline.cell import read_run, run_directory, stage_store
from nlhf_repro.pipeline.language.round_robins import REFERENCE, complete_rows
from nlhf_repro.pipeline.language.samples import first_samples
from nlhf_repro.pipeline.records import DeclaredCell

Texts = Mapping[str, str]  # by the prompt's identifier


def stored_prompts(
    cells: Sequence[DeclaredCell], records: Sequence[RowRecord], output_dir: Path
) -> list[ShownPrompt]:
    """The answers that `shown_prompts` has, to prompts of which only the identifier is known.

    A row that is complete and has no answers there is left out; without any answer there is none.
    """
    labels, _ = complete_rows(records)
    first = [x for x in cells if (x.seed, x.world) == (cells[0].seed, cells[0].world)]
    complete = [cell for cell in first if cell.row in labels]
    found: dict[str, Texts | None] = {}
    for cell in complete[:1]:
        found[REFERENCE] = _texts(cell, "reference_sample", output_dir)
    for cell in first:
        found[cell.row] = _texts(cell, "sample", output_dir) if cell in complete else None
    read = {label: texts for label, texts in found.items() if texts is not None}
    shown = [x for x in found if x in read or x not in (REFERENCE, *labels)]
    identifiers = dict.fromkeys(prompt for texts in read.values() for prompt in texts)
    return [
        ShownPrompt(
            identifier=prompt,
            text="",
            answers=tuple(
                ShownAnswer(label, read[label].get(prompt) if label in read else None, {})
                for label in shown
            ),
        )
        for prompt in identifiers
    ]


def without_answers(
    cells: Sequence[DeclaredCell], complete: Sequence[DeclaredCell], output_dir: Path
) -> list[str]:
    """The rows whose cell at the first seed and world is complete and has no answers there."""
    at = (cells[0].seed, cells[0].world)
    return [
        cell.row
        for cell in complete
        if (cell.seed, cell.world) == at and _whole(cell, "sample", output_dir) is None
    ]


def _texts(cell: DeclaredCell, stage: str, output_dir: Path) -> Texts | None:
    folder = _whole(cell, stage, output_dir)
    if folder is None:
        return None
    columns, rows = first_samples(folder, sys.maxsize)
    prompt, response = columns.index("prompt"), columns.index("response")
    return {str(row[prompt]): str(row[response]) for row in rows}


def _whole(cell: DeclaredCell, stage: str, output_dir: Path) -> Path | None:
    """The folder of answers that the cell's record names, where it is there and intact."""
    key = (read_run(run_directory(output_dir, cell.key)).get("stages") or {}).get(stage)
    store = stage_store(output_dir)
    if not isinstance(key, str) or store.fault("sample", key) is not None:
        return None
    return store.folder("sample", key)
