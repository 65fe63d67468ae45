"""Intervals of bounded scores stay among possible scores and cover where t intervals do not."""

from __future__ import annotations

import json
from pathlib import Path

import judgment_files as judged
import numpy as np
import pytest
from verbs import NASH, rows_of, run_verb

from nlhf_repro.interfaces import Array
from nlhf_repro.uncertainty import bounded_interval, estimate, proportion

Capture = pytest.CaptureFixture[str]
ROUNDS = 2000


def test_inside_the_range_the_interval_is_that_of_t() -> None:
    found = estimate(np.random.default_rng(0).uniform(20, 80, (3, 40)))
    assert bounded_interval(found, 0, 100) == (found.lower, found.upper)


def test_beyond_the_range_the_ends_solve_the_score_equation() -> None:
    """|share - p| = t sqrt(p (1 - p) / count), count = share (1 - share) / V, at most n."""
    values = np.array([[1, 1, 1, 1, 0, 1, 1, 1, 1, 1.0]])
    found = estimate(values)
    assert found.upper > 1
    lower, upper = bounded_interval(found, 0, 1)
    t = (found.upper - found.estimate) / found.standard_error
    count = 0.9 * 0.1 / found.standard_error**2  # = n - 1 for wins and losses
    assert count == pytest.approx(9)
    for end in (lower, upper):
        assert abs(0.9 - end) == pytest.approx(t * np.sqrt(end * (1 - end) / count))
    assert 0 < lower < 0.9 < upper < 1
    scaled = estimate(1 + 9 * values)  # MT-Bench's points
    assert bounded_interval(scaled, 1, 10) == pytest.approx((1 + 9 * lower, 1 + 9 * upper))


def test_scores_that_hardly_vary_are_not_surer_than_wins_and_losses() -> None:
    values = np.array([[0.99, 1.0, 0.985, 1.0, 1.0]])
    found = estimate(values)
    lower, upper = bounded_interval(found, 0, 1)
    t = (found.upper - found.estimate) / found.standard_error
    for end in (lower, upper):
        assert abs(found.estimate - end) == pytest.approx(t * np.sqrt(end * (1 - end) / 5))
    assert lower < found.lower


def test_mirrored_scores_have_mirrored_intervals() -> None:
    values = np.random.default_rng(1).beta(8, 0.3, (2, 9))
    lower, upper = bounded_interval(estimate(values), 0, 1)
    mirrored = bounded_interval(estimate(1 - values), 0, 1)
    assert mirrored == pytest.approx((1 - upper, 1 - lower))


def test_what_has_no_interval_has_none_and_an_impossible_estimate_is_refused() -> None:
    assert np.isnan(bounded_interval(estimate([[50.0]]), 0, 100)).all()
    assert bounded_interval(estimate([[100.0, 100.0]]), 0, 100) == (100, 100)
    for found, low, high in ((estimate([[5.0, 7.0]]), 7, 10), (estimate([[5.0, 5.0]]), 5, 5)):
        with pytest.raises(ValueError, match="does not lie in the range"):
            bounded_interval(found, low, high)


def skewed(rng: np.random.Generator, mean: float, count: int) -> Array:
    """Scores as a judge's probabilities are: most near 0 or 1."""
    return np.asarray(rng.beta(0.25, 0.25 * (1 - mean) / mean, (1, count)))


@pytest.mark.parametrize(
    ("mean", "count", "of_t"), [(0.9, 5, 60), (0.97, 30, 72), (0.98, 80, 86), (0.99, 200, 88)]
)
def test_it_covers_where_the_t_interval_does_not(mean: float, count: int, of_t: float) -> None:
    rng, plain, bounded, beyond = np.random.default_rng(2), 0, 0, 0
    for _ in range(ROUNDS):
        found = estimate(skewed(rng, mean, count))
        lower, upper = bounded_interval(found, 0, 1)
        assert 0 <= lower <= upper <= 1
        plain += found.lower <= mean <= found.upper
        bounded += lower <= mean <= upper
        beyond += found.upper > 1
    assert beyond > ROUNDS / 2
    assert 100 * plain / ROUNDS < of_t
    assert 100 * bounded / ROUNDS > 93.5


def test_wins_and_losses_have_nearly_the_interval_of_a_share() -> None:
    wins = np.array([[True] * 28 + [False] * 2])
    share = proportion(wins)
    lower, upper = bounded_interval(estimate(wins.astype(float)), 0, 1)
    assert lower == pytest.approx(share.lower, abs=0.02)  # t for z, n - 1 for n
    assert upper == pytest.approx(share.upper, abs=0.01)


def test_printed_intervals_stay_among_the_possible_scores(capsys: Capture, tmp_path: Path) -> None:
    few = judged.write_lines(tmp_path / "few.jsonl", rows_of(NASH[0])[:3])
    arguments = ("score", "alpaca_eval", few, "--metric", "win_rate")
    (record,) = json.loads(run_verb(capsys, *arguments, "--format", "json"))
    assert 0 < record["lower"] < record["estimate"] < record["upper"] < 100
    assert "the interval would reach beyond the possible scores" in record["note"]
    assert "would reach beyond" in " ".join(run_verb(capsys, *arguments).split())
    scores = {(q, turn): 10 - 3 * (q % 10 == 0) for q in range(81, 161) for turn in (1, 2)}
    path = judged.write_lines(tmp_path / "mt.jsonl", judged.ratings(scores))
    records = json.loads(run_verb(capsys, "score", "mt_bench", path, "--format", "json"))
    assert all(record["upper"] <= 10 for record in records)
    assert any("would reach beyond" in record["note"] for record in records)


def test_differences_end_at_what_is_possible(capsys: Capture, tmp_path: Path) -> None:
    files = []
    for name, shares in (("a", (1.9, 1.0, 2.0)), ("b", (1.0, 1.9, 1.2))):
        rows = [row | {"generator_2": name} for row in rows_of(NASH[0])[:3]]
        rows = [row | {"preference": share} for row, share in zip(rows, shares, strict=True)]
        files.append(judged.write_lines(tmp_path / f"{name}.jsonl", rows))
    (record,) = json.loads(run_verb(capsys, "compare", *files, "--format", "json"))
    assert (record["lower"], record["upper"]) == (-100, 100)
    assert any("largest difference that is possible" in note for note in record["notes"])
    text = run_verb(capsys, "score", "alpaca_eval", *files, "--metric", "win_rate")
    assert "[-100, +100]" in text and "Intervals end at the largest difference" in text
