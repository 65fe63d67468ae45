"""Scores of academic tasks by document, and of groups with the error that their mean has.

A task's metric is shown where the mean over its documents is the number that lm-eval reports: a
corpus metric (perplexity, BLEU, ...) has no value a document and is left to lm-eval. A macro
average has the tasks as strata of equal weight, SE = sqrt(sum_t SE_t^2) / T.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from nlhf_repro.benchmarks.academic.files import Run, TaskSamples
from nlhf_repro.benchmarks.clustered import (
    extremes_note,
    finite_number,
    refuse_lost,
    standard_error,
)
from nlhf_repro.interfaces import (
    Diagnostics,
    MetricScores,
    ModelScores,
    UnusableAnnotationsError,
)
from nlhf_repro.interfaces.scoring import Unit
from nlhf_repro.uncertainty import weighted_ratio

_SHARES = {"acc", "acc_norm", "acc_bytes", "acc_mutual_info", "exact_match", "em", "f1", "pass@1"}
_MEANS = {"acc", "acc_norm", "exact_match"}  # always a mean over documents in lm-eval
_AGREEMENT = 1e-9


def score_run(
    run: Run, macro: Mapping[str, str] | None = None, maximum_lost: float = 0.02
) -> ModelScores:
    """Scores of one run's tasks and groups, clustered by document.

    Metrics: `METRIC/TASK` ("acc/hellaswag", "exact_match,strict-match/gsm8k"), every metric whose
    mean over documents (or, for lists of instructions, over all of them) is lm-eval's number;
    `METRIC/GROUP` for every group that lm-eval scores, with its tasks as strata where it is their
    plain mean, weighted by size where it is that; and `macro_average` over the tasks and groups of
    `macro`, which count alike.
    Documents are named TASK:doc_hash, by which models are paired; those of equal content are one
    cluster. Accuracies are in percent, every other metric in its own units ("points").

    Args:
        run: From `read_run`.
        macro: Metric of every task or group that the macro average is of, such as {"ifeval":
            "prompt_level_strict_acc", "gsm8k": "exact_match,strict-match", "mmlu": "acc"}.
        maximum_lost: Share of a task's documents without a value above which it is refused.

    Raises:
        UnusableAnnotationsError: too many documents lost, samples that are not those of the
            results, or a metric of `macro` that is not there or not a share.
    """
    metrics: dict[str, MetricScores] = {}
    unusable: dict[str, int] = {}
    notes: list[str] = []
    for task, samples in run.samples.items():
        found = _task_metrics(run, samples, maximum_lost, unusable, notes)
        if not found and samples.metrics:
            notes.append(f"no metric of {task} is a mean over documents")
        metrics |= found
        if (available := run.available.get(task, samples.documents)) > samples.documents:
            notes.append(f"{task}: {samples.documents} of {available} documents")
    groups = _group_metrics(run, metrics, notes)
    if macro:
        metrics["macro_average"] = _macro(run, {**groups, **metrics}, macro)
    shots = _shots(run)
    return ModelScores(
        benchmark="academic",
        version=f"lm-eval {run.version}",
        name=run.model,
        opponent=None,
        judge="none",
        metrics={**metrics, **groups},
        diagnostics=Diagnostics(
            rows=sum(each.documents for each in run.samples.values()),
            unusable=unusable,
            duplicates=0,
            missing=_missing(run),
            identical_outputs=None,
            verdicts={},
            position_flip_rate=None,
        ),
        notes=(*notes, *([f"examples in the prompt: {shots}"] if shots else [])),
    )


def _missing(run: Run) -> int | None:
    if set(run.available) < set(run.samples):
        return None
    gaps = [run.available[task] - each.documents for task, each in run.samples.items()]
    return sum(max(0, gap) for gap in gaps)


def _shots(run: Run) -> str:
    """Examples by task, or by group where its tasks have the same number: "gsm8k 5, mmlu 5"."""
    shown: dict[str, int] = {}
    for group, tasks in sorted(run.members.items(), key=lambda item: -len(item[1])):
        numbers = {run.shots.get(task) for task in tasks}
        if len(numbers) == 1 and None not in numbers and not {*tasks} & {*_told(run, shown)}:
            shown[group] = run.shots[tasks[0]]
    told = _told(run, shown)
    shown |= {x: run.shots[x] for x in run.samples if x in run.shots and x not in told}
    return ", ".join(f"{name} {number}" for name, number in shown.items())


def _told(run: Run, groups: Mapping[str, int]) -> set[str]:
    return {task for group in groups for task in run.members[group]}


def metric_name(key: str, of: str) -> str:
    """`acc,none` of a task as `acc/TASK`; filters other than none stay in the name."""
    return f"{key.removesuffix(',none')}/{of}"


def _task_metrics(
    run: Run, samples: TaskSamples, maximum_lost: float, unusable: dict[str, int], notes: list[str]
) -> dict[str, MetricScores]:
    found, reported = {}, run.results[samples.task]
    for key, documents in samples.metrics.items():
        number = finite_number(reported.get(key))
        lost = sum(each is None for copies in documents.values() for each in copies)
        if number is None or lost == samples.documents:
            notes.append(f"{key} of {samples.task} has no number a document")
            continue
        scores = _metric(metric_name(key, samples.task), samples.task, key, documents)
        if lost:
            unusable[f"no value of {key} in {samples.task}"] = lost
            where = f"{key} of {samples.task} ({run.path})"
            refuse_lost({"no value": lost}, 0, samples.documents, maximum_lost, where)
            notes += _bounds_note(scores, lost, samples.documents)
        mean = float(scores.values.mean()) / (100 if scores.unit == "percent" else 1)
        if not lost and not _agree(mean, number):
            _refuse_other_run(run, samples.task, key, number, mean)
            notes.append(f"{key} of {samples.task} is not the mean over documents: see lm-eval")
            continue
        found[scores.metric] = scores
    return found


def _bounds_note(scores: MetricScores, lost: int, documents: int) -> tuple[str, ...]:
    """An accuracy with the lost documents all wrong and all right."""
    if scores.unit != "percent":
        return ()
    worst = float(scores.values.mean()) * (1 - lost / documents)
    return extremes_note(lost, documents, worst, worst + 100 * lost / documents, scores.metric)


def _refuse_other_run(run: Run, task: str, key: str, number: float, mean: float) -> None:
    if key.partition(",")[0] in _MEANS:
        raise UnusableAnnotationsError(
            f"{run.path} reports {key} = {number:g} of {task}, and the samples beside it give "
            f"{mean:g}: they are of another run, so evaluate again."
        )


def _metric(
    name: str, task: str, key: str, documents: Mapping[str, Sequence[tuple[float, ...] | None]]
) -> MetricScores:
    usable = {
        document: [x for copy in copies if copy is not None for x in copy]
        for document, copies in sorted(documents.items())
        if any(copy is not None for copy in copies)
    }
    totals = np.array([sum(values) for values in usable.values()])
    counts = np.array([float(len(values)) for values in usable.values()])
    unit = unit_of(key)
    values = weighted_ratio(totals, counts) * (100 if unit == "percent" else 1)
    alike = bool((counts == counts[0]).all())
    return MetricScores(name, unit, tuple(f"{task}:{each}" for each in usable), values, alike)


def unit_of(key: str) -> Unit:
    """Of a metric such as "acc,none": percent for accuracies, points for all others."""
    name = key.partition(",")[0]
    return "percent" if name in _SHARES or name.endswith("_acc") else "points"


def _group_metrics(
    run: Run, metrics: Mapping[str, MetricScores], notes: list[str]
) -> dict[str, MetricScores]:
    """Metrics that lm-eval reports of its groups, pooled or as a plain mean, whichever it did."""
    found = {}
    for group, numbers in run.groups.items():
        for key, value in numbers.items():
            number = finite_number(value)
            if number is None or "," not in key or "_stderr," in key:
                continue
            parts = [metrics.get(metric_name(key, task)) for task in run.members.get(group, ())]
            present = [part for part in parts if part is not None]
            name = metric_name(key, group)
            scale = 100 if present and present[0].unit == "percent" else 1
            if not present or len(present) < len(parts):
                notes.append(f"{name} is left out: not every task of the group has it")
                continue
            means = [float(part.values.mean()) / scale for part in present]
            sizes = [run.samples[task].documents for task in run.members[group]]
            if _agree(float(np.mean(means)), number):
                joined = _plain_mean(name, present)
            elif _agree(float(np.average(means, weights=sizes)), number):
                joined = _pooled_mean(name, present, sizes)
            else:
                notes.append(f"{name} is neither the plain nor the pooled mean: see lm-eval")
                continue
            found[name] = joined
            notes += _error_note(name, joined, numbers.get(key.replace(",", "_stderr,")), scale)
    return found


def _error_note(name: str, scores: MetricScores, printed: object, scale: float) -> list[str]:
    """What lm-eval prints for the group's error, where it is not the error of its mean."""
    error, own = finite_number(printed), standard_error(scores.values, scores.strata)
    if error is None or not np.isfinite(own) or abs(scale * error - own) <= 0.02 * own:
        return []
    return [f"lm-eval prints a standard error of {scale * error:.3f} for {name}; it is {own:.3f}"]


