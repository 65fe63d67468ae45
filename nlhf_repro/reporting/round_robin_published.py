"""A paper's matrix of preferences beside ours, pair by pair: who is preferred there, and here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import combinations
from typing import Literal, final

import numpy as np

from nlhf_repro.interfaces import RoundRobinRecord
from nlhf_repro.reporting.cells import Cell, Table, TableRow
from nlhf_repro.reporting.numbers import additive_interval
from nlhf_repro.reporting.published_matrix import PublishedMatrix
from nlhf_repro.reporting.published_numbers import PublishedNumber
from nlhf_repro.reporting.round_robin_family import (
    REFERENCE,
    Family,
    family_of,
    preference_interval,
)

Outcome = Literal["agrees", "reversed", "undecided", "no ordering", "not compared"]
ORDERED: tuple[Outcome, ...] = ("agrees", "reversed", "undecided", "not compared")
HALF = Decimal("0.5")


@final
@dataclass(frozen=True)
class PublishedPair:
    """Two rows that meet in the paper; where it orders them, the one that it prefers is first."""

    first: str  # our labels
    second: str
    printed: tuple[Decimal, ...]  # probabilities that the first is preferred
    numbers: tuple[PublishedNumber, ...]
    outcome: Outcome
    ours: Cell


def render_published_matrix(
    record: RoundRobinRecord, matrix: PublishedMatrix, title: str, level: float
) -> Table:
    """Every pair of rows that the paper's matrix has, with what it prints and what ours is."""
    pairs = published_pairs(record, matrix, level)
    return Table(
        title=f"{title}: published preferences beside ours",
        caption=(
            "How often the first of two is preferred to the second, in the paper and here. Only "
            "the order is compared, since the numbers are of other models, prompts and judges."
        ),
        header=("pair", "published", "ours", "order"),
        rows=tuple(
            TableRow(
                f"{pair.first} over {pair.second}",
                (_printed_cell(pair), pair.ours, Cell(pair.outcome)),
            )
            for pair in pairs
        ),
        notes=tuple(_notes(pairs, matrix, record, level)),
    )


def published_pairs(
    record: RoundRobinRecord, matrix: PublishedMatrix, level: float
) -> list[PublishedPair]:
    """The pairs in the order of the table file, each judged by our simultaneous interval.

    `agrees` and `reversed`: the paper orders the two and our interval leaves 1/2 out. `undecided`:
    it covers 1/2, or there is no simultaneous interval, or one seed. `no ordering`: the paper
    prints 1/2, or within its own half-width of it, or values on both sides. `not compared`: a row
    of ours is not complete.
    """
    family = family_of(record, level)
    found = []
    for one, other in combinations(matrix.rows, 2):
        numbers, said = matrix.printed(one, other)
        if not numbers:
            continue
        order = _order(said, matrix.half_width)
        if order < 0:
            one, other, said = other, one, [1 - x for x in said]
        ours, side = _ours(record, family, level, one, other)
        found.append(
            PublishedPair(one, other, tuple(said), tuple(numbers), _outcome(order, side), ours)
        )
    return found


def _order(said: Sequence[Decimal], half_width: float) -> int:
    """1 where all values are above 1/2, -1 where all are below, 0 where they order nothing."""
    within = Decimal(repr(half_width))
    above = all(x - HALF > within for x in said)
    below = all(HALF - x > within for x in said)
    return int(above) - int(below)


def _ours(
    record: RoundRobinRecord, family: Family, level: float, first: str, second: str
) -> tuple[Cell, int | None]:
    """Our preference, and 1 or -1 where it is decided, 0 where not; None where there is none."""
    names = (*record.labels, REFERENCE)
    lacking = [x for x in (first, second) if x not in names]
    if lacking:
        return Cell(f"{lacking[0]}: {record.left_out[lacking[0]].partition(':')[0]}"), None
    row, column = names.index(first), names.index(second)
    found, low, high = preference_interval(record, family, level, row, column)
    cell = Cell(
        additive_interval(found.estimate, low, high),
        found.estimate,
        low,
        high,
        seeds=found.seeds,
        clusters=found.clusters,
        level=found.level,
    )
    if family.adjusted is None or found.level == "checkpoint" or not np.isfinite(low):
        return cell, 0
    return cell, int(low > 0.5) - int(high < 0.5)


def _outcome(order: int, side: int | None) -> Outcome:
    if order == 0:
        return "no ordering"
    if side is None:
        return "not compared"
    decided: dict[int, Outcome] = {1: "agrees", -1: "reversed", 0: "undecided"}
    return decided[side]


def _printed_cell(pair: PublishedPair) -> Cell:
    """One value, or the extent of several; a value printed both ways round counts once."""
    low, high = min(pair.printed), max(pair.printed)
    if low == high:
        return Cell(str(low), float(low))
    return Cell(f"{low} to {high}", float(sum(pair.printed) / len(pair.printed)))


def _notes(
    pairs: Sequence[PublishedPair],
    matrix: PublishedMatrix,
    record: RoundRobinRecord,
    level: float,
) -> Iterator[str]:
    yield _source(pairs, matrix)
    yield f"Not comparable: {matrix.reason.strip().rstrip('.')}."
    ordered = [x for x in pairs if x.outcome in ORDERED]
    counts = ", ".join(f"{sum(x.outcome == y for x in ordered)} {y}" for y in ORDERED)
    yield (
        f"Of {len(ordered)} published orderings: {counts}. agrees, reversed: our interval, "
        f"simultaneous at {level:.0%} over all pairs of the round-robin, leaves 1/2 out. The "
        "paper's own order may be chance as well."
    )
    if len(record.seeds) == 1 and record.clusters == "prompts":
        yield "Everything is undecided: one seed says nothing of algorithms."
    if len(ordered) < len(pairs):
        width = f", or within {matrix.half_width} of it," if matrix.half_width else ""
        yield f"no ordering: the paper prints 1/2{width} or values on both sides of it."
    if any(len(x.printed) > 1 for x in pairs):
        yield (
            "published, a to b: the paper prints several values of a pair, of several checkpoints "
            "or both ways round; all of them order it, or it is not ordered."
        )
    met = len(list(combinations(matrix.rows, 2)))
    if len(pairs) < met:
        yield f"{met - len(pairs)} further pairs of these rows are not printed, or unknown to us."
    for name, why in matrix.not_run.items():
        yield f"{name} is not run: {why}."


def _source(pairs: Sequence[PublishedPair], matrix: PublishedMatrix) -> str:
    numbers = [x for pair in pairs for x in pair.numbers]
    said = {
        "": [x.version for x in numbers],
        "judge ": [x.judge for x in numbers],
        "printed with ": [x.uncertainty for x in numbers],
        "source: ": [x.trust for x in numbers],
    }
    parts = [
        word + " or ".join(found)
        for word, values in said.items()
        if (found := [x for x in dict.fromkeys(values) if x])
    ]
    named = matrix.table if not matrix.table[0].isdigit() else f"Table {matrix.table}"
    return f"published: {named} of arXiv:{matrix.paper} ({'; '.join(parts)})."
