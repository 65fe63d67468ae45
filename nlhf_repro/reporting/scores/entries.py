"""Lines of a leaderboard: an algorithm's runs, each scored on the same questions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import isnan, nan
from pathlib import Path

import numpy as np

from nlhf_repro.interfaces import Array, MetricScores, ModelScores, UnusableAnnotationsError
from nlhf_repro.reporting.cells import joined
from nlhf_repro.uncertainty import Difference, Estimate, bounded_interval, estimate, proportion
from nlhf_repro.uncertainty.records import Level

NO_SPREAD = "every question has the same value: no interval"
BEYOND_RANGE = (
    "the interval would reach beyond the possible scores, so the ends are Wilson's for wins and "
    "losses"
)


@dataclass(frozen=True)
class Entry:
    """One line: the scores of every training run, in the order given, all of the same metrics.

    `name` is the model's or the group's; `label` tells the line from the others.
    """

    label: str
    name: str
    runs: tuple[ModelScores, ...]
    files: tuple[Path, ...]  # of every run

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the metrics."""
        return tuple(self.runs[0].metrics)

    @property
    def conditions(self) -> tuple[str, str, str]:
        """What two entries must have in common to be compared: protocol, opponent, judge."""
        first = self.runs[0]
        return first.version, first.opponent or "none", first.judge

    @property
    def notes(self) -> tuple[str, ...]:
        """What must be printed beside the entry's numbers: the runs' own notes, each once."""
        names = list(dict.fromkeys(run.name for run in self.runs))
        several = [f"runs of {len(names)} model names ({', '.join(names)}), taken as one algorithm"]
        own = (note for run in self.runs for note in run.notes)
        return tuple(dict.fromkeys([*(several if len(names) > 1 else []), *own]))


@dataclass(frozen=True)
class Score:
    """An entry's metric: the interval's ends and the error are NaN where not estimable."""

    metric: str
    unit: str
    estimate: float
    standard_error: float
    lower: float
    upper: float
    level: Level
    seeds: int
    questions: int
    note: str
    by_run: tuple[float, ...]  # every run's own value, on the questions that all have
    spread: tuple[float, float, float]  # SD between runs and its interval; NaN for one run


def common_questions(entries: Sequence[Entry], metric: str) -> tuple[str, ...]:
    """Questions that every run of every entry has a value for, sorted."""
    sets = [set(run.metrics[metric].questions) for each in entries for run in each.runs]
    return tuple(sorted(sets[0].intersection(*sets[1:])))


def all_questions(entries: Sequence[Entry], metric: str) -> int:
    """Number of questions that some run has a value for."""
    runs = (run for each in entries for run in each.runs)
    return len(set().union(*(run.metrics[metric].questions for run in runs)))


def unequal_questions(entries: Sequence[Entry], metric: str) -> str:
    """Why the metric cannot be cut down to the questions that all runs have; empty where it can.

    A metric that is no plain mean has values that depend on all questions of their file.
    """
    pairs = [pair for each in entries for pair in zip(each.runs, each.files, strict=True)]
    first, path = pairs[0]
    kept = set(first.metrics[metric].questions)
    others = [file for run, file in pairs if set(run.metrics[metric].questions) != kept]
    if not others or all(run.metrics[metric].is_plain_mean for run, _ in pairs):
        return ""
    return (
        f"{metric} is no plain mean over questions, and {', '.join(map(str, others))} and {path} "
        "have different questions: score files over the same questions"
    )


def lost_strata(entries: Sequence[Entry], metric: str, questions: Sequence[str]) -> str:
    """Why the questions do not give the metric: a stratum has none of them; empty where all have.

    Strata weigh the same, so the mean over the others would be another metric.
    """
    kept, known = set(questions), dict[str, bool]()
    for scores in (run.metrics[metric] for each in entries for run in each.runs):
        for question, stratum in zip(scores.questions, scores.strata or (), strict=False):
            known[stratum] = known.get(stratum, False) or question in kept
    lost = sorted(stratum for stratum, there in known.items() if not there)
    if not lost:
        return ""
    files = ", ".join(dict.fromkeys(str(path) for each in entries for path in each.files))
    return (
        f"no question of {', '.join(lost)} has a {metric} in every one of {files}, and each such "
        "part weighs the same: judge its questions again"
    )


