"""Gradients of the losses against exact enumeration."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from conftest import random_game
from scipy.special import log_softmax, softmax

from nlhf_repro.interfaces import (
    Collect,
    Fit,
    Game,
    Ledger,
    Responder,
)
from nlhf_repro.losses import HingePair, LogisticPair, PolicyGradient, SquaredPair, SquaredPoint
from nlhf_repro.models.tabular_softmax import TabularSoftmax
from nlhf_repro.pipeline.collection import EnumeratingCollector
from nlhf_repro.pipeline.comparisons import PairData, PointData
from nlhf_repro.pipeline.fitting import Trainer, objective


def enumerated(game, slots_policy, collect_kind):
    """Every outcome of one group on one game with Bernoulli answers: (items..., probability)."""
    matrix, pi = game.preference_matrix[0], slots_policy
    actions = range(len(pi))
    if collect_kind == "pair":
        for y, z, answer in product(actions, actions, (0, 1)):
            p = matrix[y, z] if answer else 1 - matrix[y, z]
            yield y, z, answer - 0.5, pi[y] * pi[z] * p
    elif collect_kind == "against_pair":
        for y, z, o, a, b in product(actions, actions, actions, (0, 1), (0, 1)):
            p = (matrix[y, o] if a else 1 - matrix[y, o]) * (
                matrix[z, o] if b else 1 - matrix[z, o]
            )
            yield y, z, a - b, pi[o] * p / len(pi) ** 2
    else:
        for y, o, answer in product(actions, actions, (0, 1)):
            p = matrix[y, o] if answer else 1 - matrix[y, o]
            yield y, o, answer, pi[y] * pi[o] * p


def data_of(outcomes, kind):
    columns = [np.array(column, dtype=float) for column in zip(*outcomes, strict=True)]
    first, second, label, weight = (torch.from_numpy(column)[None] for column in columns)
    if kind == "point":
        return PointData(first.long(), label, weight)
    return PairData(first.long(), second.long(), label, weight)


def closed_form(loss, game, theta, anchor, kind):
    """The gradient in the logits of the expected loss, with expectations taken by hand."""
    pi, matrix = softmax(theta), game.preference_matrix[0]
    sampling = softmax(theta)
    ratio = log_softmax(theta) - anchor
    win, count = matrix @ sampling, len(pi)
    if isinstance(loss, SquaredPair):
        if kind == "pair":
            mean = sampling @ ratio
            return 4 * sampling * (ratio - mean - loss.scale * (win - 0.5))
        centred = ratio - ratio.mean() - loss.scale * (win - win.mean())
        return 4 / count * centred
    if isinstance(loss, LogisticPair):
        beta = loss.inverse_temperature
        gap = ratio[:, None] - ratio[None, :]
        fitted = 1 / (1 + np.exp(-beta * gap))
        weight = sampling[:, None] * sampling[None, :]
        return 2 * beta * (weight * (fitted - matrix)).sum(axis=1)
    if isinstance(loss, HingePair):
        gap = loss.inverse_temperature * (ratio[:, None] - ratio[None, :])
        slope = (1 - matrix) * (gap > -1) - matrix * (gap < 1)
        weight = sampling[:, None] * sampling[None, :]
        return 2 * loss.inverse_temperature * (weight * slope).sum(axis=1)
    if isinstance(loss, SquaredPoint):
        residual = sampling * 2 * (ratio - loss.scale * (win - 0.5))
        return residual - pi * residual.sum()
    advantage = sampling * (win - loss.baseline - loss.regularization * ratio)
    return -(advantage - pi * advantage.sum())


LOSSES = [
    (SquaredPair(2.5), "pair"),
    (SquaredPair(10.0), "against_pair"),
    (LogisticPair(0.7), "pair"),
    (HingePair(0.7), "pair"),
    (SquaredPoint(3.0), "point"),
    (PolicyGradient(0.2, 0.5), "point"),
]
NEEDED = {"pair": (2, "unfiltered"), "against_pair": (2, "against"), "point": (1, "against")}


@pytest.mark.parametrize(("loss", "kind"), LOSSES)
def test_gradients_of_sampled_losses_against_enumeration(loss, kind):
    """All outcomes with hard answers, the enumerating collector, and algebra by hand agree."""
    game = random_game(23, 1, 4)
    theta = game.log_reference[0] + np.array([0.7, -0.4, 0.2, 0.1])
    moved = Game(game.preference_matrix, log_softmax(theta)[None])
    policy = TabularSoftmax().build(moved, np.random.default_rng(0))
    trainer = Trainer(policy, "sgd", None, np.random.default_rng(0))
    current = trainer.snapshot()
    anchor_game = TabularSoftmax().build(game, np.random.default_rng(0))
    reference = anchor_game.snapshot({})
    slots = {"current": current, "reference": reference}
    anchors = {"reference": 0.3, "current": 0.7}
    fit = Fit("d", "current", "current", anchors, loss, 1, "continued")
    anchor = 0.3 * game.log_reference[0] + 0.7 * log_softmax(theta)
    expected = closed_form(loss, game, theta, anchor, kind)

    responses, design = NEEDED[kind]
    uniform = float("inf") if kind == "against_pair" else 1.0
    collect = Collect(
        "d",
        Responder({"current": 1.0}, uniform),
        responses,
        design,
        "bernoulli",
        opponent=(Responder({"current": 1.0}),),
        opponents=1,
    )
    collector = EnumeratingCollector(policy, game, Ledger(problems=1))
    outcomes = data_of(enumerated(game, softmax(theta), kind), kind)
    for data in (outcomes, collector.collect(collect, slots)):
        policy.zero_grad()
        prompts = collector.prompts(data)
        objective(policy, fit, data, slots, prompts)().backward()
        found = policy.logits.grad.numpy()[0]
        assert np.abs(found - expected).max() / np.abs(expected).max() < 1e-10
