"""What stands below the table of rows against each other."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from nlhf_repro.interfaces import RoundRobinRecord
from nlhf_repro.reporting.cells import CHECKPOINT
from nlhf_repro.reporting.numbers import p_value_text, share_text
from nlhf_repro.reporting.round_robin_family import Family
from nlhf_repro.reporting.round_robin_mixture import NashMixture, mixture_notes
from nlhf_repro.reporting.series import singular
from nlhf_repro.uncertainty import MaxT, curl_test

EXTREME = (0.05, 0.95)


def round_robin_notes(
    record: RoundRobinRecord, family: Family, mixture: NashMixture, level: float
) -> Iterator[str]:
    """Estimand, intervals, transitivity, mixture, bounds, and what is not in the table."""
    yield _size(record)
    yield _intervals(record, family.adjusted, len(family.pairs), level)
    if len(record.seeds) == 1 and record.clusters == "prompts":
        yield (
            f"{CHECKPOINT} checkpoint level: one training run of every row, no training variance; "
            "says nothing about another run of the algorithm."
        )
    yield from _extreme(record)
    yield _transitivity(record)
    yield from mixture_notes(mixture, level)
    if record.bound is not None:
        yield from _bound(record, level)
    for label, said in record.left_out.items():
        yield f"{label} is in no number of this table, nor in the pool: {said}."


def _size(record: RoundRobinRecord) -> str:
    seeds, items = record.wins.shape[0], record.wins.shape[-1]
    crossed = (
        "the prompts of one world, crossed with seeds, so that nothing here generalizes over worlds"
        if record.clusters == "prompts"
        else "worlds, which share no weights"
    )
    return (
        f"{seeds} x {items}: training seeds x {crossed}. A seed of a row meets the same seed "
        "of the others."
    )


def _intervals(record: RoundRobinRecord, adjusted: MaxT | None, pairs: int, level: float) -> str:
    kind = f"intervals over seeds and {record.clusters}"
    if adjusted is None:
        return (
            f"Intervals: {level:.0%} {kind}, each by itself: no simultaneous ones are estimable "
            f"from {record.wins.shape[-1]} {singular(record.clusters)}."
        )
    return (
        f"Intervals of preferences: {kind}, simultaneous at {level:.0%} over the {pairs} pairs "
        f"(max-T, each at {adjusted.pointwise_confidence:.2%}); one that leaves 1/2 out shows "
        f"which of two is preferred. Other intervals: {level:.0%}, each by itself."
    )


def _extreme(record: RoundRobinRecord) -> Iterator[str]:
    means = record.wins.mean(axis=(0, -1))
    names = (*record.labels, "the reference")
    low, high = EXTREME
    listed = [
        f"{names[i]} over {names[j]}"
        for i in range(len(means))
        for j in range(i)
        if not low <= means[i, j] <= high
    ]
    if listed:
        yield (
            f"Beyond {low:.0%} or {high:.0%}, where intervals cover less than they say: "
            f"{'; '.join(listed)}."
        )


def _transitivity(record: RoundRobinRecord) -> str:
    """The curl test on the preferences of every item, the mean over seeds."""
    wins = np.moveaxis(record.wins.mean(axis=0), -1, 0)
    if wins.shape[1] < 3:
        return "Transitivity is not tested: a cycle needs three rows, the reference included."
    try:
        found = curl_test(wins)
    except ValueError as error:
        return f"Transitivity is not tested: {error}"
    if np.isnan(found.p_value):
        return f"Transitivity is not tested: {found.note}."
    first, second = found.degrees_of_freedom
    return (
        "Transitivity (curl test: does one strength a row explain the preferences, the reference "
        f"included?): F({first}, {second}) = {found.statistic:.3g}, "
        f"{p_value_text(found.p_value)}, cyclic share of the log-odds "
        f"{share_text(found.cyclic_share)}; clustered by {singular(record.clusters)}, "
        "checkpoint level: of these policies, whatever another seed gives."
    )


def _bound(record: RoundRobinRecord, level: float) -> Iterator[str]:
    trained = record.trained_settings
    yield (
        "Pool exploitability: what the best responder of one pool gains, chosen on one half of the "
        "prompts and measured on the other, both ways; a lower bound of the exploitability, as "
        "loose as the pool is poor. The pool, the same for every row: the other rows, the "
        "reference's best answers, those picked against the row"
        + (", and the responses trained against every row." if trained else ".")
        + (" Interval: no dependence of the halves exceeds it." if record.half is not None else "")
    )
    if trained is not None:
        yield (
            "Trained response: what a policy gains that was trained against the row by policy "
            "gradient (REINFORCE, leave-one-out baseline, the true oracle's probabilities), from "
            "the reference and on training prompts, with the same budget against every row "
            f"({trained.iterations} steps of {trained.groups_per_iteration} prompts with "
            f"{trained.responses} responses, each against {trained.opponents}, rate "
            f"{trained.learning_rate:g}); a lower bound too."
        )
    if record.truth is not None:
        yield (
            "Enumerated exploitability is the truth up to sampling, what the best type of answer "
            "to every prompt gains; tightness: the pool's bound over it, without an interval."
        )
    for label, chosen in record.chosen.items():
        total = sum(chosen.values())
        listed = ", ".join(
            f"{name} {count} of {total}"
            for name, count in sorted(chosen.items(), key=lambda x: (-x[1], x[0]))
        )
        yield f"Chosen against {label}: {listed}."
