"""The benchmarks of a configuration: of what kind each is, and which judge it asks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from hydra.utils import get_class

from nlhf_repro.interfaces import ImpossibleSettingError, Judge, JudgedBenchmark, JudgeFamily
from nlhf_repro.pipeline.parts import build

Config = Mapping[str, Any]
Kind = Literal["games", "samples", "judged", "model"]
"""games: scores policies on games; samples: answers to the prompts of the world; judged: asks a
judge about answers to its own questions; model: asks the model in memory."""

METHODS: dict[str, Kind] = {
    "requests": "judged",
    "score_model": "model",
    "score_samples": "samples",
    "score": "games",
}


def kind_of(node: Mapping[str, Any]) -> Kind:
    """The kind of the benchmark that the node names.

    Raises:
        ImpossibleSettingError: its class has the methods of no kind.
    """
    named = get_class(node["_target_"])
    for method, kind in METHODS.items():
        if hasattr(named, method):
            return kind
    raise ImpossibleSettingError(
        f"{node['_target_']} is no benchmark: give it score, score_samples, score_model, or what "
        "nlhf_repro.interfaces.JudgedBenchmark lists."
    )


def own_node(config: Config, name: str) -> dict[str, Any]:
    """The benchmark's node without its judge."""
    node = dict(config["benchmark"][name])
    if kind_of(node) == "judged":
        node.pop("judge", None)
    return node


def judge_node(config: Config, name: str) -> dict[str, Any]:
    """The judge that a judged benchmark asks: the run's, where it has one, or else its own.

    Raises:
        ImpossibleSettingError: there is none.
    """
    node = config["judge"] or config["benchmark"][name].get("judge")
    if not node:
        raise ImpossibleSettingError(
            f"benchmark.{name} asks a judge, and there is none: choose one, as in "
            "judge=annotator_panel."
        )
    return dict(node)


def judge_of(config: Config, name: str) -> Judge:
    """The judge of the world that a judged benchmark asks.

    Raises:
        ImpossibleSettingError: there is none, or it is no judge.
    """
    family = build(judge_node(config, name))
    if not isinstance(family, JudgeFamily):
        raise ImpossibleSettingError(
            f"{type(family).__name__}, which benchmark.{name} asks, is no judge: give it what "
            "nlhf_repro.interfaces.JudgeFamily lists."
        )
    return family.judge(config["world"])


def judged_benchmark(config: Config, name: str) -> JudgedBenchmark:
    """The benchmark, built."""
    benchmark: JudgedBenchmark = build(own_node(config, name))
    return benchmark
