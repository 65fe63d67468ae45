"""The key of a learned oracle: its data, where it starts and how it is fitted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nlhf_repro.pipeline.files import digest
from nlhf_repro.pipeline.keys import (
    EVALUATION,
    PLACES,
    environment,
    installed,
    model_settings,
    oracle_settings,
    prompts_settings,
)
from nlhf_repro.preferences.readers import fingerprint
from nlhf_repro.preferences.settings import WORLD

Config = Mapping[str, Any]
MODULE = "nlhf_repro.pipeline.language.oracle_fit"


def oracle_fit_key(config: Config) -> str:
    """The SHA-256 of everything that decides the learned oracle and its report.

    Of a data set on a file it is what the file holds, not its name.
    """
    node = dict(config["fit"])
    settings = {"model": model_settings(config), "prompts": prompts_settings(config)}
    if node["data"] == WORLD:
        settings |= {
            "oracle": oracle_settings(config),
            "language": {
                k: v for k, v in config["language"].items() if k not in (*EVALUATION, *PLACES)
            },
        }
        data: dict[str, str] = {"data": WORLD}
    else:
        data = fingerprint(node["data"], node["revision"], node["data_split"])
    node = {k: v for k, v in node.items() if k not in ("data", "revision", "data_split")}
    return digest(
        {
            "stage": "fit_oracle",
            "fit": node,
            "data": data,
            "settings": settings,
            "world": config["world"],
            "seed": config["seed"],
            "matplotlib": installed("matplotlib"),
            **environment(config, settings, torch=True, module=MODULE),
        }
    )
