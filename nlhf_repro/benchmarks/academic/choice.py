"""Which metric of a task or group counts, settled before the model is asked anything."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nlhf_repro.benchmarks.academic.scores import unit_of
from nlhf_repro.interfaces import ImpossibleSettingError


def choose_metrics(
    loaded: Mapping[str, Any], members: Mapping[str, tuple[str, ...]], metrics: Mapping[str, str]
) -> dict[str, str]:
    """The metric of every name, such as "acc,none".

    Args:
        loaded: Tasks and groups of lm-eval, by name.
        members: The tasks that each name stands for.
        metrics: The metrics that are wanted, by name.

    Raises:
        ImpossibleSettingError: a name has no such metric, or several and none is wanted; or several
            names are to be averaged, and one has a metric that is no share.
    """
    chosen = {}
    for name in members:
        known = _known(name, loaded, members[name])
        wanted = metrics.get(name)
        full = wanted if wanted is None or "," in wanted else f"{wanted},none"
        if full is None and len(known) == 1:
            full = known[0]
        if full not in known or full is None:
            shown = "; ".join(each.removesuffix(",none") for each in known) or "none"
            raise ImpossibleSettingError(
                f"metrics.{name} = {wanted or 'null'} is no metric of {name}: choose from {shown}."
            )
        if len(members) > 1 and unit_of(full) != "percent":
            raise ImpossibleSettingError(
                f"metrics.{name} = {wanted or full} is no accuracy, and has no mean with those of "
                f"other tasks: choose another, or evaluate {name} alone."
            )
        chosen[name] = full
    return chosen


def _known(name: str, loaded: Mapping[str, Any], tasks: tuple[str, ...]) -> list[str]:
    """Metrics that every task of the name has, and that its group reports."""
    known = [
        each
        for each in _metrics_of(loaded["tasks"][tasks[0]])
        if all(each in _metrics_of(loaded["tasks"][task]) for task in tasks[1:])
    ]
    if tasks == (name,):
        return known
    group = loaded["groups"].get(name)
    if group is None or not group.has_aggregation:
        raise ImpossibleSettingError(
            f"{name} stands for {len(tasks)} tasks and has no number of its own: name them, as "
            f"{tasks[0]}."
        )
    reported = {each.metric: each.filter_list for each in group.aggregate_metric_list}
    return [each for each in known if _is_reported(each, reported)]


def _is_reported(metric: str, reported: Mapping[str, list[str] | None]) -> bool:
    name, _, which = metric.partition(",")
    return name in reported and (reported[name] is None or which in (reported[name] or ()))


def _metrics_of(task: Any) -> list[str]:
    """The names of a task's metrics, one for every filter."""
    filters = [each["name"] for each in task.get_config("filter_list") or [{"name": "none"}]]
    return [f"{metric},{each}" for metric in task.aggregation() for each in filters]