def _macro(run: Run, metrics: Mapping[str, MetricScores], macro: Mapping[str, str]) -> MetricScores:
    parts = []
    for task, key in macro.items():
        part = metrics.get(metric_name(key, task))
        if part is None or part.unit != "percent":
            known = ", ".join(name for name in metrics if name.endswith(f"/{task}")) or "none"
            raise UnusableAnnotationsError(
                f"{run.path} has no accuracy {metric_name(key, task)!r} by document for the macro "
                f"average; of {task} there is: {known}."
            )
        parts.append(_one_stratum(part))
    return _plain_mean("macro_average", parts)


def _one_stratum(scores: MetricScores) -> MetricScores:
    """Pseudo-observations whose plain mean is the mean over strata, with its error."""
    if scores.strata is None:
        return scores
    labels = np.array(scores.strata)
    names = sorted(set(scores.strata))
    parts = [
        MetricScores(scores.metric, scores.unit, (), scores.values[labels == name], True)
        for name in names
    ]
    order = np.concatenate([np.flatnonzero(labels == name) for name in names])
    pooled = _pooled_mean(scores.metric, parts, [1] * len(parts))
    questions = tuple(scores.questions[place] for place in order)
    return replace(pooled, questions=questions)


def _plain_mean(name: str, parts: Sequence[MetricScores]) -> MetricScores:
    labels = [part.metric.partition("/")[2] for part in parts for _ in part.questions]
    return MetricScores(
        metric=name,
        unit=parts[0].unit,
        questions=tuple(question for part in parts for question in part.questions),
        values=np.concatenate([part.values for part in parts]),
        is_plain_mean=all(part.is_plain_mean for part in parts),
        strata=tuple(labels),
    )


def _pooled_mean(name: str, parts: Sequence[MetricScores], sizes: Sequence[int]) -> MetricScores:
    """Pseudo-observations of the mean weighted by task size, the tasks fixed.

    z = theta + (n_t / N) (C / C_t) (z_t - theta_t) for C_t of the C clusters, and n_t of the N
    documents, in task t: their mean is theta, and the tasks' differences are no sampling error.
    """
    means = [float(part.values.mean()) for part in parts]
    clusters = sum(len(part.values) for part in parts)
    sized = zip(sizes, parts, strict=True)
    weights = [size / sum(sizes) * clusters / len(part.values) for size, part in sized]
    theta = float(np.average(means, weights=sizes))
    values = [w * (p.values - m) for w, p, m in zip(weights, parts, means, strict=True)]
    return MetricScores(
        metric=name,
        unit=parts[0].unit,
        questions=tuple(question for part in parts for question in part.questions),
        values=theta + np.concatenate(values),
        is_plain_mean=False,
    )


def _agree(first: float, second: float) -> bool:
    return abs(first - second) <= _AGREEMENT * max(1.0, abs(second))
