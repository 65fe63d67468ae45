"""Annotators who pose as a judge: like those that policies are trained on, and not the same."""

from __future__ import annotations

import dataclasses
import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, final

import numpy as np

from nlhf_repro.interfaces import (
    Array,
    FeatureOracle,
    ImpossibleSettingError,
    JudgeRequest,
    JudgeUsage,
    OnReply,
    Prompt,
    TextOracle,
)
from nlhf_repro.judges.verdicts import Manner, check_form
from nlhf_repro.seeds import generator_for

MOST_STEPS = 16
NEEDED = ("group_weights", "length_bias", "noise")


@final
@dataclass(frozen=True)
class AnnotatorPanel:
    """A panel of judges of one world, each of whom has the tastes of a perturbed population.

    `oracle` is the family of the annotators that policies are trained on: any dataclass with
    `group_weights`, `length_bias` and `noise`. A judge's draw d asks member d, in whose population
    every weight of a group is multiplied by an own exp(taste_spread N(0, 1)), and normalized again,
    while `length_bias` and `noise` stand for the family's own. Everything else is as in the world.

    Of two answers the member's P decides, `Manner` says how. An answer alone is rated by how much
    of a ladder it beats: the mean of P against every beginning, from no word to all words, of the
    reference answer, or else of the response that the annotators themselves like best among
    those that any of them could.
    """

    oracle: Any
    taste_spread: float
    length_bias: float
    noise: float
    position_bias: float
    verdict_noise: float
    garbage_rate: float

    def __post_init__(self) -> None:
        self.manner()
        if not 0 <= self.taste_spread <= 3:
            raise ImpossibleSettingError(
                f"judge.taste_spread = {self.taste_spread} must be from 0 to 3: a group's weight "
                "is multiplied by exp(taste_spread N(0, 1))."
            )
        known = (
            {field.name for field in dataclasses.fields(self.oracle)} if _made(self.oracle) else ()
        )
        if missing := [name for name in NEEDED if name not in known]:
            raise ImpossibleSettingError(
                f"judge.oracle = {type(self.oracle).__name__} has no {missing[0]}, so that no "
                "panel can be drawn from it: take judge=mini_world_panel, whose annotators are its "
                "own, or oracle=annotators."
            )
        try:
            dataclasses.replace(self.oracle, length_bias=self.length_bias, noise=self.noise)
        except ImpossibleSettingError as error:
            raise ImpossibleSettingError(str(error).replace("oracle.", "judge.", 1)) from error

    def manner(self) -> Manner:
        """How a weight becomes a verdict."""
        return Manner(self.position_bias, self.verdict_noise, self.garbage_rate)

    def judge(self, world: int) -> PanelJudge:
        """The panel of this world."""
        return PanelJudge(self, world)

    def member(self, world: int, draw: int) -> TextOracle:
        """The oracle of a member of the panel."""
        stream = generator_for("judge", "annotator_panel", world, draw)
        weights = np.array(list(self.oracle.group_weights), dtype=np.float64)
        weights *= np.exp(self.taste_spread * stream.standard_normal(len(weights)))
        family = dataclasses.replace(
            self.oracle,
            group_weights=(weights / weights.sum()).tolist(),
            length_bias=self.length_bias,
            noise=self.noise,
        )
        oracle: TextOracle = family.oracle(world)
        return oracle


