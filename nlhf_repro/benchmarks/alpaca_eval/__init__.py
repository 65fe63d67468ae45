"""AlpacaEval 2: win rates and the length-controlled win rate, from files of annotations."""

from __future__ import annotations

from nlhf_repro.benchmarks.alpaca_eval.annotations import ModelAnnotations, read_annotations
from nlhf_repro.benchmarks.alpaca_eval.length_control import (
    LengthControlledWinRate,
    length_controlled_win_rate,
)
from nlhf_repro.benchmarks.alpaca_eval.reference import (
    GamedRows,
    Reference,
    read_gamed_rows,
    read_reference,
)
from nlhf_repro.benchmarks.alpaca_eval.scores import score, score_file
from nlhf_repro.benchmarks.alpaca_eval.upstream import UpstreamNumbers, upstream_numbers

__all__ = [
    "GamedRows",
    "LengthControlledWinRate",
    "ModelAnnotations",
    "Reference",
    "UpstreamNumbers",
    "length_controlled_win_rate",
    "read_annotations",
    "read_gamed_rows",
    "read_reference",
    "score",
    "score_file",
    "upstream_numbers",
]
