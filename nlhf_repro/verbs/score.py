"""`nlhf score`: scores with honest intervals of annotation files that are already there."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from nlhf_repro.interfaces import ImpossibleSettingError
from nlhf_repro.reporting.cells import Table
from nlhf_repro.reporting.latex import to_latex
from nlhf_repro.reporting.markdown import to_markdown
from nlhf_repro.reporting.scores.comparisons import comparison_table, families
from nlhf_repro.reporting.scores.diagnostics import diagnostics_table
from nlhf_repro.reporting.scores.entries import Entry, Score, score_of, unequal_questions
from nlhf_repro.reporting.scores.leaderboard import (
    CHECKPOINT_NOTE,
    EXTREME_NOTE,
    is_extreme,
    score_table,
)
from nlhf_repro.reporting.scores.records import records_to_csv, score_record, to_json
from nlhf_repro.reporting.terminal import to_text
from nlhf_repro.validation import suggestion
from nlhf_repro.verbs.annotations import read_entries
from nlhf_repro.verbs.copies import copied_models
from nlhf_repro.verbs.scoring_arguments import STRENGTH, groups_of, options_of
from nlhf_repro.verbs.upstream import upstream_table

TITLES = {
    "alpaca_eval": "AlpacaEval 2",
    "arena_hard": "Arena-Hard",
    "mt_bench": "MT-Bench",
    "academic": "Academic tasks",
}
_NOT_COMPARED = (
    "Nothing is compared: name what counts before you look, with --metric, or with --macro the "
    "tasks to be averaged."
)
_OVERALL = ("score", "first_turn", "second_turn", "win_rate")


def score(known: argparse.Namespace, more_files: Sequence[str]) -> int:
    """Print the scores of every model in the files, and what sets them apart.

    Raises:
        UnusableAnnotationsError: a file gives no honest score.
        ImpossibleSettingError: options or metrics that the benchmark does not have.
    """
    options, groups = options_of(known), groups_of(known.seeds)
    if known.figure is not None:
        from nlhf_repro.reporting.scores.forest import check_suffix

        check_suffix(known.figure)
    if known.upstream and known.format in ("csv", "json"):
        raise ImpossibleSettingError(
            f"--upstream is a table beside the scores: drop it, or --format {known.format}."
        )
    files = [Path(name) for name in (*known.files, *more_files)]
    entries = read_entries(known.benchmark, files, groups, options)
    metrics = shown_metrics(entries, known.metric)
    compared = list(known.metric) or primary_metrics(entries)
    entries = _ordered(entries, (compared or metrics)[0])
    copied = copied_models(entries)
    scores = {
        (index, metric): found
        for index, entry in enumerate(entries)
        for metric in metrics
        if metric in entry.metrics and (found := score_of(entry, metric)) is not None
    }
    if known.format in ("csv", "json"):
        records = [
            score_record(
                entries[index],
                found,
                [
                    *_record_notes(entries, found, compared),
                    *(f"{said}." for *pair, said in copied if index in pair),
                ],
            )
            for (index, _), found in scores.items()
        ]
        sys.stdout.write((to_json if known.format == "json" else records_to_csv)(records))
    else:
        tables = _tables(TITLES[known.benchmark], entries, scores, metrics, compared)
        tables[0] = _noted(tables[0], [f"{said}." for *_, said in copied])
        if known.upstream:
            every = [*files, *(path for paths in groups.values() for path in paths)]
            tables.append(upstream_table(known.benchmark, every, options))
        sys.stdout.write(rendered(tables, known.format))
    if known.figure is not None:
        _draw(known.figure, known.benchmark, entries, scores, (compared or metrics)[0])
    return 0


def _record_notes(entries: Sequence[Entry], found: Score, compared: Sequence[str]) -> list[str]:
    """What a table's reader is told of one score beside the entry's own notes."""
    notes = [CHECKPOINT_NOTE] if found.level == "checkpoint" else []
    notes += [EXTREME_NOTE] if is_extreme(found) else []
    if found.metric in compared:
        holders = [entry for entry in entries if found.metric in entry.metrics]
        refused = unequal_questions(holders, found.metric)
        notes += [f"Not compared: {refused}."] if refused else []
    return notes


def rendered(tables: Sequence[Table], form: str) -> str:
    """The tables one after the other, for a terminal, as Markdown or as LaTeX."""
    write = {"terminal": to_text, "markdown": to_markdown, "latex": to_latex}[form]
    return "\n".join(map(write, tables))


def shown_metrics(entries: Sequence[Entry], wanted: Sequence[str]) -> list[str]:
    """The metrics asked for, else all; MT-Bench's categories only where there is one model.

    Raises:
        ImpossibleSettingError: no entry has a metric that was asked for.
    """
    known = list(dict.fromkeys(name for entry in entries for name in entry.metrics))
    for name in wanted:
        if name not in known:
            raise ImpossibleSettingError(
                f"--metric {name} is no metric of these files: {suggestion(name, known)}"
            )
    if wanted:
        return list(dict.fromkeys(wanted))
    overall = [name for name in known if name in _OVERALL]
    if entries[0].runs[0].benchmark == "mt_bench" and len(entries) > 1:
        return overall
    return known


def primary_metrics(entries: Sequence[Entry]) -> list[str]:
    """What is compared unless --metric says it: one metric, or one a category of Arena-Hard."""
    known = list(dict.fromkeys(name for entry in entries for name in entry.metrics))
    benchmark = entries[0].runs[0].benchmark
    if benchmark == "alpaca_eval":
        return ["lc_win_rate" if "lc_win_rate" in known else "win_rate"]
    if benchmark == "mt_bench":
        return ["score" if "score" in known else "win_rate"]
    if benchmark == "arena_hard":
        first = list(dict.fromkeys(next(iter(entry.metrics)) for entry in entries))
        strengths = [name for name in first if name.startswith(STRENGTH)]
        fitted = {name.removeprefix(STRENGTH) for name in strengths}
        return [*strengths, *(x for x in first if x.partition("/")[2] not in fitted)]
    if "macro_average" in known:
        return ["macro_average"]
    return known if len(known) == 1 else []


def _ordered(entries: Sequence[Entry], metric: str) -> list[Entry]:
    """Best first; entries without the metric last, in the order given."""
    found = {
        index: score.estimate
        for index, entry in enumerate(entries)
        if metric in entry.metrics and (score := score_of(entry, metric)) is not None
    }
    order = sorted(
        range(len(entries)), key=lambda i: (-found.get(i, float("-inf")), entries[i].label)
    )
    return [entries[index] for index in order]


def _tables(
    title: str,
    entries: Sequence[Entry],
    scores: dict[tuple[int, str], Score],
    metrics: Sequence[str],
    compared: Sequence[str],
) -> list[Table]:
    """The leaderboard and its comparisons; models that met each other, then pair by pair."""
    fitted = [entry.metrics[0].startswith(STRENGTH) for entry in entries]
    parts = [[i for i, own in enumerate(fitted) if own is kind] for kind in (True, False)]
    tables: list[Table] = []
    for kind, part in zip((True, False), parts, strict=True):
        shown = [name for name in metrics if any((i, name) in scores for i in part)]
        own = [name for name in compared if name in shown]
        if not shown:
            continue
        chosen = [entries[i] for i in part]
        values = {
            (k, m): scores[i, m] for k, i in enumerate(part) for m in shown if (i, m) in scores
        }
        found = [family for name in own for family in families(chosen, name)]
        found = found if len(chosen) > 1 else []
        more = f"{title}, pair by pair" if not kind and any(fitted) else title
        board = score_table(more, chosen, values, shown, found)
        if len(chosen) > 1 and not compared:
            board = _noted(board, [_NOT_COMPARED])
        pairs = [comparison_table(chosen, family) for family in found]
        tables += [board, *(table for table in pairs if table is not None)]
    return [*tables, diagnostics_table(entries)]


def _noted(table: Table, notes: Sequence[str]) -> Table:
    return replace(table, notes=(*table.notes, *notes))


def _draw(
    path: Path,
    benchmark: str,
    entries: Sequence[Entry],
    scores: dict[tuple[int, str], Score],
    metric: str,
) -> None:
    from nlhf_repro.reporting.scores.forest import draw_forest

    chosen = [index for index in range(len(entries)) if (index, metric) in scores]
    shown = [scores[index, metric] for index in chosen]
    names = [entries[index].label for index in chosen]
    draw_forest(path, TITLES[benchmark], f"{metric} ({shown[0].unit})", names, shown)
    sys.stderr.write(f"nlhf: written to {path}\n")