@final
class PanelJudge:
    """The panel of a world: answers from a request's material, whatever its messages say."""

    name = "annotator_panel"
    instant: ClassVar[bool] = True  # asking again costs less than keeping

    def __init__(self, panel: AnnotatorPanel, world: int) -> None:
        self.panel, self.world = panel, world
        self.usage = JudgeUsage()
        self._own: TextOracle = panel.oracle.oracle(world)
        self._members: dict[int, TextOracle] = {}
        self._ladders: dict[str, tuple[str, ...]] = {}

    @property
    def identity(self) -> Mapping[str, Any]:
        """Every setting, the annotators' too, and the world."""
        settings = dataclasses.asdict(self.panel)
        family = type(self.panel.oracle)
        settings["oracle"]["_target_"] = f"{family.__module__}.{family.__qualname__}"
        plain: dict[str, Any] = json.loads(json.dumps(settings))
        return {"judge": self.name, "world": self.world, **plain}

    def member(self, draw: int) -> TextOracle:
        """The oracle of the member that answers this draw."""
        if draw not in self._members:
            self._members[draw] = self.panel.member(self.world, draw)
        return self._members[draw]

    def answer(self, requests: Sequence[JudgeRequest], on_reply: OnReply) -> None:
        """Reply to every request, in order.

        Raises:
            ImpossibleSettingError: the annotators cannot read a request's details.
            ValueError: a request has another number of answers or choices than its form.
        """
        factors = ("judge", "annotator_panel", "verdict", self.world)
        replies = self.panel.manner().replies(requests, self.preference(requests), factors)
        self.usage = dataclasses.replace(self.usage, calls=self.usage.calls + len(requests))
        for position, reply in enumerate(replies):
            on_reply(position, reply)

    def preference(self, requests: Sequence[JudgeRequest]) -> Array:
        """What the members think, before position, noise and words: shares in [0, 1], [requests].

        Of two answers P(the first shown is preferred), of one answer the share of its ladder.
        """
        shares = np.empty(len(requests))
        for draw, rows in _by(requests, lambda each: each.draw).items():
            asked = [self._pairs(requests[row]) for row in rows]
            prompts, first, second = zip(*(pair for pairs in asked for pair in pairs), strict=True)
            answers = self.member(draw).preference(prompts, first, second)
            ends = np.cumsum([len(pairs) for pairs in asked])
            shares[rows] = [part.mean() for part in np.split(answers, ends[:-1])]
        return shares

    def _pairs(self, request: JudgeRequest) -> list[tuple[Prompt, str, str]]:
        """The comparisons whose mean decides the request."""
        check_form(request)
        material = request.material
        identifier = material.identifier or repr(material.conversation)
        prompt = Prompt(identifier, material.conversation, material.details)
        if material.form != "rating":
            return [(prompt, material.answers[0], material.answers[1])]
        return [
            (prompt, material.answers[0], step) for step in self._ladder(prompt, material.reference)
        ]

    def _ladder(self, prompt: Prompt, reference: str | None) -> tuple[str, ...]:
        if reference is not None:
            return beginnings(reference)
        if prompt.identifier not in self._ladders:
            self._ladders[prompt.identifier] = beginnings(self._best_liked(prompt))
        return self._ladders[prompt.identifier]

    def _best_liked(self, prompt: Prompt) -> str:
        """Of the responses that are best for somebody, the one preferred most to the others."""
        if not isinstance(self._own, FeatureOracle):
            raise ImpossibleSettingError(
                f"{type(self._own).__name__} can write no answer to rate others by: give questions "
                "with references, or take judge=mini_world_panel."
            )
        types = self._own.responder_preference([prompt], [""]).shape[1]
        texts = [self._own.responder_response(prompt, kind) for kind in range(types)]
        preferred = self._own.responder_preference([prompt] * types, texts).mean(axis=0)
        return texts[int(preferred.argmax())]


def beginnings(text: str) -> tuple[str, ...]:
    """The text's first words, from none to all, in at most MOST_STEPS even steps."""
    words = text.split()
    steps = min(len(words), MOST_STEPS)
    return tuple(" ".join(words[: len(words) * step // max(steps, 1)]) for step in range(steps + 1))


def _by(
    requests: Sequence[JudgeRequest], key: Callable[[JudgeRequest], int]
) -> dict[int, list[int]]:
    groups: defaultdict[int, list[int]] = defaultdict(list)
    for row, request in enumerate(requests):
        groups[key(request)].append(row)
    return groups


def _made(value: Any) -> bool:
    return dataclasses.is_dataclass(value) and not isinstance(value, type)
