"""The table of an experiment's rows against each other, from a record of their meetings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np

from nlhf_repro.games import nash_equilibrium
from nlhf_repro.interfaces import Array, RoundRobinRecord
from nlhf_repro.reporting.cells import CHECKPOINT, Cell, Table, TableRow
from nlhf_repro.reporting.numbers import additive_interval, share_text
from nlhf_repro.reporting.round_robin_notes import round_robin_notes
from nlhf_repro.seeds import generator_for
from nlhf_repro.uncertainty import (
    Estimate,
    MaxT,
    bounded_interval,
    contrast_correlation,
    difference,
    estimate,
    halved_estimate,
    max_t,
)

REFERENCE = "the reference"
BOUND, TRAINED = "pool exploitability, at least", "trained response, at least"
TRUTH, TIGHTNESS, NASH = "enumerated exploitability", "tightness", "share in the Nash mixture"


@final
@dataclass(frozen=True)
class Family:
    """The pairs of rows, and what makes their intervals simultaneous where that can be told."""

    pairs: tuple[tuple[int, int], ...]
    adjusted: MaxT | None

    def p_value(self, row: int, column: int) -> float:
        """Adjusted, of a preference of 1/2; the same both ways round."""
        if self.adjusted is None:
            return float("nan")
        place = self.pairs.index((min(row, column), max(row, column)))
        return float(self.adjusted.p_values[place])


def render_round_robin(record: RoundRobinRecord, title: str, level: float) -> Table:
    """P(row over column) of the complete rows and the reference, and how exploitable each is.

    Rows that are not complete print what they lack, and enter no number.
    """
    names = (*record.labels, REFERENCE)
    family = family_of(record, level)
    shares = nash_shares(record)
    further = _further(record)
    rows = [
        TableRow(
            name,
            (
                *(_preference(record, family, level, row, column) for column in range(len(names))),
                *(_exploitability(record, header, row, level) for header in further),
                _share(shares, row),
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
        notes=tuple(round_robin_notes(record, family.adjusted, len(family.pairs), level)),
    )


def family_of(record: RoundRobinRecord, level: float) -> Family:
    """All unordered pairs tested against 1/2, adjusted by max-T where two of the items exist.

    The pairs' correlation is that of the items they share. A seed's part is taken as uncorrelated
    between pairs, whose few seeds do not tell it: correlation would only narrow the intervals.
    Measured on four entrants (1,000 simulations; seed and prompt variance alike or one of them
    small), all intervals at once hold the truth in 76 % with 2 seeds, 87 to 95 % with 3, 91 to 94 %
    with 5 and 96 % with 10: at such confidences the engine's few degrees of freedom show. Two seeds
    therefore get no simultaneous intervals, and a note says this of fewer than ten.
    """
    size = record.wins.shape[1]
    pairs = tuple((i, j) for i in range(size) for j in range(i + 1, size))
    nested = record.clusters == "worlds"
    if record.wins.shape[-1] < 2 or (len(record.seeds) == 2 and not nested):
        return Family(pairs, None)
    tables = [record.wins[:, i, j] for i, j in pairs]
    even = np.full((1, record.wins.shape[-1]), 0.5)
    raw = [difference(x, even, deterministic=(False, True), nested=nested).p_value for x in tables]
    if np.isnan(raw).all():
        return Family(pairs, None)
    correlation = contrast_correlation(tables, np.eye(len(pairs)), nested=nested)
    stream = generator_for("round robin", "max-T")
    return Family(pairs, max_t(raw, correlation, stream, level))


def nash_shares(record: RoundRobinRecord) -> Array:
    """The Nash equilibrium of the rows' mean preferences, [rows]; the reference is left out."""
    rows = len(record.labels)
    mean = record.wins[:, :rows, :rows].mean(axis=(0, -1))
    if rows == 1:
        return np.ones(1)
    return nash_equilibrium((mean + 1 - mean.T) / 2)


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
    confidence = level if family.adjusted is None else family.adjusted.pointwise_confidence
    found = _estimated(record, record.wins[:, row, column], confidence)
    lower, upper = bounded_interval(found, 0.0, 1.0)
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
        else _estimated(record, values[:, row], level)
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


def _share(shares: Sequence[float] | Array, row: int) -> Cell:
    if row >= len(shares):
        return Cell("-")
    return Cell(share_text(round(float(shares[row]), 6)), float(shares[row]))


def _estimated(record: RoundRobinRecord, values: Array, confidence: float) -> Estimate:
    return estimate(values, confidence=confidence, nested=record.clusters == "worlds")


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
