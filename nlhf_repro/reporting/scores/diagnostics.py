"""What happened to the rows of every file on the way to its score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nlhf_repro.interfaces import Diagnostics
from nlhf_repro.reporting.cells import Cell, Table, TableRow
from nlhf_repro.reporting.scores.entries import Entry

_MOST_VERDICTS = 12
_NOTES = {
    "missing": "missing: questions without a row; '-' where no list was given (--questions).",
    "characters": "characters: mean length of the model's answers to that of the opponent's.",
    "flips": "flips: questions whose verdict changes with the order of the answers.",
}


def diagnostics_table(entries: Sequence[Entry]) -> Table:
    """One line a run: rows, unusable ones by reason, missing questions, flips, verdicts."""
    rows = [
        TableRow(
            entry.label if len(entry.runs) == 1 else f"{entry.label}, run {number}",
            tuple(Cell(text) for text in _texts(run.diagnostics)),
        )
        for entry in entries
        for number, run in enumerate(entry.runs, start=1)
    ]
    header = (
        "rows",
        "unusable",
        "missing",
        "duplicates",
        "same output",
        "characters",
        "flips",
        "verdicts",
    )
    kept = [
        column
        for column in range(len(header))
        if column < 4 or any(row.cells[column].text != "-" for row in rows)
    ]
    return Table(
        title="Rows behind the scores",
        caption="",
        header=("model", *(header[column] for column in kept)),
        rows=tuple(TableRow(r.label, tuple(r.cells[column] for column in kept)) for r in rows),
        notes=tuple(note for column, note in _NOTES.items() if header.index(column) in kept),
    )


def _texts(found: Diagnostics) -> tuple[str, ...]:
    lost = sum(found.unusable.values())
    reasons = ", ".join(f"{n} {reason}" for reason, n in sorted(found.unusable.items()) if n)
    flips, lengths = found.position_flip_rate, found.characters
    return (
        str(found.rows),
        f"{lost} ({reasons})" if lost else "0",
        "-" if found.missing is None else str(found.missing),
        str(found.duplicates),
        "-" if found.identical_outputs is None else str(found.identical_outputs),
        "-" if lengths is None else f"{lengths[0]:.0f} to {lengths[1]:.0f}",
        "-" if flips is None else f"{100 * flips:.1f} %",
        _verdicts(found.verdicts),
    )


def _verdicts(counts: Mapping[str, int]) -> str:
    if not counts:
        return "-"
    listed = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    more = f", {len(listed) - _MOST_VERDICTS} others" if len(listed) > _MOST_VERDICTS else ""
    return ", ".join(f"{name} {count}" for name, count in listed[:_MOST_VERDICTS]) + more
