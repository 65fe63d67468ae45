"""`nlhf check`: the conformance suite on a part of the user's, then a small comparison."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

from nlhf_repro.config import (
    add_user_modules,
    compose_config,
    override_key,
    parse_overrides,
    resolved_config,
    search_folders,
    search_path_override,
)
from nlhf_repro.conformance import Group, Outcome, Subject, check_part
from nlhf_repro.conformance.laboratory import needs_scores
from nlhf_repro.interfaces import Algorithm, ImpossibleSettingError
from nlhf_repro.pipeline.settings import offline_group
from nlhf_repro.validation import load_target, suggestion
from nlhf_repro.verbs.experiment import ELSEWHERE
from nlhf_repro.verbs.reproduce import reproduce
from nlhf_repro.verbs.sweep import quoted

GROUPS: tuple[Group, ...] = get_args(Group)
METHODS: dict[str, Group] = {  # what only a class of this group has
    "exact_update": "algorithm",
    "prompts": "prompts",
    "game": "oracle",
    "oracle": "oracle",
    "learn": "oracle_wrapper",
    "wrap": "oracle_wrapper",
    "wrap_text": "oracle_wrapper",
    "score": "benchmark",
    "score_samples": "benchmark",
    "requests": "benchmark",
    "score_model": "benchmark",
    "build": "model",
    "base": "model",
    "judge": "judge",
}
ROW_KEYS = ("algorithm", "training")
# Where an algorithm ties no rate to its step: the optimizer of six_algorithms.
UNTIED = ("training.optimizer=adam", "training.learning_rate=0.05")
# Of an algorithm whose data are collected once, so that the budget does not end its training.
OFFLINE_ITERATIONS = 5


def check(
    target: str,
    overrides: Sequence[str],
    config_dir: str | None,
    comparison: bool,
    jobs: int | None,
) -> int:
    """Check the part, compare it where it is an algorithm; exit status 1 where a check failed.

    Raises:
        ImpossibleSettingError: the target names no part, or its settings do not build one.
    """
    searched = search_path_override(config_dir)
    add_user_modules(searched)
    subject = subject_of(target, overrides, searched)
    subject.build()  # what cannot be built is refused once, not by every check
    sys.stdout.write(f"{subject.group}={subject.name} ({subject.node['_target_']})\n")
    failed = 0
    for outcome in check_part(subject):
        sys.stdout.write(line(outcome) + "\n")
        sys.stdout.flush()
        failed += outcome.kind == "FAILED"
    if failed:
        sys.stdout.write(f"{failed} checks failed.\n")
        return 1
    if subject.group == "algorithm" and comparison:
        return compare(subject, target, overrides, config_dir, jobs)
    return 0


def line(outcome: Outcome) -> str:
    """`ok`, or how it went otherwise with its sentence."""
    said = f"{outcome.kind}: {outcome.sentence}" if outcome.sentence else outcome.kind
    return f"  {outcome.name}: {said}"


def subject_of(target: str, overrides: Sequence[str], searched: Sequence[str]) -> Subject:
    """The part that the target names: GROUP=NAME, NAME, or module.Class with its arguments.

    Raises:
        ImpossibleSettingError: it names none, or several.
    """
    if "=" not in target and "." in target:
        return _subject_of_class(target, overrides)
    group, _, name = target.rpartition("=")
    if not group:
        group = _group_of(name, search_folders(searched))
    if group not in GROUPS:
        raise ImpossibleSettingError(f"{group} is no group: {suggestion(group, GROUPS)}")
    chosen: Group = group
    several = chosen in ("benchmark", "oracle_wrapper")
    choice = f"{chosen}=[{name}]" if several else f"{chosen}={name}"
    chosen_node = compose_config([*searched, choice])[chosen]
    if several and name not in chosen_node:
        raise ImpossibleSettingError(
            f"{chosen}/{name}.yaml does not say where it belongs: let its first line be "
            f"'# @package {chosen}.{name}'."
        )
    target_of = chosen_node[name] if several else chosen_node
    scale = at_scale_of(Subject(chosen, name, {"_target_": target_of._target_}))
    composed = compose_config([*searched, *scale, choice, *overrides])
    node = resolved_config(composed)[chosen]
    return Subject(chosen, name, node[name] if several else node)


def at_scale_of(subject: Subject) -> list[str]:
    """What a part is composed on: the mini world if it reads text, else the root, of games."""
    return ["experiment=mini/default"] if subject.reads_text else []


def compare(
    subject: Subject,
    target: str,
    overrides: Sequence[str],
    config_dir: str | None,
    jobs: int | None,
) -> int:
    """The experiment `check` with a row for the algorithm; its exit status."""
    algorithm: Algorithm = subject.build()
    if needs_scores(algorithm):
        sys.stdout.write(
            "no comparison: it asks for scores, and the games of the comparison have none.\n"
        )
        return 0
    own = [x for x in overrides if override_key(x).partition(".")[0] in ROW_KEYS]
    others = [x for x in overrides if x not in own]
    named = "=" in target or "." not in target
    row = (
        [f"algorithm={subject.name}", *own]
        if named
        else [*_as_overrides(subject), *own_training(own)]
    )
    untied = algorithm.learning_rate(2, 0) is None
    given = {override_key(x) for x in own}
    if untied and not given & {"training.optimizer", "training.learning_rate"}:
        row += UNTIED
    sys.stdout.flush()
    try:
        composed = [*search_path_override(config_dir), "experiment=tabular/check", *others]
        budget = compose_config(composed).budget.comparisons
        row += [x for x in of_a_data_set(algorithm, budget) if override_key(x) not in given]
        if all(override_key(x).partition(".")[0] in ELSEWHERE for x in others):
            others = [*others, "tuning=check", f"untuned=[{subject.name}]"]
        added = f"+rows.{subject.name}=[{','.join(quoted(x) for x in row)}]"
        return reproduce("check", [added, *others], config_dir, jobs)
    except ImpossibleSettingError as error:
        sys.stdout.write(f"no comparison: {error}\n")
        return 0


def of_a_data_set(algorithm: Algorithm, budget: int | None) -> list[str]:
    """Of an offline algorithm: the budget as its data set, and few updates on it; else nothing."""
    group = offline_group(algorithm)
    if group is None:
        return []
    groups = [] if budget is None else [f"training.groups_per_iteration={budget // group}"]
    return [*groups, f"training.iterations={OFFLINE_ITERATIONS}"]


def own_training(own: Sequence[str]) -> list[str]:
    """The overrides of training among a row's own."""
    return [x for x in own if override_key(x).startswith("training")]


