"""MyBenchmark: say in a line what it measures, and where it comes from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from nlhf_repro.interfaces import Array, Game


@dataclass(frozen=True)
class MyBenchmark:
    """P(policy preferred over reference), in [0, 1]: a working start, to be changed.

    `floor` is the value below which a score is numerical noise. It is above 0 for gaps only, which
    are 0 at an equilibrium and nowhere else.
    """

    floor: ClassVar[float] = 0.0

    def score(self, game: Game, log_policy: Array) -> Array:
        """CHANGE: [points, games, actions] to [points, games]."""
        reference = np.exp(game.log_reference)
        rates = np.einsum("gij,gj->gi", game.preference_matrix, reference)
        return np.asarray((np.exp(log_policy) * rates).sum(axis=-1))
