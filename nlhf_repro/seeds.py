"""Random streams that are named: every factor of a draw is said, and nothing else decides it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from operator import index

import numpy as np

Generators = Callable[[str], np.random.Generator]  # one generator for every named stream


def _digest(factors: tuple[str | int, ...]) -> bytes:
    named = tuple(factor if isinstance(factor, str) else index(factor) for factor in factors)
    return hashlib.sha256(repr(named).encode()).digest()


def generator_for(*factors: str | int) -> np.random.Generator:
    """A PCG64 generator that belongs to these factors, in this order, on every machine.

    The seed is the first 128 bits of the SHA-256 of the tuple's repr. A string and an integer of
    the same digits are different factors. Leaving a factor out makes a draw common to all its
    values, which is how comparisons are paired.

    Raises:
        TypeError: a factor is neither a string nor an integer.
    """
    return np.random.Generator(np.random.PCG64(int.from_bytes(_digest(factors)[:16], "big")))


def seed_for(*factors: str | int) -> int:
    """A seed in [0, 2^63) that belongs to these factors, for generators of other libraries."""
    return int.from_bytes(_digest(factors)[16:24], "big") >> 1
