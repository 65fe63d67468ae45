"""What an inference says about how far its number reaches."""

from __future__ import annotations

from nlhf_repro.interfaces import RowRecord
from nlhf_repro.reporting.cells import Level
from nlhf_repro.uncertainty import Inference, judge_note


def level_of(row: RowRecord, level: Level) -> Level:
    """`exact` where training draws nothing at random, else the estimate's own level."""
    return "exact" if row.deterministic else level


def games_share_nothing(*rows: RowRecord) -> bool:
    """Whether every item of these rows (a game, a world) is a training problem of its own.

    Prompts never are: one policy answers them all.
    """
    return all(
        row.clusters != "prompts" and row.problems == values.shape[1]
        for row in rows
        for values in row.values.values()
    )


def engine_note(inference: Inference) -> str:
    """The engine's warning, unless a mark or a line about the whole table says it already."""
    if inference.clusters == 1:
        return ""
    if inference.level == "checkpoint":
        return judge_note(inference.judge_draws, inference.judge_alike)
    return inference.note
