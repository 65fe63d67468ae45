"""What the variance engine returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, final

from nlhf_repro.uncertainty.error_law import ErrorLaw

Level = Literal["algorithm", "checkpoint"]


@dataclass(frozen=True)
class Inference:
    """What an estimate and a difference have in common; tables may print either by these fields.

    The interval is estimate +- law.quantile((1 + confidence) / 2); both ends, the standard error
    and the components are NaN where they are not estimable, as with a single cluster. Data without
    any variation have an interval of width zero.
    """

    estimate: float
    standard_error: float
    degrees_of_freedom: float  # of the standard error: n - 1, Satterthwaite's, or NaN
    law: ErrorLaw  # of the estimate's distance from the truth, given what the runs tell
    lower: float
    upper: float
    confidence: float  # in (0, 1)
    level: Level  # checkpoint: says nothing about another training run of the algorithm
    note: str  # what a table has to print beside the number; empty where there is nothing to say
    clusters: int
    # Variances of one run on one cluster, truncated at 0. With one seed the cluster variance
    # contains the noise, and the others are NaN (the seed variance is 0 where training draws
    # nothing at random).
    seed_variance: float
    cluster_variance: float
    noise_variance: float
    # Root of the seed variance and its chi-square interval, noise subtracted.
    seed_standard_deviation: float
    seed_standard_deviation_lower: float
    seed_standard_deviation_upper: float
    # Of a judge's draws, beyond what the variances above count, truncated at 0; NaN with one draw.
    # With one seed it contains what a draw makes of this checkpoint.
    judge_variance: float
    judge_draws: int  # 0: none are known, and `judge_variance` is 0
    judge_alike: bool  # all draws are equal: the 0 of `judge_variance` was not measured

    @property
    def has_interval(self) -> bool:
        """Whether the interval is known and has a width.

        The standard error may be 0 where the interval has one: runs that happen to show no variance
        beyond their noise may vary all the same.
        """
        return self.upper > self.lower


@final
@dataclass(frozen=True)
class Estimate(Inference):
    """The mean of one algorithm's metric over training seeds and clusters."""

    seeds: int


@final
@dataclass(frozen=True)
class Difference(Inference):
    """First minus second algorithm on the same clusters.

    The components belong to the difference of one run of each. `p_value` is two-sided; NaN where
    it is not estimable and where both the difference and its variance are zero.
    """

    seeds: tuple[int, int]
    matched: bool
    p_value: float
