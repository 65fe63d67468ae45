"""Arena-Hard as its own scripts compute it, re-stated here from their definition."""

from __future__ import annotations

import math
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from judgment_files import BASELINE, new_row, old_row, write_lines
from sklearn.linear_model import LogisticRegression

from nlhf_repro.benchmarks.arena_hard import (
    AnswerStyle,
    Judgment,
    read_judgments,
    score_judgments,
    upstream_scores,
    upstream_style_scores,
)
from nlhf_repro.benchmarks.arena_hard.style_fit import fit_logistic
from nlhf_repro.benchmarks.arena_hard.styles import style_features, styles_of
from nlhf_repro.interfaces import UnusableAnnotationsError
from nlhf_repro.uncertainty import estimate

WINNERS = {
    "A>>B": ("model_a", 3),
    "A>B": ("model_a", 1),
    "A=B": ("tie", 1),
    "B>A": ("model_b", 1),
    "B>>A": ("model_b", 3),
}
OTHER = {"model_a": "model_b", "model_b": "model_a", "tie": "tie"}


def random_rows(seed: int, questions: int = 80) -> list[dict[str, Any]]:
    generator = np.random.default_rng(seed)
    rows = []
    for model, chances in (("m", (0.1, 0.2, 0.1, 0.3, 0.3)), ("n", (0.3, 0.3, 0.1, 0.2, 0.1))):
        for number in range(questions):
            first = generator.choice(list(WINNERS), p=chances)
            # The second game agrees with the first more often than not, as judges do.
            second = generator.choice(list(WINNERS), p=chances[::-1])
            if generator.random() < 0.7:
                second = (
                    {"A": "B", "B": "A"}[first[0]] + first[1:-1] + {"A": "B", "B": "A"}[first[-1]]
                )
                second = {"B=A": "A=B", "B<A": "A>B"}.get(second, second)
            rows.append(old_row(f"q{number}", str(first), str(second), model))
    return rows


def read(folder: Path, rows: list[dict[str, Any]], **options: Any) -> tuple[Judgment, ...]:
    return read_judgments([write_lines(folder / "m.jsonl", rows)], **options)


