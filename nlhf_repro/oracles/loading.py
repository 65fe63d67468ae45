"""Loading models that judge texts: safetensors, no code of theirs, and no weight made up."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any, Literal, final

import torch

from nlhf_repro.interfaces import ImpossibleSettingError
from nlhf_repro.weights import located

Dtype = Literal["float32", "bfloat16", "float16"]
Kind = Literal["sequence classifier", "causal language model", "pair ranker"]


@final
@dataclass(frozen=True)
class Checkpoint:
    """Where weights lie, a folder or a name on the hub, and what they are computed with."""

    name_or_path: str
    revision: str | None
    dtype: Dtype
    device: str
    unsafe_weights: bool


def checkpoint_of(settings: Any) -> Checkpoint:
    """What of an oracle's settings decides the loaded model; they have fields of the same names."""
    return Checkpoint(**{each.name: getattr(settings, each.name) for each in fields(Checkpoint)})


@lru_cache(maxsize=2)  # the stages of a run ask for the same
def loaded(checkpoint: Checkpoint, kind: Kind) -> tuple[Any, Any]:
    """The model, which is not trained, and its tokenizer.

    Raises:
        ImpossibleSettingError: there is no such device, nothing can be loaded from there without
            running code of theirs, or a weight that such a model needs is missing, which would be
            drawn at random.
    """
    name = located(checkpoint.name_or_path, "oracle")
    _require_device(checkpoint.device)
    if checkpoint.unsafe_weights:
        warnings.warn(
            f"oracle.unsafe_weights = true reads pickled weights of {name} where it has no others, "
            "and what is pickled can run code: leave it false unless you trust who made them.",
            UserWarning,
            stacklevel=2,
        )
    try:
        model, tokenizer, missing = _loaded(checkpoint, kind, name)
    except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
        raise ImpossibleSettingError(
            f"oracle.name_or_path = {name} cannot be loaded as a {kind} "
            f"({_first_sentence(error)}): give a folder with config.json, tokenizer and "
            "safetensors weights, or a name on the hub; oracle.unsafe_weights=true also reads "
            "pickled weights."
        ) from error
    if missing:
        raise ImpossibleSettingError(
            f"oracle.name_or_path = {name} has no weights {', '.join(sorted(missing)[:3])}, which "
            f"a {kind} needs and which would be random: take a model that was trained as one."
        )
    if not tokenizer.is_fast:
        raise ImpossibleSettingError(
            f"the tokenizer of oracle.name_or_path = {name} has no fast form: save its "
            "tokenizer.json beside the weights."
        )
    model.train(False).requires_grad_(False)
    return model, tokenizer


def _loaded(checkpoint: Checkpoint, kind: Kind, name: str) -> tuple[Any, Any, list[str]]:
    from transformers import (
        AutoModelForCausalLM,
        AutoModelForSequenceClassification,
        AutoTokenizer,
    )

    from nlhf_repro.oracles.pair_ranker import pair_ranker

    where: dict[str, Any] = {"revision": checkpoint.revision, "trust_remote_code": False}
    classes: dict[Kind, Any] = {
        "sequence classifier": AutoModelForSequenceClassification,
        "causal language model": AutoModelForCausalLM,
    }
    tokenizer: Any = AutoTokenizer.from_pretrained(name, **where)
    where |= {
        "dtype": getattr(torch, checkpoint.dtype),
        "use_safetensors": None if checkpoint.unsafe_weights else True,
        "output_loading_info": True,
    }
    with torch.random.fork_rng(devices=[]):  # a weight that is missing is drawn
        if kind in classes:
            model, information = classes[kind].from_pretrained(name, **where)
        else:
            del where["trust_remote_code"]  # the class is given
            model, information = pair_ranker().from_pretrained(name, **where)
    return model.to(checkpoint.device), tokenizer, list(information["missing_keys"])


def _require_device(device: str) -> None:
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ImpossibleSettingError(
            f"oracle.device = {device} is not there ({_first_sentence(error)}): set one that is, "
            "such as cpu."
        ) from error


def check_sizes(**sizes: int) -> None:
    """Refuse sizes below 1.

    Raises:
        ImpossibleSettingError: naming the setting.
    """
    for name, size in sizes.items():
        if size < 1:
            raise ImpossibleSettingError(f"oracle.{name} = {size} must be at least 1: raise it.")


def _first_sentence(error: BaseException) -> str:
    return " ".join(str(error).split()).partition(". ")[0].rstrip(".")
