"""Arena-Hard as its own scripts print it, faults included: for parity, never for a claim.

Both versions resample rows, although the two games of a question and the threefold copies of a
`>>` are no independent draws: their intervals are 1.6 to 2.0 times too narrow. v0.1 calls 2.5 to
97.5 % a 95 % interval; v2.0 prints 5 to 95 %, a 90 % interval, as "CI (%)", and its score is the
mean of the resamples, without a seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, final

import numpy as np

from nlhf_repro.benchmarks.arena_hard.judgments import Judgment
from nlhf_repro.benchmarks.arena_hard.questions import BASELINES, V01_CATEGORY
from nlhf_repro.interfaces import Array, UnusableAnnotationsError

ROUNDS = 100
_LARGEST_RATING = 4800.0  # 1e12 : 1; resamples without a loss have an infinite rating


@final
@dataclass(frozen=True)
class UpstreamScore:
    """One line of upstream's leaderboard, in percent; rows are verdicts, `>>` three times."""

    model: str
    opponent: str
    judge: str
    category: str
    score: float
    lower: float
    upper: float
    interval: Literal["95 % of row resamples", "90 % of row resamples"]
    rows: int


def upstream_scores(judgments: Sequence[Judgment], seed: int = 42) -> tuple[UpstreamScore, ...]:
    """Upstream's table, sorted by category and model.

    v0.1: a Bradley-Terry fit of every model against gpt-4-0314, which is the weighted win rate in
    closed form; 100 resamples of all battles of all models together, drawn as pandas draws them
    from the global generator, which upstream seeds with 42. v2.0: means of 100 resamples of each
    model's rows; upstream sets no seed, so ours gives one of its many possible tables.

    Raises:
        UnusableAnnotationsError: no usable verdict; v0.1 with another baseline, which upstream's
            resampling ignores; v2.0 with a label at which upstream stops, or of the judge alone.
    """
    judgments = loaded_by_upstream(judgments)
    others = {each.baseline for each in judgments} - {BASELINES[V01_CATEGORY]}
    if judgments[0].version == "v0.1" and others:
        raise UnusableAnnotationsError(
            f"Upstream v0.1 ignores the baseline {min(others)} in its resampling: its interval is "
            "that of another quantity, so there is nothing to match."
        )
    if judgments[0].version == "v0.1":
        return _v01(judgments, seed)
    keys = sorted({(each.category, each.model) for each in judgments})
    opponents = {(each.category, each.model, each.baseline) for each in judgments}
    if len(opponents) > len(keys):
        raise UnusableAnnotationsError(
            "Upstream knows no round-robin: it pools a model's opponents as if one; leave "
            "--upstream out, or keep the rows of one baseline."
        )
    generator = np.random.default_rng(seed)
    return tuple(
        _v20([x for x in judgments if (x.category, x.model) == k], generator) for k in keys
    )


def loaded_by_upstream(judgments: Sequence[Judgment]) -> list[Judgment]:
    """What upstream scores: v2.0 leaves out the answers of the judge itself.

    Raises:
        UnusableAnnotationsError: nothing is left, or v2.0 stops at an unknown label.
    """
    kept = [each for each in judgments if each.version == "v0.1" or each.model != each.judge]
    if not kept:
        raise UnusableAnnotationsError(
            "Upstream has no judgments to score: there are none, or all are of the judge's own "
            "answers, which v2.0 leaves out."
        )
    for each in kept:
        complete = all(game.label is not None for game in each.games)
        if each.version == "v2.0" and complete and not each.outcomes():
            labels = " and ".join(str(game.label) for game in each.games)
            raise UnusableAnnotationsError(
                f"Upstream stops at the labels {labels} of question {each.question} with a "
                "KeyError: it prints no score of this file."
            )
    return kept


def _v01(judgments: Sequence[Judgment], seed: int) -> tuple[UpstreamScore, ...]:
    models = sorted({each.model for each in judgments})
    owner = np.repeat(
        [models.index(x.model) for x in judgments], [len(_rows(x)) for x in judgments]
    )
    won = np.concatenate([_rows(each) for each in judgments])
    if not len(won):
        raise UnusableAnnotationsError("No game has a usable verdict: judge them again.")
    legacy = np.random.RandomState(seed)  # what pandas.DataFrame.sample draws with
    draws = [legacy.choice(len(won), size=len(won), replace=True) for _ in range(ROUNDS)]
    table = []
    for k, model in enumerate(models):
        rounds = [won[draw][owner[draw] == k] for draw in draws]
        ratings = [_rating(each.mean()) for each in rounds if len(each)]
        lower, upper = (_share(float(np.percentile(ratings, q))) for q in (2.5, 97.5))
        first = next(each for each in judgments if each.model == model)
        table.append(
            UpstreamScore(
                model=model,
                opponent=first.baseline,
                judge=first.judge,
                category=first.category,
                score=float(100 * won[owner == k].mean()),
                lower=lower,
                upper=upper,
                interval="95 % of row resamples",
                rows=int((owner == k).sum()),
            )
        )
    return tuple(table)


def _v20(group: Sequence[Judgment], generator: np.random.Generator) -> UpstreamScore:
    won, first = np.concatenate([_rows(each) for each in group]), group[0]
    if not len(won):
        raise UnusableAnnotationsError(
            f"No question of {first.model} has two usable verdicts: judge them again."
        )
    means = generator.choice(won, size=(ROUNDS, len(won))).mean(axis=1)
    lower, upper = 100 * np.quantile(means, [0.05, 0.95])
    return UpstreamScore(
        model=first.model,
        opponent=first.baseline,
        judge=first.judge,
        category=first.category,
        score=float(100 * means.mean()),
        lower=float(lower),
        upper=float(upper),
        interval="90 % of row resamples",
        rows=len(won),
    )


def _rows(judgment: Judgment) -> Array:
    """The model's share of each verdict, a decisive one three times over."""
    outcomes = judgment.outcomes()
    return np.repeat([share for share, _ in outcomes], [int(weight) for _, weight in outcomes])


def _rating(share: float) -> float:
    with np.errstate(divide="ignore"):
        rating = 400 * (np.log10(share) - np.log10(1 - share))
    return float(np.clip(rating, -_LARGEST_RATING, _LARGEST_RATING))


def _share(rating: float) -> float:
    return float(100 / (1 + 10 ** (-rating / 400)))