def matrix(entry: Entry, metric: str, questions: Sequence[str]) -> Array:
    """The variance engine's Z [runs, questions].

    Raises:
        UnusableAnnotationsError: the values depend on questions that are left out, or a whole
            stratum is.
    """
    if lost := lost_strata([entry], metric, questions):
        raise UnusableAnnotationsError(f"{lost[0].upper()}{lost[1:]}.")
    rows = []
    for run, path in zip(entry.runs, entry.files, strict=True):
        scores = run.metrics[metric]
        if not scores.is_plain_mean and set(questions) != set(scores.questions):
            raise UnusableAnnotationsError(
                f"{metric} is no plain mean over questions, and {path} has "
                f"{len(scores.questions)}, of which {len(questions)} are common to all files: "
                "score files over the same questions."
            )
        place = {question: index for index, question in enumerate(scores.questions)}
        rows.append(scores.values[[place[question] for question in questions]])
    return np.array(rows)


def strata_of(entry: Entry, metric: str, questions: Sequence[str]) -> list[str] | None:
    """Stratum of every question; None where the metric has none."""
    scores = entry.runs[0].metrics[metric]
    if scores.strata is None:
        return None
    by = dict(zip(scores.questions, scores.strata, strict=True))
    return [by[question] for question in questions]


def score_of(entry: Entry, metric: str) -> Score | None:
    """The entry's interval by the variance engine; None where no question is common to its runs.

    Accuracies of items that are right or wrong have Wilson's interval, which is estimable where
    all are right.
    """
    questions = common_questions([entry], metric)
    if not questions:
        return None
    values = matrix(entry, metric, questions)
    strata = strata_of(entry, metric, questions)
    found = estimate(values, strata=strata)
    constant = found.lower == found.upper
    scores = entry.runs[0].metrics[metric]
    lower, upper, note = _ends(found, scores)
    if entry.runs[0].benchmark == "academic" and strata is None and _is_binary(scores, values):
        share = proportion(values == 100)
        lower, upper, note = (
            100 * share.lower,
            100 * share.upper,
            _note(share.level, share.note, share.lower),
        )
    lost = all_questions([entry], metric) - len(questions)
    unshared = f"{lost} questions without a value in every run left out" if lost else ""
    return Score(
        metric=metric,
        unit=scores.unit,
        estimate=found.estimate,
        standard_error=nan if constant else found.standard_error,
        lower=lower,
        upper=upper,
        level=found.level,
        seeds=len(values),
        questions=len(questions),
        note=joined(note, unshared),
        by_run=tuple(estimate(row[None], strata=strata).estimate for row in values),
        spread=_spread(found),
    )


def possible(found: Difference, scores: MetricScores) -> Difference:
    """The difference with its interval cut to what two scores of the metric can differ by."""
    if scores.range is None or isnan(found.lower):
        return found
    span = scores.range[1] - scores.range[0]
    return replace(found, lower=max(found.lower, -span), upper=min(found.upper, span))


def is_cut(found: Difference, scores: MetricScores) -> bool:
    """Whether an end of the interval is the largest difference that is possible."""
    span = scores.range[1] - scores.range[0] if scores.range else nan
    return span in (-found.lower, found.upper)


def _ends(found: Estimate, scores: MetricScores) -> tuple[float, float, str]:
    """The interval, NaN where there is none, and what must be said of it."""
    if found.lower == found.upper:
        return nan, nan, scores.fixed or NO_SPREAD
    note = _note(found.level, found.note, found.standard_error)
    if scores.range is None:
        return found.lower, found.upper, note
    lower, upper = bounded_interval(found, *scores.range)
    beyond = (lower, upper) != (found.lower, found.upper) and not isnan(lower)
    return lower, upper, joined(note, BEYOND_RANGE if beyond else "")


def _note(level: Level, note: str, known: float) -> str:
    """Without what the table's mark for the checkpoint level says."""
    return "" if level == "checkpoint" and not isnan(known) else note


def _spread(found: Estimate) -> tuple[float, float, float]:
    return (
        found.seed_standard_deviation,
        found.seed_standard_deviation_lower,
        found.seed_standard_deviation_upper,
    )


def _is_binary(scores: MetricScores, values: Array) -> bool:
    return scores.unit == "percent" and bool(np.isin(values, (0.0, 100.0)).all())
