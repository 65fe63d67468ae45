"""What verbs print of an experiment, wherever its records lie."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from nlhf_repro.interfaces import RoundRobinRecord, RowRecord, ShownPrompt
from nlhf_repro.pipeline.records import DeclaredCell
from nlhf_repro.reporting import TableSpecification
from nlhf_repro.reporting.report import Origin, SampleSet


class Printed(Protocol):
    """What is printed of an experiment: of the output folder's, or of one that bundles hold."""

    @property
    def name(self) -> str:
        """What its files are called."""
        ...

    @property
    def output_dir(self) -> Path:
        """Where its runs lie."""
        ...

    @property
    def tables(self) -> Path:
        """The folder of its tables."""
        ...

    @property
    def specification(self) -> TableSpecification:
        """How its table is printed."""
        ...

    @property
    def changes(self) -> tuple[str, ...]:
        """Overrides that make it another experiment than the declared one."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """What stands first below every table of it."""
        ...

    @property
    def origin(self) -> Origin:
        """What a report says of where its records come from."""
        ...

    @property
    def declared(self) -> list[DeclaredCell]:
        """Its cells, run or not."""
        ...

    def records(self) -> list[RowRecord]:
        """Its rows, as far as they are there."""
        ...

    def round_robin(self, records: Sequence[RowRecord]) -> RoundRobinRecord | None:
        """What its complete rows did against each other; None without a complete row.

        Raises:
            NotComparedError: that is not there.
        """
        ...

    def shown(self, records: Sequence[RowRecord]) -> list[ShownPrompt]:
        """As many prompts as its table asks for, with every row's answers; none without texts."""
        ...

    def samples(self, records: Sequence[RowRecord]) -> tuple[SampleSet, ...]:
        """All prompts with every row's answers, as a report shows them; none without texts."""
        ...
