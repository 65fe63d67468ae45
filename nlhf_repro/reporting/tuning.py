"""The lines below a table that say how the rows' settings were chosen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from nlhf_repro.interfaces import RowRecord, Tuning
from nlhf_repro.reporting.series import cluster_noun, training_noun


def tuning_notes(rows: Sequence[RowRecord]) -> Iterator[str]:
    """Which search chose the settings, at what cost, and where its winners are in doubt."""
    untuned = [row.label for row in rows if row.tuning is None]
    if untuned:
        which = "" if len(untuned) == len(rows) else f" ({'; '.join(untuned)})"
        yield (
            f"Untuned{which}: the settings are those that the experiment declares; no search chose "
            "them, and others may order the rows otherwise."
        )
    searches: dict[str, list[tuple[str, Tuning]]] = {}
    for row in rows:
        if row.tuning is not None:
            searches.setdefault(row.tuning.name, []).append((row.label, row.tuning))
    for name, tuned in searches.items():
        yield _search(name, [tuning for _, tuning in tuned], training_noun(cluster_noun(rows)))
        yield from _doubts(tuned)


def _search(name: str, tunings: Sequence[Tuning], problem: str) -> str:
    winners = {tuning.row: tuning for tuning in tunings}
    trials = sorted({tuning.trials for tuning in winners.values() if tuning.trials})
    spent = sum(tuning.comparisons for tuning in winners.values())
    first = tunings[0]
    seen = f"{_counted('world', first.worlds)}, {_counted('seed', first.seeds)}"
    return (
        f"Tuned: {name}, {_listed(trials) or 'no'} trials a row on {seen}, by the {first.metric}; "
        f"{spent} comparisons a {problem} were spent on tuning these rows, which their budgets do "
        "not count. Intervals and p-values take the winners as given: another search could choose "
        "others."
    )


def _doubts(tuned: Sequence[tuple[str, Tuning]]) -> Iterator[str]:
    nothing = [label for label, tuning in tuned if not tuning.trials]
    if nothing:
        yield f"Nothing to tune: {'; '.join(nothing)}."
    edges = [f"{label} ({', '.join(x.edges)})" for label, x in tuned if x.edges]
    if edges:
        yield (
            f"Winners on the edge of the searched space: {'; '.join(edges)}; better settings may "
            "lie beyond."
        )
    failed = [f"{label} ({x.failed})" for label, x in tuned if x.failed]
    if failed:
        yield f"Trials that failed, diverged or were refused: {'; '.join(failed)}."


def _counted(noun: str, numbers: Sequence[int]) -> str:
    return f"{noun}{'s' if len(numbers) > 1 else ''} {_listed(numbers)}"


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))
