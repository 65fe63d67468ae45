"""AlpacaEval 2, asked: a judge prefers the model's answer or the baseline's to a question."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal, final

from nlhf_repro.benchmarks.alpaca_eval.annotations import output_row
from nlhf_repro.benchmarks.alpaca_eval.package import (
    configuration,
    filled,
    parsed,
    switched,
    template,
)
from nlhf_repro.benchmarks.alpaca_eval.reference import (
    Reference,
    official_questions,
    read_reference,
)
from nlhf_repro.benchmarks.alpaca_eval.scores import NO_DIFFICULTIES, score_file
from nlhf_repro.benchmarks.annotation_files import read_rows, require_fields
from nlhf_repro.benchmarks.judged_files import (
    MINI,
    OFFICIAL,
    REFERENCE_POLICY,
    checked_source,
    own_file,
    refuse_settings,
    sound,
)
from nlhf_repro.benchmarks.source_files import fetched, sha256_of
from nlhf_repro.interfaces import (
    Answers,
    Decoding,
    ImpossibleSettingError,
    JudgeRequest,
    Judgment,
    Material,
    Message,
    MetricScores,
    Question,
)
from nlhf_repro.questions import mini_questions, read_questions

_OFFICIAL_JUDGING = "weighted_alpaca_eval_gpt4_turbo"


@final
@dataclass(frozen=True)
class AlpacaEval:
    """Win rate against a baseline's answers, plain or length-controlled, in percent.

    The prompt, the order in which answers are shown (drawn from the instruction and `seed`) and the
    reading of log-probabilities are those of the installed alpaca-eval package's evaluator
    `configuration`; whom to ask is the judge's business. Identical answers are a draw and are not
    asked about. `seed` is the package's own, 0.

    Attributes:
        source: of the questions: official (what `nlhf fetch alpaca_eval` got), mini, or a file.
        opponent: official, reference_policy, or a file of rows with instruction, output and
            generator, such as the model_outputs.json of another model.
        configuration: a folder of the package's evaluators_configs that reads log-probabilities.
        seed: of the order.
        repeats: how often the judge is asked about everything.
        metric: win_rate, discrete_win_rate, or lc_win_rate, which is `length_controlled_v1` on
            official questions against the official baseline, else `length_controlled_minimal`.
        maximum_unusable_share: of questions without a preference, beyond which there is no score.
        decoding: of the answers.
    """

    scoring: ClassVar[tuple[str, ...]] = ("metric", "maximum_unusable_share")
    compares: ClassVar[bool] = True

    source: str
    opponent: str
    configuration: str
    seed: int
    repeats: int
    metric: Literal["win_rate", "discrete_win_rate", "lc_win_rate"]
    maximum_unusable_share: float
    decoding: Decoding

    def __post_init__(self) -> None:
        refuse_settings(
            {
                "alpaca_eval.repeats": (self.repeats, 1, 1000),
                "alpaca_eval.maximum_unusable_share": (self.maximum_unusable_share, 0, 1),
            }
        )
        checked_source(self.source, self.opponent, "alpaca_eval")
        configuration(self.configuration)

    @property
    def comparable(self) -> bool:
        """Official questions, opponent and evaluator; whether the judge is, its name says."""
        return (
            self.source == OFFICIAL
            and self.opponent == OFFICIAL
            and self.configuration == _OFFICIAL_JUDGING
        )

    @property
    def official_judge(self) -> str:
        """The model that the evaluator's published numbers come from."""
        return str(self._evaluator["completions_kwargs"]["model_name"])

    def questions(self) -> tuple[Question, ...]:
        """The questions, one turn each.

        Raises:
            ImpossibleSettingError: their file is not there or holds something else.
        """
        return self._questions

    def fingerprint(self) -> Mapping[str, str]:
        """SHA-256 of the files of questions and opponent."""
        paths = {"source": self._source_path()}
        if self.opponent != REFERENCE_POLICY:
            paths["opponent"] = self._opponent_path()
        if self._uses_difficulties:
            paths["gamed"] = fetched("alpaca_eval", "df_gamed.csv")
        return {name: sha256_of(path) for name, path in paths.items()}

    def baseline(self) -> Answers | None:
        """The opponent's answers; None where it is the reference policy.

        Raises:
            ImpossibleSettingError: a question has none.
        """
        if self.opponent == REFERENCE_POLICY:
            return None
        path = self._opponent_path()
        rows = read_rows(path)
        require_fields(rows, ["instruction", "output"], path, "a file of model outputs")
        outputs = {str(row["instruction"]): str(row["output"]) for row in rows}
        texts = {}
        for question in self.questions():
            if question.turns[0] not in outputs:
                raise ImpossibleSettingError(
                    f"{path} has no output for question {question.identifier}: give the answers "
                    "to all questions of benchmark.alpaca_eval.source."
                )
            texts[question.identifier] = (outputs[question.turns[0]],)
        return Answers(str(rows[0].get("generator", path.stem)), texts, {})

    def requests(self, own: Answers, baseline: Answers | None) -> list[JudgeRequest]:
        """One request a question whose answers differ."""
        assert baseline is not None
        return [
            self._request(question, own, baseline)
            for question in self.questions()
            if own.texts[question.identifier] != baseline.texts[question.identifier]
        ]

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
        """Write model_outputs.json, reference_outputs.json and annotations.json."""
        assert baseline is not None
        said = {judgment.request.identifier: judgment for judgment in judgments}
        for name, answers in (("model_outputs", own), ("reference_outputs", baseline)):
            rows = [output_row(question, answers) for question in self.questions()]
            (folder / f"{name}.json").write_text(json.dumps(sound(rows), indent=1))
        annotated = [
            {
                "instruction": question.turns[0],
                "output_1": baseline.texts[question.identifier][0],
                "output_2": own.texts[question.identifier][0],
                "generator_1": baseline.name,
                "generator_2": own.name,
                "dataset": question.category,
                "annotator": judge,
                "preference": self._preference(question, said.get(question.identifier)),
            }
            for question in self.questions()
        ]
        (folder / "annotations.json").write_text(json.dumps(sound(annotated), indent=1))

    def score(self, folder: Path, own: str) -> tuple[MetricScores, tuple[str, ...]]:
        """The metric, question by question, from annotations.json."""
        (scores,) = score_file(
            folder / "annotations.json",
            self._reference(),
            folder / "model_outputs.json",
            self.maximum_unusable_share,
        )
        name: str = self.metric
        if name == "lc_win_rate" and not self._uses_difficulties:
            name = "lc_win_rate_minimal"
        metric = scores.metrics[name]
        identifiers = {x.turns[0]: x.identifier for x in self.questions()}
        named = tuple(identifiers[text] for text in metric.questions)
        verdicts = ", ".join(f"{k} {v}" for k, v in sorted(scores.diagnostics.verdicts.items()))
        identical = scores.diagnostics.identical_outputs
        alike = f"; {identical} identical answers" if identical else ""
        notes = scores.notes
        if self.metric != "lc_win_rate":  # what length control lacks is nothing to a plain rate
            notes = tuple(note for note in notes if note != NO_DIFFICULTIES)
        return replace(metric, questions=named), (f"verdicts: {verdicts}{alike}", *notes)

    def _preference(self, question: Question, judgment: Judgment | None) -> float | None:
        """In [1, 2], 2 for the model; a draw where nothing was asked, None without a verdict."""
        if judgment is None:
            return 1.5
        shown = parsed(judgment.replies[-1], self._evaluator["completion_parser_kwargs"])
        if shown != shown:
            return None
        return 3 - shown if self._switched[question.identifier] else shown

    def _request(self, question: Question, own: Answers, baseline: Answers) -> JudgeRequest:
        outputs = [x.texts[question.identifier][0] for x in (baseline, own)]
        if self._switched[question.identifier]:
            outputs.reverse()
        row = {
            "instruction": question.turns[0],
            "output_1": outputs[0],
            "output_2": outputs[1],
        }
        asked = self._evaluator["completions_kwargs"]
        parser = self._evaluator["completion_parser_kwargs"]
        first = parser["numerator_token"]
        (second,) = (token for token in parser["denominator_tokens"] if token != first)
        return JudgeRequest(
            identifier=question.identifier,
            messages=filled(template(self._evaluator["prompt_template"]), row),
            max_tokens=int(asked["max_tokens"]),
            temperature=float(asked["temperature"]),
            top_logprobs=int(asked["top_logprobs"]),
            draw=0,
            material=Material(
                form="token",
                conversation=(Message("user", question.turns[0]),),
                answers=tuple(outputs),
                choices=(first, second),
                details=question.details[0],
                reference=question.reference[0] if question.reference else None,
                identifier=question.identifier,
            ),
        )

    @property
    def _evaluator(self) -> Mapping[str, Any]:
        return configuration(self.configuration)

    @cached_property
    def _switched(self) -> dict[str, bool]:
        order = switched([x.turns[0] for x in self.questions()], self.seed)
        return {x.identifier: each for x, each in zip(self.questions(), order, strict=True)}

    @cached_property
    def _questions(self) -> tuple[Question, ...]:
        path = self._source_path()
        questions = official_questions(path) if self.source == OFFICIAL else read_questions(path)
        turns = [question.turns for question in questions]
        if any(len(each) != 1 for each in turns) or len(set(turns)) != len(turns):
            raise ImpossibleSettingError(
                f"{path} has questions of several turns, or one twice: AlpacaEval compares answers "
                "to single instructions, which it tells apart by their text."
            )
        return questions

    @property
    def _uses_difficulties(self) -> bool:
        official = self.source == OFFICIAL and self.opponent == OFFICIAL
        return self.metric == "lc_win_rate" and official

    def _reference(self) -> Reference | None:
        if not self._uses_difficulties:
            return None
        gamed = fetched("alpaca_eval", "df_gamed.csv")
        return read_reference(fetched("alpaca_eval", "reference_outputs.json"), gamed)

    def _source_path(self) -> Path:
        if self.source == OFFICIAL:
            return fetched("alpaca_eval", "reference_outputs.json")
        if self.source == MINI:
            return mini_questions("alpaca_eval")
        return own_file(self.source, "alpaca_eval.source")

    def _opponent_path(self) -> Path:
        if self.opponent == OFFICIAL:
            return fetched("alpaca_eval", "reference_outputs.json")
        return own_file(self.opponent, "alpaca_eval.opponent")