def _as_overrides(subject: Subject) -> list[str]:
    """Overrides that put a class, named by its module, in the place of the configured algorithm."""
    arguments = [f"+algorithm.{key}={_hydra(value)}" for key, value in subject.arguments.items()]
    return ["~algorithm", f"+algorithm._target_={subject.node['_target_']}", *arguments]


def _hydra(value: Any) -> str:
    """A plain value in Hydra's grammar of overrides."""
    if isinstance(value, list | tuple):
        return f"[{','.join(_hydra(each) for each in value)}]"
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    return quoted(value) if isinstance(value, str) else repr(value)


def _subject_of_class(target: str, overrides: Sequence[str]) -> Subject:
    kind = load_target("target", target)
    group = next((METHODS[name] for name in METHODS if hasattr(kind, name)), None)
    if group is None:
        raise ImpossibleSettingError(
            f"{target} is no part: an algorithm has exact_update, an oracle game or oracle, an "
            "oracle wrapper wrap, wrap_text or learn, a benchmark score or score_samples, a model "
            "build or base, and prompts prompts."
        )
    name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", target.rpartition(".")[2]).lower()
    prefix = f"{group}."
    given = [x for x in parse_overrides(overrides) if x.key_or_group.startswith(prefix)]
    node = {x.key_or_group.removeprefix(prefix): x.value() for x in given}
    return Subject(group, name, {"_target_": target, **node})


def _group_of(name: str, folders: Sequence[Path]) -> str:
    """The one group that has a choice of this name."""
    choices = {
        group: {path.stem for folder in folders for path in (folder / group).glob("*.yaml")}
        for group in GROUPS
    }
    found = [group for group, names in choices.items() if name in names]
    if len(found) == 1:
        return found[0]
    if found:
        either = " or ".join(f"{group}={name}" for group in found)
        raise ImpossibleSettingError(f"{name} is ambiguous: say {either}.")
    known = {name for names in choices.values() for name in names}
    raise ImpossibleSettingError(f"{name} is no part: {suggestion(name, known)}")
