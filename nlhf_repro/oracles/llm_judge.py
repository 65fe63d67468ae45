"""A judge as an oracle: asked which of two answers is better, in both orders."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import exp
from pathlib import Path
from typing import Literal, final

import numpy as np

from nlhf_repro.asking.kept import KeptAnswers
from nlhf_repro.interfaces import (
    Array,
    ImpossibleSettingError,
    Judge,
    JudgeError,
    JudgeFamily,
    JudgeReply,
    JudgeRequest,
    Material,
    Occasion,
    OracleCost,
    Prompt,
)
from nlhf_repro.oracles.judge_prompt import VERDICTS, pair_messages
from nlhf_repro.seeds import seed_for

Reading = Literal["verdict", "logprobs"]
LETTERS = ("A", "B")
TOP_LOGPROBS = 20
LEAST_MASS = 0.5  # of the first token's probability on the two letters
LEAST_REPLIES = 50  # before a share of them is judged
Row = tuple[Prompt, str, str, int]  # first and second answer, draw


@final
@dataclass(frozen=True)
class LLMJudge:
    """P(a, b) = (v(a, b) + 1 - v(b, a)) / 2, where v is the judge's verdict for the first shown.

    `read: verdict` takes 1, 1/2 or 0 from the last line of a free reply, which has to end with one
    of three verdicts; P is then one of 0, 1/4, 1/2, 3/4, 1 and counts as a draw in the ledger.
    `read: logprobs` takes the probability of A against B as the first token of the reply, or
    the letter itself where an endpoint gives no log-probabilities. Both orders are always asked, so
    that a judge who favors a place says 1/2 of equal answers, and no more than that: the bias still
    costs contrast. It is reported, in `counts` and `position_bias`.

    With `temperature` above 0 verdicts are draws: every comparison of a run has its own, which a
    resumed run reads again where answers are kept. Outside of training (a benchmark) there is one
    draw for a question. A reply without a verdict is no preference: it is counted as `unparsed` and
    enters as 1/2, and a run ends where more than `most_unparsed` of the replies are such.

    The answers stand between marks that they cannot contain (see `judge_prompt`); what a judge
    makes of instructions inside of an answer is the judge's: NullModel (Zheng et al.,
    arXiv:2410.07137) is a constant text that such judges prefer.
    """

    judge: JudgeFamily
    read: Reading
    temperature: float
    max_tokens: int  # of a reply that is read for its verdict
    most_unparsed: float
    criteria: str
    most_characters: int  # of a turn or an answer that are shown

    def __post_init__(self) -> None:
        if not 0 <= self.temperature <= 5:
            raise ImpossibleSettingError(
                f"oracle.temperature = {self.temperature} must be from 0 to 5."
            )
        if self.read == "logprobs" and self.temperature:
            raise ImpossibleSettingError(
                f"oracle.temperature = {self.temperature} has no meaning with oracle.read=logprobs,"
                " which reads probabilities and draws nothing: set it to 0."
            )
        for name in ("max_tokens", "most_characters"):
            if getattr(self, name) < 1:
                raise ImpossibleSettingError(
                    f"oracle.{name} = {getattr(self, name)} must be at least 1: raise it."
                )
        if not 0 <= self.most_unparsed <= 1:
            raise ImpossibleSettingError(
                f"oracle.most_unparsed = {self.most_unparsed} must be a share, from 0 to 1."
            )

    @property
    def cost(self) -> OracleCost:
        """Two requests a comparison, one for each order."""
        return OracleCost(ordered_passes=2, paid_calls=2, bernoulli=self.read == "verdict")

    def oracle(self, world: int) -> JudgedPreference:
        """The judge of this world as an oracle."""
        return JudgedPreference(self, self.judge.judge(world))


@final
class JudgedPreference:
    """A judge's preferences between texts; `counts` has the outcomes of all replies so far.

    They are: `first`, `second` and `tie` by the place that a reply is for, `unparsed`, and `orders
    differ` for pairs whose two replies are for the same place.
    """

    def __init__(self, settings: LLMJudge, judge: Judge) -> None:
        self.settings, self.judge = settings, judge
        self.counts: Counter[str] = Counter()

    @property
    def cost(self) -> OracleCost:
        """As its settings say."""
        return self.settings.cost

    @property
    def position_bias(self) -> float:
        """Share of the replies for the first place less that for the second; NaN without any."""
        known = sum(self.counts[name] for name in ("first", "second", "tie"))
        return (self.counts["first"] - self.counts["second"]) / known if known else float("nan")

    @property
    def notes(self) -> tuple[str, ...]:
        """Who answers, and how the replies so far came out; nothing before the first."""
        outcomes = [name for name in ("first", "second", "tie", "unparsed") if self.counts[name]]
        if not outcomes:
            return ()
        total = sum(self.counts[name] for name in outcomes)
        lost, differ = self.counts["unparsed"], self.counts["orders differ"]
        said = [f"{lost} of {total} replies without a verdict, each counted as 1/2"] if lost else []
        verdicts = [f"{self.counts[x]} {x}" for x in outcomes if x != "unparsed"]
        if verdicts:
            said.append(
                f"verdicts for the place shown: {', '.join(verdicts)} (position bias "
                f"{self.position_bias:+.2f}); {differ} of the pairs had both replies for the same "
                "place"
            )
        return (f"oracle: {self.judge.name}", *said)

    def keep_answers(self, path: Path) -> None:
        """Keep the judge's replies in this file, and take those that are in it."""
        self.judge = KeptAnswers(self.judge, path)

    def preference(
        self, prompts: Sequence[Prompt], first: Sequence[str], second: Sequence[str]
    ) -> Array:
        """P(first preferred over second), [items], by the first draw of every question.

        Raises:
            JudgeError: the judge could not answer, or too few replies had a verdict.
        """
        return self._preference(prompts, first, second, [0] * len(prompts))

    def preference_on(
        self,
        prompts: Sequence[Prompt],
        first: Sequence[str],
        second: Sequence[str],
        occasion: Occasion,
    ) -> Array:
        """P(first preferred over second), [items], by the draw that belongs to the comparison.

        Raises:
            JudgeError: as `preference`.
        """
        drawn = self.settings.temperature > 0
        # 31 bits: draws tell equal questions apart, and servers take them as seeds.
        draws = [seed_for("llm_judge", name) >> 32 if drawn else 0 for name in occasion.draws]
        return self._preference(prompts, first, second, draws)

    def score(self, prompts: Sequence[Prompt], responses: Sequence[str]) -> Array:
        """Refused: a judge of pairs has no rewards.

        Raises:
            ImpossibleSettingError: always.
        """
        raise ImpossibleSettingError(
            "oracle=llm_judge compares answers and has no scores: take an algorithm whose labels "
            "are preferences, or oracle_wrapper=[bradley_terry_fit] on an oracle with features."
        )

    def _preference(
        self,
        prompts: Sequence[Prompt],
        first: Sequence[str],
        second: Sequence[str],
        draws: Sequence[int],
    ) -> Array:
        answers = np.full(len(prompts), 0.5)
        # Equal answers are the same question in both orders, whose verdicts cancel.
        rows = [i for i, (one, other) in enumerate(zip(first, second, strict=True)) if one != other]
        asked: list[Row] = [(prompts[i], first[i], second[i], draws[i]) for i in rows]
        asked += [(prompts[i], second[i], first[i], draws[i]) for i in rows]
        verdicts = self._verdicts(asked)
        forward, backward = verdicts[: len(rows)], verdicts[len(rows) :]
        for row, one, other in zip(rows, forward, backward, strict=True):
            answers[row] = (_known(one) + 1 - _known(other)) / 2
            if one is not None and other is not None and (one - 0.5) * (other - 0.5) > 0:
                self.counts["orders differ"] += 1
        return answers

    def _verdicts(self, rows: Sequence[Row]) -> list[float | None]:
        """For the first shown, from 1 to 0, or None where the reply has no verdict."""
        replies: dict[int, JudgeReply] = {}
        if rows:
            requests = [self._request(number, *row) for number, row in enumerate(rows)]
            self.judge.answer(requests, replies.__setitem__)
        if missing := len(rows) - len(replies):
            raise JudgeError(
                f"{self.judge.name} ended without a reply to {missing} of {len(rows)} requests."
            )
        read = from_logprobs if self.settings.read == "logprobs" else from_last_line
        verdicts = [read(replies[number]) for number in range(len(rows))]
        self.counts.update(_outcome(verdict) for verdict in verdicts)
        self._refuse_unparsed(replies, verdicts)
        return verdicts

    def _request(
        self, number: int, prompt: Prompt, first: str, second: str, draw: int
    ) -> JudgeRequest:
        settings = self.settings
        letters = settings.read == "logprobs"
        return JudgeRequest(
            identifier=f"{prompt.identifier}/{number}",
            messages=pair_messages(
                prompt, first, second, settings.criteria, settings.most_characters, letters
            ),
            max_tokens=1 if letters else settings.max_tokens,
            temperature=settings.temperature,
            top_logprobs=TOP_LOGPROBS if letters else 0,
            draw=draw,
            material=Material(
                form="token" if letters else "label",
                conversation=prompt.messages,
                answers=(first, second),
                choices=LETTERS if letters else tuple(VERDICTS),
                details=prompt.details,
                identifier=prompt.identifier,
            ),
        )

    def _refuse_unparsed(
        self, replies: dict[int, JudgeReply], verdicts: Sequence[float | None]
    ) -> None:
        total = sum(self.counts[name] for name in ("first", "second", "tie", "unparsed"))
        unparsed, most = self.counts["unparsed"], self.settings.most_unparsed
        enough = total >= LEAST_REPLIES or unparsed == total
        if None in verdicts and enough and unparsed > most * total:
            reply = replies[verdicts.index(None)]
            raise JudgeError(
                f"{unparsed} of {total} replies of {self.judge.name} have no verdict, more than "
                f"oracle.most_unparsed = {most:g}; one ends with {reply.text[-80:]!r} and "
                f"finished with '{reply.finish}': take another judge, or raise it."
            )


