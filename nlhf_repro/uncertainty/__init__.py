"""Intervals and tests that cover what they claim: the variance engine and what is built on it."""

from nlhf_repro.uncertainty.censored import (
    CensoredTime,
    MedianInterval,
    median_with_censoring,
    quantiles_with_censoring,
)
from nlhf_repro.uncertainty.engine import difference, estimate
from nlhf_repro.uncertainty.gaps import (
    GapRatio,
    GapsRefusedError,
    GeometricMean,
    geometric_mean,
    ratio_of_gaps,
)
from nlhf_repro.uncertainty.multiplicity import holm
from nlhf_repro.uncertainty.proportions import Proportion, proportion
from nlhf_repro.uncertainty.records import Difference, Estimate, Inference

__all__ = [
    "CensoredTime",
    "Difference",
    "Estimate",
    "GapRatio",
    "GapsRefusedError",
    "GeometricMean",
    "Inference",
    "MedianInterval",
    "Proportion",
    "difference",
    "estimate",
    "geometric_mean",
    "holm",
    "median_with_censoring",
    "proportion",
    "quantiles_with_censoring",
    "ratio_of_gaps",
]
