"""Benchmarks of what a language-model policy answered."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import final

import numpy as np

from nlhf_repro.conformance.outcomes import ConformanceError, described, require
from nlhf_repro.conformance.subjects import Subject
from nlhf_repro.interfaces import (
    Array,
    ImpossibleSettingError,
    Message,
    PolicySamples,
    Prompt,
    TextBenchmark,
    TextOracle,
)
from nlhf_repro.seeds import generator_for

PROMPTS, ANSWERS, TEXTS, TYPES = 24, 12, 9, 5
FEATURES = (
    "coverage",
    "inventions",
    "repetitions",
    "length",
    "formal",
    "casual",
    "vivid",
    "purity",
    "opener",
)
ROUNDING = 1e-12
STANDARD_ERRORS = 4.0


@final
@dataclass(frozen=True)
class LaboratoryOracle:
    """Bradley-Terry in a worth that a text's digest gives, with features of the same kind.

    Its responder types do not contain the best response: it is there to be asked, not to be right.
    """

    feature_names: tuple[str, ...]
    reply: float | None = None  # in the place of every reply
    group_names: tuple[str, ...] = ("one", "another", "third")

    def preference(
        self, prompts: Sequence[Prompt], first: Sequence[str], second: Sequence[str]
    ) -> Array:
        """Sigmoid of the difference in worth, [items]."""
        gaps = self.score(prompts, first) - self.score(prompts, second)
        return self._replied(1 / (1 + np.exp(-gaps)))

    def score(self, prompts: Sequence[Prompt], responses: Sequence[str]) -> Array:
        """The worth in [0, 1], [items]."""
        return self._uniform(prompts, responses, ("worth",))[:, 0]

    def features(self, prompts: Sequence[Prompt], responses: Sequence[str]) -> Array:
        """Numbers in [0, 1], [items, features]."""
        return self._replied(self._uniform(prompts, responses, self.feature_names))

    def responder_preference(self, prompts: Sequence[Prompt], responses: Sequence[str]) -> Array:
        """Numbers around 1/2, [items, types]."""
        names = tuple(f"type {index}" for index in range(TYPES))
        return self._replied(0.3 + 0.4 * self._uniform(prompts, responses, names))

    def group_preference(
        self, prompts: Sequence[Prompt], first: Sequence[str], second: Sequence[str]
    ) -> Array:
        """Sigmoid of the difference in each group's worth, [items, groups]."""
        one, other = (self._uniform(prompts, x, self.group_names) for x in (first, second))
        return self._replied(1 / (1 + np.exp(other - one)))

    def responder_response(self, prompt: Prompt, responder: int) -> str:
        """A text."""
        return f"text {responder}"

    def _replied(self, values: Array) -> Array:
        return values if self.reply is None else np.full(values.shape, self.reply)

    def _uniform(
        self, prompts: Sequence[Prompt], responses: Sequence[str], names: tuple[str, ...]
    ) -> Array:
        return np.array(
            [
                [_number(f"{prompt.identifier}|{text}|{name}") for name in names]
                for prompt, text in zip(prompts, responses, strict=True)
            ]
        )


def answers_get_one_score_a_prompt(subject: Subject) -> None:
    """[prompts], finite; the floor is at least 0, and what is given is not written to."""
    benchmark: TextBenchmark = subject.build()
    require(benchmark.floor >= 0, f"the floor is {benchmark.floor}: it is at least 0.")
    policy, reference = _samples("policy"), _samples("reference")
    before = _bytes(policy) + _bytes(reference)
    scores = _scores(subject, policy, reference)
    require(
        scores.shape == (PROMPTS,),
        f"{PROMPTS} prompts are scored with the shape {scores.shape}: return [prompts].",
    )
    require(bool(np.isfinite(scores).all()), "a score of ordinary answers is not finite.")
    require(
        before == _bytes(policy) + _bytes(reference),
        "score_samples writes into the samples that it is given.",
    )


def prompts_are_scored_apart(subject: Subject) -> None:
    """A prompt has the same score alone, and in any order of the prompts."""
    policy, reference = _samples("policy"), _samples("reference")
    together = _scores(subject, policy, reference)
    order = generator_for("conformance", "prompts").permutation(PROMPTS)
    for kept in (order, order[:1], order[1:6]):
        found = _scores(subject, _prompts_of(policy, kept), _prompts_of(reference, kept))
        require(
            found.shape == kept.shape,
            f"{len(kept)} prompts are scored with the shape {found.shape}: return [prompts].",
        )
        off = float(np.abs(found - together[kept]).max())
        require(
            off < ROUNDING,
            f"{len(kept)} of the prompts score {off:.1e} differently without the others, or in "
            "another order: prompts are mixed.",
        )


def the_order_of_answers_changes_nothing(subject: Subject) -> None:
    """Answers are independent draws, so a score does not depend on which came first.

    A benchmark that splits the answers into halves may vary with the order, if its docstring says
    that it uses a half; its mean over prompts then stays within the noise of the split.
    """
    policy, reference = _samples("policy"), _samples("reference")
    first = _scores(subject, policy, reference)
    order = generator_for("conformance", "answers").permutation(ANSWERS)
    changes = _scores(subject, _answers_of(policy, order), _answers_of(reference, order)) - first
    if float(np.abs(changes).max()) < ROUNDING:
        return
    require(
        "half" in (inspect.getdoc(subject.kind) or ""),
        f"with its answers in another order a policy scores {np.abs(changes).max():.1e} "
        "differently: use them all alike, or say in the docstring what each half of them is for.",
    )
    error = float(changes.std(ddof=1)) / PROMPTS**0.5
    require(
        abs(float(changes.mean())) < STANDARD_ERRORS * error,
        f"another order of the answers moves the mean over prompts by {changes.mean():.1e}, more "
        f"than {STANDARD_ERRORS:g} standard errors of a split: the halves are not alike.",
    )


