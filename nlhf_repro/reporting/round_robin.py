"""The table of an experiment's rows against each other, from a record of their meetings."""

from __future__ import annotations

from nlhf_repro.interfaces import RoundRobinRecord
from nlhf_repro.reporting.cells import CHECKPOINT, Cell, Table, TableRow
from nlhf_repro.reporting.numbers import additive_interval
from nlhf_repro.reporting.round_robin_family import (
    REFERENCE,
    Family,
    estimated,
    family_of,
    preference_interval,
)
from nlhf_repro.reporting.round_robin_mixture import nash_mixture, share_cell
from nlhf_repro.reporting.round_robin_notes import round_robin_notes
from nlhf_repro.uncertainty import Estimate, halved_estimate

BOUND, TRAINED = "pool exploitability, at least", "trained response, at least"
TRUTH, TIGHTNESS, NASH = "enumerated exploitability", "tightness", "share in the Nash mixture"


def render_round_robin(record: RoundRobinRecord, title: str, level: float) -> Table:
    """P(row over column) of the complete rows and the reference, and how exploitable each is.

    Rows that are not complete print what they lack, and enter no number.
    """
    names = (*record.labels, REFERENCE)
    family = family_of(record, level)
    mixture = nash_mixture(record, family, level)
    further = _further(record)
    rows = [
        TableRow(
            name,
            (
                *(_preference(record, family, level, row, column) for column in range(len(names))),
                *(_exploitability(record, header, row, level) for header in further),
                share_cell(mixture, row),
            ),
        )
        for row, name in enumerate(names)
    ]
    lacking = [
        TableRow(label, (Cell(said.partition(":")[0]),) * (len(names) + len(further) + 1))
        for label, said in record.left_out.items()
    ]
    return Table(
        title=f"{title}: every row against every other",
        caption=(
            "How often the true oracle prefers the row's answers to the column's, both orders "
            "averaged; what the best of a pool of opponents gains over the row; and the mixture of "
            "rows that no row beats."
            if record.bound is not None
            else "How often the true oracle prefers the row's answers to the column's, both orders "
            "averaged, and the mixture of rows that no row beats."
        ),
        header=("row", *(f"over {name}" for name in names), *further, NASH),
        rows=(*rows, *lacking),
        notes=tuple(round_robin_notes(record, family, mixture, level)),
    )


def _further(record: RoundRobinRecord) -> tuple[str, ...]:
    """The headers behind the matrix, as far as the record has their values."""
    found = {BOUND: record.bound, TRAINED: record.trained, TRUTH: record.truth}
    present = [header for header, values in found.items() if values is not None]
    tight = record.bound is not None and record.truth is not None
    return (*present, *((TIGHTNESS,) if tight else ()))


def _preference(
    record: RoundRobinRecord, family: Family, level: float, row: int, column: int
) -> Cell:
    if row == column:
        return Cell("-")
    found, lower, upper = preference_interval(record, family, level, row, column)
    cell = _cell(found, additive_interval(found.estimate, lower, upper), lower, upper)
    p_value = float("nan") if found.level == "checkpoint" else family.p_value(row, column)
    return Cell(**{**vars(cell), "p_value": p_value})


def _exploitability(record: RoundRobinRecord, header: str, row: int, level: float) -> Cell:
    if row == len(record.labels):
        return Cell("-")
    if header == TIGHTNESS:
        return _tightness(record, row)
    values = {BOUND: record.bound, TRAINED: record.trained, TRUTH: record.truth}[header]
    assert values is not None
    found = (
        halved_estimate(values[:, row], record.half, level)
        if header == BOUND and record.half is not None
        else estimated(record, values[:, row], level)
    )
    text = additive_interval(found.estimate, found.lower, found.upper)
    return _cell(found, text, found.lower, found.upper)


def _tightness(record: RoundRobinRecord, row: int) -> Cell:
    """The bound over the truth, which has no meaning where there is nothing to exploit."""
    assert record.bound is not None and record.truth is not None
    bound, truth = (float(x[:, row].mean()) for x in (record.bound, record.truth))
    if truth <= 0:
        return Cell("nothing to exploit")
    return Cell(f"{bound / truth:.0%}", bound / truth)


def _cell(found: Estimate, text: str, lower: float, upper: float) -> Cell:
    cell = Cell(
        text,
        found.estimate,
        lower,
        upper,
        seeds=found.seeds,
        clusters=found.clusters,
        level=found.level,
    )
    return cell.marked(CHECKPOINT) if found.level == "checkpoint" else cell
