"""Files that pass for training runs of one algorithm and are copies of one."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path

from nlhf_repro.interfaces import ModelScores, UnusableAnnotationsError
from nlhf_repro.reporting.scores.entries import Entry

# Our reading: two runs answer and are judged anew, and agree by chance alone well below this.
_MOST_AGREEMENT = 0.95
_MOST_CHANCE = 0.5
Values = Mapping[str, tuple[tuple[str, float], ...]]


def refuse_copies(paths: Sequence[Path]) -> None:
    """Refuse files of equal content.

    Raises:
        UnusableAnnotationsError: names the two.
    """
    seen: dict[bytes, Path] = {}
    for path in paths:
        if not path.is_file():
            continue
        content = hashlib.sha256(path.read_bytes()).digest()
        if content in seen:
            raise UnusableAnnotationsError(
                f"{seen[content]} and {path} hold the same judgments: a copy is no second run, so "
                "name it once."
            )
        seen[content] = path


def refuse_copied_runs(entry: Entry) -> None:
    """Refuse runs of one entry that agree, question by question, as no two training runs do.

    Runs are copies where every metric of every question is equal, unless all questions have the
    same value; and where a judge's plain means are equal together on more than 95 % of questions.
    The latter is not asked of runs whose values would agree on half of the questions by chance, nor
    of academic tasks, which no judge and no sampling decides: two runs close to their reference may
    well be right on the same items.

    Raises:
        UnusableAnnotationsError: names the two.
    """
    for (one, first), (other, second) in combinations(zip(entry.runs, entry.files, strict=True), 2):
        every, others = _values(one, plain=False), _values(other, plain=False)
        if every == others and len({tuple(v for _, v in x) for x in every.values()}) > 1:
            raise _copies(first, second, len(every), len(every))
        if one.benchmark == "academic":
            continue
        every, others = _values(one, plain=True), _values(other, plain=True)
        shared = every.keys() & others.keys()
        same = sum(every[question] == others[question] for question in shared)
        alike = same > _MOST_AGREEMENT * len(shared)
        if alike and _chance(every, others) < _MOST_CHANCE:
            raise _copies(first, second, same, len(shared))


def _values(run: ModelScores, plain: bool) -> Values:
    """Every question's values of all metrics, or of the plain means where there is one."""
    metrics = list(run.metrics.values())
    if plain:
        metrics = [each for each in metrics if each.is_plain_mean] or metrics
    found: dict[str, list[tuple[str, float]]] = {}
    for each in metrics:
        for question, value in zip(each.questions, each.values.tolist(), strict=True):
            found.setdefault(question, []).append((each.metric, value))
    return {question: tuple(sorted(values)) for question, values in found.items()}


def _chance(first: Values, second: Values) -> float:
    """Share of questions on which independent runs with these values would agree."""
    one, other = Counter(first.values()), Counter(second.values())
    return sum(times * other[value] for value, times in one.items()) / (len(first) * len(second))


def _copies(first: Path, second: Path, same: int, of: int) -> UnusableAnnotationsError:
    return UnusableAnnotationsError(
        f"{first} and {second} agree on {same} of {of} questions: they are copies, not two "
        "training runs."
    )
