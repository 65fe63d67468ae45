"""What a game and a policy must be, refused with the entry that is not."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nlhf_repro.interfaces import Array, Game

SUM_TOLERANCE = 1e-9
"""A policy sums to 1 within this; the probabilities of normalized logits do to about 1e-15."""

SYMMETRY_TOLERANCE = 1e-12
"""P + P^T = 1 within this, and a preference this near 1/2 is a tie."""


class MalformedGameError(ValueError):
    """What does not make a game: the message names the entry."""


def _first(wrong: NDArray[np.bool_]) -> tuple[int, ...] | None:
    """Index of the first true entry, None where there is none."""
    return tuple(int(i) for i in np.argwhere(wrong)[0]) if wrong.any() else None


def _entry(name: str, where: tuple[int, ...]) -> str:
    return f"{name}[{', '.join(map(str, where))}]" if where else name


def _numbers(name: str, values: ArrayLike) -> Array:
    array = np.asarray(values, dtype=np.float64)
    where = _first(np.isnan(array))
    if where is not None:
        raise MalformedGameError(
            f"{_entry(name, where)} is not a number: give every entry a value."
        )
    return array


def check_preference_matrix(preference_matrix: ArrayLike) -> Array:
    """The matrix as float64, [actions, actions] or [games, actions, actions].

    Raises:
        MalformedGameError: wrong shape, NaN, an entry outside [0, 1], or P + P^T != 1 by more than
        1e-12.
    """
    matrix = _numbers("preference_matrix", preference_matrix)
    shape = matrix.shape
    if matrix.ndim not in (2, 3) or shape[-1] != shape[-2] or 0 in shape:
        raise MalformedGameError(
            f"preference_matrix has shape {shape}: give [actions, actions] or "
            "[games, actions, actions]."
        )
    where = _first((matrix < 0) | (matrix > 1))
    if where is not None:
        raise MalformedGameError(
            f"{_entry('preference_matrix', where)} = {matrix[where]} is outside [0, 1]: "
            "an entry is the probability that the row is preferred over the column."
        )
    sums = matrix + np.swapaxes(matrix, -1, -2)
    where = _first(np.abs(sums - 1) > SYMMETRY_TOLERANCE)
    if where is not None:
        mirror = (*where[:-2], where[-1], where[-2])
        raise MalformedGameError(
            f"{_entry('preference_matrix', where)} + {_entry('preference_matrix', mirror)} = "
            f"{sums[where]} must be 1: one of the two responses is preferred (1/2 each for a tie)."
        )
    return matrix


def check_policy(policy: ArrayLike, axes: tuple[int, ...], name: str = "policy") -> Array:
    """The policy as float64; its last axes are `axes`, (actions,) or (games, actions).

    More may stand before them, such as the points of a trajectory.

    Raises:
        MalformedGameError: wrong shape, NaN, a negative entry, or a sum that is not 1 within 1e-9.
    """
    probabilities = _numbers(name, policy)
    if probabilities.shape[-len(axes) :] != axes:
        raise MalformedGameError(
            f"{name} has shape {probabilities.shape}: its last axes must be "
            f"those of the game, {axes}."
        )
    where = _first(probabilities < 0)
    if where is not None:
        raise MalformedGameError(
            f"{_entry(name, where)} = {probabilities[where]} is negative: give probabilities."
        )
    sums = probabilities.sum(axis=-1)
    where = _first(~(np.abs(sums - 1) <= SUM_TOLERANCE))
    if where is not None:
        raise MalformedGameError(
            f"{_entry(name, where)} sums to {sums[where]} and must sum to 1: divide it by its sum."
        )
    return probabilities


def check_reference(reference_policy: ArrayLike, axes: tuple[int, ...]) -> Array:
    """A policy with one distribution a game and full support.

    Raises:
        MalformedGameError: what `check_policy` refuses, an entry that is 0, or too many axes.
    """
    reference = check_policy(reference_policy, axes, "reference_policy")
    if reference.shape != axes:
        raise MalformedGameError(
            f"reference_policy has shape {reference.shape}: it must be {axes}, one for each game."
        )
    where = _first(reference == 0)
    if where is not None:
        raise MalformedGameError(
            f"{_entry('reference_policy', where)} = 0: a reference gives every action a positive "
            "probability, since KL(policy, reference) is infinite otherwise."
        )
    return reference


def check_regularization(regularization: float) -> float:
    """The weight of the KL term.

    Raises:
        MalformedGameError: it is not positive and finite.
    """
    if not 0 < regularization < np.inf:
        raise MalformedGameError(
            f"regularization = {regularization} must be positive and finite: "
            "without a KL term, take duality_gap and nash_equilibrium."
        )
    return float(regularization)


def check_game(game: Game) -> None:
    """A batch as families give it: a matrix and a normalized finite log-reference for each game.

    Raises:
        MalformedGameError: it is not one.
    """
    matrix = check_preference_matrix(game.preference_matrix)
    if matrix.ndim != 3 or np.shape(game.log_reference) != matrix.shape[:-1]:
        raise MalformedGameError(
            f"preference_matrix has shape {matrix.shape} and log_reference "
            f"{np.shape(game.log_reference)}: give [games, actions, actions] and [games, actions]."
        )
    where = _first(~np.isfinite(_numbers("log_reference", game.log_reference)))
    if where is not None:
        raise MalformedGameError(
            f"{_entry('log_reference', where)} = {game.log_reference[where]} is not finite: "
            "a reference gives every action a positive probability."
        )
    check_policy(np.exp(game.log_reference), matrix.shape[:-1], "exp(log_reference)")


def check_log_policy(log_policy: ArrayLike, game: Game) -> Array:
    """Normalized log-probabilities [..., games, actions]; -inf is an action never taken.

    Raises:
        MalformedGameError: they are not.
    """
    logs = _numbers("log_policy", log_policy)
    check_policy(np.exp(logs), game.preference_matrix.shape[:-1], "exp(log_policy)")
    return logs
