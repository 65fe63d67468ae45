"""What a cell's files lack before it can run, and keys for a plan that is made without them.

A provisional key is of settings alone: cells that would have one key have one provisional key. No
result is kept under it, so that such a cell never counts as complete.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any

from nlhf_repro.benchmarks.source_files import FAULTS
from nlhf_repro.interfaces import ImpossibleSettingError, ModelBenchmark
from nlhf_repro.interfaces.lacking import LackingError
from nlhf_repro.pipeline.evaluation_keys import cell_key
from nlhf_repro.pipeline.files import canonical_json, digest
from nlhf_repro.pipeline.keys import (
    PLACES,
    TRAINING_NODES,
    fine_tune_key,
    is_deterministic,
    is_language,
    model_settings,
    oracle_settings,
    prompts_settings,
)
from nlhf_repro.pipeline.parts import build
from nlhf_repro.pipeline.scored import judge_node, judge_of, judged_benchmark, kind_of, own_node

Config = Mapping[str, Any]
PROVISIONAL = "provisional-"

# Errors about files of benchmarks are told by their sentences: a type of their own, in code that
# every judgment runs, would change the keys of all judgments that there are.
_ABSENT_FILES = (f"{FAULTS['absent']}: run nlhf fetch", "is no file: check the path")


def is_lacking(error: ImpossibleSettingError) -> bool:
    """Whether something is not there, where the settings themselves may be sound."""
    return isinstance(error, LackingError) or any(x in str(error) for x in _ABSENT_FILES)


def lacking(config: Config) -> tuple[str, ...]:
    """What is not there, a sentence with its remedy each; the first of every part.

    Raises:
        ImpossibleSettingError: a setting itself is wrong.
    """
    reads: list[Callable[[], object]] = [lambda: oracle_settings(config)]
    if is_language(config):
        reads += [lambda: model_settings(config), lambda: prompts_settings(config)]
    found = [said for read in reads if (said := _lack(read))]
    return tuple(dict.fromkeys([*found, *_benchmarks_lack(config)]))


def _benchmarks_lack(config: Config) -> Iterator[str]:
    for name, node in config["benchmark"].items():
        kind = kind_of(node)
        if kind == "model" and (said := _model_benchmark_lacks(canonical_json(node))):
            yield said
        if kind == "judged":
            yield from _judged_benchmark_lacks(config, name)


def _judged_benchmark_lacks(config: Config, name: str) -> Iterator[str]:
    benchmark = judged_benchmark(config, name)
    for read in (benchmark.fingerprint, lambda: judge_of(config, name)):
        if said := _lack(read):
            yield said


@cache
def _model_benchmark_lacks(node: str) -> str | None:
    """What its check refuses before a run trains: packages, permissions, tasks."""
    benchmark: ModelBenchmark = build(json.loads(node))
    try:
        benchmark.check()
    except ImpossibleSettingError as error:
        return str(error)
    return None


def _lack(read: Callable[[], object]) -> str | None:
    try:
        read()
    except ImpossibleSettingError as error:
        if not is_lacking(error):
            raise
        return str(error)
    return None


def planned_cell_key(config: Config) -> str:
    """The key of a cell; a provisional one where something is lacking.

    Raises:
        ImpossibleSettingError: a setting itself is wrong.
    """
    return _unless_lacking(
        lambda: cell_key(config),
        lambda: {**_trained(config), "benchmark": config["benchmark"], "judge": config["judge"]},
    )


def planned_judgments_key(config: Config, name: str) -> str:
    """What judgings have in common that ask the same, so that one reads the other's kept replies.

    Settings alone say it, whether something is lacking or not: of AlpacaEval, the length-controlled
    win rate has a stage of its own beside the plain one, and asks nothing more.
    """
    scoring = judged_benchmark(config, name).scoring
    protocol = {k: v for k, v in own_node(config, name).items() if k not in scoring}
    return digest({**_trained(config), "protocol": protocol, "judge": judge_node(config, name)})


def planned_fine_tune_key(config: Config) -> str | None:
    """The key of the fine-tuned model, which is None without one; provisional as the others.

    Raises:
        ImpossibleSettingError: a setting itself is wrong.
    """
    if not config["language"]["fine_tuning"]:
        return None
    nodes = {name: config[name] for name in ("model", "prompts", "world")}
    tuning = {"tuning": config["language"]["fine_tuning"]}
    return _unless_lacking(lambda: fine_tune_key(config) or "", lambda: {**nodes, **tuning})


def _unless_lacking(key: Callable[[], str], settings: Callable[[], Config]) -> str:
    try:
        return key()
    except ImpossibleSettingError as error:
        if not is_lacking(error):
            raise
        return f"{PROVISIONAL}{digest(settings())}"


def _trained(config: Config) -> dict[str, Any]:
    """The settings that training and its samples depend on."""
    nodes = {name: config[name] for name in (*TRAINING_NODES, "world")}
    if is_language(config):
        language = {k: v for k, v in config["language"].items() if k not in PLACES}
        nodes |= {"prompts": config["prompts"], "language": language}
    drawn = None if is_deterministic(config) else (config["seeds"]["design"], config["seed"])
    return {**nodes, "seed": drawn}
