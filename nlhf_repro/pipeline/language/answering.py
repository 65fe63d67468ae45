"""A language model answers the questions of a judged benchmark, turn after turn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from nlhf_repro.interfaces import (
    Answers,
    Decoding,
    ImpossibleSettingError,
    JudgedBenchmark,
    Message,
    Prompt,
    Question,
    Snapshot,
)
from nlhf_repro.pipeline.language.checkpoints import checkpoint
from nlhf_repro.pipeline.language.task import LanguageTask
from nlhf_repro.pipeline.parts import build
from nlhf_repro.pipeline.scored import judged_benchmark
from nlhf_repro.pipeline.stages import generators
from nlhf_repro.seeds import Generators

FILE = "answers.parquet"


@dataclass(frozen=True)
class Answer:
    """One turn's answer; `tokens` has its end where it `ended` by itself."""

    text: str
    tokens: int
    ended: bool


Conversation = tuple[Answer, ...]


def answer_stage(
    config: Mapping[str, Any],
    name: str,
    base: Path | None,
    training: Path | None,
    iterates: Mapping[str, int],
    folder: Path,
) -> None:
    """Answer a judged benchmark's questions with the policies of the given updates.

    Without a training it is the reference that answers. All policies of a world draw from the same
    streams, the reference from its own.
    """
    benchmark = judged_benchmark(config, name)
    questions, decoding = benchmark.questions(), benchmark.decoding
    who = "reference" if training is None else "policy"
    draws = generators(("judged answers", who, int(config["world"])))
    task = LanguageTask(config, base)
    answered = {}
    for iterate, update in iterates.items():
        snapshot = None if training is None else checkpoint(training, update)
        answered[iterate] = answer_questions(task, snapshot, questions, decoding, draws)
    write_answers(folder, answered)


def answer_questions(
    task: LanguageTask,
    snapshot: Snapshot | None,
    questions: Sequence[Question],
    decoding: Decoding,
    generators: Generators,
) -> dict[str, Conversation]:
    """A policy's answers by question; None is the reference. The next turn sees those before.

    Equal policies answer the same questions alike.

    Raises:
        ImpossibleSettingError: see `check_positions`; nothing was answered.
    """
    answered: dict[str, Conversation] = {question.identifier: () for question in questions}
    for turn in range(max(len(question.turns) for question in questions)):
        asked = [question for question in questions if len(question.turns) > turn]
        prompts = tuple(prompt_of(x, turn, answered[x.identifier]) for x in asked)
        drawn = _draw(task, snapshot, asked, prompts, decoding, generators, turn)
        for question, answer in zip(asked, drawn, strict=True):
            answered[question.identifier] += (answer,)
    return answered


def check_positions(
    model_config: Any, tokenizer: Any, questions: Sequence[Question], decoding: Decoding
) -> None:
    """Refuse what may not fit: a question's turns with answers as long as they may be.

    Args:
        model_config: Of transformers, which knows the model's positions.
        tokenizer: The model's.
        questions: All that are asked.
        decoding: The longest answer to every turn.

    Raises:
        ImpossibleSettingError: naming the question.
    """
    from nlhf_repro.models.causal_lm import most_positions
    from nlhf_repro.models.encoding import prompt_tokens

    most = most_positions(model_config)
    unanswered = [
        prompt_of(x, len(x.turns) - 1, [Answer("", 0, True)] * (len(x.turns) - 1))
        for x in questions
    ]
    for question, tokens in zip(questions, prompt_tokens(tokenizer, unanswered), strict=True):
        turns = len(question.turns)
        needed = len(tokens) + turns * decoding.max_new_tokens
        if most is not None and needed > most:
            raise ImpossibleSettingError(
                f"question {question.identifier} of {len(tokens)} tokens with {turns} answers of "
                f"up to {decoding.max_new_tokens} needs {needed} positions, but the model has "
                f"{most}: lower the benchmark's decoding.max_new_tokens."
            )


def check_fits(config: Mapping[str, Any], benchmark: JudgedBenchmark) -> None:
    """`check_positions` before any training, where a model says its limits without weights.

    Raises:
        ImpossibleSettingError: see `check_positions`, or the model's files are not there.
    """
    model = build(config["model"])
    if hasattr(model, "without_weights"):
        vocabulary = build(config["prompts"]).vocabulary()
        model_config, tokenizer = model.without_weights(vocabulary)
        check_positions(model_config, tokenizer, benchmark.questions(), benchmark.decoding)


def prompt_of(question: Question, turn: int, answers: Sequence[Answer]) -> Prompt:
    """The conversation up to the user's turn."""
    messages = []
    for number in range(turn):
        messages.append(Message("user", question.turns[number]))
        messages.append(Message("assistant", answers[number].text))
    messages.append(Message("user", question.turns[turn]))
    return Prompt(f"{question.identifier}/{turn}", tuple(messages), question.details[turn])


def _draw(
    task: LanguageTask,
    snapshot: Snapshot | None,
    asked: Sequence[Question],
    prompts: tuple[Prompt, ...],
    decoding: Decoding,
    generators: Generators,
    turn: int,
) -> list[Answer]:
    """One answer to every prompt, those of one temperature together."""
    found: dict[int, Answer] = {}
    temperatures = [decoding.temperature_of(question) for question in asked]
    for temperature in sorted(set(temperatures)):
        places = [place for place, own in enumerate(temperatures) if own == temperature]
        greedy = replace(decoding, top_k=1) if temperature == 0 else decoding
        policy = task.policy(tuple(prompts[place] for place in places), greedy)
        if turn == 0:  # all questions, while nothing is answered yet
            check_positions(policy.model.config, policy.tokenizer, asked, decoding)
        numbers = policy.sample(
            [(snapshot or policy.snapshot({}), 1.0)],
            temperature or 1.0,
            torch.arange(len(places))[None],
            1,
            generators(f"turn {turn}, temperature {temperature}"),
        )[0, :, 0]
        columns = zip(
            policy.text(numbers),
            policy.lengths(numbers).tolist(),
            policy.ended(numbers).tolist(),
            strict=True,
        )
        found |= {place: Answer(*each) for place, each in zip(places, columns, strict=True)}
    return [found[place] for place in range(len(asked))]


def write_answers(folder: Path, answered: Mapping[str, Mapping[str, Conversation]]) -> None:
    """One line an iterate, question and turn."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows: dict[str, list[Any]] = {
        name: [] for name in ("iterate", "question", "turn", "text", "tokens", "ended")
    }
    for iterate, conversations in answered.items():
        for question, answers in conversations.items():
            for turn, answer in enumerate(answers):
                values = (iterate, question, turn, answer.text, answer.tokens, answer.ended)
                for column, value in zip(rows.values(), values, strict=True):
                    column.append(value)
    pq.write_table(pa.table(rows), folder / FILE, compression="zstd")


def read_answers(folder: Path, name: str) -> dict[str, Answers]:
    """What `write_answers` wrote, by iterate; `name` is what the model is called."""
    import pyarrow.parquet as pq

    texts: dict[str, dict[str, tuple[str, ...]]] = {}
    tokens: dict[str, dict[str, tuple[int, ...]]] = {}
    for row in pq.read_table(folder / FILE).to_pylist():
        iterate, question = row["iterate"], row["question"]
        own = texts.setdefault(iterate, {})
        own[question] = (*own.get(question, ()), row["text"])
        counts = tokens.setdefault(iterate, {})
        counts[question] = (*counts.get(question, ()), row["tokens"])
    return {each: Answers(name, texts[each], tokens[each]) for each in texts}
