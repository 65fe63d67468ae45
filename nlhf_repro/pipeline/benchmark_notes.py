"""What benchmarks say beside their scores, of all runs of a row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def united_notes(
    runs: Mapping[str, Mapping[str, Sequence[str]]],
) -> dict[str, tuple[str, ...]]:
    """By benchmark the notes of all runs: once what all say, else with who says it.

    Args:
        runs: By the words for a run, as "seed 0", its notes by benchmark. Counts stand in sentences
            and are not added up: "seed 0: 3 verdicts unreadable; seed 1: 5 verdicts unreadable".
    """
    names = dict.fromkeys(name for notes in runs.values() for name in notes)
    united = {
        name: _united({run: _lines(notes.get(name, ())) for run, notes in runs.items()})
        for name in names
    }
    return {name: notes for name, notes in united.items() if notes}


def _united(runs: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    everywhere = [
        note
        for note in dict.fromkeys(note for notes in runs.values() for note in notes)
        if all(note in notes for notes in runs.values())
    ]
    speakers: dict[str, list[str]] = {}
    for run, notes in runs.items():
        own = "; ".join(note for note in dict.fromkeys(notes) if note not in everywhere)
        if own:
            speakers.setdefault(own, []).append(run)
    differing = "; ".join(f"{' and '.join(who)}: {own}" for own, who in speakers.items())
    return (*everywhere, differing) if differing else tuple(everywhere)


def _lines(notes: Sequence[str]) -> list[str]:
    """Every note as one line without its full stop."""
    return [line for note in notes if (line := " ".join(note.split()).removesuffix("."))]
