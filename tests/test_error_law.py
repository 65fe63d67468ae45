"""The law of the error: Student's where one part is all there is, else what sampling finds."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from nlhf_repro.uncertainty import difference
from nlhf_repro.uncertainty.error_law import Component, ErrorLaw, MeanSquare, error_law

PROMPTS = MeanSquare(1.0, 99.0)
NOTHING = MeanSquare(0.0, 99.0)


@pytest.mark.parametrize("freedom", [1, 2, 2.7, 4, 20, 800])
@pytest.mark.parametrize("runs", [False, True], ids=["prompts", "runs"])
def test_one_part_is_students(freedom: float, runs: bool) -> None:
    part = MeanSquare(4.0, freedom)
    law = ErrorLaw(NOTHING, (Component((part,)),)) if runs else ErrorLaw(part)
    for distance in (0.5, 2.0, 6.0):
        assert law.tail(distance) == pytest.approx(stats.t.sf(distance / 2, freedom), rel=1e-6)
    for probability in (0.1, 0.6, 0.975, 0.9995):
        expected = 2 * stats.t.ppf(probability, freedom)
        assert law.quantile(probability) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    "parts",
    [
        (Component((MeanSquare(1.0, 2.0),), 0.5),),
        (Component((MeanSquare(0.3, 1.4),), 0.8),),
        (Component((MeanSquare(2.0, 4.0), MeanSquare(0.1, 1.0)), 0.3),),
        (Component((MeanSquare(2.0, 4.0),), 0.1), Component((MeanSquare(1.0, 1.0),), 0.4)),
    ],
)
def test_two_parts_and_more_are_what_sampling_finds(parts: tuple[Component, ...]) -> None:
    rng, draws = np.random.default_rng(0), 400_000
    variance = PROMPTS.value * PROMPTS.freedom / rng.chisquare(PROMPTS.freedom, draws)
    for part in parts:
        drawn = sum(x.value * x.freedom / rng.chisquare(x.freedom, draws) for x in part.squares)
        variance += np.maximum(drawn - part.noise, 0.0)
    error = rng.standard_normal(draws) * np.sqrt(variance)
    law = ErrorLaw(PROMPTS, parts)
    for distance in (0.5, 2.0, 5.0, 20.0):
        expected = float(np.mean(np.abs(error) > distance))
        allowed = 4 * math.sqrt(expected / draws) + 1e-5
        assert 2 * law.tail(distance) == pytest.approx(expected, abs=allowed)


def test_quantile_inverts_the_tail() -> None:
    parts = Component((MeanSquare(0.7, 2.0),), 0.3), Component((MeanSquare(0.2, 3.0),))
    law = ErrorLaw(PROMPTS, parts)
    for probability in (0.6, 0.95, 0.975, 0.9999):
        assert 1 - law.tail(law.quantile(probability)) == pytest.approx(probability, rel=1e-9)
        assert law.quantile(1 - probability) == pytest.approx(-law.quantile(probability), rel=1e-9)
    assert law.tail(0.0) == pytest.approx(0.5, rel=1e-12) and law.quantile(0.5) == 0.0


def test_noise_that_explains_all_leaves_the_prompts() -> None:
    """Runs that vary no more than their noise still may: wider, and less so with more of them."""
    widths = [
        ErrorLaw(PROMPTS, (Component((MeanSquare(0.3, seeds - 1.0),), 0.3),)).quantile(0.975)
        for seeds in (2, 3, 5, 10, 1000)
    ]
    alone = ErrorLaw(PROMPTS).quantile(0.975)
    assert widths == sorted(widths, reverse=True)
    assert widths[-1] == pytest.approx(alone, rel=0.01) and widths[1] > 1.1 * alone
    huge = ErrorLaw(PROMPTS, (Component((MeanSquare(0.3, 4.0),), 1e9),))
    assert huge.quantile(0.975) == pytest.approx(alone, rel=1e-6)


def test_scaled_is_the_law_of_a_multiple() -> None:
    law = ErrorLaw(PROMPTS, (Component((MeanSquare(1.0, 2.0),), 0.5),))
    assert law.scaled(3.0).quantile(0.975) == pytest.approx(3 * law.quantile(0.975), rel=1e-9)
    assert law.scaled(3.0).tail(3.0) == pytest.approx(law.tail(1.0), rel=1e-9)


def test_what_is_rounding_is_nothing_and_what_is_unknown_stays_so() -> None:
    rounding = [Component((MeanSquare(1e-40, 2.0),))]
    law = error_law(MeanSquare(1e-40, 9.0), rounding, smallest=1e-30)
    assert (law.quantile(0.975), law.tail(0.0), law.tail(1e-9)) == (0.0, 0.5, 0.0)
    unknown = ErrorLaw(MeanSquare(math.nan, math.nan), (Component((MeanSquare(1.0, 2.0),)),))
    assert math.isnan(unknown.quantile(0.975)) and math.isnan(unknown.tail(1.0))
    assert math.isnan(ErrorLaw(PROMPTS).tail(math.nan))


@pytest.mark.parametrize("unit", [1e-9, 1.0, 1e9])
def test_an_interval_leaves_zero_out_where_the_p_value_is_below_its_level(unit: float) -> None:
    rng = np.random.default_rng(5)
    for _ in range(40):
        counts = rng.integers(2, 5, size=2)
        sides = [
            rng.normal(size=(n, 4)) + 2 * rng.normal(size=(n, 1)) * rng.integers(0, 2)
            for n in counts
        ]
        found = difference(unit * (sides[0] + 1.5), unit * sides[1])
        assert 0 <= found.p_value <= 1
        assert (found.lower > 0 or found.upper < 0) == (found.p_value < 0.05)
