"""What a report shows of an experiment, gathered from the records before anything is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

from nlhf_repro.interfaces import RoundRobinRecord, RowRecord, ShownPrompt
from nlhf_repro.reporting.specification import TableSpecification


@final
@dataclass(frozen=True)
class CellFacts:
    """A declared cell and its run.json, `run`; empty where it was never started."""

    row: str
    seed: int
    world: int
    key: str
    complete: bool
    run: Mapping[str, Any]

    @property
    def status(self) -> str:
        """`complete` only where every stage is intact; `broken` where the record alone says so."""
        if self.complete:
            return "complete"
        said = str(self.run.get("status", "missing"))
        return "broken" if said == "complete" else said


@final
@dataclass(frozen=True)
class SampleSet:
    """Prompts and what every row answers to them.

    `note` says which answers these are; `compared_with` what the answers' `preferred` is about,
    empty where nobody said.
    """

    title: str
    note: str
    compared_with: str
    prompts: tuple[ShownPrompt, ...]


@final
@dataclass(frozen=True)
class Origin:
    """Where records come from, other than the output folder of this machine.

    Attributes:
        sources: What was merged, a line each: its name, its SHA-256, what it has; of an output
            folder alone none.
        notes: What merging has to say of the numbers, a sentence each.
        unheld: What a report of an output folder shows and the sources do not hold, a sentence
            each.
    """

    sources: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    unheld: tuple[str, ...] = ()


@final
@dataclass(frozen=True)
class Material:
    """Everything that a section of the report shows.

    Attributes:
        name: Of the experiment, and of its files.
        asked: The paragraphs with which the experiment's file states its question.
        command: What computes the experiment, as it is typed after `nlhf reproduce`.
        report: What writes this section, as it is typed after `nlhf report`.
        changes: Overrides that make it another experiment than the declared one.
        specification: Of its table.
        records: Its rows.
        logged: The rows with what was logged while they trained in place of benchmarks' values.
        round_robin: The rows against each other; None where that was not asked for or lacks.
        lacking: What lacks beside cells, a sentence each.
        samples: What the rows answer.
        cells: The declared cells.
        origin: Where the records come from.
    """

    name: str
    asked: tuple[str, ...]
    command: str
    report: str
    changes: tuple[str, ...]
    specification: TableSpecification
    records: tuple[RowRecord, ...]
    logged: tuple[RowRecord, ...]
    round_robin: RoundRobinRecord | None
    lacking: tuple[str, ...]
    samples: tuple[SampleSet, ...]
    cells: tuple[CellFacts, ...]
    origin: Origin = Origin()
