"""Policies over token sequences, spelled out: what the package's token trees are checked against.

A policy is its logits by length of the prefix, [prefixes, vocabulary], of any normalization.
"""

from __future__ import annotations

from itertools import product

import numpy as np
import torch

from nlhf_repro.interfaces import Game
from nlhf_repro.models.token_tree import TokenTree

VOCABULARY, LENGTH = 3, 4
SEQUENCES = np.array(list(product(range(VOCABULARY), repeat=LENGTH)))
# The number of the prefix before every token, the first token the most significant: [81, 4].
PREFIXES = np.array(
    [[int("0" + "".join(map(str, y[:t])), VOCABULARY) for t in range(LENGTH)] for y in SEQUENCES]
)
MIXTURES = ("sequence", "token")


def random_logits(rng):
    """Standard normal."""
    shapes = [(VOCABULARY**depth, VOCABULARY) for depth in range(LENGTH)]
    return [torch.from_numpy(rng.standard_normal(shape)) for shape in shapes]


def token_log_probs(logits):
    """[81, 4], differentiable."""
    tables = [torch.log_softmax(level, dim=-1) for level in logits]
    return torch.stack(
        [table[PREFIXES[:, t], SEQUENCES[:, t]] for t, table in enumerate(tables)], dim=1
    )


def spelled(logits):
    """Log-probabilities of the sequences, [81]."""
    return token_log_probs(logits).sum(dim=1)


def token_scores(logits):
    """The gradient of every token's log-probability in all logits, [81, 4, 120]."""
    offset, size = 0, sum(level.numel() for level in logits)
    scores, rows = np.zeros((len(SEQUENCES), LENGTH, size)), np.arange(len(SEQUENCES))[:, None]
    for depth, level in enumerate(logits):
        first = offset + PREFIXES[:, depth] * VOCABULARY
        columns = first[:, None] + np.arange(VOCABULARY)
        scores[rows, depth, columns] = -torch.softmax(level, dim=-1).numpy()[PREFIXES[:, depth]]
        scores[rows[:, 0], depth, first + SEQUENCES[:, depth]] += 1
        offset += level.numel()
    return scores


def mixed(policies, kind):
    """Log-probabilities of a geometric mixture of [(logits, weight)]."""
    if kind == "sequence":
        return torch.log_softmax(sum(w * spelled(logits) for logits, w in policies), dim=-1)
    weights = [weight for _, weight in policies]
    levels = zip(*([torch.log_softmax(x, dim=-1) for x in y] for y, _ in policies), strict=True)
    return spelled([sum(w * x for w, x in zip(weights, level, strict=True)) for level in levels])


def logits_of(snapshot):
    """The logits of a snapshot of the token tree of one game."""
    return [snapshot.parameters[f"logits.{depth}"][0] for depth in range(LENGTH)]


def tree(mixture="sequence"):
    """The model."""
    return TokenTree(VOCABULARY, LENGTH, mixture)


def tree_at(log_policy, mixture="sequence"):
    """The token tree of one game at these log-probabilities of sequences."""
    game = Game(np.full((1, 81, 81), 0.5), log_policy.detach().numpy()[None])
    return tree(mixture).build(game, np.random.default_rng(0))


def relative_error(found, expected):
    """Of vectors, in the Euclidean norm."""
    return np.linalg.norm(found - expected) / np.linalg.norm(expected)