def the_same_answers_score_the_same_bytes(subject: Subject) -> None:
    """Scoring draws nothing: two evaluations agree to the last bit."""
    policy, reference = _samples("policy"), _samples("reference")
    one, again = (_scores(subject, policy, reference).tobytes() for _ in range(2))
    require(
        one == again,
        "two evaluations of the same answers differ: draw nothing at random, or from "
        "seeds.generator_for with the prompt's identifier.",
    )


def no_answer_is_refused(subject: Subject) -> None:
    """Prompts without an answer, and no prompts at all, are refused in a sentence."""
    policy, reference = _samples("policy"), _samples("reference")
    nothing = np.arange(0)
    for what, change in (("no prompt", _prompts_of), ("prompts without answers", _answers_of)):
        _require_refusal(
            subject, change(policy, nothing), change(reference, nothing), _oracle(subject), what
        )


def replies_that_are_no_number_are_refused(subject: Subject) -> None:
    """NaN from the oracle is refused in a sentence that names the prompt; or it is not asked."""
    policy, reference = _samples("policy"), _samples("reference")
    broken = replace(_oracle(subject), reply=float("nan"))
    unasked = _scores(subject, policy, reference)
    if np.array_equal(_refusal_or_scores(subject, policy, reference, broken), unasked):
        return
    said = _require_refusal(subject, policy, reference, broken, "an oracle that replies NaN")
    require(
        any(prompt.identifier in said for prompt in policy.prompts),
        f"the refusal of an oracle that replies NaN names no prompt: {said!r}",
    )


def _require_refusal(
    subject: Subject,
    policy: PolicySamples,
    reference: PolicySamples,
    oracle: TextOracle,
    what: str,
) -> str:
    """The one sentence with which these samples are refused."""
    found = _refusal_or_scores(subject, policy, reference, oracle)
    require(isinstance(found, str), f"{what} is scored all the same: refuse it in a sentence.")
    said = str(found)
    require(
        "\n" not in said and said.endswith("."),
        f"the refusal of {what} is not one sentence: {said}",
    )
    return said


def _refusal_or_scores(
    subject: Subject, policy: PolicySamples, reference: PolicySamples, oracle: TextOracle
) -> Array | str:
    benchmark: TextBenchmark = subject.build()
    try:
        return np.asarray(benchmark.score_samples(policy, reference, oracle))
    except ImpossibleSettingError as error:
        return str(error)
    except Exception as error:
        # A project's own refusal is a ValueError of a class of its own; others are accidents.
        if type(error) is not ValueError and isinstance(error, ValueError):
            return str(error)
        raise ConformanceError(
            f"what it cannot score is met by {described(error)}: refuse it in one sentence."
        ) from error


def _scores(subject: Subject, policy: PolicySamples, reference: PolicySamples) -> Array:
    benchmark: TextBenchmark = subject.build()
    return np.asarray(benchmark.score_samples(policy, reference, _oracle(subject)), np.float64)


def _oracle(subject: Subject) -> LaboratoryOracle:
    """With the features of the mini world, and the one that the subject's settings name."""
    named = subject.arguments.get("feature", FEATURES[0])
    return LaboratoryOracle(tuple(dict.fromkeys((*FEATURES, str(named)))))


def _number(text: str) -> float:
    """In [0, 1), the same on every machine."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big") / 2.0**48


def _samples(who: str) -> PolicySamples:
    generator = generator_for("conformance", "samples", who)
    chosen = generator.integers(TEXTS, size=(PROMPTS, ANSWERS))
    return PolicySamples(
        prompts=tuple(
            Prompt(f"prompt {index}", (Message("user", f"Question {index}"),), {})
            for index in range(PROMPTS)
        ),
        responses=tuple(tuple(f"text {index}" for index in row) for row in chosen),
        tokens=generator.integers(4, 17, size=chosen.shape),
        ended=generator.random(chosen.shape) < 0.9,
        log_prob=-generator.gamma(8.0, size=chosen.shape),
        reference_log_prob=-generator.gamma(9.0, size=chosen.shape),
    )


def _prompts_of(samples: PolicySamples, kept: np.typing.NDArray[np.int64]) -> PolicySamples:
    return replace(
        samples,
        prompts=tuple(samples.prompts[index] for index in kept),
        responses=tuple(samples.responses[index] for index in kept),
        tokens=samples.tokens[kept],
        ended=samples.ended[kept],
        log_prob=samples.log_prob[kept],
        reference_log_prob=samples.reference_log_prob[kept],
    )


def _answers_of(samples: PolicySamples, kept: np.typing.NDArray[np.int64]) -> PolicySamples:
    return replace(
        samples,
        responses=tuple(tuple(row[index] for index in kept) for row in samples.responses),
        tokens=samples.tokens[:, kept],
        ended=samples.ended[:, kept],
        log_prob=samples.log_prob[:, kept],
        reference_log_prob=samples.reference_log_prob[:, kept],
    )


def _bytes(samples: PolicySamples) -> bytes:
    arrays = (samples.tokens, samples.ended, samples.log_prob, samples.reference_log_prob)
    return b"".join(array.tobytes() for array in arrays)
