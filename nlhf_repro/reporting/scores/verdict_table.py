"""How a comparison of two is printed: as a table, and as records."""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, isnan
from typing import Any

from nlhf_repro.reporting.cells import CHECKPOINT, Cell, Table, TableRow
from nlhf_repro.reporting.numbers import (
    additive_interval,
    p_value_text,
    plain,
    positive_interval,
    signed,
)
from nlhf_repro.reporting.scores.leaderboard import CHECKPOINT_NOTE
from nlhf_repro.reporting.scores.verdicts import Verdict

TIMES = "times"  # unit of a ratio: the difference is one of logarithms
OWN_UNIT = "the benchmark's own"  # of a mean over games, prompts or worlds


def verdict_table(
    names: tuple[str, str],
    caption: str,
    verdicts: Sequence[Verdict],
    notes: Sequence[str],
    clusters: str = "questions",
) -> Table:
    """One line a metric; `clusters` is the plural noun of what the two are paired by."""
    adjusted = len(verdicts) > 1
    checkpoint = any(each.found.level == "checkpoint" for each in verdicts)
    ratio = verdicts[0].unit == TIMES
    header = (
        "metric",
        *names,
        "ratio" if ratio else "difference",
        "p",
        *(["p, Holm"] if adjusted else []),
        "verdict",
        "detectable",
    )
    return Table(
        title=f"{names[0]} against {names[1]}",
        caption=caption,
        header=header,
        rows=tuple(TableRow(each.metric, _cells(each, adjusted)) for each in verdicts),
        notes=(
            *_notes(names, verdicts, ratio, clusters),
            *([CHECKPOINT_NOTE] if checkpoint else []),
            *notes,
        ),
    )


def verdict_record(
    names: tuple[str, str], verdict: Verdict, notes: Sequence[str]
) -> dict[str, Any]:
    """Differences in the metric's unit, those of ratios as logarithms; None: not estimable."""
    found, at_margin = verdict.found, verdict.equivalence
    return {
        "first": names[0],
        "second": names[1],
        "metric": verdict.metric,
        "unit": "log ratio" if verdict.unit == TIMES else verdict.unit,
        "difference": found.estimate,
        "standard_error": found.standard_error,
        "lower": found.lower,
        "upper": found.upper,
        "p_value": found.p_value,
        "p_value_holm": verdict.adjusted,
        "verdict": verdict.words,
        "margin": at_margin.margin if at_margin else None,
        "p_value_equivalence": at_margin.p_value if at_margin else None,
        "smallest_margin": verdict.smallest_margin,
        "detectable": verdict.detectable,
        "target": verdict.target,
        "questions_to_settle": verdict.questions,
        "seeds_to_settle": verdict.seeds,
        "questions": found.clusters,
        "seeds_first": found.seeds[0],
        "seeds_second": found.seeds[1],
        "level": found.level,
        "beyond_margin": verdict.beyond_margin,
        "notes": [*([CHECKPOINT_NOTE] if found.level == "checkpoint" else []), *notes],
    }


def _cells(verdict: Verdict, adjusted: bool) -> tuple[Cell, ...]:
    found = verdict.found
    mark = CHECKPOINT if found.level == "checkpoint" else ""
    if verdict.unit == TIMES:
        ends = tuple(map(exp, (found.estimate, found.lower, found.upper)))
        text, detectable = (
            positive_interval(*ends) + " times",
            f"{exp(verdict.detectable):.3g} times",
        )
        means = tuple(plain(value) for value in verdict.estimates)
    else:
        text = additive_interval(found.estimate, found.lower, found.upper, sign=True)
        detectable = f"{verdict.detectable:.2g}"
        digits = "{:.3g}" if verdict.unit == OWN_UNIT else "{:.2f}"
        means = tuple(map(digits.format, verdict.estimates))
    return (
        *(Cell(mean, value) for mean, value in zip(means, verdict.estimates, strict=True)),
        Cell(text + mark, found.estimate, found.lower, found.upper, clusters=found.clusters),
        Cell(p_value_text(found.p_value) + mark, p_value=found.p_value),
        *([Cell(p_value_text(verdict.adjusted) + mark)] if adjusted else []),
        Cell(_words(verdict) + mark),
        Cell("not estimable" if isnan(verdict.detectable) else detectable),
    )


