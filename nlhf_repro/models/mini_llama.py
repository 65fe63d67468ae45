"""A small Llama that is made on the spot, with a word-level tokenizer: nothing is downloaded."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, final

import torch

from nlhf_repro.interfaces import ImpossibleSettingError
from nlhf_repro.seeds import seed_for

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase
    from transformers.models.llama import LlamaConfig

PAD, END, UNKNOWN = "<pad>", "<eos>", "<unk>"
ROLES = ("<system>", "<user>", "<assistant>")
SPECIAL = (PAD, END, UNKNOWN, *ROLES)
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<' + message['role'] + '> ' + message['content'] + ' ' }}"
    "{% if message['role'] == 'assistant' %}{{ '<eos> ' }}{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<assistant>' }}{% endif %}"
)


@final
@dataclass(frozen=True)
class MiniLlama:
    """A Llama of float32 weights drawn from a seed, over the words of a world.

    The output weights are those of the embedding where `tied`. A word is what stands between two
    spaces, and each is one token.
    """

    hidden_size: int
    layers: int
    heads: int
    intermediate_size: int
    positions: int
    tied: bool
    free_logits: ClassVar[bool] = False

    def __post_init__(self) -> None:
        for name in ("hidden_size", "layers", "heads", "intermediate_size", "positions"):
            if getattr(self, name) < 1:
                raise ImpossibleSettingError(
                    f"model.{name} = {getattr(self, name)} must be at least 1: raise it."
                )
        if self.hidden_size % (2 * self.heads):
            raise ImpossibleSettingError(
                f"model.hidden_size = {self.hidden_size} must be a multiple of twice model.heads = "
                f"{self.heads}: every head rotates pairs of numbers."
            )

    def base(
        self, vocabulary: Sequence[str], seed: int
    ) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
        """The untrained model, the same bit for bit for the same seed, and its tokenizer.

        Raises:
            ImpossibleSettingError: A word of the vocabulary cannot be a token.
        """
        config, tokenizer = self.without_weights(vocabulary)
        return self._model(config, seed), tokenizer

    def without_weights(
        self, vocabulary: Sequence[str]
    ) -> tuple[LlamaConfig, PreTrainedTokenizerBase]:
        """The model's configuration and its tokenizer.

        Raises:
            ImpossibleSettingError: A word of the vocabulary cannot be a token.
        """
        tokenizer = word_tokenizer(vocabulary)
        return self._config(len(tokenizer)), tokenizer

    def _config(self, tokens: int) -> LlamaConfig:
        from transformers.models.llama import LlamaConfig

        return LlamaConfig(
            vocab_size=tokens,
            hidden_size=self.hidden_size,
            intermediate_size=self.intermediate_size,
            num_hidden_layers=self.layers,
            num_attention_heads=self.heads,
            max_position_embeddings=self.positions,
            tie_word_embeddings=self.tied,
            pad_token_id=SPECIAL.index(PAD),
            eos_token_id=SPECIAL.index(END),
            bos_token_id=None,
        )

    def _model(self, config: LlamaConfig, seed: int) -> PreTrainedModel:
        from transformers.models.llama import LlamaForCausalLM

        with torch.random.fork_rng(devices=[]):  # building draws weights from the global stream
            model: PreTrainedModel = LlamaForCausalLM(config)
        initialize(model, seed)
        model.train(False)
        return model


def initialize(model: torch.nn.Module, seed: int) -> None:
    """Draw every matrix from N(0, 1 / inputs), in the order of the names.

    Vectors, which here scale the normalizations, keep their value.
    """
    generator = torch.Generator()
    generator.manual_seed(seed_for("model", "weights", seed))
    with torch.no_grad():
        for _, value in sorted(model.named_parameters()):
            if value.dim() > 1:
                draws = torch.randn(value.shape, generator=generator)
                value.copy_(draws / math.sqrt(value.shape[-1]))


def word_tokenizer(vocabulary: Sequence[str]) -> PreTrainedTokenizerBase:
    """Words between spaces as tokens, after the special tokens, in the order given.

    Raises:
        ImpossibleSettingError: There is no word, or one is empty, holds a space, stands twice or is
            a special token.
    """
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = list(vocabulary)
    if not words:
        raise ImpossibleSettingError(
            "model=mini_llama has a token for every word of a world, but these prompts have no "
            "vocabulary: take model=pretrained."
        )
    seen = set(SPECIAL)
    for word in words:
        if word.split() != [word] or word in seen:
            raise ImpossibleSettingError(
                f"the word {word!r} of the vocabulary holds a space or stands twice: correct it."
            )
        seen.add(word)
    numbers = {word: number for number, word in enumerate([*SPECIAL, *words])}
    tokenizer = Tokenizer(models.WordLevel(numbers, unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    fast: Any = PreTrainedTokenizerFast
    made: PreTrainedTokenizerBase = fast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=END,
        unk_token=UNKNOWN,
        additional_special_tokens=list(ROLES),
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
    )
    return made
