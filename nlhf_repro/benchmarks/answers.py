"""Asking an oracle about a policy's answers, with every reply checked; nothing here is a benchmark.

P prompts with S answers each are scored as one batch of P S items, or P S S' pairs, prompts varying
slowest.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nlhf_repro.interfaces import (
    Array,
    FeatureOracle,
    ImpossibleSettingError,
    PolicySamples,
    Prompt,
    TextOracle,
)

Answers = Sequence[Sequence[str]]  # [prompts][samples]


class UnusableAnswersError(ValueError):
    """Answers, or an oracle's replies about them, that give no honest score."""


def check_samples(samples: PolicySamples, minimum: int = 1) -> int:
    """The number of answers that every prompt has.

    Raises:
        ImpossibleSettingError: fewer than `minimum` answers a prompt.
        UnusableAnswersError: no prompt, prompts with unequal numbers of answers, costs of another
            shape, or a log-probability that is not finite.
    """
    if not samples.prompts or len(samples.responses) != len(samples.prompts):
        raise UnusableAnswersError(
            f"{len(samples.responses)} lists of answers belong to {len(samples.prompts)} prompts: "
            "give one list a prompt, and at least one prompt."
        )
    count = len(samples.responses[0])
    for prompt, answers in zip(samples.prompts, samples.responses, strict=True):
        if len(answers) != count:
            raise UnusableAnswersError(
                f"Prompt '{prompt.identifier}' has {len(answers)} answers and the first has "
                f"{count}: draw as many for every prompt."
            )
    if count < minimum:
        raise ImpossibleSettingError(
            f"A prompt has {count} answers of the policy, and this benchmark needs {minimum}: draw "
            "more answers a prompt, or leave the benchmark out."
        )
    for name in ("tokens", "ended", "log_prob", "reference_log_prob"):
        _check_costs(samples, name, count)
    return count


def check_against(policy: PolicySamples, reference: PolicySamples, minimum: int = 1) -> None:
    """Refuse two sets of answers that are malformed or do not answer the same prompts.

    Raises:
        ImpossibleSettingError: as `check_samples`.
        UnusableAnswersError: as `check_samples`, or the prompts or their order differ.
    """
    check_samples(policy, minimum)
    check_samples(reference, minimum)
    for own, other in zip(policy.prompts, reference.prompts, strict=False):
        if own.identifier != other.identifier:
            raise UnusableAnswersError(
                f"Prompt '{own.identifier}' stands where the other policy answered "
                f"'{other.identifier}': give the answers to the same prompts in the same order."
            )
    if len(policy.prompts) != len(reference.prompts):
        raise UnusableAnswersError(
            f"One policy answered {len(policy.prompts)} prompts and the other "
            f"{len(reference.prompts)}: give the answers to the same prompts."
        )


def log_ratios(samples: PolicySamples) -> Array:
    """Of every answer log policy - log reference, over its response tokens: [prompts, samples]."""
    return np.asarray(samples.log_prob, np.float64) - np.asarray(
        samples.reference_log_prob, np.float64
    )


def preference_table(
    oracle: TextOracle, prompts: Sequence[Prompt], first: Answers, second: Answers
) -> Array:
    """P(first answer i preferred over second answer j), [prompts, first, second], in [0, 1].

    Every pair is asked in both orders, and (P(a, b) + 1 - P(b, a)) / 2 returned, so that an oracle
    that favors a position favors neither side.

    Raises:
        UnusableAnswersError: the oracle replies with another number of values, or with one that is
            no probability.
    """
    shape = (len(prompts), len(first[0]), len(second[0]))
    pairs = [
        (prompt, one, other)
        for prompt, left, right in zip(prompts, first, second, strict=True)
        for one in left
        for other in right
    ]
    asked, ones, others = (
        [prompt for prompt, _, _ in pairs],
        [one for _, one, _ in pairs],
        [other for _, _, other in pairs],
    )
    forward = checked_probabilities(oracle.preference(asked, ones, others), asked, ())
    backward = checked_probabilities(oracle.preference(asked, others, ones), asked, ())
    return np.asarray((forward + (1 - backward)) / 2).reshape(shape)


