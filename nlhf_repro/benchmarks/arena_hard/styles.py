"""Style control of Arena-Hard: the score that a model would have at the baseline's style.

A logistic model of the verdicts, logit P(model wins) = c_model + beta . x, with one intercept a
model and style coefficients shared by all models of a category; x compares length and Markdown of
the two answers and is 0 where their styles agree. The controlled score is 100 sigmoid(c_model).

Departures: upstream centres x over all battles of the pool, so that its score is the win rate at
the pool's mean style difference: it depends on the other models, and with one model in the pool it
controls next to nothing. Here x is not centred (our reading of "controlled for style"), nothing is
penalised, which makes the scale of x irrelevant, and the error is a sandwich clustered by question.
Source of the features: arena-hard-auto efc012e `utils_math.py`, 196f6b8 `show_result.py`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, final

import numpy as np

from nlhf_repro.benchmarks.annotation_files import Row, only_value, read_rows, refuse_duplicates
from nlhf_repro.benchmarks.arena_hard.judgments import Judgment
from nlhf_repro.benchmarks.arena_hard.labels import Version
from nlhf_repro.benchmarks.arena_hard.questions import question_of
from nlhf_repro.benchmarks.arena_hard.style_fit import fit_logistic, share_observations
from nlhf_repro.interfaces import Array, MetricScores, ModelScores, UnusableAnnotationsError

Control = Literal["length", "markdown"]
CONTROLS: tuple[Control, ...] = ("length", "markdown")
FOREIGN = "tokenizer"  # in the metadata: token_len is of another tokenizer than the benchmark's

_FENCE = re.compile(r"```[^`]*```")
_HEADERS = (re.compile(r"^#{1,6}\s", re.MULTILINE),)
# Upstream has ^\s* here, which finds the same items in quadratic time where a text is all newlines.
_LISTS = (
    re.compile(r"^[^\S\n]*\d+\.\s", re.MULTILINE),
    re.compile(r"^[^\S\n]*[-*+]\s", re.MULTILINE),
)
_BOLDS = re.compile(r"\*\*[^*\n]+\*\*"), re.compile(r"__[^_\n]+__")


@final
@dataclass(frozen=True)
class AnswerStyle:
    """Length in tokens of the benchmark's tokenizer, and counts of Markdown outside code fences."""

    tokens: int
    headers: int
    lists: int
    bolds: int


def markdown_counts(text: str) -> tuple[int, int, int]:
    """Headers, list items and bold passages of an answer, code fences left out.

    Only fences whose content holds no backtick are removed, as upstream does.
    """
    prose = _FENCE.sub("", text)
    headers, lists, bolds = (
        sum(len(each.findall(prose)) for each in patterns)
        for patterns in (_HEADERS, _LISTS, _BOLDS)
    )
    return headers, lists, bolds


def read_styles(path: Path) -> tuple[str, dict[str, AnswerStyle]]:
    """Model and styles by question of one `model_answer/*.jsonl`.

    Token lengths are read from the metadata that upstream's `add_markdown_info.py` writes
    (`conv_metadata` in v0.1, `metadata` in v2.0); Markdown is counted here where the answer's text
    is there, else taken from the same metadata.

    Raises:
        UnusableAnnotationsError: no answer file, several models, a question twice, or an answer
            without a token length.
    """
    rows = read_rows(path)
    name = "model" if any("model" in row for row in rows) else "model_id"
    model = only_value(rows, name, path, "give one file of answers a model.")
    refuse_duplicates(rows, question_of, path, "question")
    styles = {}
    for number, row in enumerate(rows, start=1):
        question = question_of(row)
        if question is None:
            raise UnusableAnnotationsError(f"Row {number} of {path} has no question_id or uid.")
        styles[question] = _style(row, path, number)
    return model, styles


def style_features(version: Version, model: AnswerStyle, baseline: AnswerStyle) -> Array:
    """Differences [4] of length, headers, lists and bold, model minus baseline; 0 where equal.

    v0.1: (m - b) / (m + b + 1) of each count. v2.0: (m - b) / (m + b) of the lengths, and
    (u_m - u_b) / (u_m + u_b + 1) of the densities u = count / (tokens + 1).
    """
    m, b = (
        np.array([each.tokens, each.headers, each.lists, each.bolds], dtype=np.float64)
        for each in (model, baseline)
    )
    if version == "v0.1":
        ratio: Array = (m - b) / (m + b + 1)
        return ratio
    m[1:], b[1:] = m[1:] / (m[0] + 1), b[1:] / (b[0] + 1)
    densities: Array = (m - b) / np.array([max(m[0] + b[0], 1.0), *(m[1:] + b[1:] + 1)])
    return densities


def style_controlled_scores(
    scores: Sequence[ModelScores],
    judgments: Sequence[Judgment],
    styles: Mapping[str, Mapping[str, AnswerStyle]],
    control: Sequence[Control],
) -> tuple[ModelScores, ...]:
    """`scores` with `style_controlled_score/CATEGORY`, or a note why it is not there.

    With one control alone the metric is `length_controlled_score` or `markdown_controlled_score`.

    Raises:
        UnusableAnnotationsError: `control` is empty, or an answer that was judged has no style.
    """
    if not control:
        raise UnusableAnnotationsError("Style control of nothing: name length, markdown or both.")
    controlled: dict[tuple[str, str], MetricScores] = {}
    for category in sorted({each.category for each in judgments}):
        pool = [each for each in judgments if each.category == category and each.outcomes()]
        fits = _controlled(pool, styles, control)
        controlled |= {(model, category): scores for model, scores in fits.items()}
    return tuple(_with(each, controlled) for each in scores)


