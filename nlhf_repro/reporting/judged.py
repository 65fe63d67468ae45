"""The judge behind a row's values: its draws, whether two rows had the same, what is to be said."""

from __future__ import annotations

from nlhf_repro.interfaces import Array, RowRecord
from nlhf_repro.reporting.cells import RefusedCell
from nlhf_repro.uncertainty import judge_note


def judge_draws_at(row: RowRecord, benchmark: str, iterate: str, point: int) -> Array | None:
    """Scores by every draw [seeds, draws, items] for the engine; None where it needs none.

    Worlds that have judges of their own share no draws: what a judge adds to its world is part of
    the variance over worlds already.
    """
    draws = row.judge_draws.get(f"{benchmark}/{iterate}")
    if draws is None or judges_differ_by_world(row, benchmark):
        return None
    return draws[..., point]


def paired_judge_draws(
    row: RowRecord, baseline: RowRecord, benchmark: str, iterate: str, points: tuple[int, int]
) -> tuple[Array, Array] | None:
    """The draws of both rows, the same judges being drawn; None where the engine needs none.

    Raises:
        RefusedCell: one row has draws that the other one has not.
    """
    first = judge_draws_at(row, benchmark, iterate, points[0])
    second = judge_draws_at(baseline, benchmark, iterate, points[1])
    counts = [0 if side is None else side.shape[1] for side in (first, second)]
    if counts[0] != counts[1]:
        raise RefusedCell(f"refused: {counts[0]} against {counts[1]} judge draws")
    return None if first is None or second is None else (first, second)


def judges_differ_by_world(row: RowRecord, benchmark: str) -> bool:
    """Whether every one of several worlds has a judge of its own."""
    judges = row.judges.get(benchmark, ())
    return row.clusters == "worlds" and len(set(judges)) == len(judges) > 1


def worlds_note(row: RowRecord, benchmark: str, iterate: str) -> str:
    """Says that the variance over worlds contains the judges'; empty where it does not."""
    draws = row.judge_draws.get(f"{benchmark}/{iterate}")
    if draws is None or not judges_differ_by_world(row, benchmark):
        return ""
    return f"{_count(draws)} in every world, whose judges differ: worlds vary with their judges too"


def unjudged_note(row: RowRecord, benchmark: str, iterate: str) -> str:
    """For numbers whose interval leaves the judge out; empty where there is none."""
    draws = row.judge_draws.get(f"{benchmark}/{iterate}")
    if draws is None or judges_differ_by_world(row, benchmark):
        return worlds_note(row, benchmark, iterate)
    if draws.shape[1] == 1:
        return judge_note(1, alike=True)
    return f"mean over {_count(draws)}, whose variance is not in the interval"


def _count(draws: Array) -> str:
    return "1 judge draw" if draws.shape[1] == 1 else f"{draws.shape[1]} judge draws"
