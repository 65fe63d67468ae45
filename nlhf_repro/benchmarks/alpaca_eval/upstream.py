"""What alpaca-eval 0.6.6 itself prints for a file of annotations, faults included.

For checks against published numbers, never for a table of ours. Faults kept: the length-controlled
fit takes difficulties by the row's place in the file; rows without a preference are left out in
silence, yet enter the lengths' spread and the prediction; `lc_standard_error` is the spread of
predicted difficulty and no standard error of the length-controlled win rate. Left out: alpaca-eval
looks difficulties up for `length_controlled_minimal`, too, and so fails beyond 805 rows.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, final

import numpy as np

from nlhf_repro.benchmarks.alpaca_eval.annotations import by_model
from nlhf_repro.benchmarks.alpaca_eval.length_control import GAMED_WEIGHT
from nlhf_repro.benchmarks.alpaca_eval.penalized_logistic import FOLDS
from nlhf_repro.benchmarks.alpaca_eval.reference import GamedRows
from nlhf_repro.benchmarks.annotation_files import Row, only_value, read_rows
from nlhf_repro.interfaces import Array, UnusableAnnotationsError

Formula = Literal["length_controlled_v1", "length_controlled_noreg", "length_controlled_minimal"]


@final
@dataclass(frozen=True)
class UpstreamNumbers:
    """alpaca-eval's metrics under its own names, rates in percent."""

    win_rate: float
    standard_error: float  # of win_rate; NaN for one judgment
    n_wins: int
    n_wins_base: int
    n_draws: int
    n_total: int
    discrete_win_rate: float
    length_controlled_winrate: float
    lc_standard_error: float  # not a standard error, see the module


def upstream_numbers(
    annotations: Path, formula: Formula, gamed: GamedRows | None = None
) -> dict[str, UpstreamNumbers]:
    """The numbers of every model in an annotations.json, by its name.

    Args:
        annotations: rows as in `read_annotations`; their order matters here.
        formula: the generalised linear model; `noreg` knows difficulties and no gamed rows,
            `minimal` neither.
        gamed: `df_gamed.csv`, which also holds the difficulties; not for `minimal`.

    Raises:
        UnusableAnnotationsError: a file that alpaca-eval cannot score either: no rows, outputs
            missing, output lengths all alike, more rows than questions.
        ValueError: a formula with difficulties and no gamed rows.
    """
    used = None if formula == "length_controlled_minimal" else gamed
    if formula != "length_controlled_minimal" and used is None:
        raise ValueError(f"{formula} needs the rows of df_gamed.csv: give `gamed`.")
    groups = by_model(read_rows(annotations), annotations)
    regularised = formula == "length_controlled_v1"
    return {name: _numbers(rows, used, regularised, annotations) for name, rows in groups.items()}


def _numbers(
    rows: Sequence[Row], gamed: GamedRows | None, regularised: bool, path: Path
) -> UpstreamNumbers:
    preferences = _preferences(rows, path)
    decided = np.where(preferences == 0, 1.5, preferences)
    shares = decided[(decided >= 1) & (decided <= 2)] - 1
    rounded = np.where(decided == 1.5, 0, np.round(decided))  # a stray 0.3 becomes a draw, too
    discrete = np.where(rounded == 0, 1.5, rounded)
    discrete = discrete[(discrete >= 1) & (discrete <= 2)] - 1
    if _is_baseline(rows, path):
        predicted = np.where(np.isnan(preferences), np.nan, 0.5)
    else:
        predicted = _predicted(rows, decided - 1, gamed, regularised, path)
    predicted = predicted[~np.isnan(predicted)]
    return UpstreamNumbers(
        win_rate=_percent_mean(shares),
        standard_error=_percent_error(shares),
        n_wins=int((shares > 0.5).sum()),
        n_wins_base=int((shares < 0.5).sum()),
        n_draws=int((decided == 1.5).sum()),
        n_total=len(shares),
        discrete_win_rate=_percent_mean(discrete),
        length_controlled_winrate=_percent_mean(predicted),
        lc_standard_error=_percent_error(predicted),
    )


def _is_baseline(rows: Sequence[Row], path: Path) -> bool:
    """Whether the rows compare the baseline with itself: 50 % by construction upstream."""
    baseline = only_value(rows, "generator_1", path, "compare each model with one baseline.")
    return bool(baseline == rows[0]["generator_2"])


def _preferences(rows: Sequence[Row], path: Path) -> Array:
    values = [row.get("preference") for row in rows]
    if not all(value is None or isinstance(value, int | float) for value in values):
        raise UnusableAnnotationsError(
            f"{path} has a preference that is no number, on which alpaca-eval fails: mend it."
        )
    return np.array([np.nan if value is None else float(value) for value in values])


