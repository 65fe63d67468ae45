"""The lines below an experiment's plan: where times come from, judges, machines and money."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from nlhf_repro.pipeline.keys import is_language
from nlhf_repro.pipeline.lacking import PROVISIONAL, planned_fine_tune_key
from nlhf_repro.pipeline.measured_runs import OWN, MeasuredRun, judge_tokens
from nlhf_repro.pipeline.planned import PlannedJudging
from nlhf_repro.reporting.numbers import plain
from nlhf_repro.verbs.experiment import Experiment
from nlhf_repro.verbs.planning_values import STATED_COMPUTE
from nlhf_repro.verbs.row_plans import UNKNOWN, RowPlan, calls_of, count, judgings


def plan_notes(
    experiment: Experiment,
    rows: Sequence[RowPlan],
    left: Mapping[str, RowPlan],
    runs: Sequence[MeasuredRun],
) -> Iterator[str]:
    """What has to be said; `left` are the cells to run, by key."""
    yield (
        "Counts of a row are those of one cell, per training problem, and exact where they say no "
        "more; in all: over all cells, cells of one key counted once."
    )
    yield from _on_lacks(rows)
    yield from _on_times(rows)
    yield from _on_judges(left, runs)
    paid = sum(row.training.paid_calls * row.left for row in rows)
    if paid:
        said = f"Requests to the oracle's own judge in what is left: {count(paid)}"
        yield f"{said}; money: {UNKNOWN}."
    yield from _on_machines(experiment, rows)


def _on_lacks(rows: Sequence[RowPlan]) -> Iterator[str]:
    """What is not there, once each, and what the plan therefore takes or does not know."""
    lacks = dict.fromkeys(each for row in rows for each in row.lacking)
    for each in lacks:
        yield f"Lacking: {each}"
    if any(key.startswith(PROVISIONAL) for row in rows for key in row.keys):
        yield (
            "Rows without their files or revisions count as not complete, since results are kept "
            "under what those hold: give them to see which are there."
        )
    every = [x for row in rows for those in row.judgings.values() for x in those]
    official = {x.benchmark: x.official for x in every if x.official is not None}
    if official:
        told = ", ".join(f"{name} {number}" for name, number in official.items())
        yield (
            f"Official questions whose files are not there are counted by their number: {told}; "
            "nlhf fetch gets the files."
        )
    unknown = dict.fromkeys(x.benchmark for x in every if x.calls is None)
    if unknown:
        yield (
            f"Judge calls of {', '.join(unknown)} are {UNKNOWN}, as the questions are not there: "
            "give their file."
        )


def _on_times(rows: Sequence[RowPlan]) -> Iterator[str]:
    for source in dict.fromkeys(row.speed.source for row in rows if row.speed):
        named = [row for row in rows if row.speed and row.speed.source == source]
        labels = "; ".join(f"{row.label} ({row.speed.runs})" for row in named if row.speed)
        said = f"Times from {source} on this machine (runs): {labels}."
        if source != OWN:
            said += (
                " They are scaled by responses sampled, and by responses trained: the time lies "
                "between, if it is so much for each of both."
            )
        yield said
    yield (
        "Times are of training in one process after the other; fine-tuning, sampling for scores, "
        "benchmarks and judges come on top, and nobody has timed them."
    )


def _on_judges(left: Mapping[str, RowPlan], runs: Sequence[MeasuredRun]) -> Iterator[str]:
    asked: dict[str, list[PlannedJudging]] = {}
    for judging in judgings(left).values():
        asked.setdefault(judging.judge, []).append(judging)
    for name, those in asked.items():
        calls = calls_of(those)
        if calls is None:
            yield f"{name} judges what is left; calls and money: {UNKNOWN}, no questions here."
            continue
        yield (
            f"{name} judges what is left with at most {count(calls)} calls (equal answers are not "
            "always judged; a verdict that cannot be read may be asked for again); money: "
            f"{money(those[0], calls, runs)}."
        )


def money(judging: PlannedJudging, calls: int, runs: Sequence[MeasuredRun]) -> str:
    """What so many calls cost: measured tokens at the configured prices, or why it is unknown."""
    if judging.prices is None:
        return "none, it is in memory"
    prompt, completion = judging.prices
    if prompt is None or completion is None:
        return f"{UNKNOWN}, set judge.prompt_price and judge.completion_price"
    tokens = judge_tokens(judging.identity, runs)
    if tokens is None:
        return f"{UNKNOWN}, its tokens a call have not been measured here"
    dollars = calls * (tokens[0] * prompt + tokens[1] * completion) / 1e6
    return f"${plain(dollars, 3)} at the {count(sum(tokens))} tokens a call of runs here"


def _on_machines(experiment: Experiment, rows: Sequence[RowPlan]) -> Iterator[str]:
    config: Mapping[str, Any] = experiment.cells[0].config
    if is_language(config):
        tuned = {key for cell in experiment.cells if (key := planned_fine_tune_key(cell.config))}
        yield f"Models fine-tuned first, each once: {len(tuned)}."
    on_gpu = [row for row in rows if row.device != "cpu" and row.left]
    if not on_gpu:
        yield "GPU hours: none, models are on the CPU."
    elif all(row.speed and row.speed.source == OWN for row in on_gpu):
        hours = sum(row.speed.most * row.left for row in on_gpu if row.speed) / 3600
        yield f"GPU hours of training left: {plain(hours)}, on the GPU that the runs were made on."
    else:
        yield f"GPU hours: {UNKNOWN}, no run of every row here yet."
    paper = str(((config.get("table") or {}).get("published") or {}).get("paper", ""))
    if paper:
        yield f"Compute that arXiv:{paper} states: {STATED_COMPUTE.get(paper, UNKNOWN)}."
