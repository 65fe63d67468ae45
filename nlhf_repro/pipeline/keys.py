"""Keys: the SHA-256 of what determines a result, and of nothing else.

A key holds the resolved settings of its stage, the source that the stage runs, the versions of the
numerical libraries, the kind of machine, and the keys of its inputs. It does not hold where results
are written, who tracks them, how they are printed, or what the experiment and its rows are called.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from functools import cache
from importlib.metadata import version
from platform import machine
from typing import Any

from hydra.utils import get_object

from nlhf_repro.pipeline.files import canonical_json, digest
from nlhf_repro.pipeline.parts import build, target_module, targets
from nlhf_repro.pipeline.sources import source_hashes

Config = Mapping[str, Any]

STAGES_MODULE = "nlhf_repro.pipeline.stages"
LANGUAGE_MODULE = "nlhf_repro.pipeline.language.stages"
TRAINING_NODES = ("algorithm", "model", "oracle", "oracle_wrapper", "training", "budget")
# Keys of the language node that no trained weight depends on.
EVALUATION = ("evaluation_split", "evaluation_samples", "selection")
PLACES = ("resume_every", "snapshots")
LIBRARIES = ("numpy", "scipy")
LANGUAGE_LIBRARIES = (*LIBRARIES, "torch", "transformers", "tokenizers")


def is_language(config: Config) -> bool:
    """Whether a language model is trained on prompts, and not a policy on games."""
    return config["language"] is not None


def is_deterministic(config: Config) -> bool:
    """Whether training draws nothing at random: the exact face."""
    return bool(config["training"]["face"] == "exact")


def training_settings(config: Config) -> dict[str, Any]:
    """The nodes that training reads."""
    settings = {node: config[node] for node in TRAINING_NODES}
    settings["oracle"] = oracle_settings(config)
    if is_language(config):
        language = {k: v for k, v in config["language"].items() if k not in (*EVALUATION, *PLACES)}
        settings |= {"prompts": prompts_settings(config), "language": language}
        settings["model"] = model_settings(config)
        settings |= _stopping(config)
    return settings


def _stopping(config: Config) -> dict[str, Any]:
    """What an early end of training depends on; nothing where there is none."""
    language = config["language"]
    if language["patience"] is None or language["selection"] is None:
        return {}
    judge = config["benchmark"][language["selection"]]
    return {"stopping": {"judge": judge, "samples": language["evaluation_samples"]}}


def prompts_settings(config: Config) -> dict[str, Any]:
    """The node of the prompts, with the hash of the file that they come from where they do."""
    return _with_files(config["prompts"], "file")


def model_settings(config: Config) -> dict[str, Any]:
    """The node of the model, with the hash of the files that it is loaded from where it is."""
    return _with_files(config["model"])


def oracle_settings(config: Config) -> dict[str, Any]:
    """The node of the oracle, with the hash of the files that it is loaded from where it is.

    What it holds is as `with_identities` has it.
    """
    return with_identities(_with_files(config["oracle"]), config["world"])


def with_identities(node: Config, world: int) -> dict[str, Any]:
    """The node with every judge inside of it as what decides its replies, and nothing else.

    That is the identity of the judge of the world: budgets, prices and concurrency are no part of
    it, and the weights of a judge in memory are. Other parts inside of the node have the hash of
    the files that they are loaded from, as the node itself may have.
    """
    return {key: _with_identities(value, world) for key, value in node.items()}


def _with_identities(value: Any, world: int) -> Any:
    if isinstance(value, list | tuple):
        return [_with_identities(each, world) for each in value]
    if not isinstance(value, Mapping):
        return value
    if "_target_" not in value:
        return with_identities(value, world)
    if callable(getattr(get_object(value["_target_"]), "judge", None)):
        identity = _judge_identity(canonical_json(value), world)
        return {"_target_": value["_target_"], "identity": identity}
    return with_identities(_with_files(value), world)


@cache
def _judge_identity(node: str, world: int) -> dict[str, Any]:
    """Read once a process, as the files of its weights are: a tokenizer is loaded for it."""
    return dict(build(json.loads(node)).judge(world).identity)


def _with_files(part: Config, key: str = "files") -> dict[str, Any]:
    node = dict(part)
    if not hasattr(get_object(node["_target_"]), "fingerprint"):
        return node
    return {**node, key: build(node).fingerprint()}


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
            **environment(config, settings, torch=_needs_torch(config)),
        }
    )


def fine_tune_key(config: Config) -> str | None:
    """The key of the fine-tuned model; None where the configured one is taken as it is."""
    if not config["language"]["fine_tuning"]:
        return None
    return digest({"stage": "fine_tune", **base_factors(config)})


def sample_key(config: Config, split: str | None = None) -> str:
    """The key of the recorded policies' answers to a split, that of the scored prompts if None."""
    return answers_key(config, train_key(config), split)


def answers_key(config: Config, policy_key: str, split: str | None = None) -> str:
    """The key of the answers of the policies that the stage of this key recorded."""
    return digest({"stage": "sample", "train": policy_key, **_answers(config, split)})


def reference_sample_key(config: Config, split: str | None = None) -> str:
    """The key of the reference's answers as an opponent, the same for all that start from it."""
    return digest({"stage": "sample_reference", **base_factors(config), **_answers(config, split)})


def start_sample_key(config: Config, split: str | None = None) -> str:
    """The key of the reference's answers as the policy that training starts from."""
    return digest({"stage": "sample_start", **base_factors(config), **_answers(config, split)})


def language_keys(config: Config) -> dict[str, str | None]:
    """The keys of the stages that a language cell has besides training and evaluation."""
    return {
        "fine_tune": fine_tune_key(config),
        "sample": sample_key(config),
        "reference_sample": reference_sample_key(config),
    }


def base_factors(config: Config) -> dict[str, Any]:
    """What the reference policy depends on."""
    settings = {"model": model_settings(config), "prompts": prompts_settings(config)}
    tuning = config["language"]["fine_tuning"]
    return {
        "settings": settings,
        "tuning": tuning,
        "world": config["world"],
        **environment(config, settings, torch=True),
    }


def _answers(config: Config, split: str | None) -> dict[str, Any]:
    """What answers depend on beside the policy."""
    names = (
        "evaluation_samples",
        "max_new_tokens",
        "top_p",
        "top_k",
        "backend",
        "microbatch",
        "sampling_batch",
    )
    chosen = split or config["language"]["evaluation_split"]
    return {"split": chosen, "answers": {name: config["language"][name] for name in names}}


def _needs_torch(config: Config) -> bool:
    return not is_deterministic(config) or bool(config["oracle_wrapper"])


@cache
def installed(library: str) -> str:
    """Its version, read once a process."""
    return version(library)


def environment(
    config: Config, settings: Config, torch: bool, module: str | None = None
) -> dict[str, Any]:
    """The source that a stage runs, and what it runs on; `module` is the stage's own."""
    language = is_language(config)
    stages = module or (LANGUAGE_MODULE if language else STAGES_MODULE)
    modules = {stages, *(target_module(part) for part in targets(settings))}
    libraries = LANGUAGE_LIBRARIES if language else (*LIBRARIES, *(("torch",) if torch else ()))
    return {
        "source": source_hashes(modules),
        "versions": {name: installed(name) for name in libraries},
        "python": ".".join(platform.python_version_tuple()[:2]),
        "machine": machine(),
    }
