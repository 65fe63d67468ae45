"""The seed decides a sampled run, to the byte."""

from __future__ import annotations

import numpy as np

from nlhf_repro.conformance.laboratory import (
    SOFTMAX,
    Limited,
    fits,
    game_for,
    settings_for,
    trained,
    with_face,
)
from nlhf_repro.conformance.outcomes import require
from nlhf_repro.conformance.subjects import Subject
from nlhf_repro.interfaces import Algorithm, Model, Trajectory
from nlhf_repro.models.tabular_mlp import TabularMLP

STEPS = 6  # gradient steps of a fit, at most: enough for two passes over minibatches


def the_seed_decides_a_sampled_run(subject: Subject) -> None:
    """Same seed same bytes, other seed other policies, with plain descent and with Adam."""
    algorithm: Algorithm = with_face(subject.build(), "sampled")
    for optimizer in ("sgd", "adam"):
        if settings_for(algorithm).learning_rate is None and optimizer == "adam":
            continue  # the algorithm schedules the rate of plain descent itself
        one, again, other = (_trained(algorithm, optimizer, seed) for seed in (0, 0, 1))
        for iterate in ("last", "average"):
            same = getattr(one, iterate).tobytes() == getattr(again, iterate).tobytes()
            require(
                same,
                f"two runs of one seed with {optimizer} differ in their {iterate} iterates: draw "
                "only from the generators that are passed.",
            )
        trains = any(fits(algorithm, iteration) for iteration in range(3))
        apart = float(np.abs(one.last - other.last).max())
        require(
            (apart > 1e-10) == trains,
            f"two runs of different seeds with {optimizer} "
            + ("are the same: nothing is drawn." if trains else "differ without any fit."),
        )
        require(bool(np.isfinite(one.last).all()), f"a run with {optimizer} is not finite.")
        worst = float(np.abs(np.exp(one.last).sum(axis=-1) - 1).max())
        require(worst < 1e-12, f"policies of a run with {optimizer} sum to 1 +- {worst:.1e}.")


def _trained(algorithm: Algorithm, optimizer: str, seed: int) -> Trajectory:
    settings = settings_for(algorithm, optimizer=optimizer, minibatch_size=3)
    # A scheduled rate belongs to free logits; elsewhere a model that draws its weights shows more.
    model: Model = SOFTMAX if settings.learning_rate is None else TabularMLP(2, 5)
    game = game_for(algorithm, 30, 3, 4)
    return trained(Limited(algorithm, STEPS), game, settings, None, seed, model)
