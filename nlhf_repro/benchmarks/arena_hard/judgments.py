"""Judgment files of Arena-Hard: one row a model and question, with two games in swapped order.

v0.1 rows have `question_id`, `model`, `judge` and `games`, each game `user_prompt`, `judgment` (the
judge's words) and `score` (the label); the baseline stands nowhere in them. v2.0 rows have `uid`,
`category`, `judge`, `model`, `baseline` and `games`, each `prompt`, `judgment` and `score`, or null
where the judge did not answer. In game 1 the baseline is assistant A, in game 2 the model.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np

from nlhf_repro.benchmarks.annotation_files import (
    Row,
    only_value,
    read_rows,
    refuse_duplicates,
    require_fields,
    text_field,
)
from nlhf_repro.benchmarks.arena_hard.labels import (
    VERDICTS,
    Verdict,
    Version,
    has_several_labels,
    parse_label,
)
from nlhf_repro.benchmarks.arena_hard.questions import BASELINES, V01_CATEGORY, question_of
from nlhf_repro.interfaces import Array, UnusableAnnotationsError

DECISIVE_WEIGHT = 3.0

_ANSWERS = re.compile(
    r"<\|The Start of Assistant A's Answer\|>\n(.*?)\n<\|The End of Assistant A's Answer\|>.*"
    r"<\|The Start of Assistant B's Answer\|>\n(.*?)\n<\|The End of Assistant B's Answer\|>",
    re.DOTALL,
)


@final
@dataclass(frozen=True)
class Game:
    """One comparison: the label as the file has it, the judge's words, the answers of A and B."""

    label: str | None
    text: str | None = None
    answers: tuple[str, str] | None = None

    def loss_reason(self, version: Version) -> str | None:
        """Why the game gives no value; None where it does."""
        if self.label in VERDICTS[version]:
            return None
        if self.label is not None:
            return "unknown verdict"
        several = self.text is not None and has_several_labels(self.text)
        return "several verdicts" if several else "no verdict"

    def misread(self, version: Version) -> bool:
        """Whether the version's parser reads another label in the judge's words."""
        return self.text is not None and parse_label(self.text, version) != self.label


@final
@dataclass(frozen=True)
class Judgment:
    """Two games of one model on one question."""

    version: Version
    question: str
    category: str
    model: str
    baseline: str
    judge: str
    games: tuple[Game, Game]

    def verdicts(self) -> tuple[Verdict | None, Verdict | None]:
        """Verdict of each game; None where it gives no value."""
        known = VERDICTS[self.version]
        first, second = (known.get(game.label or "") for game in self.games)
        return first, second

    def outcomes(self) -> list[tuple[float, float]]:
        """(share of the win that goes to the model, weight) of every game that counts.

        Weight is 3 for `>>` and 1 otherwise. v0.1 drops a game without a usable label; v2.0 drops
        both games of its question.
        """
        first, second = self.verdicts()
        if self.version == "v2.0" and (first is None or second is None):
            return []
        shares = [(first, 1 - first.share_of_a)] if first else []
        shares += [(second, second.share_of_a)] if second else []
        return [(share, DECISIVE_WEIGHT if each.decisive else 1.0) for each, share in shares]

    def losses(self) -> list[str]:
        """Reasons of the games that do not count, one entry a game."""
        reasons = [game.loss_reason(self.version) for game in self.games]
        lost = [reason for reason in reasons if reason is not None]
        dropped_with_it = self.version == "v2.0" and len(lost) == 1
        return [*lost, "other game of the question unusable"] if dropped_with_it else lost

    def flips(self) -> bool | None:
        """Whether another side wins (or ties) when the answers swap places; None if unknown."""
        first, second = self.verdicts()
        if first is None or second is None:
            return None
        return 1 - first.share_of_a != second.share_of_a


