"""Votes of people about pairs of responses, from a file."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, final

import numpy as np

from nlhf_repro.interfaces import Array, ImpossibleSettingError, OracleCost, Prompt
from nlhf_repro.interfaces.lacking import LackingError

Missing = Literal["refuse", "half"]
Question = tuple[str, str, str]  # prompt's identifier, the two responses in sorted order
TEXTS = ("prompt", "response_a", "response_b")
VOTES = {"a": (1.0, 0.0), "b": (0.0, 1.0), "tie": (0.5, 0.5)}


@final
@dataclass(frozen=True)
class HumanVotes:
    """P = the share of the votes for the first response, a tie being half a vote for each.

    The file has a JSON object a line: `prompt` (the prompt's identifier, `id` in prompts=jsonl),
    `response_a`, `response_b`, and either `votes_a` and `votes_b` (numbers, at least 0), or `vote`
    (a, b or tie) for one person's. Lines about the same pair, in either order, are added up. A
    response belongs to a vote by its exact text.

    People have voted on the pairs in the file and on no others. `missing: refuse` ends a run at the
    first pair without votes; `half` answers 1/2 and counts it (`counts`). A policy that responds
    freely soon meets nothing but such pairs. So this oracle is for responses that are known: the
    truth of a benchmark, or training on few possible responses, where DPO and IPO ask once. To
    train on what people said of other responses, fit a model to the file (pipeline=fit_oracle).
    Few votes are a noisy share: a pair with one vote has P = 0 or 1.
    """

    cost: ClassVar[OracleCost] = OracleCost(ordered_passes=0)  # a look at a file

    path: str
    missing: Missing

    def oracle(self, world: int) -> VotedPreference:
        """The votes, the same in every world.

        Raises:
            ImpossibleSettingError: no such file, no vote in it, or a line that is none.
        """
        return VotedPreference(read_votes(self.path), self.missing)

    def fingerprint(self) -> str:
        """SHA-256 of the file: results are kept under what it holds, not under its name."""
        return hashlib.sha256(_bytes(self.path)).hexdigest()


@final
class VotedPreference:
    """Shares of votes; `counts` says how many questions had votes, and how many had none."""

    def __init__(self, votes: Mapping[Question, tuple[float, float]], missing: Missing) -> None:
        """`votes` [pairs] are those for the one and the other response, in sorted order."""
        self.votes, self.missing = votes, missing
        self.counts: Counter[str] = Counter()

    @property
    def cost(self) -> OracleCost:
        """A look at a file is no pass of a model."""
        return HumanVotes.cost

    @property
    def notes(self) -> tuple[str, ...]:
        """How many of the questions so far nobody had voted on, if any."""
        lost = self.counts["without votes"]
        total = lost + self.counts["with votes"]
        return (
            (f"oracle: {lost} of {total} questions without votes, each counted as 1/2",)
            if lost
            else ()
        )

    def preference(
        self, prompts: Sequence[Prompt], first: Sequence[str], second: Sequence[str]
    ) -> Array:
        """Shares of the votes for first, [items]; 1/2 of a response against itself.

        Raises:
            ValueError: nobody has voted on a pair, and `missing` is refuse.
        """
        return np.array(
            [self._share(*item) for item in zip(prompts, first, second, strict=True)],
            dtype=np.float64,
        )

    def score(self, prompts: Sequence[Prompt], responses: Sequence[str]) -> Array:
        """Refused: votes are about pairs.

        Raises:
            ImpossibleSettingError: always.
        """
        raise ImpossibleSettingError(
            "oracle=human_votes has votes on pairs and no scores: take an algorithm whose labels "
            "are preferences."
        )

    def _share(self, prompt: Prompt, first: str, second: str) -> float:
        if first == second:
            return 0.5
        one, another = sorted((first, second))
        found = self.votes.get((prompt.identifier, one, another))
        self.counts["with votes" if found else "without votes"] += 1
        if found is None:
            if self.missing == "half":
                return 0.5
            raise ValueError(
                f"Nobody has voted on {first[:60]!r} against {second[:60]!r} for prompt "
                f"{prompt.identifier}: set oracle.missing=half to call that even, or learn an "
                "oracle from the votes."
            )
        own, other = found if first < second else found[::-1]
        # 1/2 plus an odd function of the votes, so that exchanged responses sum to 1.
        return 0.5 + (own - other) / (own + other) / 2


def read_votes(path: str) -> dict[Question, tuple[float, float]]:
    """Votes for the one and the other response of every pair.

    Raises:
        ImpossibleSettingError: naming the line that is no vote, or the file.
    """
    votes: dict[Question, tuple[float, float]] = {}
    for number, line in enumerate(_bytes(path).split(b"\n"), 1):
        if line.strip():
            question, (one, other) = _vote(line, f"{path}, line {number}")
            before = votes.get(question, (0.0, 0.0))
            votes[question] = (before[0] + one, before[1] + other)
    known = {question: pair for question, pair in votes.items() if sum(pair) > 0}
    if not known:
        raise ImpossibleSettingError(f"oracle.path = {path} holds no vote: give a file with some.")
    return known


def _vote(line: bytes, where: str) -> tuple[Question, tuple[float, float]]:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise ImpossibleSettingError(f"{where}, is no JSON ({error}): mend it.") from error
    if not isinstance(row, dict) or not all(isinstance(row.get(key), str) for key in TEXTS):
        raise ImpossibleSettingError(
            f"{where}, has not all of {', '.join(TEXTS)} as texts: give them."
        )
    prompt, first, second = (row[key] for key in TEXTS)
    if first == second:
        raise ImpossibleSettingError(f"{where}, has votes on a response against itself: drop it.")
    given = _given(row, where)
    one, other = sorted((first, second))
    return (prompt, one, other), given if first == one else given[::-1]


def _given(row: Mapping[str, Any], where: str) -> tuple[float, float]:
    if "vote" in row:
        if row["vote"] not in VOTES:
            raise ImpossibleSettingError(
                f"{where}, has the vote {row['vote']!r}: write a, b or tie."
            )
        return VOTES[row["vote"]]
    counts = [row.get("votes_a"), row.get("votes_b")]
    numbers = [x for x in counts if isinstance(x, int | float) and not isinstance(x, bool)]
    if len(numbers) != 2 or not all(0 <= x < np.inf for x in numbers):
        raise ImpossibleSettingError(
            f"{where}, has votes_a, votes_b = {counts}: give two numbers that are at least 0, or "
            "one person's vote."
        )
    return float(numbers[0]), float(numbers[1])


def _bytes(path: str) -> bytes:
    try:
        return Path(path).expanduser().read_bytes()
    except OSError as error:
        kind = LackingError if isinstance(error, FileNotFoundError) else ImpossibleSettingError
        raise kind(
            f"oracle.path = {path} cannot be read ({error}): give a file of JSON lines."
        ) from error
