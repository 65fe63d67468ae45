"""AlpacaEval's questions, their difficulties and the gamed rows, from files that users have.

Two files of the data set `tatsu-lab/alpaca_eval` (CC BY-NC 4.0, never shipped here) suffice:

- `alpaca_eval_gpt4_baseline.json`: the 805 questions, in the official order. Any JSON list or JSON
  lines with `instruction` in that order does, such as a model's `model_outputs.json`.
- `df_gamed.csv`: the baseline against a verbose and a concise version of itself, with every
  question's difficulty. `index` counts the official order from 0, so the difficulty of a question
  is known by its text. (`instruction_difficulty.csv` repeats those difficulties; it is not read.)
"""

from __future__ import annotations

import csv
import hashlib
import json
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np

from nlhf_repro.benchmarks.annotation_files import (
    Row,
    read_rows,
    refuse_duplicates,
    require_fields,
    shorten,
    text_field,
)
from nlhf_repro.interfaces import Array, Question, UnusableAnnotationsError

# Of the 805 instructions in alpaca-eval 0.6.6's example/outputs.json (its source distribution).
_OFFICIAL_ORDER = "c5770d532bf3f697768ed9a57a05d8b58b2617321ca65070620f059676e7c99a"
_COLUMNS = ("index", "std_delta_len", "instruction_difficulty", "not_gamed_baseline", "preference")


@final
@dataclass(frozen=True)
class GamedRows:
    """The baseline against gamed versions of itself, the rows that regularise the fit.

    `scaled_length_differences` are divided by their standard deviation already and `shares` are
    preferences minus 1; rows without a preference have NaN there.
    """

    indices: tuple[int, ...]  # [rows], the question's place in the official order
    scaled_length_differences: Array  # [rows]
    difficulties: Array  # [rows]
    shares: Array  # [rows], in [0, 1] or NaN


@final
@dataclass(frozen=True)
class Reference:
    """What `length_controlled_v1` needs beside annotations."""

    questions: tuple[str, ...]  # in the official order
    difficulties: Mapping[str, float]  # by instruction
    gamed: GamedRows
    official: bool  # the 805 instructions of alpaca-eval 0.6.6's example file, in its order


def read_reference(questions: Path, gamed_rows: Path) -> Reference:
    """The reference from the two files that the module names.

    Raises:
        UnusableAnnotationsError: a file is broken or foreign, questions repeat, or the two files
            do not speak of the same number of questions.
    """
    instructions = read_questions(questions)
    gamed = read_gamed_rows(gamed_rows)
    by_index: dict[int, float] = {}
    for index, difficulty in zip(gamed.indices, gamed.difficulties.tolist(), strict=True):
        if not math.isclose(by_index.setdefault(index, difficulty), difficulty, abs_tol=1e-6):
            raise UnusableAnnotationsError(
                f"{gamed_rows} gives question {index} two difficulties: fetch it again."
            )
    if sorted(by_index) != list(range(len(instructions))):
        raise UnusableAnnotationsError(
            f"{gamed_rows} numbers {len(by_index)} questions from {min(by_index)} to "
            f"{max(by_index)} and {questions} holds {len(instructions)}: give the whole list, in "
            "the official order."
        )
    order = hashlib.sha256(json.dumps(instructions).encode()).hexdigest()
    difficulties = {text: by_index[index] for index, text in enumerate(instructions)}
    return Reference(tuple(instructions), difficulties, gamed, order == _OFFICIAL_ORDER)


def read_questions(path: Path) -> tuple[str, ...]:
    """The `instruction` of every row, in the order of the file.

    Raises:
        UnusableAnnotationsError: the file is broken, or an instruction is missing or repeated.
    """
    rows = read_rows(path)
    require_fields(rows, ["instruction"], path, "a list of questions")
    texts = [text_field(row, "instruction") for row in rows]
    if None in texts:
        raise UnusableAnnotationsError(
            f"Row {texts.index(None) + 1} of {path} has no instruction: its place in the official "
            "order cannot be told."
        )
    refuse_duplicates(rows, _instruction, path, "instruction")
    return tuple(text for text in texts if text is not None)


def official_questions(path: Path) -> tuple[Question, ...]:
    """The instructions of the official reference outputs, numbered; `dataset` is the category."""
    rows = read_rows(path)
    require_fields(rows, ["instruction", "dataset"], path, "AlpacaEval's reference outputs")
    return tuple(
        Question(str(number), (str(row["instruction"]),), str(row["dataset"]), ({},))
        for number, row in enumerate(rows)
    )


def read_gamed_rows(path: Path) -> GamedRows:
    """`df_gamed.csv`, in the order of the file.

    Raises:
        UnusableAnnotationsError: the file or a number in it is missing, or a row is not gamed.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            rows = list(csv.DictReader(stream))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UnusableAnnotationsError(
            f"{path} cannot be read as gamed rows: {error}; fetch it again."
        ) from error
    if not rows:
        raise UnusableAnnotationsError(f"{path} holds no rows: fetch it again.")
    require_fields(rows, _COLUMNS, path, "AlpacaEval's df_gamed.csv")
    numbers = [_gamed_row(row, number, path) for number, row in enumerate(rows, start=2)]
    indices, lengths, difficulties, shares = zip(*numbers, strict=True)
    return GamedRows(indices, np.array(lengths), np.array(difficulties), np.array(shares))


def refuse_foreign(questions: Sequence[str], known: Collection[str], where: str) -> None:
    """Refuse instructions that the benchmark does not have: their difficulty is unknown.

    Raises:
        UnusableAnnotationsError: says how many are foreign.
    """
    lookup = set(known)
    foreign = [question for question in questions if question not in lookup]
    if foreign:
        raise UnusableAnnotationsError(
            f"{len(foreign)} of {len(questions)} instructions of {where} are not among the "
            f"benchmark's {len(lookup)}, such as {shorten(foreign[0])!r}: score this file without "
            "AlpacaEval's questions and difficulties (length_controlled_minimal)."
        )


def _gamed_row(row: Mapping[str, str], line: int, path: Path) -> tuple[int, float, float, float]:
    try:
        index, length, difficulty = (float(row[column]) for column in _COLUMNS[:3])
        share = float(row["preference"] or "nan")
        gamed = row["not_gamed_baseline"].lower() == "false"
    except (AttributeError, TypeError, ValueError):
        gamed, index, length, difficulty, share = False, 0, 0, 0, 0
    finite = math.isfinite(length) and math.isfinite(difficulty) and index.is_integer()
    if not gamed or not finite or index < 0 or not (math.isnan(share) or 0 <= share <= 1):
        raise UnusableAnnotationsError(
            f"Line {line} of {path} is no gamed row (numbers, not_gamed_baseline False, preference "
            "from 0 to 1): fetch the file again."
        )
    return int(index), length, difficulty, share


def _instruction(row: Row) -> str:
    return str(row["instruction"])
