"""What an oracle has to say of itself beside the scores that it was asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isnan
from typing import Protocol, runtime_checkable

from nlhf_repro.interfaces import TextOracle


@runtime_checkable
class Noting(Protocol):
    """An oracle that says in sentences what it has met with so far."""

    @property
    def notes(self) -> Sequence[str]:
        """Sentences without a full stop; none where nothing is to be said."""


def oracle_notes(oracle: TextOracle) -> list[str]:
    """The oracle's own `notes`, else its `counts` and `position_bias` where it has some.

    They are of everything that this object was asked, of all recorded policies alike. An oracle
    that has none of the three, or was not asked, says nothing.
    """
    if isinstance(oracle, Noting):
        return list(oracle.notes)
    said = []
    counts = getattr(oracle, "counts", None)
    if isinstance(counts, Mapping) and (met := [f"{k} {n}" for k, n in counts.items() if n]):
        said.append(f"oracle counted: {', '.join(met)}")
    bias = getattr(oracle, "position_bias", None)
    if isinstance(bias, float) and not isnan(bias):
        said.append(
            f"oracle: position bias {bias:+.3f} (0: the order changes nothing; 1: the first place "
            "always wins), both orders averaged"
        )
    return said
