"""A language task as it is configured: prompts, the true oracle, the model to start from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlhf_repro.interfaces import (
    Decoding,
    KeepsAnswers,
    LanguageSettings,
    Prompt,
    PromptFamily,
    Split,
    TextOracle,
)
from nlhf_repro.pipeline.answer_files import answer_file
from nlhf_repro.pipeline.files import canonical_json
from nlhf_repro.pipeline.keys import prompts_settings
from nlhf_repro.pipeline.language.kept import answers_key
from nlhf_repro.pipeline.parts import build
from nlhf_repro.seeds import seed_for

if TYPE_CHECKING:
    from nlhf_repro.models.causal_lm import CausalLanguageModelPolicy

Config = Mapping[str, Any]
FINE_TUNED = "parameters.safetensors"


def language_settings(config: Config) -> LanguageSettings:
    """The `language` node as its record."""
    from nlhf_repro.interfaces import FineTuning

    node = dict(config["language"])
    tuning = node.pop("fine_tuning")
    return LanguageSettings(fine_tuning=FineTuning(**tuning) if tuning else None, **node)


@dataclass(frozen=True)
class LanguageTask:
    """What the stages of a language cell share; `base` is the folder of the fine-tuned weights."""

    config: Config
    base: Path | None

    @property
    def settings(self) -> LanguageSettings:
        """The `language` node."""
        return language_settings(self.config)

    @property
    def family(self) -> PromptFamily:
        """Where prompts come from."""
        family: PromptFamily = build(self.config["prompts"])
        return family

    def prompts(self, split: Split) -> tuple[Prompt, ...]:
        """A split of the world's prompts."""
        return _prompts(canonical_json(prompts_settings(self.config)), split, self.config["world"])

    def oracle(self) -> TextOracle:
        """The true oracle of the world, before any wrapper; it keeps its answers if it can."""
        oracle: TextOracle = build(self.config["oracle"]).oracle(self.config["world"])
        if isinstance(oracle, KeepsAnswers):
            node = self.config["oracle"]
            oracle.keep_answers(
                answer_file(Path(self.config["output_dir"]), node.get("judge", node))
            )
        return oracle

    def wrappers(self) -> list[Any]:
        """The wrappers that training sees the oracle through, innermost first.

        Those that keep answers do so in a file that is named by all that decides these answers.
        """
        made = []
        for name, node in self.config["oracle_wrapper"].items():
            wrapper = build(node)
            if isinstance(wrapper, KeepsAnswers):
                file = f"{answers_key(self.config, name)[:16]}.sqlite"
                wrapper.keep_answers(Path(self.config["output_dir"]) / "answers" / file)
            made.append(wrapper)
        return made

    def policy(
        self, prompts: tuple[Prompt, ...], decoding: Decoding | None = None
    ) -> CausalLanguageModelPolicy:
        """The reference policy over these prompts: the configured model, fine-tuned if it was.

        It draws as `language` says, or else as a benchmark's `decoding` does, temperature aside.
        """
        from nlhf_repro.models.causal_lm import CausalLanguageModelPolicy, GenerationSettings
        from nlhf_repro.models.responses import ResponseBank
        from nlhf_repro.models.snapshots import DiskParameters

        settings = self.settings
        model, tokenizer = base_model(self.config)
        drawn = decoding or settings
        generation = GenerationSettings(
            drawn.max_new_tokens,
            drawn.top_p,
            drawn.top_k,
            settings.backend,
            settings.sampling_batch,
        )
        policy = CausalLanguageModelPolicy(
            model,
            tokenizer,
            prompts,
            generation,
            settings.log_prob,
            ResponseBank(),
            settings.microbatch,
        )
        if self.base is not None:
            policy.load(_snapshot(DiskParameters(self.base / FINE_TUNED)))
        return policy


@lru_cache(maxsize=16)
def _prompts(node: str, split: Split, world: int) -> tuple[Prompt, ...]:
    """A split of the prompts that this JSON configures; stages of one process ask for the same."""
    family: PromptFamily = build({k: v for k, v in json.loads(node).items() if k != "file"})
    return family.prompts(split, world)


def base_model(config: Config) -> tuple[Any, Any]:
    """The configured model and its tokenizer, before fine-tuning; the world's weights if random."""
    vocabulary = build(config["prompts"]).vocabulary()
    seed = seed_for("base_model", config["world"])
    model, tokenizer = build(config["model"]).base(vocabulary, seed)
    return model, tokenizer


def _snapshot(parameters: Mapping[str, Any]) -> Any:
    from nlhf_repro.interfaces import Snapshot

    return Snapshot(parameters, {})
