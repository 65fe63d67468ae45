"""Whether our rows stand in the order in which a paper prints them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from math import isnan, nan
from typing import Literal, final

from nlhf_repro.interfaces import RowRecord
from nlhf_repro.reporting.cells import RefusedCell
from nlhf_repro.reporting.comparison import Primary, check_pair
from nlhf_repro.reporting.numbers import additive_interval, p_value_text
from nlhf_repro.reporting.published import PredictableColumn
from nlhf_repro.reporting.published_specification import PublishedSpecification
from nlhf_repro.uncertainty import holm

Outcome = Literal["agrees", "reversed", "undecided"]
OUTCOMES: tuple[Outcome, ...] = ("agrees", "reversed", "undecided")


@final
@dataclass(frozen=True)
class Ordering:
    """Two rows of which the paper prints one above the other, and ours.

    `estimate` is the mean of the row printed higher minus that of the other, `p_value` is adjusted
    by Holm over all orderings of the table; both NaN where ours cannot be compared, for the reason
    in `refused`.
    """

    column: str  # our header
    higher: str  # our label of the row printed higher
    lower: str
    printed: tuple[str, str]
    outcome: Outcome = "undecided"
    estimate: float = nan
    interval: tuple[float, float] = (nan, nan)  # not adjusted
    p_value: float = nan
    refused: str = ""


def published_orderings(
    rows: Sequence[RowRecord],
    columns: Mapping[str, PredictableColumn],
    specification: PublishedSpecification,
    confidence: float,
) -> list[Ordering]:
    """Every pair of rows that a column of the paper orders; equal prints are no ordering.

    The outcome is `undecided` where the interval of our difference, at `confidence` adjusted by
    Holm over all orderings, covers 0; what is refused counts as p = 1, so that it does not shrink
    the family.
    """
    found = [
        _compared(ordering, *pair, column, specification, confidence)
        for header, column in columns.items()
        for ordering, pair in _printed(rows, header, specification)
    ]
    adjusted = holm([1.0 if isnan(x.p_value) else x.p_value for x in found])
    return [_decided(x, float(p), confidence) for x, p in zip(found, adjusted, strict=True)]


def _printed(
    rows: Sequence[RowRecord], header: str, specification: PublishedSpecification
) -> Iterator[tuple[Ordering, tuple[RowRecord, RowRecord]]]:
    """Orderings as printed, the row printed higher first."""
    mapped = [
        (row, number)
        for row in rows
        if row.label in specification.rows
        and (number := specification.number(specification.rows[row.label], header))
    ]
    for pair in combinations(mapped, 2):
        (high, above), (low, below) = sorted(pair, key=lambda x: -x[1].number)
        if above.number > below.number:
            printed = (above.value, below.value)
            yield Ordering(header, high.label, low.label, printed), (high, low)


def _compared(
    ordering: Ordering,
    high: RowRecord,
    low: RowRecord,
    column: PredictableColumn,
    specification: PublishedSpecification,
    confidence: float,
) -> Ordering:
    seeds = specification.seeds
    try:
        check_pair(high, low, Primary(column.header, None, seeds))
        if not column.across_regularization and high.regularization != low.regularization:
            raise RefusedCell("refused: other regularization")
        found = column.difference(high, low, seeds == "matched", confidence)
    except RefusedCell as refusal:
        return replace(ordering, refused=str(refusal).replace("baseline", "other row"))
    if found.level == "checkpoint":
        return replace(ordering, refused="one seed")
    if isnan(found.p_value):
        return replace(ordering, refused=found.note or "ours are equal")
    interval = (found.lower, found.upper)
    return replace(
        ordering,
        estimate=found.estimate,
        interval=interval,
        p_value=found.p_value,
    )


def _decided(ordering: Ordering, adjusted: float, confidence: float) -> Ordering:
    if ordering.refused:
        return ordering
    outcome: Outcome = "undecided"
    if adjusted < 1 - confidence:
        outcome = "agrees" if ordering.estimate > 0 else "reversed"
    return replace(ordering, outcome=outcome, p_value=adjusted)


def ordering_notes(
    orderings: Sequence[Ordering], specification: PublishedSpecification, confidence: float
) -> Iterator[str]:
    """The counts, and every ordering by column and outcome."""
    if not orderings:
        yield f"Published orderings: {specification.source} orders no two of these rows."
        return
    counts = ", ".join(f"{y} {sum(x.outcome == y for x in orderings)}" for y in OUTCOMES)
    refused = sum(bool(x.refused) for x in orderings)
    counts += f", {refused} of them not compared" if refused else ""
    yield (
        f"Published orderings of two rows, {len(orderings)} in {specification.source}: {counts} "
        f"(undecided: the {confidence:.0%} interval of our difference, adjusted by Holm over the "
        f"{len(orderings)}, covers 0; what cannot be compared is undecided; "
        f"{specification.seeds} seeds). The paper's own order may be chance as well."
    )
    for column in dict.fromkeys(x.column for x in orderings):
        for outcome in OUTCOMES:
            listed = [_text(x) for x in orderings if (x.column, x.outcome) == (column, outcome)]
            if listed:
                yield f"{column}, {outcome}: {'; '.join(listed)}."


def _text(ordering: Ordering) -> str:
    above, below = ordering.printed
    order = f"{ordering.higher} over {ordering.lower} (printed {above} and {below}; "
    if ordering.refused:
        return f"{order}{ordering.refused})"
    ours = additive_interval(ordering.estimate, *ordering.interval, sign=True)
    return f"{order}ours {ours}, {p_value_text(ordering.p_value)})"
