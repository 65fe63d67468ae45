"""Files that pass for several training runs, or several models, and are copies of one."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

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


def copied_models(entries: Sequence[Entry]) -> list[tuple[int, int, str]]:
    """Pairs of entries of which a run of one is, question by question, nearly one of the other.

    By the rule of `refuse_copied_runs`, but said rather than refused: two models may be two names
    of one, or two checkpoints that hardly differ. Places of the two among the entries, and what a
    reader must know.
    """
    runs = [(place, run) for place, each in enumerate(entries) for run in each.runs]
    pools: dict[object, list[tuple[int, Values, int]]] = defaultdict(list)
    for place, run in runs:
        if run.benchmark != "academic":
            values = _values(run, plain=True)
            pools[entries[place].conditions].append((place, values, len(values)))
    found: dict[tuple[int, int], str] = {}
    for pool in pools.values():
        codes = _codes([values for _, values, _ in pool])
        for i, (first, values, size) in enumerate(pool):
            same = (codes[i] == codes[i + 1 :]) & (codes[i] > 0)
            shared = (codes[i + 1 :] > 0) & (codes[i] > 0)
            counts, sizes = same.sum(axis=1), shared.sum(axis=1)
            for offset in np.flatnonzero(counts > _MOST_AGREEMENT * sizes):
                second, others, other_size = pool[i + 1 + offset]
                enough = sizes[offset] > _MOST_AGREEMENT * max(size, other_size)
                if first != second and enough and _chance(values, others) < _MOST_CHANCE:
                    found[first, second] = (
                        f"{entries[first].label} and {entries[second].label} agree on "
                        f"{counts[offset]} of {sizes[offset]} questions, as two runs hardly do: "
                        "they may be one model under two names"
                    )
    return [(*pair, said) for pair, said in sorted(found.items())]


def _codes(every: Sequence[Values]) -> NDArray[np.int32]:
    """A number for each run's values of each question, [runs, questions]; 0 where it has none."""
    known: dict[tuple[tuple[str, float], ...], int] = {}
    place = {q: n for n, q in enumerate(dict.fromkeys(q for values in every for q in values))}
    codes = np.zeros((len(every), len(place)), dtype=np.int32)
    for row, values in enumerate(every):
        for question, value in values.items():
            codes[row, place[question]] = known.setdefault(value, len(known) + 1)
    return codes


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
