"""Arena-Hard, asked: a judge compares the model's answers with a baseline's, in both orders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal, final

from nlhf_repro.benchmarks.annotation_files import Row, read_rows, text_field
from nlhf_repro.benchmarks.arena_hard.answers import character_styles, read_answers
from nlhf_repro.benchmarks.arena_hard.games import (
    Asking,
    game_requests,
    goes_on,
    next_attempt,
    read_folder,
    write_folder,
)
from nlhf_repro.benchmarks.arena_hard.labels import Version
from nlhf_repro.benchmarks.arena_hard.prompts import (
    OFFICIAL_FILES,
    JudgePrompts,
    official_prompts,
    own_prompts,
)
from nlhf_repro.benchmarks.arena_hard.questions import BASELINES, V01_CATEGORY, question_of
from nlhf_repro.benchmarks.arena_hard.questions import Question as Place
from nlhf_repro.benchmarks.arena_hard.scores import score_judgments
from nlhf_repro.benchmarks.judged_files import (
    MINI,
    OFFICIAL,
    REFERENCE_POLICY,
    checked_source,
    complete,
    departure_notes,
    opponents,
    own_file,
    reading_note,
    refuse_settings,
)
from nlhf_repro.benchmarks.source_files import fetched, sha256_of
from nlhf_repro.interfaces import (
    Answers,
    Decoding,
    ImpossibleSettingError,
    JudgeRequest,
    Judgment,
    MetricScores,
    Question,
    UnusableAnnotationsError,
)
from nlhf_repro.questions import mini_questions, read_questions

Category = Literal["arena-hard-v0.1", "hard_prompt", "creative_writing"]

_QUESTIONS: Mapping[Version, str] = {
    "v0.1": "question_v0.1.jsonl",
    "v2.0": "question_v2.0.jsonl",
}
_JUDGE_TOKENS: Mapping[Version, int] = {"v0.1": 4096, "v2.0": 16000}
_OWN_QUESTIONS = "own_questions"


@final
@dataclass(frozen=True)
class ArenaHard:
    """Win rate against a baseline's answers, `>>` counted three times, in percent.

    Official questions are judged with the version's own prompts (Li et al., arXiv:2406.11939),
    other questions with prompts that were written for this project. The categories of v2.0 have
    different baselines and are never pooled: each is a benchmark of its own.

    Departures: a request that the endpoint refuses for good is a game without a verdict (v0.1 asks
    such a judge to go on), and style control measures length in characters, where upstream counts
    tokens with a tokenizer that is a download.

    Attributes:
        version: of the protocol. v0.1 asks a judge without a label once more, and drops a game
            without a verdict; v2.0 drops its question.
        category: of official questions: arena-hard-v0.1 (v0.1), hard_prompt, creative_writing
            (v2.0); null for others.
        source: of the questions: official (what `nlhf fetch arena_hard` got), mini, or a file.
        opponent: official, reference_policy, or a file of answers in either version's format.
        repeats: how often the judge is asked about everything.
        metric: win_rate, or style_controlled: the win rate at the opponent's length and Markdown.
        maximum_unusable_share: of games without a verdict, beyond which there is no score.
        decoding: of the answers.
        judge_temperature: of the judge's replies; 0 is greedy.
        judge_max_tokens: the most tokens of a reply.
    """

    scoring: ClassVar[tuple[str, ...]] = ("metric", "maximum_unusable_share")
    compares: ClassVar[bool] = True

    version: Version
    category: Category | None
    source: str
    opponent: str
    repeats: int
    metric: Literal["win_rate", "style_controlled"]
    maximum_unusable_share: float
    decoding: Decoding
    judge_temperature: float
    judge_max_tokens: int

    def __post_init__(self) -> None:
        refuse_settings(
            {
                "arena_hard.repeats": (self.repeats, 1, 1000),
                "arena_hard.judge_temperature": (self.judge_temperature, 0, 2),
                "arena_hard.judge_max_tokens": (self.judge_max_tokens, 1, 1_000_000),
                "arena_hard.maximum_unusable_share": (self.maximum_unusable_share, 0, 1),
            }
        )
        checked_source(self.source, self.opponent, "arena_hard")
        named = (V01_CATEGORY,) if self.version == "v0.1" else ("hard_prompt", "creative_writing")
        allowed = named if self.source == OFFICIAL else (None,)
        if self.category not in allowed:
            choices = " or ".join(each or "null" for each in allowed)
            raise ImpossibleSettingError(
                f"benchmark.arena_hard.category = {self.category} is none of {self.source} "
                f"questions under {self.version}: choose {choices}."
            )

    @property
    def comparable(self) -> bool:
        """Official questions and opponent, asked as upstream does; the judge's name says whose."""
        return self.source == self.opponent == OFFICIAL and not self._departures()

    @property
    def official_judge(self) -> str:
        """The model that the version's published numbers come from."""
        return {"v0.1": "gpt-4-1106-preview", "v2.0": "gpt-4.1"}[self.version]

    def questions(self) -> tuple[Question, ...]:
        """The questions, one turn each: of the official ones 500 (v0.1), or 500 and 250 (v2.0).

        Raises:
            ImpossibleSettingError: their file is not there or holds something else.
        """
        return self._questions

    def fingerprint(self) -> Mapping[str, str]:
        """SHA-256 of the files of questions, prompts and opponent."""
        paths = {"source": self._source_path()}
        if self.source == OFFICIAL:
            names = OFFICIAL_FILES[self.version]
            paths |= {name: fetched("arena_hard", name) for name in names}
        if self.opponent != REFERENCE_POLICY:
            paths["opponent"] = self._opponent_path()
        return {name: sha256_of(path) for name, path in paths.items()}

    def baseline(self) -> Answers | None:
        """The opponent's answers; None where it is the reference policy.

        Raises:
            ImpossibleSettingError: a question has none.
        """
        if self.opponent == REFERENCE_POLICY:
            return None
        found = read_answers(self._opponent_path())
        asked = {x.identifier: found.texts.get(x.identifier, ()) for x in self.questions()}
        return complete(Answers(found.name, asked, {}), self.questions(), turns=1)

    def requests(self, own: Answers, baseline: Answers | None) -> list[JudgeRequest]:
        """Two games a question, the answers swapped in the second."""
        opponent = complete(opponents(own, baseline), self.questions(), turns=1)
        model = complete(own, self.questions(), turns=1)
        how = Asking(self._prompts, self.judge_temperature, self.judge_max_tokens)
        return game_requests(self.questions(), model, opponent, how)

    def follow_up(self, judgment: Judgment) -> JudgeRequest | None:
        """v0.1: one further request where the judge named no label at all; v2.0: none."""
        if self.version == "v2.0" or not goes_on(judgment):
            return None
        return next_attempt(judgment, self._prompts)

    def write(
        self,
        folder: Path,
        own: Answers,
        baseline: Answers | None,
        judgments: Sequence[Judgment],
        judge: str,
    ) -> None:
        """Upstream's question.jsonl, model_answer/ and model_judgment/JUDGE/MODEL.jsonl."""
        answers, place = (own, opponents(own, baseline)), self._file_category
        write_folder(folder, self.questions(), place, answers, judgments, judge, self.version)

    def score(self, folder: Path, own: str) -> tuple[MetricScores, tuple[str, ...]]:
        """The metric, question by question, from the file of judgments."""
        judgments, answers = read_folder(folder, own)
        controlled, place = self.metric == "style_controlled", self._file_category
        places = {x.identifier: Place(place, None) for x in self.questions()}
        styles = {each.name: character_styles(each) for each in answers} if controlled else None
        lost = self.maximum_unusable_share
        (scores,) = score_judgments(judgments, places, styles=styles, maximum_lost=lost)
        kind = "style_controlled_score" if controlled else "score"
        metric = scores.metrics.get(f"{kind}/{place}")
        if metric is None:
            raise UnusableAnnotationsError(f"{own} in {folder}: {'; '.join(scores.notes)}.")
        official = self.source == OFFICIAL  # else there is no usual opponent to name
        said = [x for x in scores.notes if official or not x.startswith("opponent ")]
        notes = [*self._setting_notes(), reading_note(scores.diagnostics), *said]
        if controlled:
            notes.append("style control with lengths in characters, where upstream has tokens")
        return replace(metric, metric=f"{kind}/{self.category or _OWN_QUESTIONS}"), tuple(notes)

    def _setting_notes(self) -> tuple[str, ...]:
        if self.source == OFFICIAL:
            return (f"Arena-Hard {self.version}", *self._departures())
        return (f"own questions and judge prompts, under the rules of Arena-Hard {self.version}",)

    def _departures(self) -> tuple[str, ...]:
        """What is not as upstream has it; v2.0 leaves the decoding of answers to every model."""
        settings: dict[str, tuple[Any, Any]] = {
            "judged at temperature": (self.judge_temperature, 0),
            "judge's tokens at most": (self.judge_max_tokens, _JUDGE_TOKENS[self.version]),
        }
        if self.version == "v0.1":
            settings["answered at temperature"] = (self.decoding.temperature, 0)
            settings["answer's tokens at most"] = (self.decoding.max_new_tokens, 4096)
        return departure_notes(settings)

    @property
    def _file_category(self) -> str:
        """The category that files name; v0.1 has only its own."""
        return V01_CATEGORY if self.version == "v0.1" else self.category or _OWN_QUESTIONS

    @cached_property
    def _questions(self) -> tuple[Question, ...]:
        path = self._source_path()
        if self.source == OFFICIAL:
            rows = read_rows(path)
            return tuple(_question(row) for row in rows if row["category"] == self.category)
        questions = read_questions(path)
        if longer := [each.identifier for each in questions if len(each.turns) > 1]:
            raise ImpossibleSettingError(
                f"{path} has {len(longer)} questions of several turns, such as {longer[0]!r}, "
                "where Arena-Hard has one: take them out."
            )
        return questions

    @cached_property
    def _prompts(self) -> JudgePrompts:
        if self.source == OFFICIAL:
            return official_prompts(self.version, str(self.category))
        return own_prompts(self.version)

    def _source_path(self) -> Path:
        if self.source == OFFICIAL:
            return fetched("arena_hard", _QUESTIONS[self.version])
        if self.source == MINI:
            return mini_questions("arena_hard")
        return own_file(self.source, "arena_hard.source")

    def _opponent_path(self) -> Path:
        if self.opponent == OFFICIAL:
            return fetched("arena_hard", f"baseline_{BASELINES[str(self.category)]}.jsonl")
        return own_file(self.opponent, "arena_hard.opponent")


def _question(row: Row) -> Question:
    part = text_field(row, "subcategory") or row["category"]
    return Question(str(question_of(row)), (row["prompt"],), part, ({},))
