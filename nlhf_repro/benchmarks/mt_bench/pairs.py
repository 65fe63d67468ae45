"""Pairwise judgments of MT-Bench: a win only where both orders agree, else a tie.

Rows have `question_id`, `model_1`, `model_2`, `g1_winner`, `g2_winner` (model_1, model_2, tie or
error, the second game with the answers swapped), `judge` and `turn`.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np

from nlhf_repro.benchmarks.annotation_files import (
    Row,
    read_rows,
    refuse_duplicates,
    require_fields,
    text_field,
)
from nlhf_repro.benchmarks.clustered import extremes_note, refuse_lost, stratified_extremes
from nlhf_repro.benchmarks.mt_bench.questions import (
    OFFICIAL_QUESTIONS,
    TURNS,
    judge_of,
    one_judge,
    own_questions_note,
    question_of,
    refuse_foreign,
    refuse_lost_categories,
    turn_of,
)
from nlhf_repro.interfaces import (
    Diagnostics,
    MetricScores,
    ModelScores,
    UnusableAnnotationsError,
)

_SHARES = {"model_1": 1.0, "tie": 0.5, "model_2": 0.0}
_LABELS = {"[[A]]": "A", "[[B]]": "B", "[[C]]": "tie"}


@final
@dataclass(frozen=True)
class Pair:
    """Two games, in both orders, of two models on one question and turn."""

    question: str
    turn: int
    models: tuple[str, str]
    judge: str
    prompt: str
    winners: tuple[str, str]  # as recorded

    def loss_reason(self) -> str | None:
        """Why the pair gives no value; None where it does."""
        unusable = [winner for winner in self.winners if winner not in _SHARES]
        if not unusable:
            return None
        return "no verdict" if set(unusable) == {"error"} else "unknown verdict"

    def share(self, model: str) -> float:
        """1, 0.5 or 0: the model's share of a usable pair."""
        agree = self.winners[0] == self.winners[1]
        share = _SHARES[self.winners[0]] if agree else 0.5
        return share if model == self.models[0] else 1 - share


def parse_winner(text: str) -> str | None:
    """A, B or tie; None without a label. Of several labels A goes before B, and B before the tie.

    Upstream's rule (FastChat 0e6d3e4, `common.py: run_judge_pair`).
    """
    return next((winner for label, winner in _LABELS.items() if label in text), None)


def read_pairs(path: Path) -> tuple[Pair, ...]:
    """Pairs of one judge model from a `*_pair.jsonl`.

    Raises:
        UnusableAnnotationsError: no file, a damaged or foreign one, mixed judges, a row without
            question, turn, models or judge, a model against itself, or a pair judged twice.
    """
    rows = read_rows(path)
    fields = ("question_id", "model_1", "model_2", "g1_winner", "g2_winner", "judge", "turn")
    require_fields(rows, fields, path, "a file of MT-Bench pairwise judgments")
    pairs = tuple(_pair(row, path, number) for number, row in enumerate(rows, start=1))
    one_judge(((each.judge, each.prompt) for each in pairs), path)
    keys = [{"key": (*sorted(x.models), x.question, x.turn)} for x in pairs]
    refuse_duplicates(keys, lambda row: row["key"], path, "models, question and turn")
    return pairs


def score_pairs(
    pairs: Sequence[Pair],
    baseline: str,
    categories: Mapping[str, str] = OFFICIAL_QUESTIONS,
    maximum_lost: float = 0.02,
) -> tuple[ModelScores, ...]:
    """Win rate of every model against the baseline, in percent, ties half a win.

    Metric `win_rate` (upstream's win_rate_adjusted): a question's mean over its two turns, with
    the categories as strata of equal weight; questions that lost a turn are left out.

    Args:
        pairs: From `read_pairs`; those without the baseline are counted in a note.
        baseline: The model that all others are compared with.
        categories: Category of every question that must be there; the official 80 by default.
        maximum_lost: Share of the pairs without a value, missing ones included, above which a
            score is refused.

    Raises:
        UnusableAnnotationsError: no pair has the baseline, too many are lost, or questions lie
            outside the list.
    """
    groups: dict[str, list[Pair]] = defaultdict(list)
    for each in pairs:
        if baseline in each.models:
            groups[next(name for name in each.models if name != baseline)].append(each)
    if not groups:
        names = sorted({name for each in pairs for name in each.models})
        raise UnusableAnnotationsError(
            f"No pair has the baseline {baseline!r}: the models are {', '.join(names)}."
        )
    aside = len(pairs) - sum(map(len, groups.values()))
    return tuple(
        _score(groups[name], name, baseline, categories, maximum_lost, aside)
        for name in sorted(groups)
    )


def _score(
    group: Sequence[Pair],
    name: str,
    baseline: str,
    categories: Mapping[str, str],
    maximum_lost: float,
    aside: int,
) -> ModelScores:
    where = f"{name} against {baseline} (judge {group[0].judge})"
    refuse_foreign((each.question for each in group), categories, where)
    losses = Counter(reason for each in group if (reason := each.loss_reason()) is not None)
    refuse_lost(losses, len(categories) * len(TURNS) - len(group), len(group), maximum_lost, where)
    usable = {(x.question, x.turn): x for x in group if x.loss_reason() is None}
    both = {
        question: 50 * sum(usable[question, turn].share(name) for turn in TURNS)
        for question in categories
        if all((question, turn) in usable for turn in TURNS)
    }
    if not both:
        raise UnusableAnnotationsError(f"No question of {where} has two usable turns.")
    refuse_lost_categories(both, categories, where)
    strata = tuple(categories[question] for question in both)
    flips = [each.winners[0] != each.winners[1] for each in usable.values()]
    expected = len(categories) * len(TURNS)
    extremes = stratified_extremes(both, categories, 0.0, 100.0)
    notes = ["categories fixed", *own_questions_note(categories)]
    if aside:
        notes.append(f"{aside} pairs without {baseline} left aside")
    return ModelScores(
        benchmark="mt_bench",
        version="pairwise",
        name=name,
        opponent=baseline,
        judge=group[0].judge,
        metrics={
            "win_rate": MetricScores(
                "win_rate", "percent", tuple(both), np.array(list(both.values())), True, strata
            )
        },
        diagnostics=Diagnostics(
            rows=len(group),
            unusable=dict(losses),
            duplicates=0,
            missing=len(set(categories) - {each.question for each in group}),
            identical_outputs=None,
            verdicts=dict(Counter(winner for each in group for winner in each.winners)),
            position_flip_rate=float(np.mean(flips)),
        ),
        notes=(*notes, *extremes_note(expected - len(usable), expected, *extremes)),
    )


def _pair(row: Row, path: Path, number: int) -> Pair:
    question, turn, judge = question_of(row), turn_of(row), judge_of(row)
    first, second = text_field(row, "model_1"), text_field(row, "model_2")
    if question is None or turn is None or judge is None or first is None or second is None:
        raise UnusableAnnotationsError(
            f"Row {number} of {path} lacks its question_id, turn (1 or 2), model_1, model_2 or "
            "judge: the row cannot be attributed, so write the file again."
        )
    if first == second:
        raise UnusableAnnotationsError(
            f"Row {number} of {path} compares {first!r} with itself: remove it."
        )
    winners = str(row.get("g1_winner")), str(row.get("g2_winner"))
    return Pair(question, turn, (first, second), judge[0], judge[1], winners)
