"""Seconds to sample from, to score with and to differentiate the mini model, on one thread."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch

from nlhf_repro.interfaces import Message, Prompt
from nlhf_repro.models.causal_lm import CausalLanguageModelPolicy, GenerationSettings
from nlhf_repro.models.mini_llama import MiniLlama
from nlhf_repro.models.responses import ResponseBank

WORDS = [f"w{number}" for number in range(199)]
GROUPS, RESPONSES, TOKENS, PAIRS = 256, 4, 16, 64


def best(work: Callable[[], object], repeats: int = 6) -> float:
    """The least wall-clock milliseconds of some repeats."""
    found = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        found.append(time.perf_counter() - start)
    return 1e3 * min(found)


def main() -> None:
    """Print the timings; prompts have 16 to 32 tokens, responses 16 or a few less."""
    torch.set_num_threads(1)
    random = np.random.default_rng(0)
    texts = [" ".join(random.choice(WORDS, size=random.integers(14, 31))) for _ in range(GROUPS)]
    prompts = [Prompt(str(n), (Message("user", text),), {}) for n, text in enumerate(texts)]
    model, tokenizer = MiniLlama(96, 2, 4, 256, 512, False).base(WORDS, 0)
    settings = GenerationSettings(TOKENS)
    policy = CausalLanguageModelPolicy(
        model, tokenizer, prompts, settings, "sum", ResponseBank(), microbatch=256
    )
    every = torch.arange(GROUPS)[None]
    first, second = policy.snapshot({}), policy.snapshot({})
    single, mixture = [(first, 1.0)], [(first, 0.5), (second, 0.5)]
    drawn = policy.sample(single, 1.0, every, RESPONSES, random)
    given = every[:, :PAIRS].repeat_interleave(2, dim=1)
    pairs = drawn[:, :PAIRS, :2].reshape(1, -1)

    def step() -> None:
        model.zero_grad()
        policy.log_prob(given, pairs).sum().backward()  # type: ignore[no-untyped-call]

    size = f"{GROUPS} prompts x {RESPONSES} x {TOKENS} tokens"
    sampled = best(lambda: policy.sample(single, 1.0, every, RESPONSES, random))
    print(f"sampling {size}: {sampled:.0f} ms")
    mixed = best(lambda: policy.sample(mixture, 1.0, every, RESPONSES, random))
    print(f"sampling {size} of a mixture of two: {mixed:.0f} ms")
    print(f"forward and backward of {PAIRS} pairs: {best(step):.0f} ms")
    owners = every.repeat_interleave(RESPONSES, dim=1)
    scored = best(lambda: policy.frozen_log_prob(first, owners, drawn.view(1, -1)))
    print(f"scoring {GROUPS} x {RESPONSES} responses: {scored:.0f} ms")


if __name__ == "__main__":
    main()
