"""Ending a training that no longer improves, judged on prompts that nothing else reads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import final

import numpy as np
from numpy.typing import NDArray

from nlhf_repro.interfaces import Array


@final
class EarlyStopping:
    """Over once `patience` recorded policies in a row are no better than the best before them.

    `value` gives how good the policy of a recorded update is, more being better; it is asked once
    an update, so that a resumed run decides as the one that was killed.
    """

    def __init__(self, patience: int, value: Callable[[int], float]) -> None:
        self.patience = patience
        self._value = value
        self._values: dict[int, float] = {}

    def over(self, updates: Sequence[int]) -> bool:
        """Whether training ends after these recorded updates."""
        for update in updates:
            if update not in self._values:
                self._values[update] = self._value(update)
        values = np.array([self._values[update] for update in updates])
        return bool(len(values) - 1 - best_so_far(values)[-1] >= self.patience)


def best_so_far(values: Array) -> NDArray[np.int64]:
    """At every place the index of the largest value up to it, the first of equal ones."""
    best = [int(np.argmax(values[: place + 1])) for place in range(len(values))]
    return np.array(best, dtype=np.int64)
