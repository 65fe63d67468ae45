"""Reading a row's records: which values, at which point, and what may be set against what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nlhf_repro.interfaces import Array, ImpossibleSettingError, RowRecord
from nlhf_repro.reporting.cells import RefusedCell
from nlhf_repro.reporting.numbers import exact_count

Axis = Literal["updates", "comparisons", "preference_evaluations"]
At = Literal["last", "all"] | dict[Axis | Literal["share"], float]


def own_label(row: RowRecord) -> str:
    """The row's label without the point of the experiment's grid."""
    return row.base or row.label


def point_label(row: RowRecord) -> str:
    """The point of the experiment's grid in words, as "epsilon 0.1"; empty without a grid."""
    return row.label.removeprefix(own_label(row)).removeprefix(", ")


def axis_label(axis: Axis) -> str:
    """The axis in words; the ledger counts per training problem."""
    return {
        "updates": "updates",
        "comparisons": "oracle comparisons",
        "preference_evaluations": "preference evaluations",
    }[axis]


def axis_counts(row: RowRecord, axis: Axis) -> Array:
    """What the row had spent at each recorded point, [points]."""
    return {
        "updates": row.updates,
        "comparisons": row.comparisons,
        "preference_evaluations": row.preference_evaluations,
    }[axis]


def cluster_noun(rows: Sequence[RowRecord]) -> str:
    """What the rows' items are, in the plural; several kinds are listed."""
    recorded = [row for row in rows if row.values] or list(rows)
    return " or ".join(dict.fromkeys(row.clusters for row in recorded)) or "games"


def singular(clusters: str) -> str:
    """One of several items: game of games; "game or prompt" of "games or prompts"."""
    return " or ".join(noun.removesuffix("s") for noun in clusters.split(" or "))


def training_noun(clusters: str) -> str:
    """What one training problem is, to which ledgers count: a game, or a language model's world."""
    return "game" if clusters == "games" else "world"


def check_at(at: At) -> None:
    """Refuse what is neither `last`, nor `all`, nor one count of one axis, nor a share."""
    if isinstance(at, str):
        return
    if len(at) != 1 or min(at.values()) < 0 or at.get("share", 1) > 1:
        raise ImpossibleSettingError(
            f"at = {at} is no point of a run: write last, all (a mean over every update), one "
            "count such as {updates: 1000}, or {share: 0.5} of the updates."
        )


def recorded_point(row: RowRecord, at: At) -> int:
    """Index of the last recorded point that does not exceed the count asked for.

    Raises:
        RefusedCell: the row ended before that count, or was recorded only after it.
    """
    if isinstance(at, str):
        return len(row.updates) - 1
    axis, count = _axis_and_count(row, at)
    counts = axis_counts(row, axis)
    if counts[-1] < count:
        raise RefusedCell(f"ended at {exact_count(counts[-1])} {axis_label(axis)}")
    if counts[0] > count:
        raise RefusedCell(f"first recorded at {exact_count(counts[0])} {axis_label(axis)}")
    return int(np.searchsorted(counts, count, side="right")) - 1


def point_note(row: RowRecord, at: At) -> str:
    """Says which point was read where it is not exactly the one asked for."""
    if isinstance(at, str):
        return ""
    axis, count = _axis_and_count(row, at)
    found = axis_counts(row, axis)[recorded_point(row, at)]
    return "" if found == count else f"read at {exact_count(found)} {axis_label(axis)}"


def at_text(at: At) -> str:
    """The point in words."""
    if at == "all":
        return "and over all updates from the first on"
    if at == "last":
        return "at the end of training"
    ((axis, count),) = at.items()
    place = f"{count:.0%} of the updates" if axis == "share" else f"{count:g} {axis_label(axis)}"
    return f"at {place} (the last recorded point up to there)"


def _axis_and_count(row: RowRecord, at: dict[Axis | Literal["share"], float]) -> tuple[Axis, float]:
    """The count that a point stands for in this row."""
    ((axis, count),) = at.items()
    return ("updates", count * float(row.updates[-1])) if axis == "share" else (axis, count)


def series(row: RowRecord, benchmark: str, iterate: str) -> Array:
    """The finished seeds' values of a benchmark at all recorded points, [seeds, items, points].

    Raises:
        RefusedCell: as `scored_series`, or the benchmark was scored at some of the points only.
    """
    values, scored = scored_series(row, benchmark, iterate)
    if not scored.all():
        raise RefusedCell(f"scored at {scored.sum()} of {len(scored)} recorded updates only")
    return values


