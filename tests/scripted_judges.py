"""Judges that follow a rule, for tests: an exact score is then known."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from nlhf_repro.interfaces import JudgeReply, JudgeRequest, JudgeUsage, OnReply

ASKED: list[JudgeRequest] = []  # by the judges of this process


@dataclass(frozen=True)
class RuleJudge:
    """Prefers by `rule`: longer, shorter, first, second, none (garbage), or draw (a tie).

    `certainty` is the probability of the preferred one in log-probabilities. Draws beyond the first
    prefer the other way round where `contrary` says so.
    """

    rule: str
    certainty: float = 0.9
    contrary: bool = False
    instant: ClassVar[bool] = True

    def judge(self, world: int) -> RuleJudge:
        return self

    @property
    def name(self) -> str:
        return f"rule: {self.rule}"

    @property
    def identity(self) -> Mapping[str, Any]:
        return {"rule": self.rule, "certainty": self.certainty, "contrary": self.contrary}

    @property
    def usage(self) -> JudgeUsage:
        return JudgeUsage(calls=len(ASKED))

    def answer(self, requests: Sequence[JudgeRequest], on_reply: OnReply) -> None:
        # Backwards: the order of replies is nobody's business.
        for place, request in reversed(list(enumerate(requests))):
            ASKED.append(request)
            on_reply(place, self._reply(request))

    def _reply(self, request: JudgeRequest) -> JudgeReply:
        material = request.material
        if self.rule == "none":
            return JudgeReply("I would rather not say.", {}, 1, 1, "stop")
        if material.form == "rating":
            words = min(len(material.answers[0].split()), len(material.choices)) or 1
            return JudgeReply(f"It has words. {material.choices[words - 1]}", {}, 1, 1, "stop")
        probability = self._first(material.answers)
        if self.contrary and request.draw:
            probability = 1 - probability
        first, second = material.choices[0], material.choices[-1]
        if material.form == "token":
            known = {first: probability, second: 1 - probability}
            logs = {token: math.log(p) for token, p in known.items() if p > 0}
            return JudgeReply(max(logs, key=logs.get), logs, 1, 1, "length")  # type: ignore[arg-type]
        middle = material.choices[len(material.choices) // 2]
        chosen = middle if probability == 0.5 else (first if probability > 0.5 else second)
        return JudgeReply(f"Both were read. {chosen}", {}, 1, 1, "stop")

    def _first(self, answers: Sequence[str]) -> float:
        gap = len(answers[0]) - len(answers[1])
        order = {"longer": gap, "shorter": -gap, "first": 1, "second": -1, "draw": 0}[self.rule]
        if order == 0:
            return 0.5
        return self.certainty if order > 0 else 1 - self.certainty
