"""Exact laws of selected pairs: which (preferred, other) pair a group of K responses yields.

A law [games, actions, actions] is the probability that K independent draws from a policy are
trained on as the pair (row, column); it sums to the probability that the group yields a pair at
all. Where the sampled design takes the first of several tied responses, exchangeability makes every
tied response equally likely, the best and the worst independently.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import combinations, combinations_with_replacement
from math import comb, factorial, prod

import numpy as np
from numpy.typing import NDArray

from nlhf_repro.interfaces import Array, Game, ImpossibleSettingError, LabelKind

MAXIMUM_OUTCOMES = 1 << 22
RANKING_DECIMALS = 9  # sums of win rates closer than this are tied, here and where they are sampled
_CHUNK = 1 << 20
_REMEMBERED = 1 << 16  # entries of a game's table of pairs, which does not depend on the policy

Groups = NDArray[np.int64]


def selected_law(
    game: Game, policy: Array, design: str, responses: int, labels: LabelKind
) -> Array:
    """The law of `design` best_worst or tournament, [games, actions, actions]."""
    if design == "tournament":
        return tournament_law(game.preference_matrix, policy, labels)
    return best_worst_law(game, policy, responses, labels)


def check_best_worst_size(actions: int, responses: int, labels: LabelKind) -> None:
    """Raise ImpossibleSettingError where `best_worst_law` would enumerate over 2^22 outcomes.

    Outcomes are multisets of responses, C(N + K - 1, K), times, with drawn answers, 2^(K (K-1)/2).
    """
    outcomes = comb(actions + responses - 1, responses)
    outcomes *= 1 << comb(responses, 2) if labels == "bernoulli" else 1
    if outcomes > MAXIMUM_OUTCOMES:
        raise ImpossibleSettingError(
            f"algorithm.responses = {responses} with {labels} labels and {actions} actions has "
            f"{outcomes} outcomes, of which {MAXIMUM_OUTCOMES} can be enumerated: lower "
            "algorithm.responses or take training.face=sampled."
        )


def best_worst_law(game: Game, policy: Array, responses: int, labels: LabelKind) -> Array:
    """The law of the best and the worst of K, ranked by win rate in the group or by score.

    labels: with probability and score the ranking is determined by the group, and multisets are
    enumerated; with bernoulli the K (K - 1) / 2 answers are enumerated too.

    Raises:
        ImpossibleSettingError: There are too many outcomes, or scores are asked of a game without.
    """
    check_best_worst_size(game.actions, responses, labels)
    groups, orders = _multisets(game.actions, responses)
    if len(groups) * game.actions**2 <= _REMEMBERED:
        chance = orders * policy[:, groups].prod(axis=-1)
        tables = (_table_of(game, index, responses, labels) for index in range(game.games))
        rows = [each @ table for each, table in zip(chance, tables, strict=True)]
        return np.stack(rows).reshape(game.games, game.actions, game.actions)
    answers = 1 << comb(responses, 2) if labels == "bernoulli" else 1
    size = max(1, _CHUNK // (game.games * max(answers, responses**2)))
    law = np.zeros((game.games, game.actions**2))
    for start in range(0, len(groups), size):
        members = groups[start : start + size]
        chance = orders[start : start + size] * policy[:, members].prod(axis=-1)
        weight = chance[..., None, None] * _pair_shares(game, members, labels)
        cell = (members[:, :, None] * game.actions + members[:, None, :]).ravel()
        for index in range(game.games):
            law[index] += np.bincount(cell, weight[index].ravel(), game.actions**2)
    return law.reshape(game.games, game.actions, game.actions)


def tournament_law(preference_matrix: Array, policy: Array, labels: LabelKind) -> Array:
    """The law of the knock-out of eight (`pipeline.comparisons.tournament`), for any size of game.

    By recursion on the joint law J of a bracket's (best, worst): two independent brackets meet,
    with wins[a, c] the probability that a in the first beats c in the second. The final keeps the
    pair only if the best wins it.
    """
    if labels == "bernoulli":
        wins, kept = preference_matrix, preference_matrix
    else:
        wins = (preference_matrix >= 0.5).astype(np.float64)
        kept = (preference_matrix > 0.5).astype(np.float64)
    reply = 1.0 - wins.swapaxes(-1, -2)  # that a in the second bracket beats c in the first
    law = policy[..., :, None] * policy[..., None, :] * (wins + reply)
    for _ in range(2):
        # Best and worst come from the first bracket, from the second, or from one each.
        law = (
            law * (wins @ law @ reply)
            + law * (reply @ law @ wins)
            + (law @ wins) * (wins @ law)
            + (law @ reply) * (reply @ law)
        )
    return np.asarray(law * kept)


@lru_cache(maxsize=8)
def _multisets(actions: int, responses: int) -> tuple[Groups, Array]:
    """Every multiset of responses [groups, K], and the number of orders it can be drawn in."""

    def orders(members: tuple[int, ...]) -> float:
        repeats = (members.count(member) for member in set(members))
        return factorial(responses) / prod(factorial(count) for count in repeats)

    every = list(combinations_with_replacement(range(actions), responses))
    return np.array(every, dtype=np.int64), np.array([orders(members) for members in every])


def _table_of(game: Game, index: int, responses: int, labels: LabelKind) -> Array:
    """Probability of every pair given the multiset, [multisets, actions^2], of one game."""
    scores = None if game.scores is None else game.scores[index].tobytes()
    return _table(game.preference_matrix[index].tobytes(), scores, game.actions, responses, labels)


@lru_cache(maxsize=256)
def _table(
    preferences: bytes, scores: bytes | None, actions: int, responses: int, labels: LabelKind
) -> Array:
    game = Game(
        np.frombuffer(preferences).reshape(1, actions, actions),
        np.zeros((1, actions)),
        None if scores is None else np.frombuffer(scores)[None],
    )
    groups, _ = _multisets(actions, responses)
    shares = _pair_shares(game, groups, labels)[0]
    cell = groups[:, :, None] * actions + groups[:, None, :]
    cell += np.arange(len(groups))[:, None, None] * actions**2
    size = len(groups) * actions**2
    table = np.bincount(cell.ravel(), shares.ravel(), size)
    return np.asarray(table.reshape(-1, actions**2), dtype=np.float64)


def _pair_shares(game: Game, members: Groups, labels: LabelKind) -> Array:
    """Probability of every pair of positions given the members, [games, groups, K, K]."""
    if labels == "score":
        if game.scores is None:
            raise ImpossibleSettingError(
                "algorithm.labels = score needs an oracle with scores: take "
                "oracle=bradley_terry, or labels probability or bernoulli."
            )
        return _best_and_worst(game.scores[:, members])
    matrix = game.preference_matrix[:, members[:, :, None], members[:, None, :]]
    if labels == "probability":
        return _best_and_worst(np.round(matrix.sum(axis=-1), RANKING_DECIMALS))
    count = members.shape[-1]
    chance = np.ones((*matrix.shape[:2], 1))
    for first, second in combinations(range(count), 2):
        wins = matrix[..., first, second, None]
        chance = np.concatenate([chance * wins, chance * (1.0 - wins)], axis=-1)
    shares = chance @ _shares_of_answers(count)
    return np.asarray(shares.reshape(*matrix.shape[:2], count, count))


def _best_and_worst(ranking: Array) -> Array:
    """[..., K] to [..., K, K]: ties shared equally, nothing where all are tied."""
    top, bottom = ranking.max(axis=-1, keepdims=True), ranking.min(axis=-1, keepdims=True)
    best, worst = (ranking == top).astype(np.float64), (ranking == bottom).astype(np.float64)
    best /= best.sum(axis=-1, keepdims=True)
    worst *= (top > bottom) / worst.sum(axis=-1, keepdims=True)
    return np.asarray(best[..., :, None] * worst[..., None, :])


@lru_cache(maxsize=4)
def _shares_of_answers(count: int) -> Array:
    """The pair shares of every outcome of the K (K - 1) / 2 answers, [outcomes, K * K]."""
    outcome = np.arange(1 << comb(count, 2))
    wins = np.zeros((outcome.size, count))
    for bit, (first, second) in enumerate(combinations(range(count), 2)):
        # A cleared bit means that the first wins, as the chances are laid out.
        wins[outcome, np.where((outcome >> bit) & 1, second, first)] += 1.0
    return _best_and_worst(wins).reshape(outcome.size, count**2)
