"""Wrappers of text oracles: closed forms, what they pass on, and caches that freeze no draw."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import numpy as np
import pytest
from text_oracle_peers import ASKED, Costly, Drawing, Drifting, Fixed, prompts_of

from nlhf_repro.interfaces import (
    ImpossibleSettingError,
    Occasion,
    OccasionalOracle,
    asked_on,
    cost_of,
    oracle_at,
)
from nlhf_repro.oracles.abstaining import Abstaining
from nlhf_repro.oracles.biased import Biased, shifted
from nlhf_repro.oracles.cached import Cached, KnownAnswers
from nlhf_repro.oracles.counted import Counted
from nlhf_repro.oracles.noisy import Noisy

WRAPPERS = [
    Noisy(0.1),
    Biased(0.1, 0.2, 0.3),
    Abstaining(0.2, 0.05),
    Counted(),
    Cached(),
]
ids = [type(each).__name__ for each in WRAPPERS]


def occasion(progress: float, count: int, label: str = "run") -> Occasion:
    return Occasion(progress, tuple(f"{label}/{number}" for number in range(count)))


def test_noise_flips_answers_of_texts_as_of_games() -> None:
    answers = Noisy(0.1).wrap_text(Fixed(0.7)).preference(*ASKED)
    assert (answers == 0.8 * 0.7 + 0.1).all()


def test_biases_shift_log_odds() -> None:
    """a a b against c: three words against one, one of them said before."""
    prompts = prompts_of(2)
    oracle = Biased(0.5, 0.25, -0.125).wrap_text(Fixed(0.6, score=2.0))
    first, second = ["a a b", "c"], ["c", "a a b"]
    shift = 0.5 * 2 + 0.25
    log_odds = np.log(0.6 / 0.4) + np.array([shift, -shift]) - 0.125
    found = oracle.preference(prompts, first, second)
    np.testing.assert_allclose(found, 1 / (1 + np.exp(-log_odds)), rtol=1e-14)
    np.testing.assert_allclose(oracle.score(prompts, first), [2 + 1.75, 2 + 0.5], rtol=1e-15)


def test_shifted_answers_stay_symmetric_and_certain_ones_certain() -> None:
    answers = np.array([0.0, 1e-20, 1e-16, 0.3, 0.5, 1.0])
    shift = np.linspace(-40, 40, 81)[:, None]
    np.testing.assert_allclose(
        shifted(answers, shift) + shifted(1 - answers, -shift), 1, atol=1e-15
    )
    assert (shifted(answers[[0, 5]], shift) == [0, 1]).all()


def test_abstentions_at_random_have_their_rate_and_belong_to_the_comparison() -> None:
    count, oracle = 4000, Abstaining(0.25, 0.0).wrap_text(Fixed(0.9))
    asked = (prompts_of(count), ["a"] * count, ["b"] * count)
    answers = asked_on(oracle, *asked, occasion(0.0, count))
    assert set(answers) == {0.5, 0.9}
    share = (answers == 0.5).mean()
    assert abs(share - 0.25) < 4 * (0.25 * 0.75 / count) ** 0.5
    assert oracle.counts == {"at random": int((answers == 0.5).sum()), "within the margin": 0}
    again = asked_on(oracle, *asked, occasion(0.5, count))
    assert (again == answers).all()
    other = asked_on(oracle, *asked, occasion(0.0, count, "another run"))
    assert (other != answers).any()
    np.testing.assert_allclose(oracle.preference(*asked), 0.75 * 0.9 + 0.125, rtol=1e-15)


def test_abstentions_within_a_margin_are_on_both_sides() -> None:
    oracle = Abstaining(0.0, 0.1).wrap_text(Fixed(np.array([0.39, 0.41, 0.5, 0.59, 0.61, 0.4])))
    asked = (prompts_of(6), ["a"] * 6, ["b"] * 6)
    assert list(oracle.preference(*asked)) == [0.39, 0.5, 0.5, 0.5, 0.61, 0.4]
    asked_on(oracle, *asked, occasion(0.0, 6))
    assert oracle.counts["within the margin"] == 3


@pytest.mark.parametrize("wrapper", WRAPPERS, ids=ids)
def test_a_wrapper_passes_on_cost_occasion_and_drift(wrapper) -> None:
    assert cost_of(wrapper.wrap_text(Costly(0.7))) == cost_of(Costly(0.7))
    drawing = Drawing()
    when = occasion(0.25, len(ASKED[0]))
    asked_on(wrapper.wrap_text(drawing), *ASKED, when)
    assert drawing.occasions == [when]
    drifting = wrapper.wrap_text(Drifting())
    assert isinstance(drifting, OccasionalOracle)
    fixed = [wrapper.wrap_text(Fixed(p)).preference(*ASKED) for p in (0.2, 0.8)]
    first, last = (oracle_at(drifting, x).preference(*ASKED) for x in (0.0, 1.0))
    np.testing.assert_array_equal(first, fixed[0])
    np.testing.assert_array_equal(last, fixed[1])
    np.testing.assert_array_equal(drifting.preference(*ASKED), last)


@pytest.mark.parametrize("wrapper", [Noisy(0.1), Biased(0, 0, 0), Counted(), Cached()])
def test_a_change_that_draws_nothing_is_no_occasion(wrapper) -> None:
    """So that a cache around it shares answers between runs."""
    assert not isinstance(wrapper.wrap_text(Fixed(0.6)), OccasionalOracle)


def test_counts_are_of_what_reaches_the_place() -> None:
    inner = Counted().wrap_text(Fixed(0.6, score=1.0))
    outer = Counted().wrap_text(Cached().wrap_text(inner))
    for _ in range(3):
        outer.preference(*ASKED)
        outer.score(*ASKED[:2])
    count = len(ASKED[0])
    asked = {"calls for comparisons": 3, "comparisons": 3 * count}
    assert outer.counts == {**asked, "calls for scores": 3, "scores": 3 * count}
    once = {"calls for comparisons": 1, "comparisons": count}
    assert inner.counts == {**once, "calls for scores": 1, "scores": count}


def test_a_cache_asks_equal_questions_once_and_orders_apart() -> None:
    oracle = Fixed(0.6)
    cached = Cached().wrap_text(oracle)
    prompt = prompts_of(1) * 4
    answers = cached.preference(prompt, ["a", "a", "b", "a"], ["b", "b", "a", "c"])
    assert list(answers) == [0.6] * 4
    assert oracle.asked == 3
    cached.preference(prompt, ["a", "a", "b", "a"], ["b", "b", "a", "c"])
    assert (oracle.asked, cached.known.read, cached.known.asked) == (3, 5, 3)


def test_a_cache_never_freezes_a_draw_and_replays_it(tmp_path: Path) -> None:
    """The same pair in a thousand comparisons has a thousand draws; asked again, the same ones."""
    count = 1000
    asked = (prompts_of(1) * count, ["a"] * count, ["b"] * count)
    wrapper = Cached()
    wrapper.keep_answers(tmp_path / "answers.sqlite")
    first, again = Drawing(), Drawing()
    answers = asked_on(wrapper.wrap_text(first), *asked, occasion(0.0, count))
    assert abs(answers.mean() - 0.5) < 4 * 0.5 / count**0.5
    replayed = asked_on(wrapper.wrap_text(again), *asked, occasion(0.0, count))
    assert (replayed == answers).all() and first.asked == count and again.asked == 0
    later = asked_on(wrapper.wrap_text(again), *asked, occasion(0.5, count))
    assert again.asked == count and (later == answers).all()  # it drew by the names alone
    asked_on(wrapper.wrap_text(again), *asked, occasion(0.0, count, "another seed"))
    assert again.asked == 2 * count


def test_a_cache_tells_times_and_prompts_apart(tmp_path: Path) -> None:
    wrapper = Cached()
    wrapper.keep_answers(tmp_path / "deep" / "answers.sqlite")
    cached = wrapper.wrap_text(Drifting())
    found = [oracle_at(cached, x).preference(*ASKED)[0] for x in (0.0, 0.5, 1.0)]
    assert found == pytest.approx([0.2, 0.5, 0.8])
    assert asked_on(cached, *ASKED, occasion(0.5, len(ASKED[0])))[0] == pytest.approx(0.5)
    details = [prompts_of(1, details={"x": x})[0] for x in (1, 2)]
    oracle = Fixed(0.6)
    Cached().wrap_text(oracle).preference(details, ["a", "a"], ["b", "b"])
    assert oracle.asked == 2


def test_texts_that_are_no_unicode_are_kept(tmp_path: Path) -> None:
    wrapper = Cached()
    wrapper.keep_answers(tmp_path / "answers.sqlite")
    texts = ["\ud800", "\x00", "'; DROP TABLE answers; --", "x" * 1_000_000]
    for expected in (4, 0):
        oracle = Fixed(0.6)
        wrapper.wrap_text(oracle).preference(prompts_of(4), texts, texts)
        assert oracle.asked == expected


def test_a_file_that_is_written_at_once_is_shared(tmp_path: Path) -> None:
    """Another connection's answer, given in between, is read and not asked again."""
    one, other = (KnownAnswers(tmp_path / "answers.sqlite") for _ in range(2))
    assert list(one.answers(["a"], lambda rows: np.array([0.25]))) == [0.25]
    assert list(other.answers(["a", "b"], lambda rows: np.array([0.75]))) == [0.25, 0.75]
    assert list(one.answers(["b"], lambda rows: pytest.fail("asked again"))) == [0.75]
    with sqlite3.connect(tmp_path / "answers.sqlite") as database:
        assert database.execute("SELECT count(*) FROM answers").fetchone() == (2,)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Biased(0, 0, 2e3), r"oracle_wrapper\.biased\.position_bias = 2000"),
        (lambda: Biased(float("nan"), 0, 0), r"oracle_wrapper\.biased\.length_bias = nan"),
        (lambda: Abstaining(1.0, 0), r"oracle_wrapper\.abstaining\.rate = 1\.0 must be in"),
        (lambda: Abstaining(0, 0.5), r"oracle_wrapper\.abstaining\.margin = 0\.5 must be in"),
    ],
)
def test_settings_without_meaning_are_refused(make, sentence: str) -> None:
    with pytest.raises(ImpossibleSettingError, match=f"^{sentence}"):
        make()
