"""Arena-Hard's own style control, faults included: for parity, never for a claim.

Features are centred over all battles of the pool, so that a score is the win rate at the pool's
mean style difference; rows are resampled, not questions. v0.1 penalises all coefficients (L2,
C = 1) and calls 2.5 to 97.5 % of the resamples a 95 % interval; v2.0 stops its optimiser after 50
small steps from 0.5, and prints the median with 5 to 95 %. Controls of length or Markdown alone
are not here: v2.0 slices the wrong columns for them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from nlhf_repro.benchmarks.arena_hard.judgments import Judgment
from nlhf_repro.benchmarks.arena_hard.styles import AnswerStyle, style_features, styles_of
from nlhf_repro.benchmarks.arena_hard.upstream import ROUNDS, UpstreamScore, loaded_by_upstream
from nlhf_repro.interfaces import Array, UnusableAnnotationsError


def upstream_style_scores(
    judgments: Sequence[Judgment],
    styles: Mapping[str, Mapping[str, AnswerStyle]],
    seed: int = 42,
) -> tuple[UpstreamScore, ...]:
    """Upstream's style-controlled table of one category, by model.

    The draws of v0.1 are upstream's (global generator, seed 42); v2.0 sets no seed, so that ours
    gives one of its many possible tables.

    Raises:
        UnusableAnnotationsError: no usable verdict, several categories or baselines, a judged
            answer without style, or a style that is the same in every battle.
    """
    judgments = loaded_by_upstream(judgments)
    groups = {(each.category, each.baseline) for each in judgments}
    used = [each for each in judgments if each.outcomes()]
    if len(groups) != 1 or not used:
        raise UnusableAnnotationsError(
            f"Upstream's style control is of one category and baseline, with a usable verdict: "
            f"these judgments have {len(groups)} and {len(used)} usable questions."
        )
    models = sorted({each.model for each in used})
    owner, shares, features = _battles(used, styles, models)
    old = used[0].version == "v0.1"
    spread = features.std(axis=0, ddof=0 if old else 1)
    if not np.all(spread > 0):
        raise UnusableAnnotationsError(
            "A style is the same in every battle, where upstream divides by zero: its table has "
            "no number for these judgments."
        )
    features = (features - features.mean(axis=0)) / spread
    fit = _rounds_v01 if old else _rounds_v20
    estimate, rounds = fit(owner, shares, features, len(models), seed)
    tails = (2.5, 97.5) if old else (5.0, 95.0)
    lower, upper = (_shares(np.percentile(rounds, tail, axis=0)) for tail in tails)
    return tuple(
        UpstreamScore(
            model=model,
            opponent=used[0].baseline,
            judge=used[0].judge,
            category=used[0].category,
            score=float(_shares(estimate)[k]),
            lower=float(lower[k]),
            upper=float(upper[k]),
            interval="95 % of row resamples" if old else "90 % of row resamples",
            rows=int((owner == k).sum()),
        )
        for k, model in enumerate(models)
    )


def _battles(
    used: Sequence[Judgment],
    styles: Mapping[str, Mapping[str, AnswerStyle]],
    models: Sequence[str],
) -> tuple[Array, Array, Array]:
    """Model, its share and style features of every row, decisive verdicts three times."""
    owner, shares, features = [], [], []
    for each in used:
        x = style_features(each.version, *styles_of(each, styles))
        for share, weight in each.outcomes():
            for _ in range(int(weight)):
                owner.append(models.index(each.model))
                shares.append(share)
                features.append(x)
    return np.array(owner), np.array(shares), np.array(features)


def _rounds_v01(
    owner: Array, shares: Array, features: Array, models: int, seed: int
) -> tuple[Array, Array]:
    """Log-odds against the baseline [models], of all rows and of each resample [rounds, models].

    A tie is a win and a loss, so every other row is there twice; model_a is the baseline.
    """
    from sklearn.linear_model import LogisticRegression

    sides = np.zeros((len(owner), models + 1))
    sides[:, models] = np.log(10)
    sides[np.arange(len(owner)), owner] = -np.log(10)
    design = np.hstack([sides, -features])

    def fit(rows: Any) -> Array:
        x = np.concatenate([design[rows], design[rows]])
        lost = 1 - shares[rows]
        y = np.concatenate([np.ceil(lost), np.floor(lost)])
        coefficients = LogisticRegression(fit_intercept=False).fit(x, y).coef_[0]
        odds: Array = np.log(10) * (coefficients[:models] - coefficients[models])
        return odds

    legacy = np.random.RandomState(seed)  # numpy's global generator, as upstream seeds it
    draws = (legacy.choice(len(owner), size=len(owner), replace=True) for _ in range(ROUNDS))
    return fit(slice(None)), np.array([fit(draw) for draw in draws])


def _rounds_v20(
    owner: Array, shares: Array, features: Array, models: int, seed: int
) -> tuple[Array, Array]:
    """As `_rounds_v01`, the estimate being the median of the resamples."""
    sides = np.zeros((len(owner), models + 1))
    sides[:, models] = -1
    sides[np.arange(len(owner)), owner] = 1
    design = np.hstack([sides, features])
    rounds = np.array(list(_fits_v20(design, shares, seed)))
    odds = rounds[:, :models] - rounds[:, models : models + 1]
    return np.median(odds, axis=0), odds


def _fits_v20(design: Array, shares: Array, seed: int) -> Iterator[Array]:
    import torch

    x = torch.tensor(design, dtype=torch.float32)
    y = torch.tensor(shares, dtype=torch.float32)
    draws = np.random.default_rng(seed).integers(len(y), size=(ROUNDS, len(y)))
    for draw in draws:
        yield _stopped_early(x[draw], y[draw])


def _stopped_early(x: Any, y: Any) -> Array:
    import torch

    coefficients = torch.full((x.shape[1],), 0.5, requires_grad=True)
    optimizer: Any = torch.optim.LBFGS(
        [coefficients], lr=0.1, max_iter=50, tolerance_grad=1e-9, tolerance_change=1e-9
    )

    def loss() -> Any:
        optimizer.zero_grad()
        value: Any = torch.nn.functional.binary_cross_entropy_with_logits(
            x @ coefficients, y, reduction="sum"
        )
        value.backward()
        return value

    optimizer.step(loss)
    return coefficients.detach().numpy().astype(np.float64)


def _shares(odds: Array) -> Array:
    shares: Array = 100 / (1 + np.exp(-odds))
    return shares
