"""The answer to every declared comparison, in one sentence that claims what its cell does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import exp, isfinite
from typing import Literal, final

from nlhf_repro.interfaces import RowRecord
from nlhf_repro.reporting.cells import CHECKPOINT, INCOMPLETE, Cell, RefusedCell, Table
from nlhf_repro.reporting.columns import GeometricMeanGap, MeanValue
from nlhf_repro.reporting.comparison import ComparableColumn, Primary, baseline_of
from nlhf_repro.reporting.numbers import additive_interval, p_value_text, plain, positive_interval
from nlhf_repro.reporting.series import cluster_noun, collapse_exact
from nlhf_repro.reporting.specification import COMPARISON, TableSpecification
from nlhf_repro.reporting.table import render_table
from nlhf_repro.uncertainty import Inference, detectable_difference

POWER = 0.8
EXPLOITABILITY = "oracle_exploitability"
Kind = Literal["different", "undecided", "checkpoint", "refused", "none"]


@final
@dataclass(frozen=True)
class Answer:
    """`kind` says what the sentence amounts to, `row` and `baseline` of whom it speaks.

    `p_value` is the adjusted one in words; all three are empty where no single row is compared.
    """

    kind: Kind
    text: str
    row: str = ""
    baseline: str = ""
    p_value: str = ""


@final
@dataclass(frozen=True)
class _Asked:
    """One comparison: its cell, and the family that its p-value was adjusted over."""

    row: RowRecord
    baseline: RowRecord
    cell: Cell
    column: ComparableColumn
    primary: Primary
    level: float
    family: int

    @property
    def names(self) -> tuple[str, str]:
        """The row's label and its baseline's."""
        return self.row.label, self.baseline.label

    @property
    def p_value(self) -> str:
        """Adjusted, and over how many."""
        many = f"Holm over {self.family} comparisons" if self.family > 1 else "one comparison"
        return f"{self.bare_p_value}, {many}"

    @property
    def bare_p_value(self) -> str:
        """Adjusted, as the table prints it."""
        return p_value_text(self.cell.p_value)


def table_answers(records: Sequence[RowRecord], specification: TableSpecification) -> list[Answer]:
    """The answers to what the table of these records compares."""
    by_row = replace(specification, grid_points="rows")
    rows = [collapse_exact(row) for row in records]
    return comparison_answers(rows, render_table(records, by_row), specification)


def comparison_answers(
    rows: Sequence[RowRecord], lines: Table, specification: TableSpecification
) -> list[Answer]:
    """One answer for every row that the table's primary comparison compares.

    Args:
        rows: Those behind the lines, exact ones collapsed.
        lines: The table with a line a row, whose comparison cells the sentences put into words;
            lines of a paper's rows that were not run may follow.
        specification: Of the table.
    """
    primary, column = specification.primary, specification.compared
    if primary is None or column is None or not primary.baselines:
        return [
            Answer(
                "none",
                "This experiment declares no comparison beforehand: its tables describe what was "
                "found, and no difference in them was tested.",
            )
        ]
    place = lines.header.index(COMPARISON) - 1
    compared = [
        (row, line.cells[place])
        for row, line in zip(rows, lines.rows, strict=False)
        if not primary.is_baseline(row)
    ]
    answers = []
    for row, cell in compared:
        try:
            baseline = baseline_of(row, rows, column, primary)
        except RefusedCell:
            answers.append(_refused(row.label, "; ".join(primary.baselines), cell))
            continue
        asked = _Asked(row, baseline, cell, column, primary, specification.level, len(compared))
        answers.append(_answer(asked))
    return answers


def _answer(asked: _Asked) -> Answer:
    if asked.cell.level == "":
        return _refused(*asked.names, asked.cell)
    if asked.cell.level == "checkpoint":
        return _of_two_runs(asked)
    if asked.cell.p_value < 1 - asked.level:
        return Answer("different", f"{_differs(asked)} ({asked.p_value}).", *_about(asked))
    return Answer("undecided", " ".join(_undecided(asked)), *_about(asked))


def _about(asked: _Asked) -> tuple[str, str, str]:
    return *asked.names, asked.bare_p_value


def _refused(row: str, baseline: str, cell: Cell) -> Answer:
    reason = cell.text.strip(INCOMPLETE + CHECKPOINT).removeprefix("refused: ")
    reason = reason.removeprefix("no comparison: ")
    return Answer("refused", f"{row} is not compared with {baseline}: {reason}.")


def _of_two_runs(asked: _Asked) -> Answer:
    noun = cluster_noun([asked.row])
    return Answer(
        "checkpoint",
        f"No claim about {asked.names[0]} against {asked.names[1]}: a second training seed lacks. "
        f"Between these runs, {asked.column.header} compares as {_shown(asked.cell, asked)} "
        f"(interval over {noun} only).",
    )


def _differs(asked: _Asked) -> str:
    """The row's side of a difference that is shown."""
    (row, baseline), cell, header = asked.names, asked.cell, asked.column.header
    if is_ratio(asked.column):
        text = positive_interval(cell.estimate, cell.lower, cell.upper)
        return f"{header} of {row} is {text} times that of {baseline}"
    if not isinstance(asked.column, MeanValue):
        return f"{row} differs from {baseline} in {header}: {cell.text}"
    bounds = (cell.estimate, cell.lower, cell.upper)
    if cell.estimate < 0:
        bounds = (-cell.estimate, -cell.upper, -cell.lower)
    text = additive_interval(*bounds)
    more = cell.estimate > 0
    if asked.column.benchmark.startswith(EXPLOITABILITY):
        return f"{row} is {'more' if more else 'less'} exploitable than {baseline} by {text}"
    return f"{header} of {row} is {'higher' if more else 'lower'} than that of {baseline} by {text}"


