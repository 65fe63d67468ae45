"""Comparing rows: who may be compared with whom, and one family of adjusted p-values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf, nan
from typing import Literal, Protocol, runtime_checkable

import numpy as np

from nlhf_repro.interfaces import ImpossibleSettingError, RowRecord
from nlhf_repro.reporting.cells import CHECKPOINT, INCOMPLETE, Cell, RefusedCell
from nlhf_repro.reporting.numbers import p_value_text
from nlhf_repro.reporting.series import Axis, axis_counts, own_label
from nlhf_repro.uncertainty import holm

SeedDesign = Literal["independent", "matched"]


@runtime_checkable
class Column(Protocol):
    """What a table prints of every row; any importable class with these members can be a column."""

    @property
    def header(self) -> str:
        """The column's title, by which the primary comparison finds it."""
        ...

    def cell(self, row: RowRecord, confidence: float) -> Cell:
        """The cell of a row with finished seeds; RefusedCell where the records do not give one."""
        ...

    def explanation(self, confidence: float, clusters: str = "games") -> str:
        """One sentence for the notes: what the number is and where its interval comes from.

        `clusters` is the plural noun of what a row's items are: games, prompts or worlds.
        """
        ...


@runtime_checkable
class ComparableColumn(Column, Protocol):
    """A column whose rows can be compared, paired by game, prompt or world."""

    @property
    def across_regularization(self) -> bool:
        """Whether the value means the same at every regularization."""
        ...

    def compare(
        self, row: RowRecord, baseline: RowRecord, matched: bool, confidence: float
    ) -> Cell:
        """Row against baseline, with the unadjusted p-value (NaN at checkpoint level)."""
        ...

    def comparison_explanation(self, clusters: str = "games") -> str:
        """What the comparison's number is: a ratio, or a difference."""
        ...


@dataclass(frozen=True)
class Primary:
    """The comparison declared beforehand: every row against its baseline, in one Holm family.

    Attributes:
        column: Header of the compared column.
        against: The baseline's label; or several, of which a row meets the one with its own
            regularization; or None for no comparison. On a grid it is the label without the point,
            and a row meets the baseline at its own point.
        seeds: The experiment's seed design, which decides the variance of a difference.
    """

    column: str
    against: str | tuple[str, ...] | None
    seeds: SeedDesign

    @property
    def baselines(self) -> tuple[str, ...]:
        """Labels of the rows that others are compared with."""
        if self.against is None:
            return ()
        return (self.against,) if isinstance(self.against, str) else self.against

    def is_baseline(self, row: RowRecord) -> bool:
        """Whether other rows are compared with this one."""
        return own_label(row) in self.baselines


def is_complete(row: RowRecord) -> bool:
    """Whether every declared seed has finished."""
    return bool(row.seeds) and not row.missing and not row.failed


def comparison_cells(
    rows: Sequence[RowRecord], column: ComparableColumn, primary: Primary, confidence: float
) -> list[Cell]:
    """One cell a row; p-values are adjusted by Holm over all comparisons that have one.

    Raises:
        ImpossibleSettingError: a baseline is no row of the experiment.
    """
    labels = dict.fromkeys(map(own_label, rows))
    for name in primary.baselines:
        if name not in labels:
            raise ImpossibleSettingError(
                f"table.primary.against names '{name}', which is no row: choose among "
                f"{'; '.join(labels)}."
            )
    cells = [_comparison(row, rows, column, primary, confidence) for row in rows]
    # The family is what the table declares: what is refused or incomplete must not shrink it.
    declared = [
        1.0 if np.isnan(cell.p_value) and not primary.is_baseline(row) else cell.p_value
        for row, cell in zip(rows, cells, strict=True)
    ]
    adjusted = holm(declared)
    return [_with_p_value(cell, float(p)) for cell, p in zip(cells, adjusted, strict=True)]


def _comparison(
    row: RowRecord,
    rows: Sequence[RowRecord],
    column: ComparableColumn,
    primary: Primary,
    confidence: float,
) -> Cell:
    if primary.is_baseline(row):
        return Cell("baseline")
    try:
        baseline = baseline_of(row, rows, column, primary)
        check_pair(row, baseline, primary)
        return column.compare(row, baseline, primary.seeds == "matched", confidence)
    except RefusedCell as refusal:
        return Cell(str(refusal))


def baseline_of(
    row: RowRecord, rows: Sequence[RowRecord], column: ComparableColumn, primary: Primary
) -> RowRecord:
    """The row that a row is compared with.

    Raises:
        RefusedCell: none fits, or several do.
    """
    baselines = [other for other in rows if primary.is_baseline(other)]
    candidates = [other for other in baselines if other.grid_point == row.grid_point]
    if len(candidates) > 1 or not column.across_regularization:
        same = [other for other in candidates if other.regularization == row.regularization]
        if not same:
            raise RefusedCell(f"refused: no baseline with regularization {row.regularization:g}")
        candidates = same
    if len(candidates) > 1:
        raise RefusedCell("refused: several baselines fit")
    return candidates[0]


def check_pair(row: RowRecord, baseline: RowRecord, primary: Primary) -> None:
    """Refuse rows that are incomplete, or whose matched seeds differ.

    Raises:
        RefusedCell: says which.
    """
    for side in (row, baseline):
        if not is_complete(side):
            name = "row" if side is row else "baseline"
            raise RefusedCell(f"no comparison: {name} incomplete{INCOMPLETE}")
    exact = row.deterministic or baseline.deterministic
    if primary.seeds == "matched" and not exact and row.seeds != baseline.seeds:
        raise RefusedCell("refused: matched seeds differ")


def budget_ratios(
    rows: Sequence[RowRecord], column: ComparableColumn, primary: Primary, axis: Axis
) -> dict[float, list[str]]:
    """Labels of compared rows by their whole run's count over the baseline's, where not equal."""
    ratios: dict[float, list[str]] = {}
    for row in rows:
        try:
            baseline = baseline_of(row, rows, column, primary)
            check_pair(row, baseline, primary)
        except RefusedCell:
            continue
        spent, allowed = (float(axis_counts(side, axis)[-1]) for side in (row, baseline))
        if spent != allowed:
            ratio = spent / allowed if allowed else inf
            ratios.setdefault(ratio, []).append(row.label)
    return ratios


def _with_p_value(cell: Cell, adjusted: float) -> Cell:
    """The comparison's text with its adjusted p-value; a checkpoint-level one claims none."""
    if cell.level == "checkpoint":
        return replace(cell, p_value=nan).marked(CHECKPOINT)
    if cell.level == "":
        return cell
    return replace(cell, text=f"{cell.text}, {p_value_text(adjusted)}", p_value=adjusted)
