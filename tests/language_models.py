"""Tiny language models made on the spot, and their log-probabilities by the plainest loop."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import product
from typing import Any

import numpy as np
import torch

from nlhf_repro.interfaces import Message, Prompt
from nlhf_repro.models.causal_lm import CausalLanguageModelPolicy, GenerationSettings
from nlhf_repro.models.mini_llama import END, SPECIAL, MiniLlama, initialize
from nlhf_repro.models.responses import ResponseBank, Tokens

WORDS = tuple(f"w{number}" for number in range(30))
MINI = MiniLlama(hidden_size=16, layers=2, heads=2, intermediate_size=24, positions=64, tied=False)


def prompt(words: str, identifier: str = "p") -> Prompt:
    return Prompt(identifier, (Message("user", words),), {})


def random_prompts(count: int, seed: int = 0) -> list[Prompt]:
    """Prompts of one to nine words."""
    random = np.random.default_rng(seed)
    texts = [" ".join(random.choice(WORDS, size=random.integers(1, 10))) for _ in range(count)]
    return [prompt(text, str(number)) for number, text in enumerate(texts)]


def policy_of(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[Prompt],
    tokens: int = 6,
    microbatch: int = 512,
    reduction: Any = "sum",
    **generation: Any,
) -> CausalLanguageModelPolicy:
    settings = GenerationSettings(tokens, **generation)
    bank = ResponseBank()
    return CausalLanguageModelPolicy(
        model, tokenizer, prompts, settings, reduction, bank, microbatch
    )


def mini_policy(count: int = 5, seed: int = 0, **settings: Any) -> CausalLanguageModelPolicy:
    """A policy whose next-token distributions are uneven, over prompts of several lengths."""
    model, tokenizer = MINI.base(WORDS, seed)
    sharpen(model)
    return policy_of(model, tokenizer, random_prompts(count), **settings)


def sharpen(model: Any) -> None:
    """Double the output weights; those of the end once more, so that it is likely at times."""
    with torch.no_grad():
        weight = model.get_output_embeddings().weight
        weight.mul_(2.0)
        weight[SPECIAL.index(END)] *= 2.0


@cache
def three_token_tokenizer() -> Any:
    """<eos>, a and b; a prompt is its text, without marks of turns."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    raw = Tokenizer(models.WordLevel({"<eos>": 0, "a": 1, "b": 2}, unk_token="a"))
    raw.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=raw, eos_token="<eos>", chat_template="{{ messages[0]['content'] }}"
    )


def three_token_model(seed: int = 0, **changes: Any) -> Any:
    """A Llama over three tokens, whose end is token 0."""
    from transformers.models.llama import LlamaConfig, LlamaForCausalLM

    settings = {
        "vocab_size": 3,
        "hidden_size": 8,
        "intermediate_size": 12,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "max_position_embeddings": 32,
        "eos_token_id": 0,
        "bos_token_id": None,
        "pad_token_id": None,
        "tie_word_embeddings": False,
    }
    model = LlamaForCausalLM(LlamaConfig(**{**settings, **changes}))
    initialize(model, seed)
    return model.eval()


def three_token_policy(seed: int = 0, **settings: Any) -> CausalLanguageModelPolicy:
    """The policy over 31 responses of at most four tokens, to a short and a longer prompt."""
    prompts = [prompt("a"), prompt("b a b b a")]
    return policy_of(
        three_token_model(seed), three_token_tokenizer(), prompts, **{"tokens": 4, **settings}
    )


def every_response(tokens: int, end: int, longest: int) -> list[list[int]]:
    """All responses: those that end at each length, and those that are cut off."""
    others = [token for token in range(tokens) if token != end]
    ended = [[*body, end] for length in range(longest) for body in product(others, repeat=length)]
    return [*ended, *(list(body) for body in product(others, repeat=longest))]


def plain_step(model: Any, prefix: Sequence[int]) -> torch.Tensor:
    """Log-probabilities of the next token, in float64: no batch, padding, cache or mask."""
    logits = model(input_ids=torch.tensor([list(prefix)]), use_cache=False).logits[0, -1]
    return torch.log_softmax(logits.double(), dim=-1)


def plain_log_prob(model: Any, given: Tokens, response: Sequence[int]) -> torch.Tensor:
    """Log-probabilities of every token of a response, one forward pass each."""
    prefix, found = given.tolist(), []
    for token in response:
        found.append(plain_step(model, prefix)[token])
        prefix.append(int(token))
    return torch.stack(found)


def given_tokens(policy: CausalLanguageModelPolicy, index: int) -> Tokens:
    """The prompt's tokens, by the tokenizer's own words."""
    conversation = [{"role": x.role, "content": x.content} for x in policy.prompts[index].messages]
    text = policy.tokenizer.apply_chat_template(
        conversation, tokenize=False, add_generation_prompt=True
    )
    ids = policy.tokenizer(text, add_special_tokens=False)["input_ids"]
    return np.asarray(ids, dtype=np.int64)