def _undecided(asked: _Asked) -> Iterator[str]:
    row, baseline = asked.names
    cell = asked.cell
    kind = "ratio" if is_ratio(asked.column) else "difference"
    text = _shown(cell, asked)
    middle, _, ends = text.partition(" [")
    yield f"{row} and {baseline} cannot be told apart in {asked.column.header} ({asked.p_value}):"
    if not ends:
        yield f"the {kind} is {middle}, without an interval."
        return
    low, _, high = ends.partition("]")[0].partition(", ")
    yield f"the {kind} is {middle}, its interval reaches from {low} to {high}."
    neutral = 1.0 if is_ratio(asked.column) else 0.0
    if not cell.lower <= neutral <= cell.upper:
        yield (
            f"Taken alone it would leave {neutral:g} out; in the family of {asked.family} it is no "
            "finding."
        )
    yield from _within_reach(asked)


def _within_reach(asked: _Asked) -> Iterator[str]:
    """The smallest difference that a comparison as precise as this one finds."""
    found = _inference(asked)
    if found is None:
        return
    least = detectable_difference(found, POWER, (1 - asked.level) / asked.family)
    if not isfinite(least) or least <= 0:
        return
    possible = getattr(asked.column, "possible_differences", None)
    if possible is not None and least > possible[1]:
        yield f"At the variance measured here no possible difference has {POWER:.0%} power."
        return
    if is_ratio(asked.column):
        size = f"ratio of {plain(exp(least))} (or of {plain(exp(-least))})" if least < 50 else ""
    else:
        size = f"difference of {plain(least)}"
    if size:
        yield (
            f"At the variance measured here, a true {size} would have been found with "
            f"{POWER:.0%} power."
        )


def _inference(asked: _Asked) -> Inference | None:
    """What the comparison's cell prints, with its standard error."""
    matched, column = asked.primary.seeds == "matched", asked.column
    if isinstance(column, GeometricMeanGap):
        return column.ratio(asked.row, asked.baseline, matched, asked.level).on_log_scale
    if isinstance(column, MeanValue):
        return column.difference(asked.row, asked.baseline, matched, asked.level)
    return None


def _shown(cell: Cell, asked: _Asked) -> str:
    """The number and its interval as the table writes them, without p-value and marks."""
    if is_ratio(asked.column):
        return positive_interval(cell.estimate, cell.lower, cell.upper)
    return additive_interval(cell.estimate, cell.lower, cell.upper, sign=True)


def is_ratio(column: object) -> bool:
    """Whether a comparison of this column is a multiple, whose neutral value is 1."""
    return isinstance(column, GeometricMeanGap)