def from_last_line(reply: JudgeReply) -> float | None:
    """1, 1/2 or 0 where the last line ends with one of the verdicts and names no other.

    A reply that was cut off, or that the endpoint refused, has none.
    """
    lines = [line for line in reply.text.splitlines() if line.strip()]
    if reply.finish != "stop" or not lines:
        return None
    last = lines[-1].strip().strip("*_`. ")
    if last.count("Verdict:") != 1:
        return None
    return VERDICTS.get(last[last.index("Verdict:") :])


def from_logprobs(reply: JudgeReply) -> float | None:
    """P(A) / (P(A) + P(B)) of the first token; without log-probabilities the reply if a letter."""
    if reply.finish.startswith("error"):
        return None
    if not reply.first_token:
        letter = reply.text.strip()
        return float(letter == LETTERS[0]) if letter in LETTERS else None
    mass = dict.fromkeys(LETTERS, 0.0)
    for token, log_probability in reply.first_token.items():
        if token.strip() in mass:
            mass[token.strip()] += exp(log_probability)
    total = sum(mass.values())
    return mass[LETTERS[0]] / total if total >= LEAST_MASS else None


def _known(verdict: float | None) -> float:
    return 0.5 if verdict is None else verdict


def _outcome(verdict: float | None) -> str:
    if verdict is None:
        return "unparsed"
    return "tie" if verdict == 0.5 else "first" if verdict > 0.5 else "second"
