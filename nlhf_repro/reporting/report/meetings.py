"""What the table of the rows against each other says, in sentences, and where its matrix stands."""

from __future__ import annotations

from collections.abc import Iterator

from nlhf_repro.interfaces import RoundRobinRecord
from nlhf_repro.reporting.answers import Answer
from nlhf_repro.reporting.cells import Cell, Table
from nlhf_repro.reporting.numbers import p_value_text
from nlhf_repro.reporting.report.encoding import Json
from nlhf_repro.reporting.round_robin import NASH
from nlhf_repro.reporting.round_robin_family import REFERENCE


def matrix_json(record: RoundRobinRecord, table: Table) -> Json:
    """The entrants, in the order of the matrix, and the columns in which its numbers stand."""
    names = [*record.labels, REFERENCE]
    return {
        "names": names,
        "columns": [table.header.index(f"over {name}") - 1 for name in names],
        "nash": table.header.index(NASH) - 1,
    }


def meeting_answers(record: RoundRobinRecord, table: Table, level: float) -> list[Answer]:
    """A sentence for every pair of rows and for the mixture that no row beats."""
    return [*_pairs(record, table, level), Answer("none", _mixture(record, table))]


def _pairs(record: RoundRobinRecord, table: Table, level: float) -> Iterator[Answer]:
    names = [*record.labels, REFERENCE]
    pairs = len(names) * (len(names) - 1) // 2
    for first, row in enumerate(names):
        for second in range(first + 1, len(names)):
            cell = table.rows[first].cells[second]
            yield _pair(row, names[second], cell, pairs, level)


def _pair(row: str, other: str, cell: Cell, pairs: int, level: float) -> Answer:
    if cell.level == "checkpoint":
        return Answer(
            "checkpoint",
            f"No claim about {row} against {other}: a second training seed lacks. These runs' "
            f"answers are preferred with {cell.text}.",
        )
    said = f"{cell.text} ({p_value_text(cell.p_value)}, max-T over {pairs} pairs)"
    if cell.p_value < 1 - level:
        pair = (row, other) if cell.estimate > 0.5 else (other, row)
        return Answer(
            "different", f"{pair[0]} is preferred to {pair[1]}: P({row} over {other}) = {said}."
        )
    if cell.p_value != cell.p_value:
        return Answer(
            "undecided",
            f"{row} against {other} is not tested: P = {cell.text}, an interval by itself.",
        )
    return Answer(
        "undecided",
        f"{row} and {other} cannot be told apart: P({row} over {other}) = {said}.",
    )


def _mixture(record: RoundRobinRecord, table: Table) -> str:
    place = table.header.index(NASH) - 1
    shares = [
        f"{row.label} {row.cells[place].text}"
        for row in table.rows[: len(record.labels)]
        if row.cells[place].estimate > 0
    ]
    return (
        f"The mixture that no row beats on average: {', '.join(shares)}; a point estimate without "
        "an interval."
    )
