"""Runs put into an exact state, so that updates can be compared far from the start; gradients."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from nlhf_repro.conformance.laboratory import softmax_of
from nlhf_repro.games import log_space
from nlhf_repro.interfaces import Advance, Algorithm, Array, Collect, ExactState, Fit, Phase
from nlhf_repro.pipeline.fitting import objective
from nlhf_repro.pipeline.sampled import SampledRun


def says_all(algorithm: Algorithm, state: ExactState, iteration: int) -> bool:
    """Whether the state holds every policy that the iteration finds and leaves.

    So where memory is named as the phases name their policies, and they use no policy of an earlier
    iteration besides.
    """
    held, written = {"current", "reference", *state.memory}, set[str]()
    named = set[str]()
    for phase in algorithm.phases(iteration):
        read = set(_read(phase))
        if not read <= held | written:
            return False
        written |= set(_written(phase))
        named |= read | written
    return set(state.memory) <= named and "reference" not in written - set(state.memory)


def put(run: SampledRun, state: ExactState) -> None:
    """Make the state's policies the run's, after as many updates."""
    policy = softmax_of(run)
    for name, log_policy in {**state.memory, "current": state.log_policy}.items():
        with torch.no_grad():
            policy.logits.copy_(torch.from_numpy(log_policy))
        run.slots[name] = run.trainer.snapshot()
    run.updates = state.updates


def apart(run: SampledRun, state: ExactState) -> tuple[float, str]:
    """The largest difference of a probability between run and state, and in which policy."""
    found = {"current": state.log_policy, **state.memory}
    return max((_apart(run, name, array), name) for name, array in found.items())


def gradient(run: SampledRun, fit: Fit) -> Array:
    """Of the fit's loss on the collected data, in the logits, at the policy as it stands."""
    data, policy = run.data[fit.data], softmax_of(run)
    prompts = run.collector.prompts(data)
    loss = objective(policy, fit, data, run.slots, prompts)
    policy.zero_grad()
    loss().backward()  # type: ignore[no-untyped-call]
    assert policy.logits.grad is not None
    found: Array = policy.logits.grad.numpy().copy()
    return found


def _apart(run: SampledRun, name: str, log_policy: Array) -> float:
    own = run.tabular_policy.frozen_log_policy(run.slots[name]).numpy()
    return float(np.abs(np.exp(own) - np.exp(log_space.log_normalize(log_policy))).max())


def _read(phase: Phase) -> Iterator[str]:
    if isinstance(phase, Collect):
        for responder in (phase.candidate, *phase.opponent):
            yield from responder.mixture
    elif isinstance(phase, Fit):
        yield from (phase.start, *phase.anchors)
    else:
        yield phase.source
        if phase.share != 1.0:
            yield phase.target


def _written(phase: Phase) -> Iterator[str]:
    if isinstance(phase, Fit):
        yield phase.produces
    elif isinstance(phase, Advance):
        yield phase.target
