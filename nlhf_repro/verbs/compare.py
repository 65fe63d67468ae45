"""`nlhf compare`: two models by their annotation files, or two rows of an experiment."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from math import log
from pathlib import Path

from nlhf_repro.interfaces import ImpossibleSettingError, UnusableAnnotationsError
from nlhf_repro.reporting.scores.comparisons import CUT
from nlhf_repro.reporting.scores.entries import (
    Entry,
    all_questions,
    common_questions,
    is_cut,
    lost_strata,
    matrix,
    strata_of,
    unequal_questions,
)
from nlhf_repro.reporting.scores.records import records_to_csv, to_json
from nlhf_repro.reporting.scores.verdict_table import TIMES, verdict_record, verdict_table
from nlhf_repro.reporting.scores.verdicts import Verdict, compared, family
from nlhf_repro.verbs.annotations import (
    check_options,
    read_group,
    read_scores,
    recognised,
)
from nlhf_repro.verbs.copies import copied_models, refuse_copies
from nlhf_repro.verbs.score import primary_metrics, rendered, shown_metrics
from nlhf_repro.verbs.scoring_arguments import Benchmark, ScoreOptions, options_of, paths_of


def compare(known: argparse.Namespace) -> int:
    """Print the difference, what it shows and what would settle it.

    Raises:
        UnusableAnnotationsError: a file gives no honest score, or the two cannot be compared.
        ImpossibleSettingError: what is no file, no row and no metric.
    """
    if known.margin is not None and not 0 < known.margin < float("inf"):
        raise ImpossibleSettingError(
            f"--margin {known.margin:g} is no margin: give a positive number in the metric's unit."
        )
    if _is_row(known.first) and _is_row(known.second):
        from nlhf_repro.verbs.compare_rows import compare_rows

        names, caption, found, notes, clusters = compare_rows(
            known.first, known.second, known.metric, known.config_dir
        )
        ratio = found[0].unit == TIMES
        if ratio and known.margin is not None and known.margin <= 1:
            raise ImpossibleSettingError(
                f"--margin {known.margin:g} is no ratio that does not matter: give one above 1."
            )
        margin = log(known.margin) if ratio and known.margin is not None else known.margin
    else:
        names, caption, found, notes = _compare_files(known)
        clusters = "questions"
        margin = known.margin
    if margin is not None and len({each.unit for each in found}) > 1:
        raise ImpossibleSettingError("--margin has a unit: choose metrics of one with --metric.")
    verdicts = family(found, margin)
    if known.format in ("csv", "json"):
        records = [verdict_record(names, each, notes) for each in verdicts]
        sys.stdout.write((to_json if known.format == "json" else records_to_csv)(records))
    else:
        table = verdict_table(names, caption, verdicts, notes, clusters)
        sys.stdout.write(rendered([table], known.format))
    return 0


def _is_row(text: str) -> bool:
    return ":" in text and "=" not in text.partition(":")[0] and not Path(text).exists()


def _compare_files(
    known: argparse.Namespace,
) -> tuple[tuple[str, str], str, list[Verdict], list[str]]:
    for row, other in ((known.first, known.second), (known.second, known.first)):
        if _is_row(row):
            raise ImpossibleSettingError(
                f"{row} is no file and {other} is no EXPERIMENT:ROW: compare two files, or two "
                "rows of an experiment."
            )
    options = options_of(known)
    if options.anchor is not None:
        raise ImpossibleSettingError(
            "--anchor is for a round-robin: give all its files to nlhf score arena_hard."
        )
    sides = [_files_of(text) for text in (known.first, known.second)]
    every = [path for _, paths in sides for path in paths]
    refuse_copies(every)
    benchmarks = {known.benchmark} if known.benchmark else set(map(recognised, every))
    if len(benchmarks) > 1:
        raise UnusableAnnotationsError(
            f"{known.first} and {known.second} are of different benchmarks "
            f"({', '.join(sorted(benchmarks))}): compare files of one."
        )
    benchmark = benchmarks.pop()
    check_options(benchmark, options)
    first, second = (
        _entries(benchmark, text, name, paths, options)
        for text, (name, paths) in zip((known.first, known.second), sides, strict=True)
    )
    names = (first[0].name, second[0].name)
    if names[0] == names[1]:
        names = (f"{names[0]} ({known.first})", f"{names[1]} ({known.second})")
    pairs = _pairs(first, second, known.metric)
    found, notes = [], []
    for metric, one, other in pairs:
        _check_conditions(one, other, names)
        questions = common_questions([one, other], metric)
        if len(questions) < 2:
            raise UnusableAnnotationsError(
                f"{names[0]} and {names[1]} have {len(questions)} questions of {metric} in "
                "common: a comparison is paired by question."
            )
        if refused := unequal_questions([one, other], metric):
            raise UnusableAnnotationsError(f"{refused}.")
        if lost := all_questions([one, other], metric) - len(questions):
            notes.append(f"{metric}: {lost} questions that not all runs have were left out.")
        if gone := lost_strata([one, other], metric, questions):
            raise UnusableAnnotationsError(f"{metric} cannot be compared: {gone}.")
        matrices = matrix(one, metric, questions), matrix(other, metric, questions)
        strata = strata_of(one, metric, questions)
        found.append(compared(one.runs[0].metrics[metric], *matrices, strata))
        if is_cut(found[-1].found, one.runs[0].metrics[metric]):
            notes.append(f"{metric}: {CUT[0].lower()}{CUT[1:]}.")
    notes += dict.fromkeys(f"{said}." for _, a, b in pairs for *_, said in copied_models([a, b]))
    for name, entries in zip(names, (first, second), strict=True):
        said = dict.fromkeys(note for entry in entries for note in entry.notes)
        notes += [f"{name}: {'; '.join(said)}."] if said else []
    return names, _caption(benchmark, pairs), found, notes


def _files_of(text: str) -> tuple[str | None, list[Path]]:
    name, equals, files = text.partition("=")
    if equals and not Path(text).exists():
        return name, paths_of(files)
    return None, [Path(text)]


def _entries(
    benchmark: Benchmark,
    text: str,
    name: str | None,
    paths: Sequence[Path],
    options: ScoreOptions,
) -> list[Entry]:
    if name is not None:
        return read_group(benchmark, name, paths, options)
    runs = read_scores(benchmark, paths[0], options)
    if len(names := sorted({run.name for run in runs})) > 1:
        raise ImpossibleSettingError(
            f"{text} holds {len(names)} models ({', '.join(names[:5])}): nlhf score compares the "
            "models of a file."
        )
    return [Entry(run.name, run.name, (run,), (paths[0],)) for run in runs]


def _pairs(
    first: Sequence[Entry], second: Sequence[Entry], wanted: Sequence[str]
) -> list[tuple[str, Entry, Entry]]:
    """Metrics of both sides: those asked for, else the main ones, else all."""
    every = [*first, *second]
    chosen = shown_metrics(every, wanted) if wanted else _main(every)
    holders = {
        metric: (
            [e for e in first if metric in e.metrics],
            [e for e in second if metric in e.metrics],
        )
        for metric in chosen
    }
    pairs = [(m, one[0], other[0]) for m, (one, other) in holders.items() if one and other]
    if not pairs:
        raise UnusableAnnotationsError(
            f"{first[0].name} and {second[0].name} have no metric in common among "
            f"{', '.join(chosen)}: nothing can be compared."
        )
    return pairs


def _main(entries: Sequence[Entry]) -> list[str]:
    primary = primary_metrics(entries) or shown_metrics(entries, ())
    if primary == ["lc_win_rate"]:
        return [*primary, "win_rate"]
    return primary


def _check_conditions(one: Entry, other: Entry, names: tuple[str, str]) -> None:
    for what, here, there in zip(
        ("protocol", "opponent", "judge"), one.conditions, other.conditions, strict=True
    ):
        if here != there:
            raise UnusableAnnotationsError(
                f"{names[0]} and {names[1]} differ in their {what} ({here} against {there}): the "
                "difference would be of two things at once, so judge both alike."
            )


def _caption(benchmark: Benchmark, pairs: Sequence[tuple[str, Entry, Entry]]) -> str:
    by: dict[tuple[str, str, str], list[str]] = {}
    for metric, entry, _ in pairs:
        by.setdefault(entry.conditions, []).append(metric)
    texts = [
        f"{', '.join(metrics)}: version {version}, opponent {opponent}, judge {judge}."
        for (version, opponent, judge), metrics in by.items()
    ]
    return f"{benchmark}; {' '.join(texts)}"
