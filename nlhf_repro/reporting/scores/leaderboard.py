"""The table of scores: one line a model, or one line a metric where there is one model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from nlhf_repro.reporting.cells import CHECKPOINT, Cell, Table, TableRow
from nlhf_repro.reporting.numbers import additive_interval
from nlhf_repro.reporting.scores.comparisons import Family
from nlhf_repro.reporting.scores.entries import Entry, Score

CHECKPOINT_NOTE = (
    f"{CHECKPOINT} checkpoint level: no training variance; one training run says nothing about "
    "another run of the algorithm."
)
EXTREME_NOTE = "Below 5 or above 95 %, where intervals may cover less"
_UNITS = {
    "percent": "percent",
    "points": "the metric's own points",
    "log odds": "natural log-odds of winning against the anchor",
}
Scores = Mapping[tuple[int, str], Score]  # by entry and metric


def score_table(
    title: str,
    entries: Sequence[Entry],
    scores: Scores,
    metrics: Sequence[str],
    families: Sequence[Family],
) -> Table:
    """Estimates with their 95 % intervals, and ranks where models were compared."""
    columns = zip(*map(_conditions, entries), strict=True)
    caption = " ".join(column[0] for column in columns if column[0] and len(set(column)) == 1)
    header: tuple[str, ...]
    if len(entries) == 1:
        header = ("metric", "K x n", "estimate")
        rows = _metric_lines(scores, metrics)
    else:
        ranked = [family for family in families if family.pairwise is not None]
        names = list(dict.fromkeys(family.metric for family in ranked))
        header = ("model", "K x n", *metrics, *(f"rank, {name}" for name in names))
        rows = [
            TableRow(
                entry.label,
                (
                    Cell(_size(scores, index, metrics)),
                    *(
                        replace(
                            _cell(scores.get((index, metric))),
                            best=_first_rank(ranked, metric, index) == 1,
                        )
                        for metric in metrics
                    ),
                    *(Cell(_rank(ranked, name, index)) for name in names),
                ),
            )
            for index, entry in enumerate(entries)
        ]
    return Table(
        title=title if len(entries) > 1 else f"{title}: {entries[0].label}",
        caption=caption,
        header=header,
        rows=tuple(rows),
        notes=tuple(_notes(entries, scores, metrics, families)),
    )


def _conditions(entry: Entry) -> tuple[str, str, str]:
    """Version, opponent and judge in words; empty where there is none."""
    version, opponent, judge = entry.conditions
    return (
        f"Version: {version}.",
        "" if entry.runs[0].opponent is None else f"Opponent: {opponent}.",
        "" if judge == "none" else f"Judge: {judge}.",
    )


def _own_conditions(entries: Sequence[Entry]) -> Iterator[str]:
    """Of every entry, what it does not share with all others and its label does not say."""
    texts = [_conditions(entry) for entry in entries]
    alike = [len(set(column)) == 1 for column in zip(*texts, strict=True)]
    for entry, text in zip(entries, texts, strict=True):
        own = [part for part, shared in zip(text, alike, strict=True) if part and not shared]
        if own and not (own == [text[1]] and f" against {entry.runs[0].opponent}" in entry.label):
            yield f"{entry.label}: {' '.join(own)}"


def _metric_lines(scores: Scores, metrics: Sequence[str]) -> list[TableRow]:
    return [
        TableRow(metric, (Cell(_size(scores, 0, [metric])), _cell(scores.get((0, metric)))))
        for metric in metrics
    ]


def _size(scores: Scores, index: int, metrics: Sequence[str]) -> str:
    found = [scores[index, metric] for metric in metrics if (index, metric) in scores]
    sizes = sorted({one.questions for one in found})
    if not found:
        return "-"
    questions = str(sizes[0]) if len(sizes) == 1 else f"{sizes[0]}-{sizes[-1]}"
    return f"{found[0].seeds} x {questions}"


def _cell(score: Score | None) -> Cell:
    if score is None:
        return Cell("-")
    text = additive_interval(score.estimate, score.lower, score.upper)
    if not np.isfinite(score.lower):
        text = f"{score.estimate:.2f} (no interval)"
    cell = Cell(
        text,
        score.estimate,
        score.lower,
        score.upper,
        seeds=score.seeds,
        clusters=score.questions,
        level=score.level,
        note=score.note,
    )
    return cell.marked(CHECKPOINT) if score.level == "checkpoint" else cell


def _first_rank(families: Sequence[Family], metric: str, index: int) -> int | None:
    """The best rank that the entry may have; None where it was not compared."""
    for family in families:
        if family.metric == metric and index in family.members and family.pairwise:
            return family.pairwise.ranks[family.members.index(index)][0]
    return None


def _rank(families: Sequence[Family], metric: str, index: int) -> str:
    for family in families:
        if family.metric == metric and index in family.members and family.pairwise:
            low, high = family.pairwise.ranks[family.members.index(index)]
            of = f" of {len(family.members)}"
            return f"{low}{of}" if low == high else f"{low} to {high}{of}"
    return "-"


def _notes(
    entries: Sequence[Entry],
    scores: Scores,
    metrics: Sequence[str],
    families: Sequence[Family],
) -> Iterator[str]:
    yield "K x n: training runs x questions."
    for unit, meaning in _UNITS.items():
        if named := sorted(
            {s.metric for s in scores.values() if s.unit == unit}, key=metrics.index
        ):
            yield f"{', '.join(named)}: in {meaning} [95 % interval, questions as clusters]."
    if any(score.level == "checkpoint" for score in scores.values()):
        yield CHECKPOINT_NOTE
    yield from _run_notes(entries, scores)
    said: dict[str, list[str]] = {}
    for (index, metric), score in scores.items():
        if score.note:
            said.setdefault(score.note, []).append(_named(entries, index, metric))
    for note, names in said.items():
        yield f"{'; '.join(names)}: {note}."
    extreme = [
        _named(entries, index, metric)
        for (index, metric), score in scores.items()
        if is_extreme(score)
    ]
    if extreme:
        yield f"{EXTREME_NOTE}: {'; '.join(extreme)}."
    yield from _own_conditions(entries)
    yield from _entry_notes(entries)
    for family in families:
        yield from family.notes(entries)


def _entry_notes(entries: Sequence[Entry]) -> Iterator[str]:
    """Every entry's own notes, each once, with the entries that it holds for."""
    holders: dict[str, list[str]] = {}
    for entry in entries:
        for note in entry.notes:
            holders.setdefault(note, []).append(entry.label)
    alike: dict[tuple[str, ...], list[str]] = {}
    for note, labels in holders.items():
        alike.setdefault(tuple(labels), []).append(note)
    for named, notes in alike.items():
        who = "All" if 1 < len(entries) == len(named) else ", ".join(named)
        yield f"{who}: {'; '.join(notes)}."


def is_extreme(score: Score) -> bool:
    """Whether there is an interval, and it may cover less than they say."""
    known = bool(np.isfinite(score.lower))
    return known and score.unit == "percent" and not 5 <= score.estimate <= 95


def _run_notes(entries: Sequence[Entry], scores: Scores) -> Iterator[str]:
    """Every run's own value, and how far runs differ."""
    for (index, metric), score in scores.items():
        if score.seeds > 1:
            each = ", ".join(f"{value:.2f}" for value in score.by_run)
            middle, low, high = score.spread
            yield (
                f"{_named(entries, index, metric)}: runs {each}; SD of training {middle:.2f} "
                f"[{low:.2f}, {high:.2f}]."
            )


def _named(entries: Sequence[Entry], index: int, metric: str) -> str:
    return f"{entries[index].label}, {metric}" if len(entries) > 1 else metric
