"""MT-Bench, asked: a judge rates answers to two turns, or compares them with a baseline's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, final

from nlhf_repro.benchmarks.judged_files import (
    MINI,
    OFFICIAL,
    REFERENCE_POLICY,
    complete,
    departure_notes,
    file_stem,
    opponents,
    own_file,
    reading_note,
    refuse_settings,
    write_rows,
)
from nlhf_repro.benchmarks.mt_bench.answers import (
    QUESTIONS_FILE,
    REFERENCES_FILE,
    official_questions,
    read_answers,
)
from nlhf_repro.benchmarks.mt_bench.matches import (
    Asking,
    answer_rows,
    pair_requests,
    pair_rows,
    question_rows,
    single_requests,
    single_rows,
)
from nlhf_repro.benchmarks.mt_bench.pairs import read_pairs, score_pairs
from nlhf_repro.benchmarks.mt_bench.prompts import (
    PROMPTS_FILE,
    Case,
    JudgePrompt,
    Mode,
    official_prompts,
    own_prompts,
)
from nlhf_repro.benchmarks.mt_bench.questions import TURNS
from nlhf_repro.benchmarks.mt_bench.ratings import read_ratings
from nlhf_repro.benchmarks.mt_bench.scores import score_ratings
from nlhf_repro.benchmarks.source_files import fetched, sha256_of
from nlhf_repro.interfaces import (
    Answers,
    Decoding,
    ImpossibleSettingError,
    JudgeRequest,
    Judgment,
    MetricScores,
    ModelScores,
    Question,
    UnusableAnnotationsError,
)
from nlhf_repro.questions import mini_questions, read_questions

_OFFICIAL_FILES = (QUESTIONS_FILE, REFERENCES_FILE, PROMPTS_FILE)
_TEMPERATURES = {
    "writing": 0.7,
    "roleplay": 0.7,
    "extraction": 0.0,
    "math": 0.0,
    "coding": 0.0,
    "reasoning": 0.0,
    "stem": 0.1,
    "humanities": 0.1,
}
_SUFFIXES: Mapping[Mode, str] = {"single": "_single", "pairwise": "_pair"}


@final
@dataclass(frozen=True)
class MTBench:
    """Ratings from 1 to 10 of answers to two turns, or the win rate against a baseline's answers.

    Official questions are judged with the benchmark's own prompts (Zheng et al., arXiv:2306.05685),
    in math, reasoning and coding with reference answers; other questions with prompts that were
    written for this project, with references where the file has them. Each turn is judged by
    itself, the second with the conversation before it, in which every model has its own first
    answer. Pairs are judged in both orders and won where both agree; else they are a tie.

    Departures: a rating outside 1 to 10 gives no value, where upstream takes it, and questions are
    clusters within categories of equal weight.

    Attributes:
        mode: single (ratings) or pairwise.
        source: of the questions: official (what `nlhf fetch mt_bench` got), mini, or a file.
        opponent: pairwise: reference_policy, or a file of answers as FastChat writes them (its own
            baseline is gpt-3.5-turbo, whose answers are not among the fetched files); single: null.
        repeats: how often the judge is asked about everything.
        maximum_unusable_share: of judgments without a value, beyond which there is no score.
        decoding: of the answers.
        judge_temperature: of the judge's replies; 0 is greedy.
        judge_max_tokens: the most tokens of a reply.
    """

    scoring: ClassVar[tuple[str, ...]] = ("maximum_unusable_share",)
    official_judge: ClassVar[str] = "gpt-4"

    mode: Mode
    source: str
    opponent: str | None
    repeats: int
    maximum_unusable_share: float
    decoding: Decoding
    judge_temperature: float
    judge_max_tokens: int

    def __post_init__(self) -> None:
        refuse_settings(
            {
                "mt_bench.repeats": (self.repeats, 1, 1000),
                "mt_bench.judge_temperature": (self.judge_temperature, 0, 2),
                "mt_bench.judge_max_tokens": (self.judge_max_tokens, 1, 1_000_000),
                "mt_bench.maximum_unusable_share": (self.maximum_unusable_share, 0, 1),
            }
        )
        if (self.mode == "pairwise") != (self.opponent is not None):
            raise ImpossibleSettingError(
                f"benchmark.mt_bench.opponent = {self.opponent} does not fit mode = {self.mode}: "
                "give null for single, reference_policy or a file of answers for pairwise."
            )

    @property
    def compares(self) -> bool:
        """Whether answers are compared, or rated by themselves."""
        return self.mode == "pairwise"

    @property
    def comparable(self) -> bool:
        """Ratings of official questions, asked as upstream does; the judge's name says whose."""
        return self.source == OFFICIAL and self.mode == "single" and not self._departures()

    def questions(self) -> tuple[Question, ...]:
        """The questions, two turns each; the official ones are 80.

        Raises:
            ImpossibleSettingError: their file is not there or holds something else.
        """
        return self._questions

    def fingerprint(self) -> Mapping[str, str]:
        """SHA-256 of the files of questions, references, prompts and opponent."""
        if self.source == OFFICIAL:
            paths = {name: fetched("mt_bench", name) for name in _OFFICIAL_FILES}
        else:
            paths = {"source": self._source_path()}
        if self._opponent_path is not None:
            paths["opponent"] = self._opponent_path
        return {name: sha256_of(path) for name, path in paths.items()}

    def baseline(self) -> Answers | None:
        """The opponent's answers; None where it is the reference policy, or nothing is compared.

        Raises:
            ImpossibleSettingError: a question has none.
        """
        if self._opponent_path is None:
            return None
        return complete(read_answers(self._opponent_path), self.questions(), len(TURNS))

    def requests(self, own: Answers, baseline: Answers | None) -> list[JudgeRequest]:
        """One request a question and turn, or two with the answers swapped."""
        model = complete(own, self.questions(), len(TURNS))
        how = Asking(self._prompts, self.judge_temperature, self.judge_max_tokens)
        if self.mode == "single":
            return single_requests(self.questions(), model, how)
        opponent = complete(opponents(own, baseline), self.questions(), len(TURNS))
        return pair_requests(self.questions(), model, opponent, how)

    def follow_up(self, judgment: Judgment) -> JudgeRequest | None:
        """Nothing: the protocol asks once."""
        return None

    def write(
        self,
        folder: Path,
        own: Answers,
        baseline: Answers | None,
        judgments: Sequence[Judgment],
        judge: str,
    ) -> None:
        """Upstream's question.jsonl, model_answer/ and model_judgment/JUDGE_single|pair.jsonl."""
        questions, mode = self.questions(), self.mode
        write_rows(folder / "question.jsonl", question_rows(questions))
        answered = [own] if mode == "single" else [own, opponents(own, baseline)]
        for each in answered:
            path = folder / "model_answer" / f"{file_stem(each.name)}.jsonl"
            write_rows(path, answer_rows(questions, each))
        if mode == "single":
            rows = single_rows(questions, own.name, judgments, judge, self._prompts)
        else:
            names = (own.name, answered[1].name)
            rows = pair_rows(questions, names, judgments, judge, self._prompts)
        stem = f"{file_stem(judge)}{_SUFFIXES[mode]}"
        write_rows(folder / "model_judgment" / f"{stem}.jsonl", rows)

    def score(self, folder: Path, own: str) -> tuple[MetricScores, tuple[str, ...]]:
        """`score` in points of 1 to 10, or `win_rate` in percent with ties as half a win."""
        paths = sorted((folder / "model_judgment").glob(f"*{_SUFFIXES[self.mode]}.jsonl"))
        if len(paths) != 1:
            raise UnusableAnnotationsError(
                f"{folder} has {len(paths)} files of judgments, where one judge writes one: judge "
                "the answers again."
            )
        scores = self._scores(paths[0], own)
        official = self.source == OFFICIAL  # else one note says so of questions and prompts
        aside = () if official else ("own list of", "judge prompts other than")
        said = [x for x in scores.notes if not x.startswith(aside)]
        notes = (*self._setting_notes(), reading_note(scores.diagnostics), *said)
        return scores.metrics["score" if self.mode == "single" else "win_rate"], notes

    def _scores(self, path: Path, own: str) -> ModelScores:
        categories = {each.identifier: each.category for each in self.questions()}
        lost = self.maximum_unusable_share
        if self.mode == "single":
            found = score_ratings(read_ratings(path), categories, maximum_lost=lost)
        else:
            pairs = read_pairs(path)
            found = score_pairs(pairs, pairs[0].models[1], categories, lost)
        if [each.name for each in found] != [own]:
            raise UnusableAnnotationsError(
                f"{path} is not of {own} alone: judge its answers again, in a folder of their own."
            )
        return found[0]

    def _setting_notes(self) -> tuple[str, ...]:
        if self.source == OFFICIAL:
            return (f"MT-Bench, {self.mode}", *self._departures())
        return (f"own questions and judge prompts, under the rules of MT-Bench, {self.mode}",)

    def _departures(self) -> tuple[str, ...]:
        """What is not as upstream has it."""
        temperatures = dict(self.decoding.category_temperatures)
        settings: dict[str, tuple[Any, Any]] = {
            "judged at temperature": (self.judge_temperature, 0),
            "judge's tokens at most": (self.judge_max_tokens, 2048),
            "answer's tokens at most": (self.decoding.max_new_tokens, 1024),
            "answered at temperatures": (temperatures, _TEMPERATURES),
        }
        return departure_notes(settings)

    @cached_property
    def _questions(self) -> tuple[Question, ...]:
        if self.source == OFFICIAL:
            return official_questions()
        path = self._source_path()
        questions = read_questions(path)
        if other := [each.identifier for each in questions if len(each.turns) != len(TURNS)]:
            raise ImpossibleSettingError(
                f"{path} has {len(other)} questions that have not two turns, such as "
                f"{other[0]!r}: MT-Bench's have, so take them out."
            )
        return questions

    @cached_property
    def _prompts(self) -> Mapping[Case, JudgePrompt]:
        return official_prompts(self.mode) if self.source == OFFICIAL else own_prompts(self.mode)

    def _source_path(self) -> Path:
        if self.source == MINI:
            return mini_questions("mt_bench")
        return own_file(self.source, "mt_bench.source")

    @property
    def _opponent_path(self) -> Path | None:
        if self.opponent is None or self.opponent == REFERENCE_POLICY:
            return None
        return own_file(self.opponent, "mt_bench.opponent")