def scored_series(row: RowRecord, benchmark: str, iterate: str) -> tuple[Array, NDArray[np.bool_]]:
    """Values [seeds, items, points], and at which points they are scores, [points].

    Raises:
        RefusedCell: the row has no such record, or a score that is not finite.
    """
    key = f"{benchmark}/{iterate}"
    if key not in row.values:
        raise RefusedCell("not recorded")
    values = row.values[key]
    scored = np.isin(row.updates, row.scored_updates.get(benchmark, row.updates))
    bad = int((~np.isfinite(values[..., scored])).any(axis=-1).sum())
    if bad:
        raise RefusedCell(f"not finite in {bad} of {values.shape[0] * values.shape[1]} runs")
    return values, scored


def values_at(row: RowRecord, benchmark: str, iterate: str, at: At) -> Array:
    """The finished seeds' values at one point, or their mean over all updates, [seeds, items].

    Raises:
        RefusedCell: as `scored_series` and `recorded_point`; the point was not scored; or, of all
            updates, one was not recorded or not scored.
    """
    values, scored = scored_series(row, benchmark, iterate)
    if at == "all":
        every = np.array_equal(row.updates, np.arange(len(row.updates)))
        if len(row.updates) < 2 or not every or not scored[1:].all():
            raise RefusedCell("not every update recorded and scored")
        return np.asarray(values[:, :, 1:].mean(axis=-1))
    point = recorded_point(row, at)
    if not scored[point]:
        raise RefusedCell(f"not scored at update {exact_count(row.updates[point])}")
    return values[:, :, point]


def check_record(row: RowRecord) -> None:
    """Refuse a record whose arrays do not belong together.

    Raises:
        ValueError: names the row and the array.
    """
    for name, values in row.values.items():
        if values.ndim != 3 or (len(values), values.shape[-1]) != (
            len(row.seeds),
            len(row.updates),
        ):
            raise ValueError(
                f"Row '{row.label}' has {name} of shape {values.shape}, but {len(row.seeds)} "
                f"finished seeds and {len(row.updates)} recorded points: gather the row's records "
                "again."
            )
    for name, draws in row.judge_draws.items():
        values = row.values[name]
        if draws.ndim != 4 or (draws.shape[0], *draws.shape[2:]) != values.shape:
            raise ValueError(
                f"Row '{row.label}' has judge draws of {name} of shape {draws.shape} beside values "
                f"of shape {values.shape}: gather the row's records again."
            )


def collapse_exact(row: RowRecord) -> RowRecord:
    """A row whose training draws nothing at random, with the one run that all its seeds share.

    Other rows are returned as they are.

    Raises:
        ValueError: the seeds of a row that claims to be exact disagree.
    """
    if not row.deterministic or not row.seeds or row.failed:
        return row
    for name, values in row.values.items():
        if not np.array_equal(values, np.broadcast_to(values[:1], values.shape), equal_nan=True):
            raise ValueError(
                f"Row '{row.label}' is exact, but {name} differs between its seeds: remove the "
                "stale records of one of them."
            )
    first = {name: values[:1] for name, values in row.values.items()}
    draws = {name: values[:1] for name, values in row.judge_draws.items()}
    return replace(row, seeds=row.seeds[:1], missing=(), values=first, judge_draws=draws)


def check_comparable(first: RowRecord, second: RowRecord, benchmark: str, iterate: str) -> None:
    """Refuse to pair rows that play other games, answer other prompts, or had other judges.

    Items with identifiers are compared by them. Every tabular run starts at the reference policy,
    so that rows on the same games agree on what a benchmark measures before the first update;
    records without update 0 cannot be checked so, nor can samples, which differ between runs.

    Raises:
        RefusedCell: items of another kind, another number of them, other identifiers, other
            judges, or other values of games at update 0.
    """
    if first.clusters != second.clusters:
        raise RefusedCell(f"refused: {first.clusters} against {second.clusters}")
    if first.judges.get(benchmark) != second.judges.get(benchmark):
        raise RefusedCell("refused: other judges")
    start, other = (scored_series(row, benchmark, iterate)[0][0] for row in (first, second))
    if len(start) != len(other):
        raise RefusedCell(f"refused: {len(start)} against {len(other)} {first.clusters}")
    if first.items and second.items and first.items != second.items:
        raise RefusedCell(f"refused: other {first.clusters}")
    if first.clusters != "games" or first.updates[0] != 0 or second.updates[0] != 0:
        return
    if not np.allclose(start[:, 0], other[:, 0], rtol=1e-6, atol=1e-9):
        raise RefusedCell("refused: other games or references (values at update 0 differ)")