def battles(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Battles as upstream's `get_battles_from_row` lays them out."""
    found = []
    for row in rows:
        for number, game in enumerate(row["games"]):
            if game["score"] in WINNERS:
                winner, weight = WINNERS[game["score"]]
                winner = OTHER[winner] if number == 1 else winner
                battle = {"model_a": BASELINE, "model_b": row["model"], "winner": winner}
                found += [battle | {"question_id": row["question_id"]}] * weight
    return pd.DataFrame(found)


def ratings(frame: pd.DataFrame) -> dict[str, float]:
    """A Bradley-Terry fit as upstream's `compute_mle_elo`, the baseline at 1000."""
    models = sorted(set(frame["model_a"]) | set(frame["model_b"]))
    position = {name: i for i, name in enumerate(models)}
    twice = pd.concat([frame, frame], ignore_index=True)
    x = np.zeros((len(twice), len(models)))
    x[np.arange(len(twice)), twice["model_a"].map(position)] = math.log(10)
    x[np.arange(len(twice)), twice["model_b"].map(position)] = -math.log(10)
    y = (twice["winner"] == "model_a").to_numpy(float)
    tie = (twice["winner"] == "tie").to_numpy(copy=True)
    tie[len(frame) :] = False
    y[tie] = 1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        fit = LogisticRegression(fit_intercept=False, penalty=None, tol=1e-8).fit(x, y)
    scores = 400 * fit.coef_[0]
    return {name: 1000 + scores[i] - scores[position[BASELINE]] for name, i in position.items()}


def win_rate(rating: float) -> float:
    return 100 / (1 + 10 ** ((1000 - rating) / 400))


def test_bradley_terry_against_one_baseline_is_the_weighted_win_rate(tmp_path: Path) -> None:
    rows = random_rows(0)
    fitted = ratings(battles(rows))
    for each in upstream_scores(read(tmp_path, rows)):
        assert each.score == pytest.approx(win_rate(fitted[each.model]), abs=1e-5)
    closed = {
        s.name: s.metrics["score/arena-hard-v0.1"] for s in score_judgments(read(tmp_path, rows))
    }
    for each in upstream_scores(read(tmp_path, rows)):
        assert each.score == pytest.approx(closed[each.model].values.mean(), abs=1e-10)


def test_v01_interval_has_the_draws_of_pandas(tmp_path: Path) -> None:
    rows = random_rows(1, questions=40)
    frame = battles(rows)
    state = np.random.RandomState(42)
    rounds = [ratings(frame.sample(frac=1.0, replace=True, random_state=state)) for _ in range(100)]
    for each in upstream_scores(read(tmp_path, rows)):
        sample = [fitted[each.model] for fitted in rounds]
        assert each.lower == pytest.approx(win_rate(np.percentile(sample, 2.5)), abs=1e-4)
        assert each.upper == pytest.approx(win_rate(np.percentile(sample, 97.5)), abs=1e-4)
        assert each.interval == "95 % of row resamples"
        assert each.rows == (frame["model_b"] == each.model).sum()


def test_rows_make_upstream_look_surer_than_questions_do(tmp_path: Path) -> None:
    judgments = read(tmp_path, random_rows(2, questions=300))
    upstream = {each.model: each for each in upstream_scores(judgments)}
    for scores in score_judgments(judgments):
        honest = estimate(scores.metrics["score/arena-hard-v0.1"].values[None])
        width = upstream[scores.name].upper - upstream[scores.name].lower
        assert 1.3 < (honest.upper - honest.lower) / width < 2.2


def test_v20_score_is_the_mean_of_row_resamples_with_a_90_percent_interval(tmp_path: Path) -> None:
    labels = [("B>A", "A>B"), ("B>>A", "A>>B"), ("A>B", "B>A"), ("A=B", None)] * 30
    rows = [new_row(f"q{i}", *pair) for i, pair in enumerate(labels)]
    (each,) = upstream_scores(read(tmp_path, rows))
    assert each.rows == 30 * (2 + 6 + 2)  # the question without a second verdict is dropped whole
    assert each.interval == "90 % of row resamples"
    row_error = 100 * math.sqrt(0.8 * 0.2 / each.rows)
    assert each.score == pytest.approx(80, abs=3 * row_error / 10)
    widths = [
        again.upper - again.lower
        for seed in range(40)
        for again in upstream_scores(read(tmp_path, rows), seed)
    ]
    assert np.mean(widths) == pytest.approx(2 * 1.645 * row_error, rel=0.06)
    assert upstream_scores(read(tmp_path, rows), seed=1) != (each,)
    assert upstream_scores(read(tmp_path, rows)) == (each,)


def test_what_upstream_cannot_score(tmp_path: Path) -> None:
    with pytest.raises(UnusableAnnotationsError, match="KeyError"):
        upstream_scores(read(tmp_path, [new_row("a", "A>>A", "A>B")]))
    with pytest.raises(UnusableAnnotationsError, match="No game has a usable verdict"):
        upstream_scores(read(tmp_path, [old_row("a", "A>>A", None)]))
    with pytest.raises(UnusableAnnotationsError, match="No question of m has two"):
        upstream_scores(read(tmp_path, [new_row("a", "A>B", None)]))
    with pytest.raises(UnusableAnnotationsError, match="ignores the baseline"):
        upstream_scores(read(tmp_path, [old_row("a", "A>B", "A>B")], baseline="sft"))
    own = new_row("a", "A>B", "A>B", model="judge-1")
    for judgments in ((), read(tmp_path, [own])):
        with pytest.raises(UnusableAnnotationsError, match="no judgments to score"):
            upstream_scores(judgments)
    others = read(tmp_path, [own, new_row("a", "B>A", "A>B"), new_row("b", "A>>A", None)])
    assert [(each.model, each.rows) for each in upstream_scores(others)] == [("m", 2)]


def test_upstream_always_wins_without_a_solver(tmp_path: Path) -> None:
    (each,) = upstream_scores(read(tmp_path, [old_row(f"q{i}", "B>A", "A>B") for i in range(5)]))
    assert (each.score, each.lower, each.upper) == pytest.approx((100, 100, 100))


def random_styles(seed: int, questions: int = 80) -> dict[str, dict[str, AnswerStyle]]:
    generator = np.random.default_rng(seed)
    return {
        name: {
            f"q{i}": AnswerStyle(
                *(int(x) for x in generator.integers((50, 0, 0, 0), (500, 5, 9, 7)))
            )
            for i in range(questions)
        }
        for name in ("m", "n", BASELINE, "o3-mini-2025-01-31")
    }


def test_v01_style_control_equals_its_definition(tmp_path: Path) -> None:
    rows, styles = random_rows(3), random_styles(3)
    frame = battles(rows)
    frame = pd.concat([frame, frame], ignore_index=True)
    k = len(frame) // 2
    counts = {
        side: np.array(
            [
                [s.tokens, s.headers, s.lists, s.bolds]
                for name, q in zip(frame[side], frame["question_id"], strict=True)
                for s in [styles[name][q]]
            ],
            dtype=float,
        )
        for side in ("model_a", "model_b")
    }
    diff = counts["model_a"] - counts["model_b"]
    diff /= counts["model_a"] + counts["model_b"] + 1
    x = np.zeros((len(frame), 3 + 4))
    position = {BASELINE: 0, "m": 1, "n": 2}
    x[np.arange(len(frame)), frame["model_a"].map(position)] = math.log(10)
    x[np.arange(len(frame)), frame["model_b"].map(position)] = -math.log(10)
    x[:, 3:] = (diff - diff.mean(axis=0)) / diff.std(axis=0)
    y = (frame["winner"] == "model_a").to_numpy(float)
    tie = (frame["winner"] == "tie").to_numpy()
    y[:k][tie[:k]] = 1
    coefficients = LogisticRegression(fit_intercept=False).fit(x, y).coef_[0]
    for each in upstream_style_scores(read(tmp_path, rows), styles):
        shift = coefficients[position[each.model]] - coefficients[0]
        assert each.score == pytest.approx(100 / (1 + 10**-shift), abs=0.01)
        assert each.lower < each.score < each.upper


def test_v20_style_control_nears_the_centred_maximum_likelihood(tmp_path: Path) -> None:
    styles = random_styles(4)
    longer = {q: replace(style, tokens=style.tokens + 200) for q, style in styles["m"].items()}
    styles["m"] = longer
    rows = []
    for row in random_rows(4):
        question, model = row["question_id"], row["model"]
        first, second = (game["score"] for game in row["games"])
        if styles[model][question].tokens > 400:  # a judge that likes length
            first, second = "B>>A", "A>>B"
        rows.append(new_row(question, first, second, model=model))
    judgments = read(tmp_path, rows)
    outcomes = [(x, share, w) for x in judgments for share, w in x.outcomes()]
    features = np.array(
        [
            style_features("v2.0", *styles_of(x, styles))
            for x, _, w in outcomes
            for _ in range(int(w))
        ]
    )
    features = (features - features.mean(axis=0)) / features.std(axis=0, ddof=1)
    repeated = [(x.model, share) for x, share, w in outcomes for _ in range(int(w))]
    own = np.array([[model == "m", model == "n"] for model, _ in repeated], dtype=float)
    y = np.array([share for _, share in repeated])
    fit = fit_logistic(np.hstack([own, features]), y, np.ones(len(y)))
    assert fit is not None
    plain = {each.model: each for each in upstream_scores(judgments)}
    controlled = upstream_style_scores(judgments, styles)
    assert max(abs(x.score - plain[x.model].score) for x in controlled) > 1.5
    for each, odds in zip(controlled, fit[:2], strict=True):
        error = (each.upper - each.lower) / (2 * 1.645)
        noise = 1.25 * error / math.sqrt(100)  # of the median of 100 resamples
        stopped_early = 0.4  # points that the optimiser is short of the maximum on all rows
        near = 3 * noise + stopped_early
        assert each.score == pytest.approx(100 / (1 + math.exp(-odds)), abs=near)
        assert each.interval == "90 % of row resamples" and each.lower < each.score < each.upper


def test_style_control_of_what_upstream_cannot_control(tmp_path: Path) -> None:
    judgments = read(tmp_path, random_rows(5))
    same = {
        name: dict.fromkeys(by, AnswerStyle(9, 1, 1, 1)) for name, by in random_styles(5).items()
    }
    with pytest.raises(UnusableAnnotationsError, match="divides by zero"):
        upstream_style_scores(judgments, same)
    with pytest.raises(UnusableAnnotationsError, match="one category"):
        upstream_style_scores(read(tmp_path, [old_row("q0", "A>>A", None)]), same)