def _predicted(
    rows: Sequence[Row],
    shares: Array,
    gamed: GamedRows | None,
    regularised: bool,
    path: Path,
) -> Array:
    """[rows]: predicted shares at equal lengths, for rows without a preference as well."""
    texts = [(row.get("output_1"), row.get("output_2")) for row in rows]
    if not all(isinstance(one, str) and isinstance(two, str) for one, two in texts):
        raise UnusableAnnotationsError(
            f"{path} has a row without an output, on which alpaca-eval's fit fails: mend it."
        )
    differences = np.array([len(str(one)) - len(str(two)) for one, two in texts], dtype=float)
    spread = float(np.std(differences, ddof=1)) if len(differences) > 1 else 0.0
    if spread == 0:
        raise UnusableAnnotationsError(
            f"{path} has a model whose lengths differ from the baseline's by one number, on which "
            "alpaca-eval's fit fails: score it in the default mode."
        )
    features = [np.tanh(differences / spread), np.ones(len(rows))]
    if gamed is not None:
        features.insert(1, _difficulties_by_place(len(rows), gamed, path))
    design = np.column_stack(features)
    training, labels, weights = design, shares, np.ones(len(rows))
    if gamed is not None and regularised:
        lengths = np.tanh(gamed.scaled_length_differences)
        above = np.column_stack([lengths, gamed.difficulties, np.zeros(len(lengths))])
        training = np.vstack([above, training])
        labels = np.concatenate([gamed.shares, labels])
        weights = np.concatenate([np.full(len(lengths), GAMED_WEIGHT), weights])
    kept = ~np.isnan(labels)
    model = _fitted(training[kept], labels[kept], weights[kept])
    at_equal_lengths = design * np.array([0.0] + [1.0] * (design.shape[1] - 1))
    return np.asarray(model.predict_proba(at_equal_lengths)[:, 1])


def _difficulties_by_place(count: int, gamed: GamedRows, path: Path) -> Array:
    """The fault that makes the number depend on the order of the rows."""
    first: dict[int, int] = {}
    for line, index in enumerate(gamed.indices):
        first.setdefault(index, line)
    by_line = {line: gamed.difficulties[line] for line in first.values()}
    if any(place not in by_line for place in range(count)):
        raise UnusableAnnotationsError(
            f"{path} has {count} rows of one model and the gamed rows know {len(by_line)} "
            "questions, on which alpaca-eval's fit fails: use length_controlled_minimal."
        )
    return np.array([by_line[place] for place in range(count)])


def _fitted(features: Array, shares: Array, weights: Array) -> Any:
    """scikit-learn's fit exactly as alpaca-eval calls it."""
    import sklearn
    from sklearn.linear_model import LogisticRegressionCV
    from sklearn.metrics import make_scorer
    from sklearn.model_selection import GroupKFold

    labels = np.repeat([1, 0], len(shares))
    label_shares = np.concatenate([shares, 1 - shares])
    row_weights = np.tile(weights, 2)
    with sklearn.config_context(enable_metadata_routing=True), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        scorer = make_scorer(
            _log_loss, response_method="predict_proba", greater_is_better=False
        ).set_score_request(row_weights=True, label_shares=True)
        model = LogisticRegressionCV(
            cv=GroupKFold(n_splits=FOLDS),
            scoring=scorer,
            random_state=123,
            penalty="l1",
            solver="liblinear",
            fit_intercept=False,
        ).set_fit_request(sample_weight=True)
        return model.fit(
            np.tile(features, (2, 1)),
            labels,
            sample_weight=label_shares * row_weights,
            groups=np.tile(np.arange(len(shares)), 2),
            row_weights=row_weights,
            label_shares=label_shares,
        )


def _log_loss(y_true: Array, y_pred: Array, label_shares: Array, row_weights: Array) -> float:
    shares = np.where(y_true == 1, label_shares, 1 - label_shares)
    predicted = np.clip(y_pred, 1e-15, 1 - 1e-15)
    loss = shares * np.log(predicted) + (1 - shares) * np.log(1 - predicted)
    return float(-np.mean(loss * row_weights))


def _percent_mean(shares: Array) -> float:
    return 100 * float(shares.mean()) if len(shares) else float("nan")


def _percent_error(shares: Array) -> float:
    if len(shares) < 2:
        return float("nan")
    return 100 * float(np.std(shares, ddof=1) / np.sqrt(len(shares)))
