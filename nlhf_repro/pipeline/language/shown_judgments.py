"""What the rows answered to the questions of a judged benchmark, and how the judge liked it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nlhf_repro.interfaces import Answers, RowRecord, ShownAnswer, ShownPrompt
from nlhf_repro.pipeline.evaluation_keys import (
    answers_key,
    asks_reference,
    evaluation_key,
    reference_answers_key,
)
from nlhf_repro.pipeline.language.answering import read_answers
from nlhf_repro.pipeline.language.judged import POLICY, REFERENCE
from nlhf_repro.pipeline.language.round_robins import REFERENCE as SHOWN_REFERENCE
from nlhf_repro.pipeline.language.round_robins import complete_rows
from nlhf_repro.pipeline.metrics import read_scores
from nlhf_repro.pipeline.records import DeclaredCell
from nlhf_repro.pipeline.scored import judged_benchmark, kind_of
from nlhf_repro.pipeline.store import StageStore

Config = Mapping[str, Any]


def judged_names(config: Config) -> list[str]:
    """The judged benchmarks of a configuration."""
    return [name for name, node in config["benchmark"].items() if kind_of(node) == "judged"]


def shown_questions(
    name: str, cells: Sequence[DeclaredCell], records: Sequence[RowRecord], store: StageStore
) -> list[ShownPrompt]:
    """Every question with the answers of the first seed's last policies, in the first world.

    `preferred` is the question's score as a share, the mean over the judge's draws, where scores
    are percentages: shares of preference for the policy's answer. What is absent or broken in the
    store is shown as no answer.
    """
    first = cells[0]
    benchmark = judged_benchmark(first.config, name)
    labels, _ = complete_rows(records)
    rows = {x.row: x.config for x in cells if (x.seed, x.world) == (first.seed, first.world)}
    answered = {label: _answers(config, name, store) for label, config in rows.items()}
    scores = {label: _scores(config, name, store) for label, config in rows.items()}
    baseline = benchmark.baseline()
    title = "the baseline"
    if asks_reference(benchmark):
        baseline = _stored(store, reference_answers_key(first.config, name), REFERENCE)
        title = SHOWN_REFERENCE
    shown = []
    for place, question in enumerate(benchmark.questions()):
        answers = [] if baseline is None else [ShownAnswer(title, _text(baseline, question), {})]
        for label in rows:
            text = _text(answered[label], question) if label in labels else None
            share = None
            if text is not None and baseline is not None and scores[label] is not None:
                share = _share(float(scores[label][place]))
            answers.append(ShownAnswer(label, text, {}, share))
        turns = "\n\n".join(question.turns)
        shown.append(ShownPrompt(question.identifier, turns, tuple(answers)))
    return shown


def _answers(config: Config, name: str, store: StageStore) -> Answers | None:
    return _stored(store, answers_key(config, name), POLICY)


def _stored(store: StageStore, key: str, who: str) -> Answers | None:
    if store.fault("answer", key) is not None:
        return None
    return read_answers(store.folder("answer", key), who)["last"]


def _scores(config: Config, name: str, store: StageStore) -> Any:
    """The last update's values by question, percentages; None where they are not stored."""
    key = evaluation_key(config, name)
    if store.fault("evaluate", key) is not None:
        return None
    return read_scores(store.folder("evaluate", key))["last"][-1]


def _share(value: float) -> float | None:
    """A percentage as a share; None of what is none, as pseudo-observations may be."""
    return value / 100 if 0 <= value <= 100 else None


def _text(answers: Answers | None, question: Any) -> str | None:
    """All turns of an answer."""
    if answers is None or question.identifier not in answers.texts:
        return None
    return "\n\n".join(answers.texts[question.identifier])
