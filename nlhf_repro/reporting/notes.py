"""The lines below a table: what its numbers are and how far they reach."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

from nlhf_repro.interfaces import RowRecord
from nlhf_repro.reporting.best_cells import bold_note
from nlhf_repro.reporting.cells import CHECKPOINT, INCOMPLETE, Table
from nlhf_repro.reporting.columns.levels import games_share_nothing
from nlhf_repro.reporting.comparison import budget_ratios, is_complete
from nlhf_repro.reporting.provenance import (
    commit_notes,
    estimand_note,
    judge_notes,
    seed_notes,
)
from nlhf_repro.reporting.published import comparability_note, published_notes
from nlhf_repro.reporting.published_orderings import ordering_notes, published_orderings
from nlhf_repro.reporting.series import (
    Axis,
    axis_label,
    cluster_noun,
    own_label,
    point_label,
    singular,
)
from nlhf_repro.reporting.specification import TableSpecification
from nlhf_repro.reporting.tuning import tuning_notes


def table_notes(
    table: Table, rows: Sequence[RowRecord], specification: TableSpecification
) -> tuple[str, ...]:
    """Every line that has something to say about this table, in a fixed order."""
    return (
        estimand_note(rows),
        *_size_notes(rows),
        *seed_notes(rows),
        *_column_notes(specification, cluster_noun(rows)),
        *_comparison_notes(rows, specification),
        *_budget_notes(rows, specification),
        *_published_notes(rows, specification),
        *_mark_notes(table),
        *_bold_notes(table, specification),
        *_row_notes(rows),
        *_cell_notes(table),
        *_benchmark_notes(rows),
        *judge_notes(rows),
        *commit_notes(rows),
        *tuning_notes(rows),
        *_variant_notes(rows),
    )


def reach_notes(
    table: Table, rows: Sequence[RowRecord], specification: TableSpecification
) -> tuple[str, ...]:
    """Those of `table_notes` that say how far the numbers reach, and what lacks."""
    return (
        estimand_note(rows),
        *_size_notes(rows),
        *_comparison_notes(rows, specification),
        *_budget_notes(rows, specification),
        *_published_reach(rows, specification),
        *_mark_notes(table),
        *_bold_notes(table, specification),
        *_row_notes(rows),
        *judge_notes(rows),
        *commit_notes(rows),
        *tuning_notes(rows),
    )


def _size_notes(rows: Sequence[RowRecord]) -> Iterator[str]:
    clusters = cluster_noun(rows)
    one = singular(clusters)
    yield f"K x n: training seeds x {clusters}, the same {clusters} for every row."
    yield from _own_sizes(rows, clusters)
    exact = [row.label for row in rows if row.deterministic]
    if exact:
        which = "all rows" if len(exact) == len(rows) else "; ".join(exact)
        yield f"exact ({which}): no training variance; {clusters} are the cluster."
    if any(not row.deterministic and games_share_nothing(row) for row in rows if row.values):
        yield (
            f"{clusters.capitalize()} share no weights and no draws, so seeds are repeats inside a "
            f"{one}."
        )
    if any(row.clusters == "prompts" for row in rows):
        yield "Prompts are crossed with seeds: the policy of every seed answers all of them."
        yield (
            "One world (one oracle, one starting policy, one set of prompts): a claim about this "
            "world only."
        )
    counts = {values.shape[1] for row in rows for values in row.values.values()}
    if 1 in counts:
        which = "this table" if counts == {1} else "a row with n = 1"
        yield (
            f"One {one}: nothing in {which} generalizes over {clusters}, so no interval is "
            "estimable."
        )


def _own_sizes(rows: Sequence[RowRecord], clusters: str) -> Iterator[str]:
    """How many items every benchmark has, where they differ."""
    sizes: dict[int, list[str]] = {}
    for name, count in {
        name.rpartition("/")[0]: values.shape[1]
        for row in rows
        for name, values in row.values.items()
    }.items():
        sizes.setdefault(count, []).append(name)
    if len(sizes) > 1:
        listed = "; ".join(f"{n} of {', '.join(names)}" for n, names in sorted(sizes.items()))
        yield f"n by benchmark, {clusters} or questions: {listed}."


def _column_notes(specification: TableSpecification, clusters: str) -> Iterator[str]:
    for column in specification.columns:
        yield f"{column.header}: {column.explanation(specification.level, clusters)}."


def _comparison_notes(
    rows: Sequence[RowRecord], specification: TableSpecification
) -> Iterator[str]:
    primary, column = specification.primary, specification.compared
    if primary is None or column is None or not primary.baselines:
        return
    explained = column.comparison_explanation(cluster_noun(rows))
    compared = sum(not primary.is_baseline(row) for row in rows)
    point = " at the same point" if any(row.grid_point is not None for row in rows) else ""
    same = "" if column.across_regularization else " of the same regularization"
    yield (
        f"comparison: {primary.column}, {explained} (baseline{same}{point}: "
        f"{'; '.join(primary.baselines)}) [{specification.level:.0%} interval, not adjusted]; p "
        f"adjusted by Holm over the {compared} comparisons that the "
        f"table declares, refused ones counted as p = 1; {primary.seeds} seeds."
    )


def _budget_notes(rows: Sequence[RowRecord], specification: TableSpecification) -> Iterator[str]:
    primary, column = specification.primary, specification.compared
    if primary is None or column is None or not primary.baselines:
        return
    axes: tuple[Axis, ...] = ("updates", "comparisons", "preference_evaluations")
    for axis in axes:
        ratios = budget_ratios(rows, column, primary, axis)
        listed = ", ".join(f"{r:.3g} ({'; '.join(labels)})" for r, labels in ratios.items())
        if listed:
            yield f"Unequal budgets: {axis_label(axis)} of the run over the baseline's: {listed}."


def _published_notes(rows: Sequence[RowRecord], specification: TableSpecification) -> Iterator[str]:
    published, level = specification.published, specification.level
    if published is None:
        return
    columns = specification.beside_published
    yield from published_notes(columns, rows, published, level, cluster_noun(rows))
    yield from _ordering_notes(rows, specification)


def _published_reach(rows: Sequence[RowRecord], specification: TableSpecification) -> Iterator[str]:
    if specification.published is None:
        return
    yield comparability_note(specification.published, specification.level, cluster_noun(rows))
    yield from islice(_ordering_notes(rows, specification), 1)


def _ordering_notes(rows: Sequence[RowRecord], specification: TableSpecification) -> Iterator[str]:
    published, level = specification.published, specification.level
    if published is None:
        return
    by_header = {column.header: column for column in specification.beside_published}
    yield from ordering_notes(
        published_orderings(rows, by_header, published, level), published, level
    )


def _mark_notes(table: Table) -> Iterator[str]:
    text = "".join(cell.text for row in table.rows for cell in row.cells)
    if INCOMPLETE in text:
        yield f"{INCOMPLETE} incomplete: declared seeds are missing, so the number will change."
    if CHECKPOINT in text:
        yield (
            f"{CHECKPOINT} checkpoint level: one training run, no training variance; says nothing "
            "about another run of the algorithm."
        )


def _bold_notes(table: Table, specification: TableSpecification) -> Iterator[str]:
    if any(cell.best for row in table.rows for cell in row.cells):
        yield bold_note(specification)


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
    """What single cells have to say that their text and the marks do not, once for all rows."""
    speakers: dict[tuple[str, str], list[str]] = {}
    for row in table.rows:
        for header, cell in zip(table.header[1:], row.cells, strict=True):
            if cell.note:
                speakers.setdefault((header, cell.note), []).append(row.label)
    for (header, note), labels in speakers.items():
        yield f"{header} of {'; '.join(labels)}: {note}."


def _benchmark_notes(rows: Sequence[RowRecord]) -> Iterator[str]:
    """What benchmarks say beside their scores, by benchmark, once for all rows that say it."""
    names = dict.fromkeys(name for row in rows for name in row.notes)
    for name in names:
        speakers: dict[str, list[str]] = {}
        for row in rows:
            for note in row.notes.get(name, ()):
                speakers.setdefault(note, []).append(row.label)
        scored = sum(any(key.startswith(f"{name}/") for key in row.values) for row in rows)
        for note, labels in speakers.items():
            which = "" if len(labels) == scored else f" of {'; '.join(labels)}"
            yield f"{name}{which}: {note}."


def _variant_notes(rows: Sequence[RowRecord]) -> Iterator[str]:
    """The settings in force, each said once: of all rows, a label, a point, then a single row."""
    said: dict[str, set[tuple[str, str]]] = {row.label: set() for row in rows}
    for group, members in _variant_groups(rows).items():
        own = set.intersection(*(set(row.variants.items()) - said[row.label] for row in members))
        for row in members:
            said[row.label] |= own
        if own:
            yield f"Variants of {group}: {_settings(own)}."


def _variant_groups(rows: Sequence[RowRecord]) -> dict[str, list[RowRecord]]:
    """Rows that may share settings, under the words for them, the largest groups first."""
    groups: dict[str, list[RowRecord]] = {"all rows": list(rows)} if rows else {}
    on_grid = [row for row in rows if point_label(row)]
    for row in on_grid:
        groups.setdefault(own_label(row), []).append(row)
    for row in on_grid:
        groups.setdefault(point_label(row), []).append(row)
    for row in rows:
        groups.setdefault(row.label, [row])
    return groups


def _settings(variants: set[tuple[str, str]]) -> str:
    return ", ".join(f"{name} {value}" for name, value in sorted(variants))
