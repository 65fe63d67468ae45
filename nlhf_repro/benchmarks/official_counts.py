"""What benchmarks ask about their official questions, counted without the files that hold them."""

from __future__ import annotations

from dataclasses import dataclass

from nlhf_repro.benchmarks.alpaca_eval.asking import AlpacaEval
from nlhf_repro.benchmarks.alpaca_eval.sizes import QUESTIONS
from nlhf_repro.benchmarks.arena_hard.asking import ArenaHard
from nlhf_repro.benchmarks.arena_hard.questions import SIZES
from nlhf_repro.benchmarks.judged_files import OFFICIAL
from nlhf_repro.benchmarks.mt_bench.asking import MTBench
from nlhf_repro.benchmarks.mt_bench.questions import OFFICIAL_QUESTIONS, TURNS
from nlhf_repro.interfaces import JudgedBenchmark


@dataclass(frozen=True)
class OfficialCount:
    """Questions, and the requests of one draw where every answer differs from its opponent's."""

    questions: int
    requests: int


def official_count(benchmark: JudgedBenchmark) -> OfficialCount | None:
    """The counts of official questions; None of others, whose number only their file says."""
    if getattr(benchmark, "source", None) != OFFICIAL:
        return None
    if isinstance(benchmark, AlpacaEval):
        return OfficialCount(QUESTIONS, QUESTIONS)
    if isinstance(benchmark, ArenaHard):
        questions = SIZES[str(benchmark.category)]
        return OfficialCount(questions, 2 * questions)
    if isinstance(benchmark, MTBench):
        questions = len(OFFICIAL_QUESTIONS)
        orders = 2 if benchmark.mode == "pairwise" else 1
        return OfficialCount(questions, questions * len(TURNS) * orders)
    return None
