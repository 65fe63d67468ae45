"""`nlhf run pipeline=fit_oracle`: learn an oracle, say how good it is and how to use it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from nlhf_repro.interfaces import ImpossibleSettingError, OccasionalOracle, cost_of
from nlhf_repro.pipeline.cell import stage_store
from nlhf_repro.pipeline.keys import is_language
from nlhf_repro.pipeline.language.oracle_fit_key import oracle_fit_key
from nlhf_repro.pipeline.language.task import LanguageTask
from nlhf_repro.preferences.readers import fingerprint, read_preferences
from nlhf_repro.preferences.report import summary
from nlhf_repro.preferences.settings import WORLD, OracleFit
from nlhf_repro.validation import load_target

Config = Mapping[str, Any]


def check_fit(config: Config) -> None:
    """Refuse what cannot be learned, and what would be ignored.

    Raises:
        ImpossibleSettingError: naming the key and the remedy; of a file its malformed row.
    """
    settings = OracleFit(**config["fit"])
    settings.check()
    if not is_language(config):
        raise ImpossibleSettingError(
            "pipeline=fit_oracle learns from texts, and language is null: choose language=mini and "
            "prompts=posts, or scale=mini."
        )
    if config["oracle_wrapper"]:
        raise ImpossibleSettingError(
            f"oracle_wrapper={','.join(config['oracle_wrapper'])} changes what training sees, and "
            "pipeline=fit_oracle learns from the oracle itself: drop it, or take "
            "fit.labels=bernoulli for drawn answers."
        )
    _check_parts(config, settings.data)
    if settings.data != WORLD and "file" in fingerprint(
        settings.data, settings.revision, settings.data_split
    ):
        read_preferences(settings.data, None, None)


def fit_oracle(config: Config) -> Iterator[str]:
    """Where the oracle lies, its measures in a line each, and how a run asks it."""
    from nlhf_repro.pipeline.language.oracle_fit import MODEL, fitted_oracle

    store = stage_store(Path(config["output_dir"]))
    fresh = store.fault("fit_oracle", oracle_fit_key(config)) is not None
    folder = fitted_oracle(config, store)
    yield f"{folder} {'complete' if fresh else 'was complete before: nothing was run'}"
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    yield from (f"  {line}" for line in summary(report))
    yield f"  report: {folder / 'report.md'}"
    yield f"  to train on it: oracle={report['kind']} oracle.name_or_path={folder / MODEL}"


def _check_parts(config: Config, data: str) -> None:
    needed = {"model": ("base", "mini_llama"), "prompts": ("prompts", "posts")}
    if data == WORLD:
        needed["oracle"] = ("oracle", "annotators")
    for name, (method, choice) in needed.items():
        node = config[name]
        if node is None or not hasattr(load_target(name, node["_target_"]), method):
            raise ImpossibleSettingError(
                f"{name} is no part of language tasks: take {name}={choice}."
            )
    if data == WORLD:
        oracle = LanguageTask(config, None).oracle()
        if cost_of(oracle).paid_calls or isinstance(oracle, OccasionalOracle):
            raise ImpossibleSettingError(
                f"{type(oracle).__name__} is paid for its answers, draws them or changes, so that "
                "no true preference is known to learn and to test against: write its answers to a "
                "file for fit.data, or take oracle=annotators."
            )
