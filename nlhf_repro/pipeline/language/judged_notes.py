"""What is said beside judged scores: who judged, how it went, and what lost verdicts cost."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

import numpy as np

from nlhf_repro.interfaces import (
    Array,
    FeatureOracle,
    Judge,
    JudgedBenchmark,
    JudgeRequest,
    Judgment,
    Prompt,
    TextOracle,
    UnusableAnnotationsError,
)
from nlhf_repro.judges.agreement import agreement

_NUMBER, _PLACE = re.compile(r"\d+(?:\.\d+)?"), "\ufffc"


def merged(notes: Sequence[Sequence[str]]) -> list[str]:
    """What is said of the draws, a line for all: numbers that differ between them as ranges.

    A line that only some draws have says of how many.
    """
    found: dict[str, list[list[str]]] = {}
    for of_draw in notes:
        for note in dict.fromkeys(of_draw):
            found.setdefault(_NUMBER.sub(_PLACE, note), []).append(_NUMBER.findall(note))
    lines = []
    for template, numbers in found.items():
        ranges = [_range(column) for column in zip(*numbers, strict=True)]
        words = template.split(_PLACE)
        line = words[0] + "".join(f"{a}{b}" for a, b in zip(ranges, words[1:], strict=True))
        some = "" if len(numbers) == len(notes) else f" (in {len(numbers)} of {len(notes)} draws)"
        lines.append(line + some)
    return lines


def _range(numbers: Sequence[str]) -> str:
    least, largest = min(numbers, key=float), max(numbers, key=float)
    return least if least == largest else f"{least} to {largest}"


def lost_note(lost: int, asked: int) -> list[str]:
    """Says how many questions had no usable verdict in a draw, if any."""
    return [f"{lost} of {asked} questions a draw without a usable verdict"] if lost else []


def agreement_notes(judge: Judge, oracle: TextOracle, judgments: Sequence[Judgment]) -> list[str]:
    """How often a local judge prefers what the oracle of training prefers, over pairs of answers.

    Only judges that say what they think of a pair (`preference`) can be compared so, and only with
    an oracle that reads features, which answers at no cost.
    """
    pairs = [x.request for x in judgments if len(x.request.material.answers) == 2]
    if not isinstance(judge, Opinionated) or not pairs or not isinstance(oracle, FeatureOracle):
        return []
    prompts = [
        Prompt(x.material.identifier, x.material.conversation, x.material.details) for x in pairs
    ]
    first, second = ([x.material.answers[side] for x in pairs] for side in (0, 1))
    true = oracle.preference(prompts, first, second)
    share = agreement(judge.preference(pairs), true)
    return [f"the judge prefers what the oracle of training prefers in {share:.0%} of pairs"]


@runtime_checkable
class Opinionated(Protocol):
    """A judge that says P(the first answer is preferred) before it puts it into words."""

    def preference(self, requests: Sequence[JudgeRequest]) -> Array:
        """Shares in [0, 1], [requests]."""
        ...


def provenance(benchmark: JudgedBenchmark, judge: Judge) -> str:
    """Who judged, how often, and why numbers are not those that are published, if they are not."""
    draws = f"{benchmark.repeats} draws of it" if benchmark.repeats > 1 else "asked once"
    expected = getattr(benchmark, "official_judge", None)
    published = ""
    if not benchmark.comparable:
        published = "; not comparable with published numbers"
    elif judge.name != expected:
        published = f"; not comparable with published numbers, whose judge is {expected}"
    return f"judge: {judge.name}, {draws}{published}"


def aligned(questions: Sequence[str], values: Array, places: Mapping[str, int], name: str) -> Array:
    """Values in the benchmark's order, [n]; u of the n questions have one.

    Those that are known become m + n/u (x - m) with their mean m, the others m: the mean stays m,
    and the variance over n divided by n becomes about that over u divided by u.
    """
    foreign = [question for question in questions if question not in places]
    if foreign:
        raise UnusableAnnotationsError(
            f"benchmark.{name} scored a question {foreign[0]!r} that it did not ask: its scorer "
            "must name questions by their identifiers."
        )
    mean = float(np.mean(values))
    found = np.full(len(places), mean)
    known = [places[question] for question in questions]
    found[known] = mean + len(places) / len(questions) * (np.asarray(values) - mean)
    return found if len(questions) < len(places) else _placed(values, known)


def _placed(values: Array, places: Sequence[int]) -> Array:
    """The values at their places, as they are."""
    found = np.empty(len(places))
    found[list(places)] = values
    return found
