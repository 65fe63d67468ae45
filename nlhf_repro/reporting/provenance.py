"""The lines below a table that say what is estimated, from which runs, by whom judged."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from nlhf_repro.interfaces import RowRecord
from nlhf_repro.reporting.series import cluster_noun


def estimand_note(rows: Sequence[RowRecord]) -> str:
    """What a mean of this table is an estimate of, and what is held fixed."""
    random = any(not row.deterministic for row in rows)
    judged = any(row.judge_draws for row in rows)
    further = ["training seeds"] * random + [cluster_noun(rows)] + ["draws of the judge"] * judged
    fixed = ["settings", "budget"]
    if any(row.clusters == "prompts" for row in rows):
        fixed = ["starting policy", "oracle", *["judge"] * bool(_judged(rows)), *fixed]
    return (
        f"Estimand of a mean: its expectation over further {_listed(further)}; "
        f"{_listed(fixed)} are held fixed."
    )


def seed_notes(rows: Sequence[RowRecord]) -> Iterator[str]:
    """Which training seeds every row has finished."""
    seeds = {
        row.label: ", ".join(map(str, row.seeds))
        for row in rows
        if row.seeds and not row.deterministic
    }
    yield from _grouped(seeds, len(rows), "Training seeds")


def judge_notes(rows: Sequence[RowRecord]) -> Iterator[str]:
    """Who judged what, as the records describe it."""
    for name in _judged(rows):
        judges = {
            row.label: "; ".join(dict.fromkeys(row.judges[name]))
            for row in rows
            if name in row.judges
        }
        yield from _grouped(judges, len(rows), f"Judge of {name}")


def commit_notes(rows: Sequence[RowRecord]) -> Iterator[str]:
    """The commits that the runs were made from."""
    commits = {row.label: ", ".join(row.commits) for row in rows if row.commits}
    yield from _grouped(commits, len(rows), "Commit")


def _judged(rows: Sequence[RowRecord]) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row.judges))


def _grouped(values: Mapping[str, str], rows: int, what: str) -> Iterator[str]:
    """One line for every value, naming its rows where it is not that of all."""
    speakers: dict[str, list[str]] = {}
    for label, value in values.items():
        speakers.setdefault(value, []).append(label)
    for value, labels in speakers.items():
        which = "all rows" if len(labels) == rows else "; ".join(labels)
        yield f"{what} ({which}): {value}."


def _listed(words: Sequence[str]) -> str:
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last
