"""From log-odds to a judge's words: what local judges that weigh answers have in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from scipy.special import expit, log_expit, logit

from nlhf_repro.interfaces import Array, ImpossibleSettingError, JudgeReply, JudgeRequest
from nlhf_repro.seeds import generator_for

CUTS = {2: (0.0,), 3: (0.25, -0.25), 5: (1.5, 0.25, -0.25, -1.5)}
"""Number of labels to the log-odds between them, from "the first is better" on."""

PAIR = (
    "I read the post and both answers.",
    "I compared the facts, the length and the style of both.",
    "Both answers speak of the post.",
)
SINGLE = ("I read the post and the answer.", "I weighed its facts, its length and its style.")
NONE = "I would rather not say which it is."
UNDECIDED = {"I": 0.7, "Both": 0.2}
"""First tokens of a reply without a verdict, and their probabilities."""


@final
@dataclass(frozen=True)
class Manner:
    """How a weight becomes a verdict.

    The verdict rests on logit(P) + `position_bias` + `verdict_noise` L, where P is the share of
    the first answer shown, or of a rating, and L is logistic: with noise 1 and two labels the first
    is said with probability P at no position bias. Ratings have no position. A share `garbage_rate`
    of the replies holds no verdict.
    """

    position_bias: float  # log-odds for the first answer shown
    verdict_noise: float
    garbage_rate: float

    def __post_init__(self) -> None:
        if not abs(self.position_bias) <= 20:
            raise ImpossibleSettingError(
                f"judge.position_bias = {self.position_bias} must be from -20 to 20: it is added "
                "to the log-odds of the first answer shown."
            )
        if not 0 <= self.verdict_noise <= 100:
            raise ImpossibleSettingError(
                f"judge.verdict_noise = {self.verdict_noise} must be from 0 to 100: it scales what "
                "is drawn."
            )
        if not 0 <= self.garbage_rate <= 1:
            raise ImpossibleSettingError(
                f"judge.garbage_rate = {self.garbage_rate} must be a share, from 0 to 1."
            )

    def replies(
        self, requests: Sequence[JudgeRequest], shares: Array, factors: Sequence[str | int]
    ) -> list[JudgeReply]:
        """A reply to every request, whose shares [requests] are in [0, 1].

        What is drawn belongs to the factors, the request's draw and its content, and to nothing
        else: neither the order of requests nor their company.

        Raises:
            ValueError: a request has another number of answers or choices than its form.
        """
        drawn = np.array(
            [generator_for(*factors, each.draw, content(each)).random(3) for each in requests]
        ).reshape(len(requests), 3)
        pairs = np.array([each.material.form != "rating" for each in requests], dtype=np.float64)
        weights = (
            logit(np.clip(shares, 1e-12, 1 - 1e-12))
            + self.position_bias * pairs
            + self.verdict_noise * logit(np.clip(drawn[:, 0], 1e-12, 1 - 1e-12))
        )
        garbage = drawn[:, 1] < self.garbage_rate
        return [
            _without_verdict(request) if lost else verdict(request, float(weight), float(word))
            for request, weight, lost, word in zip(
                requests, weights, garbage, drawn[:, 2], strict=True
            )
        ]


def verdict(request: JudgeRequest, weight: float, word: float) -> JudgeReply:
    """The reply at log-odds `weight`; `word` in [0, 1) chooses the sentence before it.

    Raises:
        ValueError: the request has another number of answers or choices than its form.
    """
    form, choices = request.material.form, request.material.choices
    check_form(request)
    if form == "token":
        likelier = choices[0] if weight >= 0 else choices[1]
        chances = {choices[0]: float(log_expit(weight)), choices[1]: float(log_expit(-weight))}
        return _reply(likelier, first_tokens(chances, request.top_logprobs))
    if form == "label":
        label = choices[sum(weight < cut for cut in CUTS[len(choices)])]
        return _reply(f"{_one_of(PAIR, word)} My final verdict is: {label}", {})
    grade = min(int(expit(weight) * len(choices)), len(choices) - 1)
    return _reply(f"{_one_of(SINGLE, word)} Rating: {choices[grade]}", {})


def check_form(request: JudgeRequest) -> None:
    """Refuse what no local judge has a verdict on.

    Raises:
        ValueError: the request has another number of answers or choices than its form.
    """
    material = request.material
    answers = 1 if material.form == "rating" else 2
    known = {"token": {2}, "label": set(CUTS)}.get(material.form, {len(material.choices)} - {0})
    if len(material.answers) != answers or len(material.choices) not in known:
        raise ValueError(
            f"request {request.identifier} of the form {material.form} has "
            f"{len(material.answers)} answers and {len(material.choices)} choices: give {answers}, "
            f"and {' or '.join(map(str, sorted(known))) or 'some choices'}."
        )


def first_tokens(chances: dict[str, float], top: int) -> dict[str, float]:
    """The `top` likeliest alternatives with their log-probabilities, the likeliest first."""
    ordered = sorted(chances, key=lambda token: -chances[token])
    return {token: chances[token] for token in ordered[:top]}


def content(request: JudgeRequest) -> str:
    """What the request asks, in a text without characters that cannot be encoded."""
    material = request.material
    asked = (material.form, material.conversation, material.answers, material.choices)
    return repr((request.messages, *asked, material.reference, material.identifier))


def _without_verdict(request: JudgeRequest) -> JudgeReply:
    check_form(request)
    if request.material.form != "token":
        return _reply(NONE, {})
    chances = {
        token: float(np.log(chance))
        for token, chance in UNDECIDED.items()
        if token not in request.material.choices
    }
    return _reply(next(iter(chances), ""), first_tokens(chances, request.top_logprobs))


def _reply(text: str, first_token: dict[str, float]) -> JudgeReply:
    return JudgeReply(text, first_token, prompt_tokens=0, completion_tokens=0, finish="stop")


def _one_of(sentences: Sequence[str], word: float) -> str:
    return sentences[int(word * len(sentences))]
