"""Pretrained causal language models, from a folder or from the hub, whole or with LoRA."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, final

import torch

from nlhf_repro.interfaces import ImpossibleSettingError
from nlhf_repro.models.encoding import end_of_sequence
from nlhf_repro.models.forward import checkpoint_activations, dropout_rates
from nlhf_repro.seeds import seed_for
from nlhf_repro.weights import fingerprint, located

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

LORA_KEYS = {"rank", "alpha", "target_modules"}


@final
@dataclass(frozen=True)
class PretrainedCausalLM:
    """A model and its tokenizer by hub name or folder; safetensors only, no code of theirs is run.

    With `lora` = {rank, alpha, target_modules} only adapters are trained, and they start at zero,
    so that the first policy is the pretrained model. Dropout is taken out. `revision` is a branch,
    tag or commit of the hub, which a run needs; null for a folder.
    """

    name_or_path: str
    revision: str | None
    dtype: Literal["float32", "bfloat16"]
    lora: dict[str, Any] | None
    device: str
    gradient_checkpointing: bool
    free_logits: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.lora is None:
            if self.dtype == "bfloat16":
                raise ImpossibleSettingError(
                    "model.dtype = bfloat16 with model.lora = null would train all weights in 8 "
                    "bits of precision, in which steps at usual learning rates round to nothing: "
                    "set model.dtype=float32, or train adapters with model.lora."
                )
            return
        if set(self.lora) != LORA_KEYS:
            raise ImpossibleSettingError(
                f"model.lora has the keys {', '.join(sorted(self.lora)) or 'none'}: give rank, "
                "alpha and target_modules, or null to train all weights."
            )
        if not self.lora["rank"] >= 1 or not self.lora["alpha"] > 0:
            raise ImpossibleSettingError(
                f"model.lora.rank = {self.lora['rank']} must be at least 1 and model.lora.alpha = "
                f"{self.lora['alpha']} above 0: raise them."
            )

    def fingerprint(self) -> dict[str, str]:
        """What results are kept under: SHA-256 of a folder's files, or the revision on the hub.

        Raises:
            ImpossibleSettingError: no such folder, or a hub model without a revision, which could
                change under the same name.
        """
        return fingerprint(self.name_or_path, self.revision, "model")

    def base(
        self, vocabulary: Sequence[str], seed: int
    ) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
        """The model and its tokenizer; the seed decides adapters, the vocabulary is not used.

        Raises:
            ImpossibleSettingError: Nothing can be loaded from there, the tokenizer lacks an end or
                a chat template, or peft is missing.
        """
        from transformers import AutoModelForCausalLM

        config, tokenizer = self.without_weights(vocabulary)
        with self._loading():
            model: Any = AutoModelForCausalLM.from_pretrained(
                located(self.name_or_path, "model"),
                config=without_dropout(config),
                dtype=getattr(torch, self.dtype),
                use_safetensors=True,
                **self._where,
            )
        if self.lora is not None:
            model = with_adapters(model, self.lora, seed)
        if self.gradient_checkpointing:
            model.enable_input_require_grads()
            checkpoint_activations(model)
        model.to(self.device).train(False)
        return model, tokenizer

    def without_weights(
        self, vocabulary: Sequence[str]
    ) -> tuple[PreTrainedConfig, PreTrainedTokenizerBase]:
        """The model's configuration and its tokenizer; the vocabulary is not used.

        Raises:
            ImpossibleSettingError: Nothing can be loaded from there, or the tokenizer lacks an end
                or a chat template.
        """
        from transformers import AutoConfig, AutoTokenizer

        source = located(self.name_or_path, "model")
        with self._loading():
            tokenizer: Any = AutoTokenizer.from_pretrained(source, **self._where)
            end_of_sequence(tokenizer)
            return AutoConfig.from_pretrained(source, **self._where), tokenizer

    @property
    def _where(self) -> dict[str, Any]:
        return {"revision": self.revision, "trust_remote_code": False}

    @contextmanager
    def _loading(self) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError, KeyError) as error:
            if isinstance(error, ImpossibleSettingError):
                raise
            raise ImpossibleSettingError(
                f"model.name_or_path = {self.name_or_path} cannot be loaded "
                f"({_first_sentence(error)}): give a folder with config.json, tokenizer and "
                "safetensors weights, or a name on the hub."
            ) from error


def without_dropout(config: Any) -> Any:
    """The configuration with every rate of dropout at 0.

    A policy is sampled without dropout; trained with it, its log-probabilities would be those of
    other policies.
    """
    for name in dropout_rates(config):
        setattr(config, name, 0.0)
    return config


def with_adapters(model: PreTrainedModel, lora: Mapping[str, Any], seed: int) -> Any:
    """The model with frozen weights and LoRA adapters, drawn from the seed, that change nothing.

    Raises:
        ImpossibleSettingError: peft is not installed, or no module has such a name.
    """
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError as error:
        raise ImpossibleSettingError(
            "model.lora needs peft: pip install 'nlhf-repro[peft]', or set model.lora = null."
        ) from error
    settings = LoraConfig(
        r=lora["rank"],
        lora_alpha=lora["alpha"],
        target_modules=list(lora["target_modules"]),
        lora_dropout=0.0,
        bias="none",
        task_type="CAUSAL_LM",
    )
    try:
        with torch.random.fork_rng(devices=[]):  # peft draws from the global stream
            adapted = get_peft_model(model, settings)
    except ValueError as error:
        raise ImpossibleSettingError(
            f"model.lora.target_modules = {list(lora['target_modules'])} fits no module "
            f"({_first_sentence(error)}): name linear layers of the model."
        ) from error
    generator = torch.Generator()
    generator.manual_seed(seed_for("model", "adapters", seed))
    with torch.no_grad():
        for name, value in sorted(adapted.named_parameters()):
            if "lora_A" in name:
                draws = torch.rand(value.shape, generator=generator) * 2.0 - 1.0
                value.copy_(draws / math.sqrt(value.shape[-1]))
            elif "lora_B" in name:
                value.zero_()
    return adapted


def _first_sentence(error: BaseException) -> str:
    return " ".join(str(error).split()).partition(". ")[0].rstrip(".")
