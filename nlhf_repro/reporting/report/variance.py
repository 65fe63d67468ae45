"""How much training seeds and items vary: the components behind a column's intervals."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import isnan

from nlhf_repro.interfaces import RowRecord
from nlhf_repro.reporting.cells import Cell, RefusedCell, Table, TableRow
from nlhf_repro.reporting.columns import GeometricMeanGap, MeanValue
from nlhf_repro.reporting.columns.levels import games_share_nothing
from nlhf_repro.reporting.judged import judge_draws_at
from nlhf_repro.reporting.numbers import plain, share_text
from nlhf_repro.reporting.series import cluster_noun, recorded_point, singular, values_at
from nlhf_repro.reporting.specification import TableSpecification
from nlhf_repro.uncertainty import Estimate, GapsRefusedError, estimate, geometric_mean

ESTIMABLE = "not estimable"


def variance_tables(
    rows: Sequence[RowRecord], specification: TableSpecification
) -> Iterator[tuple[str, Table]]:
    """A table for every column that is a mean, named by its header, the compared one first."""
    columns = [x for x in specification.columns if isinstance(x, MeanValue | GeometricMeanGap)]
    for column in sorted(columns, key=lambda x: x is not specification.compared):
        table = _table(column, rows, specification.level)
        if any(cell.estimate == cell.estimate for row in table.rows for cell in row.cells):
            yield column.header, table


def _table(column: MeanValue | GeometricMeanGap, rows: Sequence[RowRecord], level: float) -> Table:
    noun = cluster_noun(rows)
    scale = "its logarithm" if isinstance(column, GeometricMeanGap) else "its own unit"
    return Table(
        title=f"Variance components of {column.header}",
        caption=(
            f"Standard deviations of one run on one of the {noun}, in {scale}: what another "
            f"training seed changes, what another of the {noun} changes, and what is left, the "
            "same of both together."
        ),
        header=(
            "row",
            "SD between seeds",
            f"SD between {noun}",
            f"SD of seed by {singular(noun)}",
            "SD between judge draws",
            "seeds' share of the variance",
        ),
        rows=tuple(TableRow(row.label, _cells(column, row, level)) for row in rows),
        notes=(
            f"Bracketed: {level:.0%} chi-square interval of the SD between seeds, with few seeds a "
            "wide one.",
            "The last column: of the variance of the row's mean, what more seeds would shrink.",
        ),
    )


def _cells(column: MeanValue | GeometricMeanGap, row: RowRecord, level: float) -> tuple[Cell, ...]:
    try:
        found = _estimate(column, row, level)
    except (RefusedCell, GapsRefusedError) as refusal:
        return (Cell(str(refusal)),) * 5
    if found is None:
        return (Cell("failed" if row.failed else "missing"),) * 5
    nothing = row.deterministic or games_share_nothing(row)
    return (
        _seed(found, nothing),
        _deviation(found.cluster_variance),
        Cell("in the one before")
        if isnan(found.noise_variance)
        else _deviation(found.noise_variance),
        _judge(found),
        _share(found, nothing),
    )


def _estimate(
    column: MeanValue | GeometricMeanGap, row: RowRecord, level: float
) -> Estimate | None:
    if row.failed or not row.seeds:
        return None
    values = values_at(row, column.benchmark, column.iterate, column.at)
    nested = games_share_nothing(row)
    if isinstance(column, MeanValue):
        point = recorded_point(row, column.at)
        draws = judge_draws_at(row, column.benchmark, column.iterate, point)
        return estimate(values, row.deterministic, level, nested, judge_draws=draws)
    floor = row.floors.get(column.benchmark, 0.0)
    if floor <= 0:
        raise RefusedCell("no floor for a logarithm")
    return geometric_mean(values, floor, row.deterministic, level, nested).on_log_scale


def _judge(found: Estimate) -> Cell:
    if found.judge_draws <= 1:
        return Cell("not drawn")
    return Cell("all draws alike") if found.judge_alike else _deviation(found.judge_variance)


def _seed(found: Estimate, nothing: bool) -> Cell:
    if nothing:
        return Cell("none by design")
    deviation = found.seed_standard_deviation
    if isnan(deviation):
        return Cell(ESTIMABLE)
    low, high = found.seed_standard_deviation_lower, found.seed_standard_deviation_upper
    text = f"{plain(deviation)} [{plain(low)}, {plain(high)}]"
    return Cell(text, deviation, low, high, seeds=found.seeds, clusters=found.clusters)


def _deviation(variance: float) -> Cell:
    if isnan(variance):
        return Cell(ESTIMABLE)
    deviation = float(variance**0.5)
    return Cell(plain(deviation), deviation)


def _share(found: Estimate, nothing: bool) -> Cell:
    if nothing:
        return Cell("none by design")
    total = found.standard_error**2
    if isnan(found.seed_variance) or isnan(total) or total == 0:
        return Cell(ESTIMABLE)
    share = min(found.seed_variance / found.seeds / total, 1.0)
    return Cell(share_text(share), share)
