"""The lines below a table: what its numbers are and how far they reach."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from nlhf_repro.interfaces import RowRecord
from nlhf_repro.reporting.cells import CHECKPOINT, INCOMPLETE, Table
from nlhf_repro.reporting.comparison import Primary, is_complete
from nlhf_repro.reporting.numbers import exact_count
from nlhf_repro.reporting.specification import TableSpecification


def table_notes(
    table: Table, rows: Sequence[RowRecord], specification: TableSpecification
) -> tuple[str, ...]:
    """Every line that has something to say about this table, in a fixed order."""
    return (
        *_size_notes(rows),
        *_column_notes(specification),
        *_comparison_notes(rows, specification),
        *_mark_notes(table),
        *_row_notes(rows),
        *_cell_notes(table),
        *_variant_notes(rows),
    )


def _size_notes(rows: Sequence[RowRecord]) -> Iterator[str]:
    yield "K × n: training seeds × games, the same games for every row."
    exact = [row.label for row in rows if row.deterministic]
    if exact:
        which = "all rows" if len(exact) == len(rows) else ", ".join(exact)
        yield f"exact ({which}): no training variance; games are the cluster."
    games = {values.shape[1] for row in rows for values in row.values.values()}
    if 1 in games:
        which = "this table" if games == {1} else "a row with n = 1"
        yield f"One game: nothing in {which} generalizes over games, so no interval is estimable."


def _column_notes(specification: TableSpecification) -> Iterator[str]:
    for column in specification.columns:
        yield f"{column.header}: {column.explanation(specification.level)}."


def _comparison_notes(
    rows: Sequence[RowRecord], specification: TableSpecification
) -> Iterator[str]:
    primary, column = specification.primary, specification.compared
    if primary is None or column is None or not primary.baselines:
        return
    same = "" if column.across_regularization else " of the same regularization"
    yield (
        f"comparison: {primary.column}, {column.comparison_explanation()} (baseline{same}: "
        f"{', '.join(primary.baselines)}) [{specification.level:.0%} interval, not adjusted]; p adjusted by "
        f"Holm over the comparisons of this table; {primary.seeds} seeds. Declared before running."
    )
    yield from _ends(rows, primary)


def _ends(rows: Sequence[RowRecord], primary: Primary) -> Iterator[str]:
    """Says so where compared rows had different budgets."""
    trained = [row for row in rows if row.seeds]
    for axis in ("updates", "comparisons", "preference_evaluations"):
        ends = {row.label: float(getattr(row, axis)[-1]) for row in trained}
        if len(set(ends.values())) > 1:
            listed = ", ".join(f"{label} {exact_count(end)}" for label, end in ends.items())
            yield f"The rows end at different counts of {axis.replace('_', ' ')}: {listed}."


def _mark_notes(table: Table) -> Iterator[str]:
    text = "".join(cell.text for row in table.rows for cell in row.cells)
    if INCOMPLETE in text:
        yield f"{INCOMPLETE} incomplete: declared seeds are missing, so the number will change."
    if CHECKPOINT in text:
        yield (
            f"{CHECKPOINT} checkpoint level: one training run, no training variance; says nothing about "
            "another run of the algorithm."
        )


def _row_notes(rows: Sequence[RowRecord]) -> Iterator[str]:
    for row in rows:
        if is_complete(row):
            continue
        declared = len(row.seeds) + len(row.missing) + len(row.failed)
        if row.missing:
            listed = ", ".join(map(str, row.missing))
            yield f"{row.label}: missing {len(row.missing)} of {declared} seeds ({listed})."
        if row.failed:
            errors = "; ".join(
                f"seed {seed}: {error}" for seed, error in sorted(row.failed.items())
            )
            yield f"{row.label}: failed {len(row.failed)} of {declared} seeds ({errors})."


def _cell_notes(table: Table) -> Iterator[str]:
    for row in table.rows:
        for header, cell in zip(table.header[1:], row.cells, strict=True):
            if cell.note:
                yield f"{row.label}, {header}: {cell.note}."


def _variant_notes(rows: Sequence[RowRecord]) -> Iterator[str]:
    for row in rows:
        if row.variants:
            listed = ", ".join(f"{name} {value}" for name, value in sorted(row.variants.items()))
            yield f"Variants of {row.label}: {listed}."
