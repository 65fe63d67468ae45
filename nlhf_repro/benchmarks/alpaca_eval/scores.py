"""From annotations to AlpacaEval's win rates, question by question."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nlhf_repro.benchmarks.alpaca_eval.annotations import ModelAnnotations, read_annotations
from nlhf_repro.benchmarks.alpaca_eval.length_control import length_controlled_win_rate
from nlhf_repro.benchmarks.alpaca_eval.reference import Reference, refuse_foreign
from nlhf_repro.benchmarks.clustered import extremes_note, repeated_note
from nlhf_repro.interfaces import Array, MetricScores, ModelScores

NO_DIFFICULTIES = "no difficulties: not comparable with the leaderboard's LC win rate"
_REFERENCE_JUDGE = "weighted_alpaca_eval_gpt4_turbo"
_REFERENCE_BASELINE = "gpt4_1106_preview"


def score_file(
    annotations: Path,
    reference: Reference | None = None,
    outputs: Path | None = None,
    maximum_unusable_share: float = 0.02,
) -> tuple[ModelScores, ...]:
    """Scores of every model in an annotations.json; arguments as in `read_annotations`.

    With a `reference`, the questions are AlpacaEval's and the metric `lc_win_rate` is
    `length_controlled_v1`; without, `lc_win_rate_minimal` is `length_controlled_minimal`.

    Raises:
        UnusableAnnotationsError: see `read_annotations`.
    """
    questions = reference.questions if reference else None
    models = read_annotations(annotations, questions, outputs, maximum_unusable_share)
    return tuple(score(model, reference) for model in models)


def score(annotations: ModelAnnotations, reference: Reference | None = None) -> ModelScores:
    """Win rate, discrete win rate and length-controlled win rate of one model, in percent.

    - `win_rate`: 100 (preference - 1).
    - `discrete_win_rate`: 100 for a win, 50 for a draw, 0 for a loss.
    - `lc_win_rate` or `lc_win_rate_minimal`: pseudo-observations, see `length_control`.

    Raises:
        UnusableAnnotationsError: instructions that the reference does not know.
    """
    difficulties = _difficulties(annotations, reference)
    controlled = length_controlled_win_rate(
        annotations.preferences,
        annotations.length_differences,
        difficulties,
        reference.gamed if reference else None,
    )
    values = {
        "win_rate": 100 * (annotations.preferences - 1),
        "discrete_win_rate": 50 * (1 + np.sign(annotations.preferences - 1.5)),
        "lc_win_rate" if reference else "lc_win_rate_minimal": controlled.pseudo_observations,
    }
    return ModelScores(
        benchmark="alpaca_eval",
        version="2.0, length_controlled_v1" if reference else "2.0, length_controlled_minimal",
        name=annotations.name,
        opponent=annotations.baseline,
        judge=annotations.judge,
        metrics={
            name: MetricScores(
                name, "percent", annotations.questions, array, not name.startswith("lc_")
            )
            for name, array in values.items()
        },
        diagnostics=annotations.diagnostics,
        notes=(*_notes(annotations, reference), *controlled.notes),
    )


def _difficulties(annotations: ModelAnnotations, reference: Reference | None) -> Array | None:
    if reference is None:
        return None
    refuse_foreign(annotations.questions, reference.difficulties, f"{annotations.name!r}")
    return np.array([reference.difficulties[question] for question in annotations.questions])


def _notes(annotations: ModelAnnotations, reference: Reference | None) -> list[str]:
    """What sets the numbers apart from the leaderboard's."""
    notes = []
    rows, missing = annotations.diagnostics.rows, annotations.diagnostics.missing or 0
    unusable = sum(annotations.diagnostics.unusable.values())
    if unusable:
        notes.append(f"{unusable} of {rows} rows unusable, left out")
    if missing:
        notes.append(f"{missing} questions missing")
    notes += repeated_note(annotations.outputs)
    won, lost = 100 * float((annotations.preferences - 1).sum()), unusable + missing
    worst, best = won / (rows + missing), (won + 100 * lost) / (rows + missing)
    notes += extremes_note(lost, rows + missing, worst, best, "win rate")
    if reference is None:
        notes.append(NO_DIFFICULTIES)
        return notes
    if not reference.official:
        notes.append(
            "questions or their order differ from the 805 of alpaca-eval 0.6.6's example file"
        )
    if annotations.judge != _REFERENCE_JUDGE:
        notes.append(f"difficulties and gamed rows come from the judge {_REFERENCE_JUDGE}")
    if annotations.baseline != _REFERENCE_BASELINE:
        notes.append(f"gamed rows come from the baseline {_REFERENCE_BASELINE}")
    return notes
