"""`nlhf plan`: what a comparison of two algorithms can detect, before it is run."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from nlhf_repro.interfaces import ImpossibleSettingError
from nlhf_repro.reporting.cells import Cell, Table, TableRow
from nlhf_repro.reporting.numbers import significant
from nlhf_repro.reporting.scores.records import records_to_csv, to_json
from nlhf_repro.uncertainty import (
    Components,
    clusters_needed,
    minimum_detectable_effect,
    seeds_needed,
)
from nlhf_repro.verbs.plan_costs import RunCosts, measured_costs
from nlhf_repro.verbs.planning_values import USUAL, Usual
from nlhf_repro.verbs.score import rendered

SEEDS = (1, 3, 5, 10)


@dataclass(frozen=True)
class Design:
    """A table of plans: one line a set of components, one column a number of seeds."""

    components: tuple[Components, ...]
    labels: tuple[str, ...]
    questions: int
    seeds: tuple[int, ...]
    tests: int
    power: float
    effect: float | None
    unit: str
    assumptions: tuple[str, ...]
    costs: RunCosts | None = None  # of one run, where a row of an experiment has them

    @property
    def significance(self) -> float:
        """Of one test, two-sided: Holm's first step over the family."""
        return 0.05 / self.tests


def plan(known: argparse.Namespace) -> int:
    """Print the minimum detectable effects, and what an effect needs where one is given.

    Raises:
        ImpossibleSettingError: a number without meaning, or a spread that nobody knows.
        UnusableAnnotationsError: a pilot's file gives no honest score.
    """
    _check(known)
    design = _piloted(known) if known.pilot else _declared(known)
    if known.costs_of is not None:
        design = replace(design, costs=measured_costs(known.costs_of, known.config_dir))
    if known.format in ("csv", "json"):
        records = list(_records(design))
        sys.stdout.write((to_json if known.format == "json" else records_to_csv)(records))
    else:
        sys.stdout.write(rendered([_table(design)], known.format))
    return 0


def _check(known: argparse.Namespace) -> None:
    for name, least in (("questions", 2), ("seeds", 1), ("tests", 1)):
        value = getattr(known, name)
        if value is not None and value < least:
            raise ImpossibleSettingError(f"--{name} {value}: give at least {least}.")
    for name in ("seed_sd", "prompt_sd", "noise_sd"):
        value = getattr(known, name)
        if value is not None and not 0 <= value < float("inf"):
            raise ImpossibleSettingError(f"--{name.replace('_', '-')} {value:g} is no SD.")
    if known.effect is not None and not 0 < known.effect < float("inf"):
        raise ImpossibleSettingError(f"--effect {known.effect:g}: give a positive difference.")
    if not 0 < known.power < 1:
        raise ImpossibleSettingError(f"--power {known.power:g}: give a probability such as 0.8.")
    if known.power <= 0.05 / known.tests:
        raise ImpossibleSettingError(
            f"--power {known.power:g} is no more than the significance, {0.05 / known.tests:g}, "
            "which a test reaches without any difference: give a probability such as 0.8."
        )


def _declared(known: argparse.Namespace) -> Design:
    if known.metric:
        raise ImpossibleSettingError("--metric is that of a --pilot: drop it.")
    usual = USUAL.get(known.benchmark or "alpaca_eval")
    for name in ("questions", "prompt_sd", "noise_sd", "seed_sd"):
        if usual is None and getattr(known, name) is None:
            raise ImpossibleSettingError(
                f"--{name.replace('_', '-')} is not known for {known.benchmark}: declare it, or "
                "measure it with --pilot."
            )
    usual = usual or Usual(0, 0.0, 0.0, (), "the metric's unit", "declared")
    sds = usual.seed_sds if known.seed_sd is None else (known.seed_sd,)
    if not sds:
        raise ImpossibleSettingError(
            f"--seed-sd is not known for {known.benchmark}: no measurement is public; declare it, "
            "or measure it with --pilot."
        )
    prompt = usual.prompt_sd if known.prompt_sd is None else known.prompt_sd
    noise = usual.noise_sd if known.noise_sd is None else known.noise_sd
    own = known.prompt_sd is not None and known.noise_sd is not None
    assumed = "declared" if own else usual.source
    return Design(
        components=tuple(Components(sd, prompt, noise, 0.0) for sd in sds),
        labels=tuple(f"{sd:g}" for sd in sds),
        questions=known.questions or usual.questions,
        seeds=(known.seeds,) if known.seeds else SEEDS,
        tests=known.tests,
        power=known.power,
        effect=known.effect,
        unit=usual.unit,
        assumptions=(
            f"Which questions suit which algorithm: SD {prompt:.3g}; one question between runs, "
            f"generations and judge calls: SD {noise:.3g} ({assumed}).",
            "SD between training runs: assumed, not measured; no public measurement exists."
            if known.seed_sd is None
            else f"SD between training runs: {known.seed_sd:g}, declared.",
            *(
                ["lc_win_rate: multiply the prompt part by about 1.1."]
                if known.benchmark in (None, "alpaca_eval")
                else []
            ),
        ),
    )


