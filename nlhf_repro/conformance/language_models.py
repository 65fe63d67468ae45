"""Language models: bases of policies over texts, checked where all responses can be enumerated."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nlhf_repro.conformance.outcomes import NotApplicableError, require
from nlhf_repro.conformance.subjects import Subject
from nlhf_repro.interfaces import Message, Prompt
from nlhf_repro.models.causal_lm import CausalLanguageModelPolicy, GenerationSettings
from nlhf_repro.models.encoding import end_of_sequence
from nlhf_repro.models.forward import dropout_rates
from nlhf_repro.models.mini_llama import MiniLlama
from nlhf_repro.models.responses import ResponseBank
from nlhf_repro.seeds import generator_for

VOCABULARY = ("yes",)
PROMPTS = ("yes", "yes yes yes")
LENGTH, DRAWS, STANDARD_ERRORS = 3, 4_000, 5.0
MOST_TOKENS = 12  # of a vocabulary: its responses of LENGTH tokens are enumerated
ROUNDINGS = 1_000  # of the model's numbers, in a sum of probabilities


def a_base_can_converse(subject: Subject) -> None:
    """A model without randomness, and a tokenizer with an end and a chat template."""
    with _part(subject) as part:
        model, tokenizer = part.base(VOCABULARY, 0)
        end_of_sequence(tokenizer)
        rates = ", ".join(dropout_rates(model.config))
        require(not rates, f"the model drops out ({rates}): set these rates to 0.")
        rows, tokens = model.get_input_embeddings().weight.shape[0], len(tokenizer)
        require(rows >= tokens, f"the model embeds {rows} tokens, but the tokenizer has {tokens}.")
        finite = all(bool(torch.isfinite(value).all()) for value in model.parameters())
        require(finite, "a weight of the base is not finite.")


def the_seed_decides_the_base(subject: Subject) -> None:
    """Equal seeds give equal bytes, and the global stream of random numbers is left alone."""
    with _part(subject) as part:
        first, _ = part.base(VOCABULARY, 1)
        state = torch.get_rng_state()
        second, _ = part.base(VOCABULARY, 1)
        same = torch.equal(torch.get_rng_state(), state)
        require(same, "making a base moves torch's global random state: fork it.")
        weights = second.state_dict()
        for name, value in first.state_dict().items():
            require(
                torch.equal(value, weights[name]),
                f"two bases of one seed differ in {name}: draw it from the seed.",
            )


def all_responses_sum_to_one(subject: Subject) -> None:
    """The probabilities of all responses of at most three tokens, before and after a step."""
    with _policy(subject) as (policy, every):
        for _ in range(2):
            for index in range(len(PROMPTS)):
                total = float(_scores(policy, every, index).exp().sum())
                eps = torch.finfo(policy.model.dtype).eps
                require(
                    abs(total - 1) < ROUNDINGS * eps,
                    f"the probabilities of all {len(every)} responses to a prompt sum to "
                    f"{total:.6f}: a token's logits may depend on earlier tokens only.",
                )
            _step(policy, every)


def snapshots_restore_the_language_model(subject: Subject) -> None:
    """A snapshot keeps its policy while the weights move, and loading it brings them back."""
    with _policy(subject) as (policy, every):
        _step(policy, every)
        before, kept = _scores(policy, every, 0), policy.snapshot({})
        _step(policy, every)
        require(
            bool((_scores(policy, every, 0) != before).any()),
            "a gradient step does not move the policy.",
        )
        numbers = policy.bank.add([0] * len(every), every)[None]
        frozen = policy.frozen_log_prob(kept, torch.zeros_like(numbers), numbers)[0]
        require(torch.equal(frozen, before), "a snapshot is not the policy that was kept.")
        policy.load(kept)
        require(
            torch.equal(_scores(policy, every, 0), before),
            "loading a snapshot does not restore the policy.",
        )


def responses_follow_the_language_model(subject: Subject) -> None:
    """Shares of drawn responses are their probabilities, to five standard errors."""
    with _policy(subject) as (policy, every):
        random = generator_for("conformance", "responses")
        mixture = [(policy.snapshot({}), 1.0)]
        prompts = torch.arange(len(PROMPTS))[None]
        drawn = policy.sample(mixture, 1.0, prompts, DRAWS, random)
        for index in range(len(PROMPTS)):
            numbers = policy.bank.add([index] * len(every), every)
            counts = (drawn[0, index][None] == numbers[:, None]).sum(dim=1).numpy()
            expected = _scores(policy, every, index).exp().numpy()
            error = np.sqrt(DRAWS * expected * (1 - expected))
            off = float((np.abs(counts - DRAWS * expected) / np.maximum(error, 1)).max())
            require(
                off < STANDARD_ERRORS,
                f"drawn responses are {off:.0f} standard errors away from the probabilities that "
                "they score: does the model's cache change its logits?",
            )


@contextmanager
def _part(subject: Subject) -> Iterator[Any]:
    """The part; one that loads a checkpoint gets a tiny one, made on the spot."""
    if not hasattr(subject.kind, "base"):
        raise NotApplicableError("it is no language model")
    if "name_or_path" not in subject.arguments:
        yield subject.build()
        return
    with tempfile.TemporaryDirectory() as folder:
        tiny = MiniLlama(16, 2, 2, 24, positions=64, tied=False)
        model, tokenizer = tiny.base(VOCABULARY, 0)
        model.save_pretrained(Path(folder))
        tokenizer.save_pretrained(Path(folder))
        yield subject.build(name_or_path=folder)


@contextmanager
def _policy(subject: Subject) -> Iterator[tuple[CausalLanguageModelPolicy, list[list[int]]]]:
    """A policy of the part, and all responses of at most three tokens."""
    with _part(subject) as part:
        model, tokenizer = part.base(VOCABULARY, 0)
        tokens = model.get_output_embeddings().weight.shape[0]
        if tokens > MOST_TOKENS:
            raise NotApplicableError(f"responses over {tokens} tokens are too many to enumerate")
        prompts = [Prompt(text, (Message("user", text),), {}) for text in PROMPTS]
        settings = GenerationSettings(LENGTH)
        bank = ResponseBank()
        policy = CausalLanguageModelPolicy(model, tokenizer, prompts, settings, "sum", bank, 512)
        yield policy, _responses(tokens, policy.end)


def _responses(tokens: int, end: int) -> list[list[int]]:
    others = [token for token in range(tokens) if token != end]
    ended = [[*body, end] for length in range(LENGTH) for body in product(others, repeat=length)]
    return [*ended, *(list(body) for body in product(others, repeat=LENGTH))]


def _scores(policy: CausalLanguageModelPolicy, every: list[list[int]], index: int) -> torch.Tensor:
    numbers = policy.bank.add([index] * len(every), every)[None]
    with torch.no_grad():
        return policy.log_prob(torch.full_like(numbers, index), numbers)[0]


def _step(policy: CausalLanguageModelPolicy, every: list[list[int]]) -> None:
    """A plain gradient step that raises the first response's probability."""
    numbers = policy.bank.add([0], every[:1])[None]
    for weight in policy.parameters():
        weight.grad = None
    policy.log_prob(torch.zeros_like(numbers), numbers).sum().backward()  # type: ignore[no-untyped-call]
    with torch.no_grad():
        for weight in policy.parameters():
            if weight.grad is not None:
                weight.add_(weight.grad, alpha=0.1)
