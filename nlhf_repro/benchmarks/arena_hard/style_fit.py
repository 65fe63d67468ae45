"""A weighted logistic regression with errors clustered by question."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import special

from nlhf_repro.interfaces import Array

_STEPS = 100
_INFINITE = 25.0  # log-odds beyond which a fit is taken for separated: 1e-11 from 0 or 100 %


def fit_logistic(x: Array, y: Array, w: Array) -> Array | None:
    """Maximum-likelihood coefficients [columns] by Newton's method; None where not identified.

    Args:
        x: Design [rows, columns].
        y: Outcomes [rows] in [0, 1].
        w: Weights [rows], positive.
    """
    if np.linalg.matrix_rank(x) < x.shape[1]:
        return None
    coefficients = np.zeros(x.shape[1])
    for _ in range(_STEPS):
        chance = special.expit(x @ coefficients)
        information = (x * (w * chance * (1 - chance))[:, None]).T @ x
        step: Array = np.linalg.lstsq(information, x.T @ (w * (y - chance)), rcond=None)[0]
        coefficients = coefficients + step / max(1.0, float(np.abs(step).max()) / 2)
        if np.abs(x @ coefficients).max() > _INFINITE:
            return None
        if np.abs(step).max() < 1e-10:
            return coefficients
    return None


def share_observations(
    coefficients: Array, x: Array, y: Array, w: Array, q: NDArray[np.intp]
) -> Array:
    """Pseudo-observations [questions, columns] of theta = sigmoid(coefficient), column by column.

    The sandwich clustered by question: z_q = theta + n theta (1 - theta) (A^-1 u_q), with u_q the
    score of the question's rows and A the information of all rows.

    Args:
        coefficients: From `fit_logistic` of the same x, y and w.
        x: Design [rows, columns].
        y: Outcomes [rows] in [0, 1].
        w: Weights [rows].
        q: Position of each row's question, 0 to n - 1.
    """
    chance = special.expit(x @ coefficients)
    information = (x * (w * chance * (1 - chance))[:, None]).T @ x
    scores = np.zeros((int(q.max()) + 1, x.shape[1]))
    np.add.at(scores, q, x * (w * (y - chance))[:, None])
    theta = special.expit(coefficients)
    z: Array = theta + len(scores) * theta * (1 - theta) * np.linalg.solve(information, scores.T).T
    return z
