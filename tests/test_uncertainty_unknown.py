"""The variance engine where something is not known, and what it refuses."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest

from nlhf_repro.interfaces import Array
from nlhf_repro.uncertainty import difference, estimate


def crossed(seed: int, seeds: int, clusters: int, by_seed: float = 0.2) -> Array:
    rng = np.random.default_rng(seed)
    shape = (seeds, clusters)
    return (
        0.5
        + by_seed * rng.normal(size=(seeds, 1))
        + 0.3 * rng.normal(size=(1, clusters))
        + 0.2 * rng.normal(size=shape)
    )


def test_a_single_run_speaks_of_a_checkpoint_only() -> None:
    single, several = crossed(20, 1, 30), crossed(21, 5, 30)
    for result in (
        estimate(single),
        difference(single, single + 1),
        difference(single, several),
        difference(several, single),
        difference(single, several, deterministic=(False, True)),
        difference(single, single + 1, matched=True),
    ):
        assert result.level == "checkpoint"
        assert result.note == "checkpoint level: no training variance"
        assert result.degrees_of_freedom == 29
        assert math.isnan(result.seed_variance)
        assert math.isnan(result.seed_standard_deviation_upper)
        assert math.isnan(result.noise_variance)
    spread = (single[0] - several.mean(axis=0)).std(ddof=1) / math.sqrt(30)
    assert difference(single, several).standard_error == pytest.approx(spread, rel=1e-12)


def test_a_deterministic_side_leaves_the_other_sides_training_variance() -> None:
    fixed, several = crossed(22, 1, 30), crossed(23, 5, 30)
    result = difference(fixed, several, deterministic=(True, False))
    alone = estimate(several)
    assert result.level == "algorithm"
    assert result.seed_variance == pytest.approx(alone.seed_variance, rel=1e-12)
    rows = several.mean(axis=1).var(ddof=1) / 5 - alone.noise_variance / (30 * 5)
    prompt = (fixed[0] - several.mean(axis=0)).var(ddof=1) / 30
    assert result.standard_error == pytest.approx(math.sqrt(prompt + rows), rel=1e-12)


@pytest.mark.parametrize("seeds", [1, 2, 5])
def test_a_single_cluster_is_not_estimable(seeds: int) -> None:
    matrix = crossed(24, seeds, 1)
    for result in (
        estimate(matrix, deterministic=True),
        difference(matrix, matrix + 1, deterministic=True),
        difference(matrix, matrix * 2, matched=True),
    ):
        assert math.isfinite(result.estimate)
        unknown = (result.standard_error, result.lower, result.upper, result.degrees_of_freedom)
        assert np.isnan(unknown).all()
        assert np.isnan([result.cluster_variance]).all()
        assert result.note == "not estimable: a single cluster"
    assert math.isnan(difference(matrix, matrix + 1, deterministic=True).p_value)


@pytest.mark.parametrize("seeds", [1, 3])
def test_constant_data_have_an_interval_of_width_zero(seeds: int) -> None:
    result = estimate(np.full((seeds, 7), 0.1), deterministic=True)
    assert result.standard_error == 0
    assert result.lower == result.estimate == result.upper == pytest.approx(0.1, rel=1e-15)


def test_no_difference_without_variance_has_no_p_value() -> None:
    """Averages of 3 and of 5 equal rows differ by rounding: that is no finding."""
    row = np.random.default_rng(25).random(11)
    result = difference(np.tile(row, (3, 1)), np.tile(row, (5, 1)))
    assert abs(result.estimate) < 1e-15
    assert result.standard_error == 0
    assert math.isnan(result.p_value)
    assert difference(np.ones((3, 4)), np.zeros((3, 4))).p_value == 0


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_an_entry_that_is_no_number_is_named(value: float) -> None:
    matrix = crossed(26, 3, 5)
    matrix[1, 3] = value
    with pytest.raises(ValueError, match=r"Z\[1, 3\]"):
        estimate(matrix)
    with pytest.raises(ValueError, match=r"B\[1, 3\]"):
        difference(np.zeros((2, 5)), matrix)


def test_misuse_is_refused() -> None:
    with pytest.raises(ValueError, match=r"shape \(5,\)"):
        estimate(np.zeros(5))
    with pytest.raises(ValueError, match="non-empty"):
        estimate(np.zeros((3, 0)))
    with pytest.raises(ValueError, match="4 clusters and B has 5"):
        difference(np.zeros((2, 4)), np.zeros((2, 5)))
    with pytest.raises(ValueError, match="Matched seeds need as many rows"):
        difference(np.zeros((2, 4)), np.zeros((3, 4)), matched=True)
    with pytest.raises(ValueError, match="confidence is 95"):
        estimate(np.zeros((2, 4)), confidence=95)


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = (
        "import sys, nlhf_repro.uncertainty;"
        "print({'torch', 'statsmodels', 'pandas', 'matplotlib'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
