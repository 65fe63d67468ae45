"""Records of rows against each other, made by hand for the tests of their table."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nlhf_repro.interfaces import ResponderTraining, RoundRobinRecord

SETTINGS = ResponderTraining(30, 64, 4, 2, 0.003)
LEVEL = 0.95


def meetings(rng, rows=3, seeds=3, items=60, strength=0.0, seed_sd=0.02):
    """P(row over column) around 1/2 and the difference of strengths, [seeds, rows + 1, ...]."""
    size = rows + 1
    levels = np.broadcast_to(strength, size)[None, :, None]
    values = levels + seed_sd * rng.standard_normal((seeds, size, 1))
    values = values + 0.05 * rng.standard_normal((1, size, items))
    noise = 0.04 * rng.standard_normal((seeds, size, size, items))
    wins = 0.5 + values[:, :, None] - values[:, None] + (noise - np.swapaxes(noise, 1, 2)) / 2
    return np.clip(wins, 0.001, 0.999)


def cyclic(items=200, seed=0, edge=0.15):
    """Rock, paper, scissors and a reference that all beat, around which prompts vary."""
    cycle = np.array([[0, 1, -1, 2], [-1, 0, 1, 2], [1, -1, 0, 2], [-2, -2, -2, 0]])
    noise = 0.1 * np.random.default_rng(seed).standard_normal((3, 4, 4, items))
    return 0.5 + edge * cycle[..., None] + (noise - np.swapaxes(noise, 1, 2)) / 2


def record(wins, **fields):
    rows = wins.shape[1] - 1
    base = RoundRobinRecord(
        labels=tuple("ABCDEFG"[:rows]),
        left_out={},
        seeds=tuple(range(len(wins))),
        clusters="prompts",
        wins=wins,
        bound=None,
        half=None,
        trained=None,
        truth=None,
        chosen={},
        trained_settings=None,
    )
    return replace(base, **fields)


def full(seed=0):
    """A record with every field."""
    rng = np.random.default_rng(seed)
    wins = meetings(rng, strength=np.array([0.1, 0.0, -0.05, -0.2]))
    gains = [rng.normal(mean, 0.05, (3, 3, 60)) for mean in (0.06, 0.04, 0.1)]
    return record(
        wins,
        bound=gains[0],
        trained=gains[1],
        truth=gains[2],
        half=np.arange(60) % 2,
        chosen={label: {"B": 4, "A": 2} for label in "ABC"},
        trained_settings=SETTINGS,
    )


def cells(table, label):
    row = next(row for row in table.rows if row.label == label)
    return dict(zip(table.header[1:], row.cells, strict=True))
