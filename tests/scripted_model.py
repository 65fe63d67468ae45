"""A real Llama whose next token depends on the last one alone, with logits that are said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from nlhf_repro.models.mini_llama import SPECIAL, word_tokenizer

WORDS = ("a", "b", "c", "d", "e", "q1", "q2", "q3", "then")
Logits = Mapping[str, Mapping[str, float]]  # of the next word, by the last one; 0 where not said


def scripted(logits: Logits, positions: int = 64) -> tuple[Any, Any]:
    """The model and its tokenizer.

    Embeddings are one-hot and every layer is zero, so that a normalized state is sqrt(tokens) at
    the last token, and the output weights are the logits divided by it.
    """
    from transformers.models.llama import LlamaConfig, LlamaForCausalLM

    tokenizer = word_tokenizer(WORDS)
    size = 16
    assert len(tokenizer) <= size
    settings = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=size,
        intermediate_size=4,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=positions,
        tie_word_embeddings=False,
        rms_norm_eps=0.0,
        pad_token_id=SPECIAL.index("<pad>"),
        eos_token_id=SPECIAL.index("<eos>"),
        bos_token_id=None,
    )
    with torch.random.fork_rng(devices=[]):
        model = LlamaForCausalLM(settings)
    number = tokenizer.convert_tokens_to_ids
    with torch.no_grad():
        for value in model.parameters():
            if value.dim() > 1:
                value.zero_()
        model.model.embed_tokens.weight.copy_(torch.eye(size)[: len(tokenizer)])
        for last, following in logits.items():
            for word, logit in following.items():
                model.lm_head.weight[number(word), number(last)] = logit / size**0.5
    return model.eval(), tokenizer


def log_prob(logits: Logits, last: str, words: Sequence[str]) -> float:
    """Of the words after `last`, by the definition."""
    tokens, total = [*SPECIAL, *WORDS], 0.0
    for word in words:
        values = [logits.get(last, {}).get(each, 0.0) for each in tokens]
        row = torch.log_softmax(torch.tensor(values, dtype=torch.float64), 0)
        total += float(row[tokens.index(word)])
        last = word
    return total
