"""Keys: the SHA-256 of what determines a result, and of nothing else.

A key holds the resolved settings of its stage, the source that the stage runs, the versions of the
numerical libraries, the kind of machine, and the keys of its inputs. It does not hold where results
are written, who tracks them, how they are printed, or what the experiment and its rows are called.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from importlib.metadata import version
from platform import machine
from typing import Any

from nlhf_repro.pipeline.files import digest
from nlhf_repro.pipeline.parts import target_module, targets
from nlhf_repro.pipeline.sources import source_hashes

Config = Mapping[str, Any]

STAGES_MODULE = "nlhf_repro.pipeline.stages"
TRAINING_NODES = ("algorithm", "model", "oracle", "oracle_wrapper", "training", "budget")


def is_deterministic(config: Config) -> bool:
    """Whether training draws nothing at random: the exact face."""
    return bool(config["training"]["face"] == "exact")


def training_settings(config: Config) -> dict[str, Any]:
    """The nodes that training reads."""
    return {node: config[node] for node in TRAINING_NODES}


def seed_factors(config: Config) -> tuple[str | int, ...]:
    """What every random stream of training derives from, beside its name.

    Matched rows share their draws at equal seeds. Independent rows share none: their training
    settings are a factor of their own.
    """
    if config["seeds"]["design"] == "matched":
        return ("matched", int(config["seed"]))
    return (
        "independent",
        int(config["seed"]),
        digest([training_settings(config), config["world"]]),
    )


def train_key(config: Config) -> str:
    """The key of the training stage; without the seed where nothing is drawn at random."""
    settings = training_settings(config)
    return digest(
        {
            "stage": "train",
            "settings": settings,
            "world": config["world"],
            "seed": None if is_deterministic(config) else seed_factors(config),
            **_environment(settings, torch=_needs_torch(config)),
        }
    )


def evaluation_key(config: Config, benchmark: str) -> str:
    """The key of one benchmark's scores: of policies, game and the benchmark's settings."""
    settings = {"oracle": config["oracle"], "benchmark": config["benchmark"][benchmark]}
    return digest(
        {
            "stage": "evaluate",
            "name": benchmark,
            "train": train_key(config),
            "settings": settings,
            **_environment(settings, torch=False),
        }
    )


def benchmark_version(config: Config, benchmark: str) -> str:
    """Twelve digits that change with the benchmark's settings or with the source it runs."""
    node = config["benchmark"][benchmark]
    return digest([node, source_hashes(target_module(part) for part in targets(node))])[:12]


def cell_key(config: Config) -> str:
    """The key of a cell: of its training and of all of its scores."""
    evaluations = {name: evaluation_key(config, name) for name in config["benchmark"]}
    return digest({"train": train_key(config), "evaluate": evaluations})


def _needs_torch(config: Config) -> bool:
    return not is_deterministic(config) or bool(config["oracle_wrapper"])


def _environment(settings: Config, torch: bool) -> dict[str, Any]:
    modules = {STAGES_MODULE, *(target_module(part) for part in targets(settings))}
    libraries = ("numpy", "scipy", "torch") if torch else ("numpy", "scipy")
    return {
        "source": source_hashes(modules),
        "versions": {name: version(name) for name in libraries},
        "python": ".".join(platform.python_version_tuple()[:2]),
        "machine": machine(),
    }
