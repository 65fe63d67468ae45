"""Models that take no packed rows are scored and drawn from all the same, one row a response."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from language_models import WORDS, given_tokens, plain_log_prob, policy_of, random_prompts

from nlhf_repro.models.causal_lm import CausalLanguageModelPolicy
from nlhf_repro.models.mini_llama import word_tokenizer


def bloom(tokens: int) -> Any:  # ALiBi: positions are read off the mask
    from transformers import BloomConfig, BloomForCausalLM

    return BloomForCausalLM(BloomConfig(vocab_size=tokens, hidden_size=16, n_layer=2, n_head=2))


def gpt2(tokens: int) -> Any:  # learned positions
    from transformers import GPT2Config, GPT2LMHeadModel

    return GPT2LMHeadModel(
        GPT2Config(vocab_size=tokens, n_embd=16, n_layer=2, n_head=2, n_positions=64)
    )


def mistral(tokens: int) -> Any:  # a window of attention
    from transformers import MistralConfig, MistralForCausalLM

    return MistralForCausalLM(
        MistralConfig(
            vocab_size=tokens,
            hidden_size=16,
            intermediate_size=24,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=1,
            sliding_window=9,
        )
    )


def gemma2(tokens: int) -> Any:  # capped logits, windows in every second layer
    from transformers import Gemma2Config, Gemma2ForCausalLM

    return Gemma2ForCausalLM(
        Gemma2Config(
            vocab_size=tokens,
            hidden_size=16,
            intermediate_size=24,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=1,
            head_dim=8,
            sliding_window=9,
        )
    )


def qwen2(tokens: int) -> Any:  # biases, shared keys
    from transformers import Qwen2Config, Qwen2ForCausalLM

    return Qwen2ForCausalLM(
        Qwen2Config(
            vocab_size=tokens,
            hidden_size=16,
            intermediate_size=24,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=1,
        )
    )


KINDS = [(bloom, False), (gpt2, True), (mistral, False), (gemma2, False), (qwen2, True)]


def policy_for(kind: Any, **settings: Any) -> CausalLanguageModelPolicy:
    tokenizer = word_tokenizer(WORDS)
    with torch.random.fork_rng(devices=[]):
        model = kind(len(tokenizer)).eval()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for value in model.parameters():
            if value.dim() > 1:
                value.copy_(0.4 * torch.randn(value.shape, generator=generator))
    return policy_of(model, tokenizer, random_prompts(5), **settings)


@pytest.mark.parametrize(("kind", "packs"), KINDS)
def test_what_is_drawn_is_what_is_scored(kind: Any, packs: bool) -> None:
    policy = policy_for(kind, microbatch=4)
    assert policy._forward.packs == packs
    prompts = torch.arange(5)[None]
    kept = policy.snapshot({})
    numbers = policy.sample([(kept, 1.0)], 1.0, prompts, 3, np.random.default_rng(0)).view(1, -1)
    prompts = prompts.repeat_interleave(3, dim=1)
    found = policy.log_prob(prompts, numbers).detach()
    for item, number in enumerate(numbers.flatten().tolist()):
        given = given_tokens(policy, int(prompts[0, item]))
        with torch.no_grad():
            wanted = plain_log_prob(policy.model, given, policy.bank.tokens(number)).sum()
        assert float(found[0, item]) == pytest.approx(float(wanted), abs=2e-5)


@pytest.mark.parametrize(("kind", "packs"), KINDS)
def test_generate_draws_the_same(kind: Any, packs: bool) -> None:
    drawn = []
    for backend in ("own", "generate"):
        policy = policy_for(kind, backend=backend)
        numbers = policy.sample(
            [(policy.snapshot({}), 1.0)], 1.0, torch.arange(5)[None], 2, np.random.default_rng(0)
        )
        drawn.append([policy.bank.tokens(number).tolist() for number in numbers.flatten().tolist()])
    assert drawn[0] == drawn[1]
