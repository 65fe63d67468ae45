"""Judges of ordered pairs: each is asked in both orders, and what the order changes is kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np

from nlhf_repro.interfaces import Array, Prompt
from nlhf_repro.oracles.batching import Row

Encode = Callable[[Prompt, str, str], Row]


def in_both_orders(
    prompts: Sequence[Prompt],
    first: Sequence[str],
    second: Sequence[str],
    encode: Encode,
    numbers: Callable[[Sequence[Row]], Array],
) -> tuple[Array, Array]:
    """What a judge says of every pair as it stands, [items], and of the exchanged one, [items]."""
    pairs = list(zip(prompts, first, second, strict=True))
    rows = [encode(*pair) for pair in pairs] + [encode(x, b, a) for x, a, b in pairs]
    values = numbers(rows) if rows else np.zeros(0)
    return values[: len(pairs)], values[len(pairs) :]


def averaged(shown: Array, exchanged: Array) -> Array:
    """P = (P(first | first, second) + 1 - P(second | second, first)) / 2, [items].

    `shown` and `exchanged` are the probabilities of the response in the first place, in both
    orders. Equal responses have 1/2, exchanged ones 1 - P to a rounding.
    """
    return np.asarray(0.5 + (shown - exchanged) / 2, dtype=np.float64)


def position_bias(shown: Array, exchanged: Array) -> float:
    """How much the first place is preferred: the mean of P(first | ...) + P(second | ...) - 1.

    In [-1, 1]: 0 where the order changes nothing, 1 where the first place always wins. NaN without
    pairs.
    """
    return float(np.mean(shown + exchanged - 1)) if len(shown) else float("nan")


@final
@dataclass
class PositionBias:
    """The position bias of all pairs that were asked so far."""

    pairs: int = 0
    total: float = 0.0

    def add(self, shown: Array, exchanged: Array) -> None:
        """Count pairs that were judged in both orders."""
        if len(shown):
            self.pairs += len(shown)
            self.total += len(shown) * position_bias(shown, exchanged)

    @property
    def mean(self) -> float:
        """See `position_bias`; NaN before anything was asked."""
        return self.total / self.pairs if self.pairs else float("nan")
