"""Columns of printed numbers behind ours, and what they say of ours."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import isfinite
from typing import Protocol, runtime_checkable

from nlhf_repro.interfaces import RowRecord
from nlhf_repro.reporting.cells import Cell, RefusedCell, TableRow, joined
from nlhf_repro.reporting.comparison import Column, ComparableColumn, is_complete
from nlhf_repro.reporting.numbers import additive_interval
from nlhf_repro.reporting.published_numbers import PublishedNumber
from nlhf_repro.reporting.published_specification import PublishedSpecification
from nlhf_repro.reporting.series import singular
from nlhf_repro.uncertainty import Difference, Prediction

ELSEWHERE = "§"
SHARES = ("share", "probability")


@runtime_checkable
class PredictableColumn(ComparableColumn, Protocol):
    """A column of means, which a printed number can stand beside."""

    def prediction(self, row: RowRecord, confidence: float) -> Prediction:
        """The interval of one new run of the row; RefusedCell where the records give no mean."""
        ...

    def difference(
        self, row: RowRecord, baseline: RowRecord, matched: bool, confidence: float
    ) -> Difference:
        """The row's mean minus the baseline's."""
        ...


def published_header(header: str) -> str:
    """The header of the column that stands behind ours."""
    return f"published {header}"


def with_published(
    columns: dict[str, list[Cell]],
    headers: dict[str, PredictableColumn],
    rows: Sequence[RowRecord],
    specification: PublishedSpecification,
    confidence: float,
) -> dict[str, list[Cell]]:
    """The columns, each of `headers` with the paper's behind it."""
    result: dict[str, list[Cell]] = {}
    for header, cells in columns.items():
        result[header] = cells
        if header in headers:
            result[published_header(header)] = [
                _cell(row, header, headers[header], specification, confidence) for row in rows
            ]
    return result


def rows_not_run(header: Sequence[str], specification: PublishedSpecification) -> list[TableRow]:
    """A line for every row of the paper that is not run: why, and what the paper prints."""
    return [
        TableRow(f"{row} (paper)", tuple(_not_run(row, header, specification)), published=True)
        for row in specification.not_run
    ]


def _not_run(
    row: str, header: Sequence[str], specification: PublishedSpecification
) -> Iterator[Cell]:
    theirs = {published_header(ours): ours for ours in specification.columns}
    said = False
    yield Cell("-")
    for name in header[2:]:
        if name in theirs:
            yield _printed(specification.number(row, theirs[name]), specification)
        else:
            yield Cell("-" if said else f"not run: {specification.not_run[row]}")
            said = True


def _cell(
    row: RowRecord,
    header: str,
    column: PredictableColumn,
    specification: PublishedSpecification,
    confidence: float,
) -> Cell:
    if row.label not in specification.rows:
        return Cell("-")
    number = specification.number(specification.rows[row.label], header)
    printed = _printed(number, specification)
    if number is None or not specification.comparable:
        return printed
    try:
        prediction = _prediction(row, column, number, confidence)
    except RefusedCell as refusal:
        return Cell(f"{printed.text} (no interval: {refusal})", printed.estimate, note=printed.note)
    low, high = prediction.lower - number.half_digit, prediction.upper + number.half_digit
    side = "inside" if low <= number.number <= high else "outside"
    ends = (prediction.estimate, prediction.lower, prediction.upper)
    interval = additive_interval(*ends).partition(" ")[2]
    return Cell(
        f"{printed.text} {side} {interval}",
        number.number,
        prediction.lower,
        prediction.upper,
        note=joined(printed.note, prediction.note),
    )


def _printed(number: PublishedNumber | None, specification: PublishedSpecification) -> Cell:
    if number is None:
        return Cell("not printed")
    beside = f"printed with {number.uncertainty}" if number.uncertainty else ""
    mark = "" if specification.comparable else ELSEWHERE
    return Cell(number.value + mark, number.number, note=joined(beside, number.note))


def _prediction(
    row: RowRecord, column: PredictableColumn, number: PublishedNumber, confidence: float
) -> Prediction:
    """The interval of a new run of ours.

    Raises:
        RefusedCell: there is none, or the units are plainly not the same.
    """
    if not is_complete(row):
        raise RefusedCell("row incomplete")
    found = column.prediction(row, confidence)
    if not isfinite(found.lower):
        raise RefusedCell("one seed")
    share = number.unit.startswith(SHARES)
    as_share = number.unit == "%" and found.estimate <= 1 < number.number
    if as_share or (share and found.estimate > 1):
        raise RefusedCell(f"ours is not in the paper's unit, {number.unit}")
    return found


def published_notes(
    columns: Sequence[Column],
    rows: Sequence[RowRecord],
    specification: PublishedSpecification,
    confidence: float,
    clusters: str,
) -> Iterator[str]:
    """What the printed columns are, and how far they may be held against ours."""
    for column in columns:
        if column.header in specification.columns:
            yield _source(column.header, rows, specification)
    yield comparability_note(specification, confidence, clusters)


def comparability_note(
    specification: PublishedSpecification, confidence: float, clusters: str
) -> str:
    """How far the printed numbers may be held against ours."""
    if not specification.comparable:
        return (
            f"{ELSEWHERE} published at another scale: not comparable ({specification.reason}). "
            "Only the order of the rows is set against ours."
        )
    caveat = f" {specification.reason.strip().rstrip('.')}." if specification.reason.strip() else ""
    return (
        "inside, outside: whether the printed value, to its last digit, lies in the "
        f"{confidence:.0%} prediction interval of one new run on the same {clusters}: run-to-run "
        f"variance of a mean over these {clusters} times 1 + 1/K (Student's t, K - 1), and the "
        f"judge's where it was drawn several times; what a {singular(clusters)} adds is common to "
        f"both. Judges drift: a newer version of the paper's judge may score otherwise.{caveat}"
    )


def _source(header: str, rows: Sequence[RowRecord], specification: PublishedSpecification) -> str:
    theirs = [*specification.rows.values(), *specification.not_run]
    numbers = [x for x in (specification.number(row, header) for row in theirs) if x is not None]
    said = {
        "": [x.version for x in numbers],
        "judge ": [x.judge for x in numbers],
        "in ": [x.unit for x in numbers],
        "source: ": [x.trust for x in numbers],
    }
    parts = [
        word + " or ".join(found)
        for word, values in said.items()
        if (found := [x for x in dict.fromkeys(values) if x])
    ]
    if not any(x.judge for x in numbers):
        parts.insert(1, "judge not recorded")
    return (
        f"{published_header(header)}: {specification.columns[header]} in {specification.source} "
        f"({'; '.join(parts)})."
    )
