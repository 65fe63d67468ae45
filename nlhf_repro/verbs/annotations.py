"""From annotation files to the lines of a leaderboard."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from nlhf_repro.benchmarks.annotation_files import read_rows
from nlhf_repro.interfaces import ImpossibleSettingError, ModelScores, UnusableAnnotationsError
from nlhf_repro.reporting.scores.entries import Entry
from nlhf_repro.verbs.copies import refuse_copied_runs, refuse_copies
from nlhf_repro.verbs.scoring_arguments import BENCHMARKS, TAKEN, Benchmark, ScoreOptions

if TYPE_CHECKING:
    from nlhf_repro.benchmarks.alpaca_eval import Reference


def check_options(benchmark: Benchmark, options: ScoreOptions) -> None:
    """Refuse options that the benchmark would ignore.

    Raises:
        ImpossibleSettingError: names the option.
    """
    default = ScoreOptions()
    for name, value in vars(options).items():
        if name == "maximum_unusable" or value == getattr(default, name):
            continue
        if name not in TAKEN[benchmark]:
            raise ImpossibleSettingError(f"--{name} means nothing for {benchmark}: drop it.")
    if options.gamed and not options.questions:
        raise ImpossibleSettingError(
            "--gamed counts questions in the official order: give that list with --questions."
        )


def read_entries(
    benchmark: Benchmark,
    files: Sequence[Path],
    groups: Mapping[str, Sequence[Path]],
    options: ScoreOptions,
) -> list[Entry]:
    """One entry a model of a file, and one a group of files, which are runs of one algorithm.

    Where Arena-Hard's models met each other, one a model and one a pair that met.

    Raises:
        UnusableAnnotationsError: a file gives no honest score, or is there twice.
        ImpossibleSettingError: no file, an option without meaning, or runs that are none.
    """
    check_options(benchmark, options)
    every = [*files, *(path for group in groups.values() for path in group)]
    if not every:
        raise ImpossibleSettingError(f"nlhf score {benchmark} has no file: name at least one.")
    refuse_copies(every)
    met: list[Entry] = []
    if benchmark == "arena_hard" and files:
        from nlhf_repro.verbs.round_robins import arena_scores

        single, met = arena_scores(files, options)
    else:
        single = [(path, run) for path in files for run in read_scores(benchmark, path, options)]
    entries = [Entry(_label(run, path, single), run.name, (run,), (path,)) for path, run in single]
    entries += met
    for label, paths in groups.items():
        if any(entry.name == label for entry in entries):
            raise ImpossibleSettingError(
                f"--seeds {label}=... has the name of a model that another file holds: give the "
                "group another name."
            )
        entries += read_group(benchmark, label, paths, options)
    return entries


def _label(run: ModelScores, path: Path, every: Sequence[tuple[Path, ModelScores]]) -> str:
    """The model's name, with the file or Arena-Hard's category where another line has it too."""
    files = {other for other, scores in every if scores.name == run.name}
    alike = [scores for other, scores in every if other == path and scores.name == run.name]
    category = f", {next(iter(run.metrics)).partition('/')[2]}" if len(alike) > 1 else ""
    return f"{run.name}{category} ({path})" if len(files) > 1 else f"{run.name}{category}"


def read_scores(
    benchmark: Benchmark, path: Path, options: ScoreOptions, name: str | None = None
) -> tuple[ModelScores, ...]:
    """Scores of every model in a file; `name` is that of an lm-eval run that recorded none."""
    if benchmark == "alpaca_eval":
        return _alpaca_eval(path, options)
    if benchmark == "arena_hard":
        return _arena_hard(path, options)
    if benchmark == "mt_bench":
        return _mt_bench(path, options)
    from nlhf_repro.benchmarks.academic.files import read_run
    from nlhf_repro.benchmarks.academic.scores import score_run

    return (score_run(read_run(path, name), options.macro, options.maximum_unusable),)


def recognised(path: Path) -> Benchmark:
    """The benchmark whose format the file has.

    Raises:
        UnusableAnnotationsError: none has it.
    """
    if _is_results(path):
        return "academic"
    fields = set().union(*read_rows(path)[:20])
    if {"preference", "generator_2"} <= fields:
        return "alpaca_eval"
    if "games" in fields:
        return "arena_hard"
    if "g1_winner" in fields or {"question_id", "turn", "score"} <= fields:
        return "mt_bench"
    raise UnusableAnnotationsError(
        f"{path} has the format of no benchmark (fields {', '.join(sorted(map(repr, fields)))}): "
        f"say which with --benchmark, one of {', '.join(BENCHMARKS)}."
    )


def _is_results(path: Path) -> bool:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(record, dict) and isinstance(record.get("results"), dict)


def _alpaca_eval(path: Path, options: ScoreOptions) -> tuple[ModelScores, ...]:
    from nlhf_repro.benchmarks import alpaca_eval
    from nlhf_repro.benchmarks.alpaca_eval.reference import read_questions

    reference = None
    questions = None
    if options.questions and options.gamed:
        reference = _reference(options.questions, options.gamed)
        questions = reference.questions
    elif options.questions:
        questions = read_questions(options.questions)
    models = alpaca_eval.read_annotations(
        path, questions, options.outputs, options.maximum_unusable
    )
    return tuple(alpaca_eval.score(model, reference) for model in models)


@cache
def _reference(questions: Path, gamed: Path) -> Reference:
    from nlhf_repro.benchmarks.alpaca_eval import read_reference

    return read_reference(questions, gamed)


def _arena_hard(path: Path, options: ScoreOptions) -> tuple[ModelScores, ...]:
    from nlhf_repro.benchmarks import arena_hard

    judgments = arena_hard.read_judgments([path], options.baseline)
    questions = arena_hard.read_questions(options.questions) if options.questions else None
    styles = dict(map(arena_hard.read_styles, options.answers)) or None
    return arena_hard.score_judgments(
        judgments, questions, styles, maximum_lost=options.maximum_unusable
    )


def _mt_bench(path: Path, options: ScoreOptions) -> tuple[ModelScores, ...]:
    from nlhf_repro.benchmarks import mt_bench

    categories = mt_bench.OFFICIAL_QUESTIONS
    if options.questions:
        categories = mt_bench.read_categories(options.questions)
    if any("g1_winner" in row for row in read_rows(path)):
        if options.baseline is None:
            raise ImpossibleSettingError(
                f"{path} holds pairwise judgments: say with --baseline whom the models met."
            )
        pairs = mt_bench.read_pairs(path)
        return mt_bench.score_pairs(pairs, options.baseline, categories, options.maximum_unusable)
    if options.baseline is not None:
        raise ImpossibleSettingError(f"{path} holds ratings without a baseline: drop --baseline.")
    ratings = mt_bench.read_ratings(path)
    return mt_bench.score_ratings(ratings, categories, options.repeats, options.maximum_unusable)


def read_group(
    benchmark: Benchmark, label: str, paths: Sequence[Path], options: ScoreOptions
) -> list[Entry]:
    """Runs of one algorithm: one entry, or one for every category of Arena-Hard.

    Raises:
        UnusableAnnotationsError: the runs were not scored alike, or one is a copy of another.
        ImpossibleSettingError: a file holds several models.
    """
    runs = [read_scores(benchmark, path, options, label) for path in paths]
    for path, scores in zip(paths, runs, strict=True):
        names = sorted({each.name for each in scores})
        if len(names) > 1:
            raise ImpossibleSettingError(
                f"{path} holds {len(names)} models ({', '.join(names)}), and a file of --seeds is "
                "one training run: give every run a file of its own."
            )
    columns = [{tuple(each.metrics): each for each in scores} for scores in runs]
    for path, column in zip(paths[1:], columns[1:], strict=True):
        if column.keys() != columns[0].keys():
            raise UnusableAnnotationsError(
                f"{path} and {paths[0]} have other metrics: runs of {label} must be scored alike."
            )
    entries = [
        Entry(label, label, tuple(column[key] for column in columns), tuple(paths))
        for key in columns[0]
    ]
    for entry in entries:
        _check_runs(entry, paths)
        refuse_copied_runs(entry)
    return entries


def _check_runs(entry: Entry, paths: Sequence[Path]) -> None:
    for run, path in zip(entry.runs, paths, strict=True):
        own = Entry("", "", (run,), (path,)).conditions
        if own != entry.conditions:
            raise UnusableAnnotationsError(
                f"{path} and {paths[0]} differ in protocol, opponent or judge "
                f"({'; '.join(own)} against "
                f"{'; '.join(entry.conditions)}): they are no runs of {entry.label}."
            )
