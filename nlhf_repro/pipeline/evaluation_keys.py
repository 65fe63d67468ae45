"""Keys of scores, and of the answers and judgments that judged benchmarks need."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from nlhf_repro.interfaces import JudgedBenchmark, ModelBenchmark
from nlhf_repro.pipeline.files import digest
from nlhf_repro.pipeline.keys import (
    base_factors,
    environment,
    installed,
    is_language,
    oracle_settings,
    reference_sample_key,
    sample_key,
    train_key,
)
from nlhf_repro.pipeline.parts import build, target_module, targets
from nlhf_repro.pipeline.scored import (
    judge_node,
    judge_of,
    judged_benchmark,
    kind_of,
    own_node,
)
from nlhf_repro.pipeline.sources import source_hashes

Config = Mapping[str, Any]

JUDGED_MODULE = "nlhf_repro.pipeline.language.judged"
ANSWERING_MODULE = "nlhf_repro.pipeline.language.answering"
MODEL_MODULE = "nlhf_repro.pipeline.language.harness"


def evaluation_key(config: Config, name: str) -> str:
    """The key of one benchmark's scores: of what is scored, and of the benchmark's settings."""
    node = config["benchmark"][name]
    kind = kind_of(node)
    scored: dict[str, Any]
    if kind == "judged":
        scored = {"judgments": judgments_key(config, name), "scoring": own_node(config, name)}
        scored |= environment(config, own_node(config, name), torch=False, module=JUDGED_MODULE)
    elif kind == "model":
        benchmark: ModelBenchmark = build(node)
        scored = {"train": train_key(config), **_base(config), "files": benchmark.fingerprint()}
        scored |= {"settings": node, "lm-eval": installed("lm-eval")}
        scored |= {"seed": config["seed"]} if benchmark.draws_by_seed else {}
        scored |= environment(config, node, torch=False, module=MODEL_MODULE)
    else:
        settings = {"oracle": oracle_settings(config), "benchmark": node}
        scored = {"train": train_key(config), "settings": settings}
        if is_language(config):
            del scored["train"]
            scored |= {"sample": sample_key(config), "reference": reference_sample_key(config)}
        scored |= environment(config, settings, torch=False)
    if is_language(config) and config["language"]["selection"]:
        scored["selection"] = _selection(config)
    return digest({"stage": "evaluate", "name": name, **scored})


def answers_key(config: Config, name: str) -> str:
    """The key of the trained policy's answers to a judged benchmark's questions."""
    trained = {"train": train_key(config)}
    if config["language"]["selection"]:
        trained["selection"] = _selection(config)
    return digest({"stage": "answer", **trained, **_asked(config, name)})


def reference_answers_key(config: Config, name: str) -> str:
    """The key of the reference policy's answers to a judged benchmark's questions."""
    return digest({"stage": "answer_reference", **_asked(config, name)})


def judgments_key(config: Config, name: str) -> str:
    """The key of a judge's replies about the answers; settings of scoring alone are no part."""
    benchmark = judged_benchmark(config, name)
    node, judge = own_node(config, name), judge_node(config, name)
    protocol = {key: value for key, value in node.items() if key not in benchmark.scoring}
    compared = None
    if asks_reference(benchmark):
        compared = reference_answers_key(config, name)
    return digest(
        {
            "stage": "judge",
            "answers": answers_key(config, name),
            "compared": compared,
            "protocol": protocol,
            "files": benchmark.fingerprint(),
            "judge": judge_of(config, name).identity,
            "alpaca-eval": installed("alpaca-eval"),
            **environment(config, {"protocol": node, "judge": judge}, False, JUDGED_MODULE),
        }
    )


def asks_reference(benchmark: JudgedBenchmark) -> bool:
    """Whether answers are compared with those of the reference policy."""
    return benchmark.compares and benchmark.baseline() is None


def benchmark_version(config: Config, name: str) -> str:
    """Twelve digits that change with the benchmark's settings or with the source it runs."""
    node = config["benchmark"][name]
    return digest([node, source_hashes(target_module(part) for part in targets(node))])[:12]


def cell_key(config: Config) -> str:
    """The key of a cell: of its training and of all of its scores."""
    evaluations = {name: evaluation_key(config, name) for name in config["benchmark"]}
    return digest({"train": train_key(config), "evaluate": evaluations})


def _asked(config: Config, name: str) -> dict[str, Any]:
    """What answers to a judged benchmark depend on beside the policy."""
    benchmark = judged_benchmark(config, name)
    names = ("backend", "microbatch", "sampling_batch")
    return {
        "questions": digest([asdict(question) for question in benchmark.questions()]),
        "decoding": asdict(benchmark.decoding),
        "batches": {each: config["language"][each] for each in names},
        **_base(config),
        "answering": source_hashes([ANSWERING_MODULE]),
    }


def _base(config: Config) -> dict[str, Any]:
    return {"base": digest(base_factors(config)), "world": config["world"]}


def _selection(config: Config) -> str:
    """What the choice among recorded policies depends on."""
    chosen_by = benchmark_version(config, config["language"]["selection"])
    return digest([sample_key(config, "selection"), chosen_by])
