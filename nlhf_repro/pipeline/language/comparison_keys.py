"""Keys of what several runs enter: none is part of a key of the policies that are compared."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import asdict
from functools import cache
from importlib.metadata import version
from platform import machine
from typing import Any

from nlhf_repro.interfaces import ResponderTraining
from nlhf_repro.pipeline.files import digest
from nlhf_repro.pipeline.keys import (
    LANGUAGE_LIBRARIES,
    answers_key,
    oracle_settings,
    reference_sample_key,
    sample_key,
    train_key,
)
from nlhf_repro.pipeline.parts import target_module, targets
from nlhf_repro.pipeline.sources import source_hashes

Config = Mapping[str, Any]

COMPARISON_MODULE = "nlhf_repro.pipeline.language.comparison_stages"
RESPONDER_MODULE = "nlhf_repro.pipeline.language.responder"


def responder_key(config: Config, settings: ResponderTraining) -> str:
    """The key of the response that is trained against the cell's last policy."""
    return digest(
        {
            "stage": "responder",
            "train": train_key(config),
            "settings": asdict(settings),
            **_environment(config, RESPONDER_MODULE),
        }
    )


def responder_sample_key(config: Config, settings: ResponderTraining) -> str:
    """The key of that response's answers to the scored prompts."""
    return answers_key(config, responder_key(config, settings))


def pair_key(config: Config, first: str, second: str) -> str:
    """The key of how often answers of one key are preferred to those of another."""
    return digest({"stage": "compare", "first": first, "second": second, **_judged(config)})


def reference_pair_key(config: Config) -> str:
    """The key of the cell's answers against the reference and what is picked among its own."""
    keys = {"policy": sample_key(config), "reference": reference_sample_key(config)}
    return digest({"stage": "compare_reference", **keys, **_judged(config)})


def _judged(config: Config) -> dict[str, Any]:
    environment = _environment(config, COMPARISON_MODULE)
    return {"oracle": oracle_settings(config), "world": config["world"], **environment}


def _environment(config: Config, module: str) -> dict[str, Any]:
    parts = targets({node: config[node] for node in ("oracle", "prompts")})
    return {
        "source": source_hashes({module, *(target_module(part) for part in parts)}),
        "versions": {name: _version(name) for name in LANGUAGE_LIBRARIES},
        "python": ".".join(platform.python_version_tuple()[:2]),
        "machine": machine(),
    }


@cache
def _version(library: str) -> str:
    return version(library)
