"""Reading AlpacaEval's annotations.json: one judge, every row used or counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np

from nlhf_repro.benchmarks.alpaca_eval.reference import refuse_foreign
from nlhf_repro.benchmarks.annotation_files import (
    Row,
    only_value,
    read_rows,
    refuse_duplicates,
    refuse_losses,
    require_fields,
    text_field,
)
from nlhf_repro.interfaces import (
    Answers,
    Array,
    Diagnostics,
    Question,
    UnusableAnnotationsError,
)

_FIELDS = ("instruction", "output_1", "output_2", "generator_1", "generator_2", "preference")


@final
@dataclass(frozen=True)
class ModelAnnotations:
    """One judge's preferences between one model and the baseline; usable rows only.

    Rows are in the order of the benchmark's questions where these are known, else sorted by
    instruction: never in the order of the file.
    """

    name: str
    baseline: str
    judge: str
    questions: tuple[str, ...]  # instructions, no two the same
    preferences: Array  # [questions], in [1, 2]: 1 the baseline, 2 the model, 1.5 a draw
    length_differences: Array  # [questions], characters of the baseline minus of the model
    outputs: tuple[str, ...]  # [questions], of the model
    diagnostics: Diagnostics


def read_annotations(
    path: Path,
    questions: Sequence[str] | None = None,
    outputs: Path | None = None,
    maximum_unusable_share: float = 0.02,
) -> tuple[ModelAnnotations, ...]:
    """The models of an annotations.json (alpaca-eval's, or JSON lines), sorted by name.

    A preference of 0 is the old notation for a draw. A row without an instruction, an output or a
    preference in [1, 2] is unusable and counted.

    Args:
        path: rows with instruction, output_1 and generator_1 (the baseline), output_2 and
            generator_2 (the model), annotator (the judge) and preference.
        questions: the benchmark's instructions; those without a row count as missing, and rows
            with another instruction are refused.
        outputs: a model_outputs.json of the models, to check that its answers were judged; without
            `questions`, answers without a row count as missing.
        maximum_unusable_share: of a model's rows and missing questions, in [0, 1].

    Raises:
        UnusableAnnotationsError: the file is broken or foreign, mixes judges, compares a model
            with itself or with several baselines, repeats an instruction, has
            foreign instructions or outputs, or too few of its rows are usable.
    """
    rows = read_rows(path)
    require_fields(rows, _FIELDS, path, "AlpacaEval's annotations.json")
    judge = only_value(rows, "annotator", path, "give every judge a file of its own.")
    groups = sorted(by_model(rows, path).items())
    if outputs is None:
        expected = {model: questions for model, _ in groups}
    else:
        answered = _judged_outputs(rows, path, outputs)
        expected = {model: questions or answered[model] for model, _ in groups}
    return tuple(
        _model(model, group, judge, path, expected[model], maximum_unusable_share)
        for model, group in groups
    )


def output_row(question: Question, answers: Answers) -> dict[str, str]:
    """A model's answer to a question, as a row of a model_outputs.json."""
    return {
        "instruction": question.turns[0],
        "output": answers.texts[question.identifier][0],
        "generator": answers.name,
        "dataset": question.category,
    }


def by_model(rows: Sequence[Row], path: Path) -> dict[str, list[Row]]:
    """Rows of every generator_2, in the order of the file.

    Raises:
        UnusableAnnotationsError: a row does not name its model.
    """
    groups: dict[str, list[Row]] = {}
    for number, row in enumerate(rows, start=1):
        model = text_field(row, "generator_2")
        if model is None:
            raise UnusableAnnotationsError(
                f"Row {number} of {path} has no 'generator_2': its model cannot be told."
            )
        groups.setdefault(model, []).append(row)
    return groups


def preference_of(row: Row) -> float | str:
    """The preference in [1, 2], or why there is none."""
    value = row.get("preference")
    if value is None or value != value:
        return "without a preference"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "with a preference that is no number"
    if value == 0:
        return 1.5
    return float(value) if 1 <= value <= 2 else "with a preference outside 1 to 2"


def _model(
    name: str,
    rows: Sequence[Row],
    judge: str,
    path: Path,
    questions: Sequence[str] | None,
    maximum_unusable_share: float,
) -> ModelAnnotations:
    baseline = only_value(rows, "generator_1", path, f"compare {name!r} with one baseline.")
    if baseline == name:
        raise UnusableAnnotationsError(
            f"{path} compares {name!r} with itself, which is 50 % by construction: leave its rows "
            "out, or name the evaluated model in 'generator_2'."
        )
    where = f"{name!r} in {path}"
    named = [row for row in rows if text_field(row, "instruction")]
    refuse_duplicates(named, lambda row: str(row["instruction"]), path, "model and instruction")
    judged = {str(row["instruction"]) for row in named}
    if questions is not None:
        refuse_foreign([str(row["instruction"]) for row in named], questions, where)
    missing = None if questions is None else sum(text not in judged for text in questions)
    verdicts = [_verdict(row) for row in rows]
    unusable = Counter(verdict for verdict in verdicts if isinstance(verdict, str))
    lost = {**unusable, "missing": missing or 0}
    refuse_losses(lost, len(rows) + (missing or 0), maximum_unusable_share, where)
    usable = [
        (str(row["instruction"]), verdict, str(row["output_1"]), str(row["output_2"]))
        for row, verdict in zip(rows, verdicts, strict=True)
        if not isinstance(verdict, str)
    ]
    place = {text: index for index, text in enumerate(questions or ())}
    usable.sort(key=lambda entry: (place.get(entry[0], len(place)), entry[0]))
    instructions, preferences, opposed, outputs = zip(*usable, strict=True)
    sizes = np.array([[len(text) for text in each] for each in (opposed, outputs)], dtype=float)
    return ModelAnnotations(
        name=name,
        baseline=baseline,
        judge=judge,
        questions=instructions,
        preferences=np.array(preferences, dtype=float),
        length_differences=sizes[0] - sizes[1],
        outputs=outputs,
        diagnostics=Diagnostics(
            rows=len(rows),
            unusable=dict(unusable),
            duplicates=0,
            missing=missing,
            identical_outputs=sum(
                isinstance(row.get("output_1"), str) and row["output_1"] == row.get("output_2")
                for row in rows
            ),
            verdicts=dict(Counter(map(_side, preferences))),
            position_flip_rate=None,
            characters=(float(sizes[1].mean()), float(sizes[0].mean())),
        ),
    )


def _verdict(row: Row) -> float | str:
    if text_field(row, "instruction") is None:
        return "without an instruction"
    if not (isinstance(row.get("output_1"), str) and isinstance(row.get("output_2"), str)):
        return "without an output"
    return preference_of(row)


def _side(preference: float) -> str:
    if preference == 1.5:
        return "draw"
    return "model" if preference > 1.5 else "baseline"


def _judged_outputs(rows: Sequence[Row], path: Path, outputs: Path) -> dict[str, list[str]]:
    """The instructions that each model answered, after a check that its answers were judged."""
    answers = read_rows(outputs)
    require_fields(answers, ["instruction", "output", "generator"], outputs, "a model_outputs.json")
    refuse_duplicates(answers, _answer_key, outputs, "model and instruction")
    written = {_answer_key(answer): answer.get("output") for answer in answers}
    for row in rows:
        key = str(row["generator_2"]), str(row.get("instruction"))
        if key not in written or written[key] != row.get("output_2"):
            raise UnusableAnnotationsError(
                f"{path} has judged an output of {key[0]!r} that {outputs} does not hold for the "
                "same instruction: judge the present outputs, or give those that were judged."
            )
    answered: dict[str, list[str]] = {}
    for model, instruction in written:
        answered.setdefault(model, []).append(instruction)
    return answered


def _answer_key(row: Row) -> tuple[str, str]:
    return str(row.get("generator")), str(row.get("instruction"))
