"""What a scorer of annotation files returns: values clustered by question, never a bare mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from nlhf_repro.interfaces.games import Array

Unit = Literal["percent", "points", "log odds"]


class UnusableAnnotationsError(ValueError):
    """Annotation files that give no honest score: the file, what is wrong in it, what to do."""


@dataclass(frozen=True)
class Diagnostics:
    """What happened to the rows of one model's annotations on the way to its score.

    `unusable` counts rows that gave no value, by reason ("no verdict", "rating out of range", ...);
    `missing` questions of the benchmark without any row, None where its questions were not given;
    `duplicates` rows beyond the first of their key. `identical_outputs` counts questions where
    model and opponent gave the same answer, None where the files do not hold the answers.
    `verdicts` counts verdicts as the judge gave them. `position_flip_rate` is the share of
    questions, judged in both orders, whose verdict (win, tie or loss) changes with the order; None
    where only one order was judged. `characters` are the mean lengths of the model's and of the
    opponent's answers, None where the files do not hold them.
    """

    rows: int
    unusable: Mapping[str, int]
    duplicates: int
    missing: int | None
    identical_outputs: int | None
    verdicts: Mapping[str, int]
    position_flip_rate: float | None
    characters: tuple[float, float] | None = None


@dataclass(frozen=True)
class MetricScores:
    """One metric of one model: a value (or pseudo-observation) for every question.

    The metric's estimate is the mean of `values`, over strata of equal weight where `strata` is
    given; questions are the clusters, and the same question has the same identifier in every file,
    so that models are paired by it and never by row order.

    `is_plain_mean` says that every value is its question's own score, so that the mean over any
    part of the questions is the metric of that part. Otherwise (a ratio of unequal weights, a
    fitted model, pooled tasks) the values depend on all `questions`: only their mean over all of
    them is the metric, and a part of them has no meaning.

    `bounds` are the least and the largest value that the metric can have, None where it has none;
    a percentage has 0 and 100 without them. `fixed` says why the metric is known without an error,
    such as the strength of the model that others are measured from; empty where it is estimated.
    """

    metric: str  # win_rate, discrete_win_rate, lc_win_rate, score, style_controlled_score, ...
    unit: Unit  # percent: 0 to 100
    questions: tuple[str, ...]
    values: Array  # [questions]
    is_plain_mean: bool
    strata: tuple[str, ...] | None = None
    bounds: tuple[float, float] | None = None
    fixed: str = ""

    @property
    def range(self) -> tuple[float, float] | None:
        """The least and the largest possible value; None where there is no such thing."""
        return (0.0, 100.0) if self.unit == "percent" else self.bounds


@dataclass(frozen=True)
class ModelScores:
    """Everything that the annotation files say of one model under one judge."""

    benchmark: str  # alpaca_eval, arena_hard, mt_bench, academic
    version: str  # of the benchmark's protocol
    name: str  # the model
    opponent: str | None  # the baseline it is compared with
    judge: str
    metrics: Mapping[str, MetricScores]
    diagnostics: Diagnostics
    notes: tuple[str, ...] = ()  # what a table must print beside the numbers
