"""Population minimisers of pair losses: the utilities that fit weighted pairs best.

A law of pairs is an array [games, actions, actions]: how much weight falls on the pair whose first
(preferred) response is the row and whose second is the column. A utility u [games, actions] is
defined up to a constant a game and returned with mean 0. A response paired with itself says nothing
and is ignored.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import numpy as np
from scipy.sparse.csgraph import connected_components

from nlhf_repro.interfaces import Array, ImpossibleSettingError

GRADIENT_TOLERANCE = 1e-13
MAXIMUM_NEWTON_STEPS = 200


def squared_utility(law: Array, target: Array | float) -> Array:
    """The u that minimises sum_{w,l} law[w, l] (u_w - u_l - target[w, l])^2, exactly.

    Least squares on the graph of pairs: with c = law + law^T, the Laplacian system sum_j c_ij (u_i
    - u_j) = sum_j (law_ij target_ij - law_ji target_ji), every row divided by its degree.

    Raises:
        ImpossibleSettingError: Where the pairs do not connect all responses, so that u is not
            determined.
    """
    law = _between_different(law)
    _require_linked(law, "weak")
    pulled = law * target
    conductance = law + law.swapaxes(-1, -2)
    degree = conductance.sum(axis=-1)
    force = pulled.sum(axis=-1) - pulled.sum(axis=-2)
    return _laplacian_solution(conductance / degree[..., None], force / degree, degree)


def logistic_utility(law: Array, target_margin: float = 0.0) -> Array:
    """The u that minimises sum_{w,l} law[w, l] log(1 + exp(target_margin - (u_w - u_l))).

    The Bradley-Terry utilities of wins `law` (a preference P met by independent responses of pi
    gives pi_w pi_l P[w, l]); by damped Newton, to a gradient of 1e-13 of the weight that a response
    takes part in.

    Raises:
        ImpossibleSettingError: Where no chain of wins leads from some response to another, so that
            the optimum lies at infinity, or where rounding keeps Newton from the tolerance.
    """
    law = np.ascontiguousarray(law, dtype=np.float64)
    return _fitted(law.tobytes(), law.shape, target_margin).copy()


@lru_cache(maxsize=8)  # offline methods fit one law again at every update
def _fitted(content: bytes, shape: tuple[int, ...], target_margin: float) -> Array:
    law = _between_different(np.frombuffer(content).reshape(shape))
    _require_linked(law, "strong")
    mass = law.sum(axis=-1) + law.sum(axis=-2)
    utility = np.zeros_like(mass)
    loss = _logistic_loss(law, utility, target_margin)
    for _ in range(MAXIMUM_NEWTON_STEPS):
        gradient, step = _newton_step(law, mass, utility, target_margin)
        if np.abs(gradient).max() <= GRADIENT_TOLERANCE:
            return np.asarray(utility)
        scale = np.ones((*mass.shape[:-1], 1))
        for _ in range(50):
            candidate = utility + scale * step
            candidate_loss = _logistic_loss(law, candidate, target_margin)
            worse = candidate_loss > loss * (1 + 4e-16)
            if not worse.any():
                break
            scale[worse] /= 2
        utility, loss = candidate - candidate.mean(axis=-1, keepdims=True), candidate_loss
    raise ImpossibleSettingError(
        f"the minimiser of the logistic loss was not reached (gradient {np.abs(gradient).max():.1e}"
        f" after {MAXIMUM_NEWTON_STEPS} Newton steps): raise algorithm.regularization or the "
        "inverse temperature, so that the policy keeps its support."
    )


def _between_different(law: Array) -> Array:
    return np.asarray(law * ~np.eye(law.shape[-1], dtype=bool))


def _require_linked(law: Array, connection: Literal["weak", "strong"]) -> None:
    """Raise ImpossibleSettingError where the graph of pairs leaves the minimiser undetermined."""
    off_diagonal = ~np.eye(law.shape[-1], dtype=bool)
    if (law > 0)[..., off_diagonal].all():
        return
    for game, matrix in enumerate(law.reshape(-1, *law.shape[-2:])):
        parts, part = connected_components(matrix > 0, directed=True, connection=connection)
        if parts == 1:
            continue
        other = int(np.flatnonzero(part != part[0])[0])
        if connection == "weak" or connected_components(matrix > 0, connection="weak")[0] > 1:
            raise ImpossibleSettingError(
                f"the trained pairs of game {game} do not connect its responses 0 and {other}, so "
                "that their log-ratio is not determined: take a design or an oracle that compares "
                "all, such as algorithm.design=unfiltered."
            )
        raise ImpossibleSettingError(
            f"the comparisons of game {game} are one-sided: no chain of wins leads both from "
            f"response 0 to {other} and back, so that the logistic optimum lies at infinity: take "
            "an oracle without certain preferences (oracle_wrapper=[noisy]), labels or a design "
            "that let every response win, or training.face=sampled."
        )


def _laplacian_solution(relative: Array, force: Array, degree: Array) -> Array:
    """Solve d_i u_i - sum_j relative_ij u_j = force_i, d_i the row sums; constants filled in."""
    row = relative.sum(axis=-1)
    system = -relative
    diagonal = np.arange(degree.shape[-1])
    system[..., diagonal, diagonal] += row
    share = degree / degree.sum(axis=-1, keepdims=True)
    system += row[..., :, None] * share[..., None, :]
    utility = np.linalg.solve(system, force[..., None])[..., 0]
    return np.asarray(utility - utility.mean(axis=-1, keepdims=True))


def _logistic_loss(law: Array, utility: Array, target_margin: float) -> Array:
    gap = utility[..., :, None] - utility[..., None, :]
    total: Array = (law * np.logaddexp(0.0, target_margin - gap)).sum(axis=(-2, -1))
    return total


def _newton_step(
    law: Array, mass: Array, utility: Array, target_margin: float
) -> tuple[Array, Array]:
    """The gradient and the Newton step, every row divided by the weight of its response."""
    gap = utility[..., :, None] - utility[..., None, :] - target_margin
    doubt = law * 0.5 * (1.0 - np.tanh(0.5 * gap))  # of the observed winner
    gradient = (doubt.sum(axis=-2) - doubt.sum(axis=-1)) / mass
    curvature = doubt * 0.5 * (1.0 + np.tanh(0.5 * gap))
    curvature = curvature + curvature.swapaxes(-1, -2)
    step = -_laplacian_solution(curvature / mass[..., None], gradient, mass)
    return gradient, step
