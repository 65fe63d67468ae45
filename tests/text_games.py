"""Games whose actions are texts: an oracle that reads a matrix, and policies that answer from it.

The answer of action 3 is "answer 3"; every action is a responder type, so that everything that is
estimated from samples can be enumerated.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest

from nlhf_repro.interfaces import Message, PolicySamples, Prompt

WEIGHTS = (0.36, 0.34, 0.30)
RANKS = np.array([[1, 0, -1], [-1, 1, 0], [0, -1, 1]])
ALPHA = (0.8, 0.6, 0.7)
STYLES, QUALITIES = 3, 6


def cyclic_matrix(kappa=2.5, quality=1.5):
    """Three groups, each Bradley-Terry: [18, 18] over style x quality, a majority cycle of styles.

    P(y over y') = sum_g w_g sigmoid(u_g(y) - u_g(y')), u_g = kappa rank_g(style) + alpha_g quality.
    """
    style, level = np.divmod(np.arange(STYLES * QUALITIES), QUALITIES)
    utility = kappa * RANKS[:, style] + quality * np.outer(ALPHA, level)
    gaps = utility[:, :, None] - utility[:, None, :]
    return np.tensordot(WEIGHTS, 1 / (1 + np.exp(-gaps)), axes=1)


@dataclass(frozen=True)
class MatrixOracle:
    """P[i, j], its features the style of an action, its quality and a text's number of letters.

    `first_bonus` favors whatever stands first: a judge's position bias.
    """

    matrix: np.ndarray
    first_bonus: float = 0.0
    feature_names = ("style", "quality", "letters")

    def preference(self, prompts, first, second):
        return self.matrix[actions(first), actions(second)] + self.first_bonus

    def score(self, prompts, responses):
        return actions(responses).astype(float)

    def features(self, prompts, responses):
        style, quality = np.divmod(actions(responses), QUALITIES)
        return np.stack([style, quality, [len(text) for text in responses]], axis=1).astype(float)

    def responder_preference(self, prompts, responses):
        return self.matrix.T[actions(responses)]

    def responder_response(self, prompt, responder):
        return f"answer {responder}"


class PlainOracle:
    """An oracle that reads no features."""

    def preference(self, prompts, first, second):
        return np.full(len(first), 0.5)

    def score(self, prompts, responses):
        return np.zeros(len(responses))


def actions(texts):
    return np.array([int(text.removeprefix("answer ")) for text in texts], dtype=int)


def prompts(count):
    return tuple(
        Prompt(f"post {index}", (Message("user", f"Summarize {index}."),), {})
        for index in range(count)
    )


def answers(chosen, policy=None, reference=None, posts=None):
    """PolicySamples of the actions [prompts, samples], with log-probabilities of the policies."""
    chosen = np.asarray(chosen)
    count = chosen.max(initial=0) + 1
    uniform = np.full(count, 1 / count)
    never = np.finfo(float).tiny  # an equilibrium's zeros, which are never drawn
    return PolicySamples(
        prompts=prompts(len(chosen)) if posts is None else posts,
        responses=tuple(tuple(f"answer {action}" for action in row) for row in chosen),
        tokens=3 + chosen % 4,
        ended=chosen % 3 > 0,
        log_prob=np.log(np.maximum(uniform if policy is None else policy, never))[chosen],
        reference_log_prob=np.log(np.maximum(uniform if reference is None else reference, never))[
            chosen
        ],
    )


def drawn(seed, policy, count, samples, reference=None):
    """`samples` independent answers of the policy, a distribution over actions, to every prompt."""
    reference = policy if reference is None else reference
    chosen = np.random.default_rng(seed).choice(len(policy), size=(count, samples), p=policy)
    return answers(chosen, policy, reference)


def chosen_prompts(samples, order):
    """The samples of some prompts, in another order."""
    order = np.asarray(order)
    return replace(
        samples,
        prompts=tuple(samples.prompts[index] for index in order),
        responses=tuple(samples.responses[index] for index in order),
        tokens=samples.tokens[order],
        ended=samples.ended[order],
        log_prob=samples.log_prob[order],
        reference_log_prob=samples.reference_log_prob[order],
    )


MATRIX = cyclic_matrix()
ORACLE = MatrixOracle(MATRIX)
ACTIONS = len(MATRIX)
REFERENCE = np.random.default_rng(7).dirichlet(np.full(ACTIONS, 2.0))


def standard_error(values):
    return values.std(ddof=1) / np.sqrt(len(values))


def sentence(call, *arguments, kind=ValueError):
    """The one sentence with which a call is refused."""
    with pytest.raises(kind) as caught:
        call(*arguments)
    said = str(caught.value)
    assert "\n" not in said and said.endswith(".")
    return said
