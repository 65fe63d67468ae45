"""Arena-Hard's files, in which models may meet each other instead of one baseline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from nlhf_repro.benchmarks import arena_hard
from nlhf_repro.interfaces import ImpossibleSettingError, ModelScores
from nlhf_repro.reporting.scores.entries import Entry
from nlhf_repro.verbs.scoring_arguments import ScoreOptions


def arena_scores(
    files: Sequence[Path], options: ScoreOptions
) -> tuple[list[tuple[Path, ModelScores]], list[Entry]]:
    """Scores of every model of a file against its baseline, and the entries of round-robins.

    The latter are one for each model that met others and one for each pair that met, over all files
    at once.

    Raises:
        UnusableAnnotationsError: a file gives no honest score.
        ImpossibleSettingError: an anchor without a round-robin, or style control of one.
    """
    by_file = {path: arena_hard.read_judgments([path], options.baseline) for path in files}
    robins = arena_hard.round_robins([each for group in by_file.values() for each in group])
    if options.anchor is not None and not robins:
        raise ImpossibleSettingError(
            "--anchor means something where models meet each other, and here every one met a "
            "single baseline: drop it."
        )
    if options.answers and robins:
        raise ImpossibleSettingError(
            "--answers controls style against one baseline, and these models meet each other: "
            "drop it."
        )
    questions = arena_hard.read_questions(options.questions) if options.questions else None
    styles = dict(map(arena_hard.read_styles, options.answers)) or None
    taken = {id(each) for group in robins for each in group}
    single = []
    for path, group in by_file.items():
        if rest := [each for each in group if id(each) not in taken]:
            scores = arena_hard.score_judgments(
                rest, questions, styles, maximum_lost=options.maximum_unusable
            )
            single += [(path, each) for each in scores]
    place = {id(each): path for path, group in by_file.items() for each in group}
    several = len({each.category for group in by_file.values() for each in group}) > 1
    entries = []
    for group in robins:
        strengths, pairs = arena_hard.score_round_robin(
            group, options.anchor, questions, options.maximum_unusable
        )
        where = (place[id(group[0])],)
        more = f", {group[0].category}" if several else ""
        entries += [Entry(f"{x.name}{more}", x.name, (x,), where) for x in strengths if x.metrics]
        missing = () if any(each.metrics for each in strengths) else strengths[0].notes
        entries += [
            Entry(
                f"{x.name} against {x.opponent}{more}",
                x.name,
                (replace(x, notes=(*x.notes, *missing)),),
                where,
            )
            for x in pairs
        ]
    return single, entries
