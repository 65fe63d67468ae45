"""Intervals and tests that cover what they claim: the variance engine and what is built on it."""

from nlhf_repro.uncertainty.best import BestSet, best_set
from nlhf_repro.uncertainty.bootstrap import (
    BootstrapInterval,
    bootstrap_bradley_terry,
    bootstrap_ratios,
    percentile_interval,
    pigeonhole_means,
)
from nlhf_repro.uncertainty.bradley_terry import (
    BradleyTerry,
    bradley_terry,
    bradley_terry_contrast,
)
from nlhf_repro.uncertainty.censored import (
    CensoredTime,
    MedianInterval,
    median_with_censoring,
    quantiles_with_censoring,
)
from nlhf_repro.uncertainty.engine import difference, estimate
from nlhf_repro.uncertainty.equivalence import Equivalence, equivalence
from nlhf_repro.uncertainty.exploitability import (
    Exploitability,
    cross_fitted_maximum,
    halved_estimate,
    split_sample_exploitability,
)
from nlhf_repro.uncertainty.gaps import (
    GapRatio,
    GapsRefusedError,
    GeometricMean,
    geometric_mean,
    ratio_of_gaps,
)
from nlhf_repro.uncertainty.judges import judge_note
from nlhf_repro.uncertainty.max_t import MaxT, contrast_correlation, max_t
from nlhf_repro.uncertainty.multiplicity import benjamini_hochberg, holm
from nlhf_repro.uncertainty.pairwise import Pairwise, pairwise
from nlhf_repro.uncertainty.permutation import SignFlips, sign_flip_test
from nlhf_repro.uncertainty.power import (
    Components,
    Pilot,
    clusters_needed,
    components_from_pilot,
    detectable_difference,
    minimum_detectable_effect,
    seeds_needed,
)
from nlhf_repro.uncertainty.prediction import Prediction, prediction_interval
from nlhf_repro.uncertainty.proportions import Proportion, bounded_interval, proportion
from nlhf_repro.uncertainty.pseudo_observations import (
    cluster_means,
    cluster_totals,
    length_controlled,
    plain_values,
    weighted_ratio,
)
from nlhf_repro.uncertainty.records import Difference, Estimate, Inference
from nlhf_repro.uncertainty.transitivity import CurlTest, curl_test

__all__ = [
    "BestSet",
    "BootstrapInterval",
    "BradleyTerry",
    "CensoredTime",
    "Components",
    "CurlTest",
    "Difference",
    "Equivalence",
    "Estimate",
    "Exploitability",
    "GapRatio",
    "GapsRefusedError",
    "GeometricMean",
    "Inference",
    "MaxT",
    "MedianInterval",
    "Pairwise",
    "Pilot",
    "Prediction",
    "Proportion",
    "SignFlips",
    "benjamini_hochberg",
    "best_set",
    "bootstrap_bradley_terry",
    "bootstrap_ratios",
    "bounded_interval",
    "bradley_terry",
    "bradley_terry_contrast",
    "cluster_means",
    "cluster_totals",
    "clusters_needed",
    "components_from_pilot",
    "contrast_correlation",
    "cross_fitted_maximum",
    "curl_test",
    "detectable_difference",
    "difference",
    "equivalence",
    "estimate",
    "geometric_mean",
    "halved_estimate",
    "holm",
    "judge_note",
    "length_controlled",
    "max_t",
    "median_with_censoring",
    "minimum_detectable_effect",
    "pairwise",
    "percentile_interval",
    "pigeonhole_means",
    "plain_values",
    "prediction_interval",
    "proportion",
    "quantiles_with_censoring",
    "ratio_of_gaps",
    "seeds_needed",
    "sign_flip_test",
    "split_sample_exploitability",
    "weighted_ratio",
]
