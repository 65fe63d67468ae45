"""Every model against every other on one metric, where they can be compared at all."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import nan

import numpy as np

from nlhf_repro.reporting.cells import CHECKPOINT, Cell, Table, TableRow
from nlhf_repro.reporting.numbers import additive_interval, p_value_text, signed
from nlhf_repro.reporting.scores.entries import (
    Entry,
    all_questions,
    common_questions,
    is_cut,
    lost_strata,
    matrix,
    possible,
    strata_of,
    unequal_questions,
)
from nlhf_repro.seeds import generator_for
from nlhf_repro.uncertainty import Pairwise, pairwise

MOST_LISTED = 10
CUT = "Intervals end at the largest difference that is possible"


@dataclass(frozen=True)
class Family:
    """Models under the same conditions; `pairwise` is None where there is one, or no interval."""

    metric: str
    conditions: tuple[str, str, str]
    members: tuple[int, ...]  # places among the entries, the order of `pairwise`
    questions: int
    lost: int  # questions that not all members have
    pairwise: Pairwise | None
    refused: str = ""  # why nothing is compared, where the members' questions differ

    def notes(self, entries: Sequence[Entry]) -> Iterator[str]:
        """What the ranks mean, the best and the groups."""
        if self.pairwise is None:
            if self.refused:
                yield f"Not compared: {self.refused}."
                return
            holders = sum(self.metric in entry.metrics for entry in entries)
            if len(self.members) == 1 < holders:
                label = entries[self.members[0]].label
                yield f"{label}: not compared on {self.metric}: protocol, opponent or judge differ."
            elif len(self.members) > 1:
                yield f"{self.metric}: not compared: too few questions that all models have."
            return
        labels = [entries[index].label for index in self.members]
        method = "Holm" if self.pairwise.max_t is None else "max-T"
        tests = len(self.pairwise.pairs)
        yield (
            f"rank, {self.metric}: all ranks lie in these ranges with 95 % confidence, from "
            f"{_pairs(tests)} ({method}), on {self.questions} common questions."
        )
        if self.lost:
            yield f"{self.metric}: {self.lost} questions that not all models have were left out."
        kept = [
            label for label, (low, _) in zip(labels, self.pairwise.ranks, strict=True) if low == 1
        ]
        yield f"{self.metric}: not shown to be worse than another: {', '.join(kept)}."
        if any(one.level == "checkpoint" for one in self.pairwise.differences):
            yield f"Ranks and groups are of these checkpoints, not of algorithms{CHECKPOINT}."
        groups = [", ".join(labels[i] for i in group) for group in self.pairwise.groups]
        if len(groups) == len(labels):
            yield f"{self.metric}: all are told apart."
        elif groups:
            yield f"{self.metric}: cannot be told apart: {'; '.join(f'{{{x}}}' for x in groups)}."


def families(entries: Sequence[Entry], metric: str) -> list[Family]:
    """Entries with the metric by their conditions; each set is a family of tests of its own."""
    pools: dict[tuple[str, str, str], list[int]] = defaultdict(list)
    for index, entry in enumerate(entries):
        if metric in entry.metrics:
            pools[entry.conditions].append(index)
    return [_family(entries, metric, key, tuple(pool)) for key, pool in pools.items()]


def comparison_table(entries: Sequence[Entry], family: Family) -> Table | None:
    """All pairs, the larger score first; None for more than ten models, whose ranks say it."""
    if family.pairwise is None or len(family.members) > MOST_LISTED:
        return None
    found = family.pairwise
    scores = entries[family.members[0]].runs[0].metrics[family.metric]
    largest = found.max_t if found.max_t is not None else np.full(len(found.pairs), nan)
    rows, cuts = [], 0
    for (i, j), one, stepwise, simulated in zip(
        found.pairs, found.differences, found.holm, largest, strict=True
    ):
        flip = -1 if one.estimate < 0 else 1
        first, second = (i, j) if flip == 1 else (j, i)
        cut = possible(one, scores)
        cuts += is_cut(cut, scores)
        ends = sorted((flip * cut.lower, flip * cut.upper))
        center = abs(one.estimate)
        mark = CHECKPOINT if one.level == "checkpoint" else ""
        interval = additive_interval(center, ends[0], ends[1], sign=True) + mark
        if not one.has_interval:
            interval = f"{signed(center, '.2f')} (no interval){mark}"
        raw = p_value_text(one.p_value if one.has_interval else nan)
        rows.append(
            TableRow(
                f"{_label(entries, family, first)} - {_label(entries, family, second)}",
                (
                    Cell(interval, center, ends[0], ends[1], clusters=one.clusters),
                    Cell(raw, p_value=one.p_value),
                    Cell(p_value_text(float(stepwise)), p_value=float(stepwise)),
                    Cell(p_value_text(float(simulated)), p_value=float(simulated)),
                ),
            )
        )
    return Table(
        title=f"Differences of {family.metric}",
        caption="",
        header=("pair", "difference", "unadjusted", "Holm", "max-T"),
        rows=tuple(rows),
        notes=(
            f"Paired by question, {family.questions} questions [95 % interval, not adjusted]; p "
            f"adjusted over {_pairs(len(rows))}.",
            *([f"{CUT}."] if cuts else []),
        ),
    )


def _family(
    entries: Sequence[Entry], metric: str, key: tuple[str, str, str], pool: tuple[int, ...]
) -> Family:
    chosen = [entries[index] for index in pool]
    questions = common_questions(chosen, metric)
    lost = all_questions(chosen, metric) - len(questions)
    if refused := unequal_questions(chosen, metric) or lost_strata(chosen, metric, questions):
        return Family(metric, key, pool, len(questions), lost, None, refused)
    if len(pool) < 2 or len(questions) < 2:
        return Family(metric, key, pool, len(questions), lost, None)
    tables = [matrix(entry, metric, questions) for entry in chosen]
    strata = strata_of(chosen[0], metric, questions)
    if strata is not None and min(map(strata.count, set(strata))) < 2:
        return Family(metric, key, pool, len(questions), lost, None)
    stream = ("comparisons", metric, *key)
    found = pairwise(tables, generator_for(*stream), strata=strata)
    return Family(metric, key, pool, len(questions), lost, found)


def _pairs(count: int) -> str:
    return f"the {count} pairs" if count > 1 else "the one pair"


def _label(entries: Sequence[Entry], family: Family, place: int) -> str:
    return entries[family.members[place]].label