def _notes(
    names: tuple[str, str], verdicts: Sequence[Verdict], ratio: bool, clusters: str
) -> list[str]:
    found = verdicts[0].found
    sizes = sorted({each.found.clusters for each in verdicts})
    counts = " to ".join(map(str, dict.fromkeys((sizes[0], sizes[-1]))))
    what = f"{names[0]} over {names[1]}" if ratio else f"{names[0]} minus {names[1]}"
    one = clusters.removesuffix("s")
    notes = [
        f"{what}, paired by {one} [95 % interval, not adjusted]; {found.seeds[0]} and "
        f"{found.seeds[1]} training runs, {counts} {clusters}.",
        f"detectable: the true {'ratio' if ratio else 'difference'} that a design with these "
        "spreads finds with 80 % power at p < 0.05.",
    ]
    if len(verdicts) > 1:
        notes.append(f"p, Holm: adjusted over the {len(verdicts)} metrics; verdicts follow it.")
    notes += [
        note for each in verdicts for note in (_margin(each), _settling(each, clusters)) if note
    ]
    return list(dict.fromkeys(notes))


def _margin(verdict: Verdict) -> str:
    if isnan(verdict.smallest_margin):
        return (
            f"{verdict.metric}: the two differ by the same number on every question: no interval."
        )
    at_margin = verdict.equivalence
    if at_margin is None:
        if verdict.words == "different":
            return ""
        least = _size(verdict, verdict.smallest_margin)
        return (
            f"{verdict.metric}: equivalent at any margin above {least} (declare --margin before "
            "you look)."
        )
    size, beyond = _size(verdict, at_margin.margin), ""
    if verdict.words == "different":
        beyond = f", by more than {size}: {verdict.beyond_margin}"
    return (
        f"{verdict.metric}: {_words(verdict)} at a margin of {size}{beyond} (two "
        f"one-sided tests, {p_value_text(at_margin.p_value)}; 90 % interval "
        f"{_interval(verdict, at_margin.lower, at_margin.upper)}, not adjusted)."
    )


def _words(verdict: Verdict) -> str:
    if verdict.words != "different":
        return verdict.words
    return f"different from {1 if verdict.unit == TIMES else 0}"


def _interval(verdict: Verdict, lower: float, upper: float) -> str:
    if verdict.unit == TIMES:
        return f"[{exp(lower):.3g}, {exp(upper):.3g}] times"
    kind = ".3g" if verdict.unit == OWN_UNIT else ".2f"
    return f"[{signed(lower, kind)}, {signed(upper, kind)}]"


def _size(verdict: Verdict, value: float) -> str:
    if verdict.unit == TIMES:
        return f"{exp(value):.3g} times"
    return f"{value:.3g}" if verdict.unit == OWN_UNIT else f"{value:.2f}"


def _settling(verdict: Verdict, unit: str) -> str:
    """What would settle it, where the data have not."""
    settled = verdict.words in ("different", "equivalent")
    if settled or isnan(verdict.found.standard_error) or verdict.target == 0:
        return ""
    why = "the margin" if verdict.equivalence else "the observed difference, if it is the true one"
    many = f"about {verdict.questions} {unit}" if verdict.questions else f"no number of {unit}"
    if verdict.seeds_known and not (verdict.questions or verdict.seeds):
        return (
            f"{verdict.metric}: to settle it (80 % power, {why}) takes more runs and {unit}, both."
        )
    ways = [f"{many} with these training runs"]
    if verdict.seeds_known:
        runs = f"{verdict.seeds} training runs of each" if verdict.seeds else "no number of runs"
        ways.append(f"{runs} on these {unit}")
    unknown = "" if verdict.seeds_known else "; for training runs see nlhf plan --seed-sd"
    return (
        f"{verdict.metric}: would be settled (80 % power, {why}) by {', or '.join(ways)}{unknown}."
    )
