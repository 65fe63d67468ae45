"""Style control of Arena-Hard: counts, features, a fit that recovers, an error that covers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from judgment_files import BASELINE, old_row, write_lines
from scipy import optimize, special

from nlhf_repro.benchmarks.arena_hard import (
    AnswerStyle,
    read_judgments,
    read_styles,
    score_judgments,
)
from nlhf_repro.benchmarks.arena_hard.style_fit import fit_logistic, share_observations
from nlhf_repro.benchmarks.arena_hard.styles import markdown_counts, style_features
from nlhf_repro.interfaces import UnusableAnnotationsError
from nlhf_repro.uncertainty import estimate

NAME = "style_controlled_score/arena-hard-v0.1"
Styles = dict[str, dict[str, AnswerStyle]]


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        ("# One\n###### six\n####### seven\n#none", (2, 0, 0)),
        ("1. a\n  2. b\n- c\n* d\n+ e\n-f", (0, 5, 0)),
        ("**bold** and __bold__ and ** not\nbold **", (0, 0, 2)),
        ("**both __at__ once**", (0, 0, 2)),
        ("```\n# code\n- code\n```\n# prose", (1, 0, 0)),
        ("```\n# has `a` backtick\n```", (1, 0, 0)),
        ("", (0, 0, 0)),
    ],
)
def test_markdown_is_counted_outside_fences(text: str, counts: tuple[int, int, int]) -> None:
    assert markdown_counts(text) == counts


def test_features_of_both_versions() -> None:
    model, base = AnswerStyle(300, 2, 6, 0), AnswerStyle(100, 0, 2, 0)
    old = style_features("v0.1", model, base)
    np.testing.assert_allclose(old, [200 / 401, 2 / 3, 4 / 9, 0])
    new = style_features("v2.0", model, base)
    headers, lists = 2 / 301, (6 / 301, 2 / 101)
    expected = [0.5, headers / (headers + 1), (lists[0] - lists[1]) / (sum(lists) + 1), 0]
    np.testing.assert_allclose(new, expected)
    for version in ("v0.1", "v2.0"):
        np.testing.assert_allclose(
            style_features(version, base, model), -style_features(version, model, base)
        )
    nothing = AnswerStyle(0, 0, 0, 0)
    np.testing.assert_array_equal(style_features("v2.0", nothing, nothing), np.zeros(4))


def made(
    seed: int, questions: int, skill: float, taste: float, models: tuple[str, ...] = ("m",)
) -> tuple[list[dict[str, Any]], Styles]:
    """Judgments whose judge likes length: log-odds skill + taste x length feature + question."""
    generator = np.random.default_rng(seed)
    styles: Styles = {name: {} for name in (*models, BASELINE)}
    rows = []
    for number in range(questions):
        question = f"q{number}"
        for name in styles:
            tokens = generator.integers(100, 300) + 200 * (name != BASELINE)
            counts = generator.integers(0, 6, size=3)
            styles[name][question] = AnswerStyle(int(tokens), *(int(x) for x in counts))
        for name in models:
            x = style_features("v0.1", styles[name][question], styles[BASELINE][question])[0]
            odds = special.expit(skill + taste * x)
            first, second = generator.random(2) < odds
            labels = "B>A" if first else "A>B", "A>B" if second else "B>A"
            rows.append(old_row(question, *labels, name))
    return rows, styles


def controlled(folder: Path, rows: list[dict[str, Any]], styles: Styles, **options: Any) -> Any:
    judgments = read_judgments([write_lines(folder / "m.jsonl", rows)])
    return score_judgments(judgments, styles=styles, **options)


def test_control_finds_the_score_at_equal_style(tmp_path: Path) -> None:
    rows, styles = made(0, questions=4000, skill=0.0, taste=3.0)
    (scores,) = controlled(tmp_path, rows, styles)
    assert scores.metrics["score/arena-hard-v0.1"].values.mean() > 70
    inference = estimate(scores.metrics[NAME].values[None])
    assert abs(inference.estimate - 50) < 3 * inference.standard_error < 9


def test_one_model_alone_is_controlled_as_well_as_in_a_pool(tmp_path: Path) -> None:
    rows, styles = made(1, questions=400, skill=0.3, taste=2.0, models=("m", "n"))
    pool = {each.name: each.metrics[NAME] for each in controlled(tmp_path, rows, styles)}
    (alone,) = controlled(tmp_path, [row for row in rows if row["model"] == "m"], styles)
    error = estimate(pool["m"].values[None]).standard_error
    assert alone.metrics[NAME].values.mean() == pytest.approx(
        pool["m"].values.mean(), abs=4 * error
    )
    assert estimate(alone.metrics[NAME].values[None]).standard_error > error


def test_fit_is_the_maximum_of_the_likelihood() -> None:
    generator = np.random.default_rng(2)
    x, y = generator.normal(size=(200, 3)), generator.choice([0, 0.5, 1], size=200)
    w = generator.choice([1.0, 3.0], size=200)

    def loss(c: Any) -> float:
        return float((w * (np.logaddexp(0, x @ c) - y * (x @ c))).sum())

    best = optimize.minimize(loss, np.zeros(3), method="BFGS", options={"gtol": 1e-9}).x
    fit = fit_logistic(x, y, w)
    assert fit is not None
    np.testing.assert_allclose(fit, best, atol=1e-6)


def test_error_agrees_with_a_bootstrap_of_questions() -> None:
    generator = np.random.default_rng(3)
    n = 300
    q = np.repeat(np.arange(n), 2)
    x = np.column_stack([np.ones(2 * n), np.repeat(generator.normal(0.5, 1, n), 2)])
    taste = np.repeat(generator.normal(0, 1.5, n), 2)  # the two games of a question agree
    y = (generator.random(2 * n) < special.expit(0.4 + 0.8 * x[:, 1] + taste)).astype(float)
    w = generator.choice([1.0, 3.0], size=2 * n)
    fit = fit_logistic(x, y, w)
    assert fit is not None
    z = share_observations(fit, x, y, w, q)[:, 0]
    assert z.mean() == pytest.approx(special.expit(fit[0]), abs=1e-12)
    rounds = []
    for _ in range(600):
        times = np.bincount(generator.integers(n, size=n), minlength=n)[q]
        again = fit_logistic(x[times > 0], y[times > 0], (w * times)[times > 0])
        assert again is not None
        rounds.append(special.expit(again[0]))
    assert z.std(ddof=1) / np.sqrt(n) == pytest.approx(np.std(rounds), rel=0.1)


def test_equal_styles_need_no_control(tmp_path: Path) -> None:
    rows, styles = made(4, questions=50, skill=0.5, taste=0.0)
    same = {name: dict.fromkeys(by, AnswerStyle(9, 1, 1, 1)) for name, by in styles.items()}
    (scores,) = controlled(tmp_path, rows, same)
    plain = scores.metrics["score/arena-hard-v0.1"].values
    order = np.argsort(scores.metrics["score/arena-hard-v0.1"].questions)
    np.testing.assert_allclose(scores.metrics[NAME].values, plain[order], atol=1e-8)


def test_a_model_that_always_wins_has_no_controlled_score(tmp_path: Path) -> None:
    rows, styles = made(5, questions=50, skill=0.0, taste=1.0, models=("m", "n"))
    rows = [old_row(r["question_id"], "B>A", "A>B", "n") if r["model"] == "n" else r for r in rows]
    kept, winner = controlled(tmp_path, rows, styles)
    assert NAME in kept.metrics and NAME not in winner.metrics
    assert "not identified" in winner.notes[-1]
    assert winner.metrics["score/arena-hard-v0.1"].values.mean() == 100


def test_styles_that_decide_every_verdict_are_not_identified(tmp_path: Path) -> None:
    styles: Styles = {"m": {}, BASELINE: {}}
    rows = []
    for i in range(20):
        longer = i % 2 == 0
        rows.append(old_row(f"q{i}", *(("B>A", "A>B") if longer else ("A>B", "B>A"))))
        styles["m"][f"q{i}"] = AnswerStyle(200 if longer else 50, 0, 0, 0)
        styles[BASELINE][f"q{i}"] = AnswerStyle(100, 0, 0, 0)
    (scores,) = controlled(tmp_path, rows, styles)
    assert NAME not in scores.metrics


def test_controls_one_by_one_have_their_own_names(tmp_path: Path) -> None:
    rows, styles = made(6, questions=300, skill=0.0, taste=3.0)
    (length,) = controlled(tmp_path, rows, styles, control=("length",))
    (markdown,) = controlled(tmp_path, rows, styles, control=("markdown",))
    by_length = length.metrics["length_controlled_score/arena-hard-v0.1"].values.mean()
    by_markdown = markdown.metrics["markdown_controlled_score/arena-hard-v0.1"].values.mean()
    assert by_length < 60 < by_markdown  # the made judge likes length, not Markdown
    with pytest.raises(UnusableAnnotationsError, match="control of nothing"):
        controlled(tmp_path, rows, styles, control=())
    del styles["m"]["q0"]
    with pytest.raises(UnusableAnnotationsError, match="No style of m's answer to q0"):
        controlled(tmp_path, rows, styles)


def test_styles_are_read_from_both_formats(tmp_path: Path) -> None:
    old = {
        "question_id": "a",
        "model_id": "m",
        "choices": [{"turns": [{"content": "# T\n**b**", "token_len": 7}]}],
    }
    assert read_styles(write_lines(tmp_path / "a.jsonl", [old])) == (
        "m",
        {"a": AnswerStyle(7, 1, 0, 1)},
    )
    counts = {"header_count": {"h1": 1, "h2": 2}, "list_count": {"ordered": 4}, "bold_count": 5}
    new = {"uid": "a", "model": "m", "metadata": {"token_len": 8, **counts}}
    assert read_styles(write_lines(tmp_path / "b.jsonl", [new]))[1] == {
        "a": AnswerStyle(8, 3, 4, 5)
    }
    answer = {"messages": [{"role": "assistant", "content": {"answer": "- x"}}]}
    whole = write_lines(tmp_path / "c.jsonl", [new | answer])
    assert read_styles(whole)[1] == {"a": AnswerStyle(8, 0, 1, 0)}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"uid": "a", "model": "m", "messages": [{"content": "x"}]}, "token length"),
        ({"uid": "a", "model": "m", "metadata": {"token_len": 3}}, "neither the answer's text"),
        ({"uid": "a", "model": "m", "metadata": {"token_len": -3}}, "token length"),
        ({"model": "m", "metadata": {"token_len": 3}}, "no question_id or uid"),
    ],
)
def test_answers_without_style_say_what_is_needed(
    tmp_path: Path, row: dict[str, Any], message: str
) -> None:
    with pytest.raises(UnusableAnnotationsError, match=message):
        read_styles(write_lines(tmp_path / "a.jsonl", [row]))