def _with(scores: ModelScores, fits: Mapping[tuple[str, str], MetricScores]) -> ModelScores:
    category = next(iter(scores.metrics)).partition("/")[2]
    fit = fits.get((scores.name, category))
    if fit is None:
        note = "style-controlled score not identified: style or one outcome decides every verdict"
        return replace(scores, notes=(*scores.notes, note))
    return replace(scores, metrics={**scores.metrics, fit.metric: fit})


def _controlled(
    pool: Sequence[Judgment],
    styles: Mapping[str, Mapping[str, AnswerStyle]],
    control: Sequence[Control],
) -> dict[str, MetricScores]:
    shares = {m: [s for x in pool if x.model == m for s, _ in x.outcomes()] for m in _models(pool)}
    # A model that always wins or always loses has an infinite intercept and says nothing of style.
    pool = [x for x in pool if 0 < sum(shares[x.model]) < len(shares[x.model])]
    models = _models(pool)
    if not models:
        return {}
    rows, outcome, weight, question = [], [], [], []
    questions = sorted({each.question for each in pool})
    position = {each: index for index, each in enumerate(questions)}
    terms = [k for k in range(4) if ("length" if k == 0 else "markdown") in control]
    for each in pool:
        x = style_features(each.version, *styles_of(each, styles))[terms]
        for share, times in each.outcomes():
            rows.append([*(float(each.model == model) for model in models), *x])
            outcome.append(share)
            weight.append(times)
            question.append(position[each.question])
    design = np.array(rows)
    design = design[:, np.any(design != 0, axis=0)]  # styles that never differ have no term
    design[:, len(models) :] /= np.sqrt((design[:, len(models) :] ** 2).mean(axis=0))
    y, w = np.array(outcome), np.array(weight)
    fit = fit_logistic(design, y, w)
    if fit is None:
        return {}
    z = share_observations(fit, design, y, w, np.array(question))
    held = "style" if len(set(control)) == len(CONTROLS) else control[0]
    name = f"{held}_controlled_score/{pool[0].category}"
    return {
        model: MetricScores(name, "percent", tuple(questions), 100 * z[:, k], is_plain_mean=False)
        for k, model in enumerate(models)
    }


def _models(pool: Sequence[Judgment]) -> list[str]:
    return sorted({each.model for each in pool})


def styles_of(
    judgment: Judgment, styles: Mapping[str, Mapping[str, AnswerStyle]]
) -> tuple[AnswerStyle, AnswerStyle]:
    """Styles of the model's and of the baseline's answer.

    Raises:
        UnusableAnnotationsError: one of them is not there.
    """
    for name in (judgment.model, judgment.baseline):
        if judgment.question not in styles.get(name, {}):
            raise UnusableAnnotationsError(
                f"No style of {name}'s answer to {judgment.question}: style control needs the "
                "answer files of every model and of the baseline."
            )
    question = judgment.question
    return styles[judgment.model][question], styles[judgment.baseline][question]


def _style(row: Row, path: Path, number: int) -> AnswerStyle:
    metadata = row.get("metadata", row.get("conv_metadata"))
    metadata = metadata if isinstance(metadata, Mapping) else {}
    text, inner = answer_text(row)
    tokens = None if FOREIGN in metadata else metadata.get("token_len", inner)
    if type(tokens) is not int or tokens < 0:
        raise UnusableAnnotationsError(
            f"Row {number} of {path} has no token length: run the benchmark's add_markdown_info.py "
            "over the answers, which writes token_len (its tokenizer is a download)."
        )
    if text is not None:
        return AnswerStyle(tokens, *markdown_counts(text))
    counts = [metadata.get(field) for field in ("header_count", "list_count", "bold_count")]
    sums = [_total(each) for each in counts]
    headers, lists, bolds = sums
    if headers is None or lists is None or bolds is None:
        raise UnusableAnnotationsError(
            f"Row {number} of {path} has neither the answer's text nor its Markdown counts."
        )
    return AnswerStyle(tokens, headers, lists, bolds)


def _total(count: object) -> int | None:
    parts = list(count.values()) if isinstance(count, Mapping) else [count]
    whole = [each for each in parts if isinstance(each, int) and each >= 0]
    return sum(whole) if len(whole) == len(parts) else None


def answer_text(row: Row) -> tuple[str | None, object]:
    """The answer's text and the token length beside it, as v2.0 or v0.1 nest them."""
    try:
        content = row["messages"][-1]["content"]
        text = content["answer"] if isinstance(content, Mapping) else content
        return (text if isinstance(text, str) else None), None
    except (KeyError, IndexError, TypeError):
        pass
    try:
        turn = row["choices"][0]["turns"][0]
        return (turn["content"] if isinstance(turn["content"], str) else None), turn.get(
            "token_len"
        )
    except (KeyError, IndexError, TypeError, AttributeError):
        return None, None