def responder_table(oracle: TextOracle, samples: PolicySamples) -> Array:
    """P(a response of the type preferred over the answer), [prompts, samples, types], in [0, 1].

    Raises:
        ImpossibleSettingError: the oracle's best response cannot be enumerated.
        UnusableAnswersError: it replies with something else than probabilities of one or more
            types.
    """
    known = feature_oracle(oracle, "its best response cannot be enumerated")
    asked, answers = _flat(samples)
    replies = np.asarray(known.responder_preference(asked, answers), np.float64)
    types = replies.shape[1] if replies.ndim == 2 else 0
    if not types:
        raise UnusableAnswersError(
            f"The oracle compares its responder types with {len(asked)} answers in an array of "
            f"shape {replies.shape}: it must be [answers, types] with a type or more."
        )
    checked = checked_probabilities(replies, asked, (types,))
    return checked.reshape(len(samples.prompts), -1, types)


def feature_table(oracle: TextOracle, samples: PolicySamples, feature: str) -> Array:
    """One feature of every answer, [prompts, samples].

    Raises:
        ImpossibleSettingError: the oracle has no features, or none of this name.
        UnusableAnswersError: it replies with another shape, or a value that is not finite.
    """
    known = feature_oracle(oracle, f"no answer has a {feature}")
    names = tuple(known.feature_names)
    if feature not in names:
        raise ImpossibleSettingError(
            f"The oracle reads no feature '{feature}': choose among {', '.join(names)}."
        )
    asked, answers = _flat(samples)
    values = np.asarray(known.features(asked, answers), np.float64)
    if values.shape != (len(asked), len(names)):
        raise UnusableAnswersError(
            f"The oracle gives features of shape {values.shape} for {len(asked)} answers and "
            f"{len(names)} names: it must be [answers, features]."
        )
    column = values[:, names.index(feature)]
    bad = np.flatnonzero(~np.isfinite(column))
    if len(bad):
        raise UnusableAnswersError(
            f"The oracle gives the {feature} {column[bad[0]]} to an answer to the prompt "
            f"'{asked[bad[0]].identifier}': a feature is a finite number."
        )
    return np.asarray(column.reshape(len(samples.prompts), -1))


def feature_oracle(oracle: TextOracle, consequence: str) -> FeatureOracle:
    """The oracle, as one that reads features.

    Raises:
        ImpossibleSettingError: it does not; the sentence says the consequence.
    """
    if not isinstance(oracle, FeatureOracle):
        raise ImpossibleSettingError(
            f"The oracle {type(oracle).__name__} declares no features, so that {consequence}: take "
            "an oracle that reads features, or leave the benchmark out."
        )
    return oracle


def checked_probabilities(
    replies: object, prompts: Sequence[Prompt], further: tuple[int, ...]
) -> Array:
    """Replies as an array [items, *further], all in [0, 1].

    Raises:
        UnusableAnswersError: another shape, or a value that is NaN or outside [0, 1]; names the
            prompt.
    """
    values = np.asarray(replies, np.float64)
    if values.shape != (len(prompts), *further):
        raise UnusableAnswersError(
            f"The oracle replies to {len(prompts)} questions, from prompt "
            f"'{prompts[0].identifier}' on, with an array of shape {values.shape}: it must give "
            "one value a question."
        )
    bad = np.argwhere(~((values >= 0) & (values <= 1)))
    if len(bad):
        raise UnusableAnswersError(
            f"The oracle replies {values[tuple(bad[0])]} to a question about the prompt "
            f"'{prompts[bad[0][0]].identifier}': a preference is a probability in [0, 1]."
        )
    return values


def _flat(samples: PolicySamples) -> tuple[list[Prompt], list[str]]:
    """Every answer with its prompt."""
    pairs = [
        (prompt, answer)
        for prompt, answers in zip(samples.prompts, samples.responses, strict=True)
        for answer in answers
    ]
    return [prompt for prompt, _ in pairs], [answer for _, answer in pairs]


def _check_costs(samples: PolicySamples, name: str, count: int) -> None:
    values = np.asarray(getattr(samples, name))
    if values.shape != (len(samples.prompts), count):
        raise UnusableAnswersError(
            f"{name} has the shape {values.shape} for {len(samples.prompts)} prompts with {count} "
            "answers: it must be [prompts, samples]."
        )
    bad = np.argwhere(~np.isfinite(values))
    if len(bad):
        prompt, sample = bad[0]
        raise UnusableAnswersError(
            f"{name} of answer {sample} to the prompt '{samples.prompts[prompt].identifier}' is "
            f"{values[prompt, sample]}: it must be finite."
        )
