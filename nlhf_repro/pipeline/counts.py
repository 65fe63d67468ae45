"""Counts along a training, of several runs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nlhf_repro.interfaces import Array


def mean_counts(counts: Sequence[Array | None]) -> Array | None:
    """The mean over runs of their counts [points]; None where a run has none, or none is there."""
    known = [each for each in counts if each is not None]
    if not known or len(known) < len(counts):
        return None
    return np.asarray(np.mean(known, axis=0))
