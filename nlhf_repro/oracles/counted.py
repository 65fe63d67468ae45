"""Counting what an oracle is asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from nlhf_repro.interfaces import Array, Occasion, Prompt, TextOracle
from nlhf_repro.oracles.changed_answers import changed


@final
@dataclass(frozen=True)
class Counted:
    """Answers and scores pass as they are; the wrapped oracle's `counts` says how many there were.

    Counted are calls, and comparisons or scores in them: what reaches this place in the order of
    the wrappers, as [cached, counted] and [counted, cached] tell apart. training.jsonl has the
    counts of every update. The ledger does not depend on it, and counts before any cache.
    """

    def wrap_text(self, oracle: TextOracle) -> TextOracle:
        """The oracle, counted."""
        counts: Counter[str] = Counter()

        def compared(
            prompts: Sequence[Prompt],
            first: Sequence[str],
            second: Sequence[str],
            answers: Array,
            occasion: Occasion | None,
        ) -> Array:
            counts["calls for comparisons"] += 1
            counts["comparisons"] += len(prompts)
            return answers

        def scored(prompts: Sequence[Prompt], responses: Sequence[str], scores: Array) -> Array:
            counts["calls for scores"] += 1
            counts["scores"] += len(prompts)
            return scores

        return changed(oracle, compared, scored, counts=counts)
