"""Speed of bootstraps: 10,000 rounds over questions against 100 rounds over rows.

Run with `make speed`. The data have the size of an Arena-Hard v0.1 leaderboard: 20 models, 500
questions, two games each, threefold weight for a clear verdict. The original method repeats rows by
weight, draws as many rows with replacement and fits a Bradley-Terry model by scikit-learn's
logistic regression, 100 times; as its code does, it repeats each row so that a tie is one win of
either side. Prints processor seconds on one thread and the ratio of the two, measured in one run.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"

import math
import time

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression

from nlhf_repro.interfaces import Array
from nlhf_repro.uncertainty import (
    bootstrap_bradley_terry,
    bootstrap_ratios,
    bradley_terry,
    bradley_terry_contrast,
    estimate,
)

MODELS, QUESTIONS = 20, 500


def battles(rng: np.random.Generator) -> pd.DataFrame:
    """One row a game: model, question, score of the model (0, .5 or 1) and weight (1 or 3)."""
    model, question, _ = np.indices((MODELS, QUESTIONS, 2)).reshape(3, -1)
    ease = rng.normal(size=QUESTIONS)[question] + np.linspace(-2, 1.5, MODELS)[model]
    shown = ease + rng.logistic(size=len(model))
    score = np.where(np.abs(shown) < 0.2, 0.5, (shown > 0).astype(float))
    weight = np.where(np.abs(shown) > 2, 3, 1)
    return pd.DataFrame({"model": model, "question": question, "score": score, "weight": weight})


def original_fit(rows: pd.DataFrame) -> Array:
    """Strengths of all models against the baseline, from rows already repeated by weight."""
    twice = pd.concat([rows, rows], ignore_index=True)
    count = len(twice)
    design = np.zeros((count, MODELS + 1))
    design[np.arange(count), twice["model"].to_numpy()] = math.log(10)
    design[:, MODELS] = -math.log(10)
    won = (twice["score"] == 1).to_numpy(copy=True)
    tie = (twice["score"] == 0.5).to_numpy(copy=True)
    tie[: len(rows)] = False  # the second copy of a tie is a win
    won[tie] = True
    fit = LogisticRegression(fit_intercept=False, C=np.inf, tol=1e-8, max_iter=1000)
    return np.asarray(fit.fit(design, won).coef_[0])


def original(rows: pd.DataFrame, rounds: int) -> float:
    """Seconds of `rounds` rounds over rows."""
    repeated = rows.loc[rows.index.repeat(rows["weight"])].reset_index(drop=True)
    start = time.process_time()
    for seed in range(rounds):
        original_fit(repeated.sample(frac=1.0, replace=True, random_state=seed))
    return time.process_time() - start


def totals(rows: pd.DataFrame) -> tuple[Array, Array]:
    """Sums of weight * score and of weight, [questions, models] each."""
    weight = rows.assign(score=rows["score"] * rows["weight"])
    sums = weight.groupby(["question", "model"])[["score", "weight"]].sum()
    return tuple(sums[name].unstack().to_numpy(float) for name in ("score", "weight"))  # type: ignore[return-value]


def ours(rows: pd.DataFrame, rounds: int) -> float:
    """Seconds of `rounds` rounds over questions, the sums included."""
    start = time.process_time()
    scores, weights = totals(rows)
    bootstrap_ratios(scores, weights, np.random.default_rng(0), rounds)
    return time.process_time() - start


def round_robin(rng: np.random.Generator) -> Array:
    """Wins [questions, items, items] of 21 items in both orders."""
    won = np.triu(rng.integers(0, 3, (QUESTIONS, MODELS + 1, MODELS + 1)).astype(float), 1)
    return np.asarray(won + np.triu(2 - won, 1).transpose(0, 2, 1))


def main() -> None:
    """Print all measurements."""
    rows = battles(np.random.default_rng(0))
    slow, fast = original(rows, 100), ours(rows, 10_000)
    print(f"{MODELS} models, {QUESTIONS} questions, {int(rows['weight'].sum())} weighted rows:")
    print(f"  original method, 100 rounds over rows     {slow:8.2f} s")
    print(f"  ours, 10,000 rounds over questions        {fast:8.2f} s (target: below 1 s)")
    print(
        f"  ratio {slow / fast:.0f} for 100 times as many rounds: {100 * slow / fast:.0f} a round"
    )
    wins = round_robin(np.random.default_rng(1))
    start = time.process_time()
    bootstrap_bradley_terry(wins, np.random.default_rng(0))
    print(f"  round-robin of 21, 10,000 Bradley-Terry   {time.process_time() - start:8.2f} s")
    start = time.process_time()
    fit = bradley_terry(wins)
    for item in range(1, MODELS + 1):
        contrast = np.eye(MODELS + 1)[item] - np.eye(MODELS + 1)[0]
        estimate(bradley_terry_contrast(fit, contrast)[None])
    print(f"  the same in closed form (sandwich)        {time.process_time() - start:8.4f} s")


if __name__ == "__main__":
    main()
