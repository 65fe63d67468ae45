"""What the tests of training share: algorithms from their YAML, runs, trajectories."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from conftest import CONF
from hydra.utils import instantiate
from omegaconf import OmegaConf
from scipy.special import log_softmax, softmax

from nlhf_repro.algorithms.inpo import INPO
from nlhf_repro.algorithms.sppo import SPPO
from nlhf_repro.interfaces import ExactState, Game, TrainingSettings
from nlhf_repro.models.tabular_softmax import TabularSoftmax
from nlhf_repro.pipeline.sampled import sampled_run
from nlhf_repro.pipeline.training import train
from nlhf_repro.seeds import generator_for

ALGORITHMS = sorted(path.stem for path in (CONF / "algorithm").glob("*.yaml"))
SETTINGS = TrainingSettings("sampled", 3, 10, True, 7, None, "sgd", 0.01)


def algorithm(name, **changes):
    """The algorithm of conf/algorithm/NAME.yaml, with changes."""
    node = OmegaConf.load(CONF / "algorithm" / f"{name}.yaml")
    return instantiate(OmegaConf.merge(node, changes))


def streams(*factors):
    """One random stream a name."""
    return lambda stream: generator_for(stream, *factors)


def run_of(method, game, model=None, **changes):
    """A run at the reference policy."""
    settings = replace(SETTINGS, **changes)
    model = TabularSoftmax() if model is None else model
    return sampled_run(method, model, game, game, (), settings, None, streams(0))


def trained(method, game, wrappers=(), budget=None, seed=0, model=None, **changes):
    """The trajectory of a run."""
    model = TabularSoftmax() if model is None else model
    settings = replace(SETTINGS, **changes)
    return train(method, model, game, wrappers, settings, budget, streams(seed))


def inpo(step_size, regularization):
    return INPO(step_size, regularization, 2, "unfiltered", "probability", None)


def sppo(step_size, normalizer="exact", **changes):
    settings = {"responses": 1, "self_comparison": False} | changes
    return SPPO(
        step_size=step_size,
        labels="probability",
        normalizer=normalizer,
        gradient_steps=None,
        regularization=0.0,
        **settings,
    )


def run(method, game, updates, state=None):
    state = method.initial_state(game) if state is None else state
    for _ in range(updates):
        state = method.exact_update(state, game)
    return state


def at(policy_logits, updates=0):
    return ExactState(policy_logits, softmax(policy_logits, axis=-1), updates)


def bradley_terry_game():
    rng = np.random.default_rng(3)
    scores = rng.standard_normal((4, 6))
    matrix = 1 / (1 + np.exp(scores[:, None, :] - scores[:, :, None]))
    reference = log_softmax(rng.standard_normal((4, 6)), axis=-1)
    return Game(matrix, reference, scores)
