"""Records made by hand for the tests of tables."""

from dataclasses import replace

import numpy as np

from nlhf_repro.interfaces import RowRecord
from nlhf_repro.reporting import TableSpecification
from nlhf_repro.reporting.columns import GeometricMeanGap
from nlhf_repro.reporting.comparison import Primary

GAP = GeometricMeanGap("gap", "duality_gap", "last", "last", across_regularization=True)
REGULARIZED = replace(GAP, across_regularization=False)


def record(label, gaps, *, exact=False, missing=(), failed=None, tau=0.1, start=0.5, **fields):
    """A row of two recorded points, updates 0 and 100, from gaps [seeds, games] at the second."""
    gaps = np.asarray(gaps, dtype=float)
    values = np.stack([np.full(gaps.shape, start), gaps], axis=-1)
    base = RowRecord(
        label=label,
        seeds=tuple(range(len(gaps))),
        missing=missing,
        failed=failed or {},
        updates=np.array([0.0, 100.0]),
        comparisons=np.array([0.0, 400.0]),
        preference_evaluations=np.array([0.0, 0.0]),
        values={"duality_gap/last": values},
        floors={"duality_gap": 1e-12},
        deterministic=exact,
        regularization=tau,
        variants={},
        measured={},
    )
    return replace(base, **fields)


def specification(*columns, against=None, seeds="independent", column="gap"):
    primary = None if against is None else Primary(column, against, seeds)
    return TableSpecification("Title", "Caption.", columns, primary, (), 0.95)


def texts(table):
    return {row.label: [cell.text for cell in row.cells] for row in table.rows}


def lognormal(seed, shape=(5, 40), scale=1e-3):
    return scale * np.random.default_rng(seed).lognormal(0.0, 0.5, shape)
