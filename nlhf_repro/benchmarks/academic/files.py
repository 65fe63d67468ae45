"""The files of one lm-eval run: `results_DATE.json` and, beside it, `samples_TASK_DATE.jsonl`.

Written by `--output_path ... --log_samples` (lm-eval 0.4.13, `evaluation_tracker.py`). A sample is
one document under one filter, with `doc_hash`, `filter`, `metrics` (names) and a value a metric.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from nlhf_repro.benchmarks.annotation_files import (
    Row,
    read_rows,
    refuse_duplicates,
    require_fields,
    text_field,
)
from nlhf_repro.benchmarks.clustered import finite_number
from nlhf_repro.interfaces import UnusableAnnotationsError

Values = tuple[float, ...] | None  # of one document: one, several (instructions), None if unusable


@final
@dataclass(frozen=True)
class TaskSamples:
    """Values of one task by metric ("acc,none") and, in it, by document (`doc_hash`).

    Documents of equal content share a hash: each has one entry a copy.
    """

    task: str
    documents: int  # rows of one filter
    metrics: Mapping[str, Mapping[str, list[Values]]]


@final
@dataclass(frozen=True)
class Run:
    """One evaluation of one model: lm-eval's own numbers, and every document's."""

    path: Path
    model: str
    version: str
    results: Mapping[str, Mapping[str, Any]]  # lm-eval's, by task
    groups: Mapping[str, Mapping[str, Any]]  # lm-eval's, by group
    members: Mapping[str, tuple[str, ...]]  # tasks of a group, nested groups resolved
    shots: Mapping[str, int]
    available: Mapping[str, int]  # documents of the task before any limit
    samples: Mapping[str, TaskSamples]


def read_run(results: Path, model: str | None = None) -> Run:
    """A run by its results file; the samples are those beside it with the same date.

    Args:
        results: `results_DATE.json`.
        model: The model's name, needed where lm-eval recorded none (a model object).

    Raises:
        UnusableAnnotationsError: no or a damaged results file, no model name, a task without its
            samples, or samples that are not those of the results.
    """
    record = _object(results)
    tables = {key: _table(record, key) for key in ("results", "groups", "n-shot", "n-samples")}
    if not tables["results"]:
        raise UnusableAnnotationsError(
            f"{results} is no results file of lm-eval: it has no 'results' by task."
        )
    name = model or text_field(record, "model_name")
    if name is None:
        raise UnusableAnnotationsError(
            f"{results} names no model (lm-eval was given a model object): name it."
        )
    members = _members(_table(record, "group_subtasks"), results)
    tasks = [task for task in tables["results"] if not members.get(task)]
    counts = {task: _counts(tables["n-samples"].get(task)) for task in tasks}
    return Run(
        path=results,
        model=name,
        version=text_field(record, "lm_eval_version") or "of unknown version",
        results={task: _mapping(tables["results"][task], task, results) for task in tasks},
        groups={g: _mapping(numbers, g, results) for g, numbers in tables["groups"].items()},
        members=members,
        shots={task: n for task, n in tables["n-shot"].items() if type(n) is int},
        available={task: count for task, (count, _) in counts.items() if count is not None},
        samples={task: _samples(results, task, counts[task][1]) for task in tasks},
    )


def _object(path: Path) -> dict[str, Any]:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UnusableAnnotationsError(f"{path} cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise UnusableAnnotationsError(
            f"{path} is empty, truncated or not JSON ({error}): write it again."
        ) from error
    if not isinstance(record, dict):
        raise UnusableAnnotationsError(f"{path} holds no single object: give a results_*.json.")
    return record


def _table(record: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = record.get(key)
    return value if isinstance(value, dict) else {}


def _mapping(value: object, key: str, path: Path) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise UnusableAnnotationsError(f"{path} has no table of numbers for {key!r}.")
    return value


def _members(table: Mapping[str, Any], path: Path) -> dict[str, tuple[str, ...]]:
    """Tasks of every group; lm-eval lists a task without any, and groups inside groups."""

    def tasks(name: str, above: tuple[str, ...]) -> list[str]:
        below = table.get(name) or []
        if name in above or not isinstance(below, list):
            raise UnusableAnnotationsError(f"{path}: the group {name!r} contains itself.")
        if not below:
            return [name]
        return [task for each in below for task in tasks(str(each), (*above, name))]

    return {
        name: tuple(dict.fromkeys(tasks(name, ()))) if below else ()
        for name, below in table.items()
    }


def _counts(record: object) -> tuple[int | None, int | None]:
    """Documents before and after the limit, None where the file does not say."""
    counts = record if isinstance(record, Mapping) else {}
    original, effective = counts.get("original"), counts.get("effective")
    return (
        original if type(original) is int else None,
        effective if type(effective) is int else None,
    )


def _samples(results: Path, task: str, expected: int | None) -> TaskSamples:
    date = results.stem.removeprefix("results_")
    path = results.parent / f"samples_{task}_{date}.jsonl"
    if not _exists(path):
        raise UnusableAnnotationsError(
            f"{results} has results of {task} and no {path.name} beside it: evaluate with "
            "--log_samples, which writes the values of every document."
        )
    rows = read_rows(path)
    require_fields(rows, ("doc_id", "doc_hash", "filter", "metrics"), path, "a samples file")
    keys = [{"key": (repr(row.get("doc_id")), repr(row.get("filter")))} for row in rows]
    refuse_duplicates(keys, lambda row: row["key"], path, "doc_id and filter")
    metrics: dict[str, dict[str, list[Values]]] = {}
    counts: Counter[str] = Counter()
    for number, row in enumerate(rows, start=1):
        document, which, names = text_field(row, "doc_hash"), text_field(row, "filter"), _names(row)
        if document is None or which is None or names is None:
            raise UnusableAnnotationsError(
                f"Row {number} of {path} lacks its doc_hash, filter or list of metrics: the row "
                "cannot be attributed, so evaluate again."
            )
        counts[which] += 1
        for name in names:
            by = metrics.setdefault(f"{name},{which}", {})
            by.setdefault(document, []).append(_values(row.get(name)))
    _refuse_partial(path, counts, expected)
    return TaskSamples(task, max(counts.values()), metrics)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # a name that no file can have
        return False


def _refuse_partial(path: Path, counts: Counter[str], expected: int | None) -> None:
    wrong = {n for n in counts.values() if n != (expected or max(counts.values()))}
    if wrong:
        raise UnusableAnnotationsError(
            f"{path} has {min(wrong)} documents where the results were computed from "
            f"{expected or max(counts.values())}: it is another run's, or cut short."
        )


def _names(row: Row) -> list[str] | None:
    names = row.get("metrics")
    return names if isinstance(names, list) and all(isinstance(x, str) for x in names) else None


def _values(value: object) -> Values:
    parts = value if isinstance(value, list) else [value]
    numbers = [float(x) if isinstance(x, bool) else finite_number(x) for x in parts]
    whole = tuple(x for x in numbers if x is not None)
    return whole if whole and len(whole) == len(parts) else None
