"""One difference of two algorithms: what it shows, what it could have shown, what would settle it.

What would settle it is the number of questions, or of seeds of each, with which a difference as
large as the margin is found with 80 % power, and no difference is called equivalent with 80 % power
(the latter asks for more: 2.93 against 2.80 standard errors). Without a margin it is what finds a
true difference as large as the observed one, which the observed one itself makes uncertain.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import isnan, nan, sqrt

from nlhf_repro.interfaces import Array, MetricScores
from nlhf_repro.reporting.scores.entries import possible
from nlhf_repro.uncertainty import (
    Components,
    Difference,
    Equivalence,
    clusters_needed,
    detectable_difference,
    difference,
    equivalence,
    estimate,
    holm,
    seeds_needed,
)

POWER, SIGNIFICANCE = 0.8, 0.05
# Two one-sided tests at .05 with 80 % power at 0 need t(.95) + t(.9): the power of one is .9.
_TOST_POWER, _TOST_SIGNIFICANCE = 0.9, 0.1


@dataclass(frozen=True)
class Verdict:
    """A difference, first minus second, with all that a reader asks of it.

    `questions` and `seeds` are what would settle it, None where no number would, or, for seeds,
    where the variance between training runs is not known (`seeds_known`).
    """

    metric: str
    unit: str
    estimates: tuple[float, float]
    found: Difference
    adjusted: float  # Holm over the metrics compared; NaN where not estimable
    equivalence: Equivalence | None  # None without a margin
    smallest_margin: float  # the least that the data would call equivalent; NaN: not estimable
    detectable: float  # found with 80 % power by a design with this standard error
    target: float  # the difference that `questions` and `seeds` are for
    questions: int | None
    seeds: int | None
    seeds_known: bool

    @property
    def words(self) -> str:
        """The three verdicts at a margin, else what the adjusted p-value says."""
        if self.equivalence is not None:
            if self.equivalence.verdict == "different" and not self.adjusted < SIGNIFICANCE:
                return "inconclusive"
            return self.equivalence.verdict
        return "different" if self.adjusted < SIGNIFICANCE else "not told apart"

    @property
    def beyond_margin(self) -> str | None:
        """Whether the 95 % interval, not adjusted, lies beyond the margin; None without one."""
        if self.equivalence is None:
            return None
        margin = self.equivalence.margin
        return "shown" if self.found.lower > margin or self.found.upper < -margin else "open"


def compared(
    scores: MetricScores, first: Array, second: Array, strata: Sequence[str] | None
) -> Verdict:
    """The verdict on two matrices [seeds, questions] of the metric of `scores`, unadjusted."""
    found = possible(difference(first, second, strata=strata), scores)
    means = estimate(first, strata=strata).estimate, estimate(second, strata=strata).estimate
    return verdict_on(scores.metric, scores.unit, means, found, nested=False)


def verdict_on(
    metric: str, unit: str, estimates: tuple[float, float], found: Difference, nested: bool
) -> Verdict:
    """The verdict on a difference; `nested` or exact runs have no variance between seeds."""
    if not found.has_interval:
        found = replace(found, standard_error=nan, lower=nan, upper=nan, p_value=nan)
    unknown = isnan(found.standard_error)
    half = nan if unknown else found.law.quantile(1 - SIGNIFICANCE)
    detectable = nan if unknown else detectable_difference(found, POWER, SIGNIFICANCE)
    return _settled(
        Verdict(
            metric=metric,
            unit=unit,
            estimates=estimates,
            found=found,
            adjusted=found.p_value,
            equivalence=None,
            smallest_margin=abs(found.estimate) + half,
            detectable=detectable,
            target=abs(found.estimate),
            questions=None,
            seeds=None,
            seeds_known=not nested and min(found.seeds) > 1 and not isnan(found.noise_variance),
        )
    )


def family(verdicts: Sequence[Verdict], margin: float | None) -> list[Verdict]:
    """The verdicts with Holm's p-values over all of them, and at the margin where there is one."""
    adjusted = holm([each.found.p_value for each in verdicts])
    result = []
    for each, p_value in zip(verdicts, adjusted, strict=True):
        one = replace(each, adjusted=float(p_value))
        if margin is not None:
            at_margin = equivalence(each.found, margin, SIGNIFICANCE)
            one = _settled(replace(one, equivalence=at_margin, target=margin))
        result.append(one)
    return result


def _settled(verdict: Verdict) -> Verdict:
    found, target = verdict.found, verdict.target
    if isnan(found.standard_error) or target == 0:
        return verdict
    power, significance = POWER, SIGNIFICANCE
    if verdict.equivalence is not None:
        power, significance = _TOST_POWER, _TOST_SIGNIFICANCE
    spread = _components(found, verdict.seeds_known)
    seeds = min(found.seeds) if verdict.seeds_known else 1
    questions = clusters_needed(spread, target, seeds, power=power, significance=significance)
    runs = None
    if verdict.seeds_known:
        runs = seeds_needed(spread, target, found.clusters, power=power, significance=significance)
    return replace(verdict, questions=questions, seeds=runs)


def _components(found: Difference, seeds_known: bool) -> Components:
    """Of one of two alike algorithms; of these runs as they are where seeds are not known."""
    if not seeds_known:
        return Components(0.0, sqrt(found.cluster_variance / 2), 0.0, 0.0)
    return Components(
        seed=sqrt(found.seed_variance / 2),
        prompt_by_algorithm=sqrt(found.cluster_variance / 2),
        run_by_prompt=sqrt(found.noise_variance / 2),
        repeat=0.0,
    )
