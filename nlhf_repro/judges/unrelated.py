"""A judge whose taste has nothing to do with what annotators value: a stress test of rankings."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, final

import numpy as np
from scipy.special import expit

from nlhf_repro.interfaces import (
    Array,
    ImpossibleSettingError,
    JudgeRequest,
    JudgeUsage,
    OnReply,
)
from nlhf_repro.judges.verdicts import Manner, check_form
from nlhf_repro.seeds import generator_for

LETTERS = "abcdefghijklmnopqrstuvwxyz"


@final
@dataclass(frozen=True)
class UnrelatedTaste:
    """Prefers answers for their letters: P = sigmoid(sharpness (worth(y) - worth(y'))).

    A text is worth the mean worth of its letters, a to z in either case, and 0 without any. What a
    letter is worth is drawn from N(0, 1), once for a world and a draw of the judge. A taste and its
    opposite are equally likely, so that over draws every policy wins half of its comparisons with
    every other, and a table that shows a winner under this judge takes the luck of a few tastes for
    a result. An answer alone has the share sigmoid(sharpness worth(y)). `Manner` says how a share
    becomes a verdict.
    """

    sharpness: float
    position_bias: float
    verdict_noise: float
    garbage_rate: float

    def __post_init__(self) -> None:
        self.manner()
        if not 0 <= self.sharpness <= 1e6:
            raise ImpossibleSettingError(
                f"judge.sharpness = {self.sharpness} must be from 0 to 1e+06: it scales the "
                "difference in worth."
            )

    def manner(self) -> Manner:
        """How a weight becomes a verdict."""
        return Manner(self.position_bias, self.verdict_noise, self.garbage_rate)

    def judge(self, world: int) -> UnrelatedJudge:
        """The judge of this world."""
        return UnrelatedJudge(self, world)


@final
class UnrelatedJudge:
    """The judge of a world: answers from a request's answers, whatever its messages say."""

    name = "unrelated"
    instant: ClassVar[bool] = True  # asking again costs less than keeping

    def __init__(self, settings: UnrelatedTaste, world: int) -> None:
        self.settings, self.world = settings, world
        self.usage = JudgeUsage()

    @property
    def identity(self) -> Mapping[str, Any]:
        """Every setting, and the world."""
        return {"judge": self.name, "world": self.world, **dataclasses.asdict(self.settings)}

    def answer(self, requests: Sequence[JudgeRequest], on_reply: OnReply) -> None:
        """Reply to every request, in order.

        Raises:
            ValueError: a request has another number of answers or choices than its form.
        """
        factors = ("judge", "unrelated", "verdict", self.world)
        replies = self.settings.manner().replies(requests, self.preference(requests), factors)
        self.usage = dataclasses.replace(self.usage, calls=self.usage.calls + len(requests))
        for position, reply in enumerate(replies):
            on_reply(position, reply)

    def preference(self, requests: Sequence[JudgeRequest]) -> Array:
        """What the taste says, before position, noise and words: shares in [0, 1], [requests]."""
        gaps = np.zeros(len(requests))
        tastes: dict[int, Array] = {}
        for row, request in enumerate(requests):
            check_form(request)
            if request.draw not in tastes:
                stream = generator_for("judge", "unrelated", self.world, request.draw)
                tastes[request.draw] = stream.standard_normal(len(LETTERS))
            signs = (1.0, -1.0)[: len(request.material.answers)]
            gaps[row] = sum(
                sign * float(letter_shares(answer) @ tastes[request.draw])
                for sign, answer in zip(signs, request.material.answers, strict=True)
            )
        return np.asarray(expit(self.settings.sharpness * gaps))


def letter_shares(text: str) -> Array:
    """How often each of a to z stands among the text's letters, [26]; zeros without any."""
    bytes_ = np.frombuffer(text.lower().encode("ascii", "ignore"), dtype=np.uint8)
    first = ord(LETTERS[0])
    counts = np.bincount(bytes_, minlength=first + len(LETTERS))[first : first + len(LETTERS)]
    return np.asarray(counts / max(int(counts.sum()), 1))