def _piloted(known: argparse.Namespace) -> Design:
    from nlhf_repro.reporting.scores.entries import common_questions, matrix
    from nlhf_repro.uncertainty import components_from_pilot
    from nlhf_repro.verbs.annotations import read_group, recognised
    from nlhf_repro.verbs.copies import refuse_copies
    from nlhf_repro.verbs.score import primary_metrics
    from nlhf_repro.verbs.scoring_arguments import ScoreOptions, paths_of

    if any(x is not None for x in (known.seed_sd, known.prompt_sd, known.noise_sd)):
        raise ImpossibleSettingError("A --pilot measures the SDs: drop those declared.")
    paths = [paths_of(files) for files in known.pilot]
    refuse_copies([path for side in paths for path in side])
    if min(map(len, paths)) < 2:
        raise ImpossibleSettingError("--pilot needs at least two runs of each: better three.")
    benchmark = known.benchmark or recognised(paths[0][0])
    pair = [
        read_group(benchmark, name, side, ScoreOptions())[0]
        for name, side in zip(("first", "second"), paths, strict=True)
    ]
    metric = known.metric or (primary_metrics(pair) or [pair[0].metrics[0]])[0]
    if any(metric not in entry.metrics for entry in pair):
        raise ImpossibleSettingError(
            f"--metric {metric} is not in both pilots: choose from {', '.join(pair[0].metrics)}."
        )
    questions = common_questions(pair, metric)
    first, second = (matrix(entry, metric, questions)[:, :, None] for entry in pair)
    found = components_from_pilot(first, second)
    upper = replace(found.components, seed=found.seed_upper)
    return Design(
        components=(found.components, upper),
        labels=(f"{found.components.seed:.2g}", f"{found.seed_upper:.2g} (upper end)"),
        questions=known.questions or len(questions),
        seeds=(known.seeds,) if known.seeds else SEEDS,
        tests=known.tests,
        power=known.power,
        effect=known.effect,
        unit=pair[0].runs[0].metrics[metric].unit,
        assumptions=(
            f"Measured on {metric}, {found.note}; which questions suit which algorithm: SD "
            f"{found.components.prompt_by_algorithm:.3g}; one question between runs: SD "
            f"{found.components.run_by_prompt:.3g}.",
            f"SD between training runs {found.components.seed:.2g} [{found.seed_lower:.2g}, "
            f"{found.seed_upper:.2g}].",
        ),
    )


def _table(design: Design) -> Table:
    header = ["seed SD", *(f"K = {k}" + (" (planning only)" * (k == 1)) for k in design.seeds)]
    if design.effect is not None:
        header += ["seeds needed", *(f"n needed, K = {k}" for k in design.seeds)]
    rows = [
        TableRow(label, tuple(_cells(design, components)))
        for label, components in zip(design.labels, design.components, strict=True)
    ]
    return Table(
        title=f"Minimum detectable effects, {design.questions} questions, in {design.unit}",
        caption="",
        header=tuple(header),
        rows=tuple(rows),
        notes=tuple(_notes(design)),
    )


def _cells(design: Design, components: Components) -> Iterator[Cell]:
    for seeds in design.seeds:
        effect = _detectable(design, components, seeds)
        yield Cell(significant(effect, 2, scientific=False), effect)
    if design.effect is not None:
        yield Cell(_count(_seeds(design, components)))
        for seeds in design.seeds:
            yield Cell(_count(_questions(design, components, seeds)))


def _notes(design: Design) -> Iterator[str]:
    family = f", Holm's first step over {design.tests} tests" if design.tests > 1 else ""
    yield (
        f"The true difference of two algorithms that is found with {design.power:.0%} power at "
        f"two-sided p < 0.05{family}; K training runs of each, paired by question."
    )
    yield from design.assumptions
    if 1 in design.seeds:
        yield "K = 1 is for planning only: one run of each is no test of algorithms."
    if design.costs is not None:
        yield design.costs.note(design.seeds)
    if design.effect is not None:
        yield (
            f"needed: for a true difference of {design.effect:g}; seeds of each algorithm on "
            f"{design.questions} questions, at least 2; n questions at K; 'none': no number is "
            "enough."
        )


def _detectable(design: Design, components: Components, seeds: int) -> float:
    return minimum_detectable_effect(
        components, seeds, design.questions, power=design.power, significance=design.significance
    )


def _seeds(design: Design, components: Components) -> int | None:
    assert design.effect is not None
    return seeds_needed(
        components,
        design.effect,
        design.questions,
        power=design.power,
        significance=design.significance,
    )


def _questions(design: Design, components: Components, seeds: int) -> int | None:
    assert design.effect is not None
    return clusters_needed(
        components, design.effect, seeds, power=design.power, significance=design.significance
    )


def _count(number: int | None) -> str:
    return "none" if number is None else str(number)


def _records(design: Design) -> Iterator[dict[str, Any]]:
    for components in design.components:
        for seeds in design.seeds:
            yield {
                "seed_sd": components.seed,
                "prompt_sd": components.prompt_by_algorithm,
                "noise_sd": components.run_by_prompt,
                "seeds": seeds,
                "questions": design.questions,
                "unit": design.unit,
                "tests": design.tests,
                "power": design.power,
                "minimum_detectable_effect": _detectable(design, components, seeds),
                "effect": design.effect,
                "seeds_needed": None if design.effect is None else _seeds(design, components),
                "questions_needed": (
                    None if design.effect is None else _questions(design, components, seeds)
                ),
                "runs": 2 * seeds,
                "seconds": None if design.costs is None else 2 * seeds * design.costs.seconds,
            }
