"""What is said beside judged scores, by hand."""

from __future__ import annotations

import numpy as np
from scripted_judges import RuleJudge

from nlhf_repro.pipeline.language.judged_notes import aligned, lost_note, merged, provenance


def test_notes_of_every_draw_are_said_and_lost_questions_counted() -> None:
    draws = [("wins 3, losses 7", "same"), ("same", "wins 5, losses 5"), ("same", "odd 1")]
    assert merged(draws) == [
        "wins 3 to 5, losses 5 to 7 (in 2 of 3 draws)",
        "same",
        "odd 1 (in 1 of 3 draws)",
    ]
    assert merged([("12.5 % flip",), ("9 % flip",)]) == ["9 to 12.5 % flip"]
    assert lost_note(0, 10) == []
    assert lost_note(3, 500) == ["3 of 500 questions a draw without a usable verdict"]


def test_lost_questions_keep_the_mean_and_the_variance_of_the_others() -> None:
    rng = np.random.default_rng(0)
    values = rng.random(60)
    places = {f"q{n}": n for n in range(100)}
    found = aligned([f"q{n}" for n in range(0, 60)], values, places, "x")
    np.testing.assert_allclose(found.mean(), values.mean(), rtol=1e-12)
    error, true = (x.std(ddof=1) / np.sqrt(len(x)) for x in (found, values))
    np.testing.assert_allclose(error, true, rtol=0.01)
    whole = aligned(list(places), rng.random(100), places, "x")
    assert len(set(whole)) == 100


def test_official_questions_under_another_judge_are_not_comparable() -> None:
    class Official:
        repeats, comparable, official_judge = 1, True, "gpt-4"

    judge = RuleJudge("longer")
    assert "whose judge is gpt-4" in provenance(Official(), judge)
    Official.official_judge = judge.name
    assert "not comparable" not in provenance(Official(), judge)