def read_judgments(paths: Sequence[Path], baseline: str | None = None) -> tuple[Judgment, ...]:
    """Judgments of one judge, of one or several models, from JSON-lines files.

    Args:
        paths: The judge's `model_judgment/*.jsonl`, `.gz` allowed.
        baseline: What the models were compared with, where rows do not say (v0.1); without it the
            protocol's own is taken: gpt-4-0314.

    Raises:
        UnusableAnnotationsError: no file, a damaged or foreign one, mixed judges or protocols, a
            model compared with itself, or two rows for one question and pair.
    """
    if not paths:
        raise UnusableAnnotationsError("No Arena-Hard file was named: give at least one.")
    judgments: list[Judgment] = []
    for path in paths:
        rows = read_rows(path)
        fields = ("model", "judge", "games")
        require_fields(rows, fields, path, "a file of Arena-Hard judgments")
        only_value(rows, "judge", path, "keep one judge in a file.")
        judgments += [_judgment(row, path, n, baseline) for n, row in enumerate(rows, start=1)]
    _refuse_mixtures(judgments, paths)
    return tuple(judgments)


def pairwise_wins(judgments: Sequence[Judgment]) -> tuple[tuple[str, ...], tuple[str, ...], Array]:
    """Models, questions and wins [questions, models, models] of everyone who met.

    Entry [q, a, b] is the weight of a's wins over b on question q, half of each tie included: what
    a Bradley-Terry fit or a test of transitivity clustered by question needs. Categories are not
    told apart: give the judgments of one.
    """
    names = sorted({name for each in judgments for name in (each.model, each.baseline)})
    questions = sorted({each.question for each in judgments})
    rows, columns = ({key: i for i, key in enumerate(keys)} for keys in (questions, names))
    wins = np.zeros((len(questions), len(names), len(names)))
    for each in judgments:
        question, a, b = rows[each.question], columns[each.model], columns[each.baseline]
        for share, weight in each.outcomes():
            wins[question, a, b] += weight * share
            wins[question, b, a] += weight * (1 - share)
    return tuple(names), tuple(questions), wins


def _judgment(row: Row, path: Path, number: int, baseline: str | None) -> Judgment:
    version: Version = "v2.0" if "uid" in row else "v0.1"
    category = V01_CATEGORY if version == "v0.1" else text_field(row, "category")
    question, model = question_of(row), text_field(row, "model")
    if question is None or model is None or category is None:
        raise UnusableAnnotationsError(
            f"Row {number} of {path} lacks its question (question_id or uid), model or (v2.0) "
            "category: the row cannot be attributed, so write the file again."
        )
    opponent = text_field(row, "baseline") or baseline or BASELINES.get(category)
    if opponent is None:
        raise UnusableAnnotationsError(
            f"Row {number} of {path} names no baseline, and category {category!r} has none by "
            "protocol: say what the models were compared with."
        )
    if opponent == model:
        raise UnusableAnnotationsError(
            f"Row {number} of {path} compares {model!r} with itself: leave the baseline out of "
            "the judged models, or name the right baseline."
        )
    games = row.get("games")
    if not isinstance(games, list) or len(games) > 2:
        raise UnusableAnnotationsError(
            f"Row {number} of {path} has no list of two games: Arena-Hard judges every pair in "
            "both orders."
        )
    first, second = (_game(each) for each in [*games, None, None][:2])
    judge = str(row["judge"])
    return Judgment(version, question, category, model, opponent, judge, (first, second))


def _game(record: object) -> Game:
    if not isinstance(record, Mapping):
        return Game(None)
    label, words = record.get("score"), record.get("judgment")
    if isinstance(words, Mapping):
        words = words.get("answer")
    if label is not None and not isinstance(label, str):
        label = repr(label)
    return Game(label, words if isinstance(words, str) else None, _answers(record))


def _answers(record: Mapping[Any, Any]) -> tuple[str, str] | None:
    prompt = record.get("user_prompt", record.get("prompt"))
    if isinstance(prompt, list) and prompt and isinstance(prompt[-1], Mapping):
        prompt = prompt[-1].get("content")
    match = _ANSWERS.search(prompt) if isinstance(prompt, str) else None
    return (match[1], match[2]) if match else None


def _refuse_mixtures(judgments: Sequence[Judgment], paths: Sequence[Path]) -> None:
    for what, values in (
        ("judges", {each.judge for each in judgments}),
        ("protocols", {each.version for each in judgments}),
    ):
        if len(values) > 1:
            raise UnusableAnnotationsError(
                f"The files mix {what}: {', '.join(sorted(values))}: score each on its own."
            )
    rows = [{"key": (each.model, each.baseline, each.question)} for each in judgments]
    where = paths[0] if len(paths) == 1 else paths[0].parent
    refuse_duplicates(rows, lambda row: row["key"], where, "model, baseline and question")
