"""The policy over language models: what is scored is what was drawn, under any batching."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from language_models import (
    MINI,
    WORDS,
    every_response,
    given_tokens,
    mini_policy,
    plain_log_prob,
    policy_of,
    prompt,
    random_prompts,
    three_token_model,
    three_token_policy,
    three_token_tokenizer,
)

from nlhf_repro.interfaces import ImpossibleSettingError, Message, Prompt
from nlhf_repro.models.causal_lm import CausalLanguageModelPolicy
from nlhf_repro.models.forward import checkpoint_activations


def drawn(policy: CausalLanguageModelPolicy, responses: int = 3, seed: int = 0) -> Any:
    """Prompts and responses [1, items] of the present policy."""
    prompts = torch.arange(len(policy.prompts))[None]
    numbers = policy.sample(
        [(policy.snapshot({}), 1.0)], 1.0, prompts, responses, np.random.default_rng(seed)
    )
    return prompts.repeat_interleave(responses, dim=1), numbers.view(1, -1)


def plain(policy: CausalLanguageModelPolicy, numbers: torch.Tensor) -> torch.Tensor:
    """The plainest loop's log-probabilities, [1, items]."""
    return torch.stack(
        [
            plain_log_prob(
                policy.model,
                given_tokens(policy, int(policy.bank.prompt(number))),
                policy.bank.tokens(int(number)),
            ).sum()
            for number in numbers.flatten()
        ]
    )[None]


def gradients(policy: CausalLanguageModelPolicy) -> torch.Tensor:
    return torch.cat([x.grad.flatten() for x in policy.parameters() if x.grad is not None])


@pytest.mark.parametrize("microbatch", [1, 2, 5, 512])
def test_a_score_is_the_plain_loop_s_whatever_it_is_batched_with(microbatch: int) -> None:
    policy = mini_policy(microbatch=microbatch)
    assert policy._forward.packs  # responses to a prompt share its row
    prompts, numbers = drawn(policy)
    assert len(set(policy.lengths(numbers).flatten().tolist())) > 1
    wanted = plain(policy, numbers).detach()
    torch.testing.assert_close(policy.log_prob(prompts, numbers), wanted, rtol=0, atol=1e-5)
    order = torch.from_numpy(np.random.default_rng(1).permutation(numbers.shape[1]))
    found = policy.log_prob(prompts[:, order], numbers[:, order])
    torch.testing.assert_close(found, wanted[:, order], rtol=0, atol=1e-5)
    for item in range(numbers.shape[1]):
        one = policy.log_prob(prompts[:, [item]], numbers[:, [item]])
        torch.testing.assert_close(one, wanted[:, [item]], rtol=0, atol=1e-5)
    frozen = policy.frozen_log_prob(policy.snapshot({}), prompts, numbers)
    torch.testing.assert_close(frozen, wanted, rtol=0, atol=1e-5)
    assert not frozen.requires_grad and frozen.dtype == torch.float64


@pytest.mark.parametrize("microbatch", [1, 4, 512])
def test_gradients_are_those_of_the_plain_loop(microbatch: int) -> None:
    policy = mini_policy(microbatch=microbatch)
    policy.model.double()
    prompts, numbers = drawn(policy)
    weight = torch.linspace(-1.0, 2.0, numbers.shape[1], dtype=torch.float64)[None]
    (weight * plain(policy, numbers)).sum().backward()
    wanted = gradients(policy)
    policy.model.zero_grad()
    (weight * policy.log_prob(prompts, numbers)).sum().backward()
    off = float((gradients(policy) - wanted).norm() / wanted.norm())
    assert off < 1e-6


def test_a_microbatch_changes_no_gradient() -> None:
    found = []
    for microbatch in (512, 3):
        policy = mini_policy(microbatch=microbatch)
        prompts, numbers = drawn(policy)
        policy.log_prob(prompts, numbers).sum().backward()
        found.append(gradients(policy))
    assert float((found[0] - found[1]).norm() / found[0].norm()) < 1e-6


def test_a_microbatch_s_activations_are_computed_again_instead_of_kept() -> None:
    for microbatch, passes in ((512, 1), (6, 6)):
        policy = mini_policy(microbatch=microbatch)
        prompts, numbers = drawn(policy)
        calls: list[int] = []
        handle = policy.model.model.register_forward_hook(lambda *_, calls=calls: calls.append(1))
        found = policy.log_prob(prompts, numbers)
        forward = len(calls)
        found.sum().backward()
        handle.remove()
        assert len(calls) == passes and forward == max(passes // 2, 1)


def test_an_item_that_stands_twice_counts_twice() -> None:
    policy = mini_policy()
    prompts, numbers = drawn(policy, responses=1)
    policy.log_prob(prompts, numbers).sum().backward()
    once = gradients(policy)
    policy.model.zero_grad()
    twice = torch.cat([numbers, numbers], dim=1)
    policy.log_prob(torch.cat([prompts, prompts], dim=1), twice).sum().backward()
    torch.testing.assert_close(gradients(policy), 2 * once, rtol=1e-5, atol=1e-6)


def test_all_responses_of_an_enumerable_model_sum_to_one() -> None:
    policy = three_token_policy()
    every = every_response(3, policy.end, 4)
    assert len(every) == 31
    for index in (0, 1):
        numbers = policy.bank.add([index] * len(every), every)[None]
        total = policy.log_prob(torch.full_like(numbers, index), numbers).exp().sum()
        assert float(total.detach()) == pytest.approx(1.0, abs=1e-6)


def test_the_end_counts_once_and_a_cut_response_has_none() -> None:
    policy = three_token_policy()
    _, numbers = drawn(policy, responses=40)
    ended = policy.ended(numbers).flatten().tolist()
    assert any(ended) and not all(ended)
    for number, end in zip(numbers.flatten().tolist(), ended, strict=True):
        tokens = policy.bank.tokens(number).tolist()
        assert tokens.count(policy.end) == int(end)
        assert (tokens[-1] == policy.end) == end
        assert end or len(tokens) == 4


def test_padding_that_is_the_end_changes_nothing() -> None:
    scores = []
    for pad, side in (("<pad>", "right"), ("<eos>", "right"), ("<eos>", "left")):
        policy = mini_policy()
        policy.tokenizer.pad_token, policy.tokenizer.padding_side = pad, side
        policy.model.config.pad_token_id = policy.tokenizer.pad_token_id
        scores.append(policy.log_prob(*drawn(policy)).detach())
    assert torch.equal(scores[0], scores[1]) and torch.equal(scores[0], scores[2])


def test_a_prompt_that_holds_ends_is_answered_like_any_other() -> None:
    turns = tuple(Message(role, "w1 w2") for role in ("user", "assistant", "user"))
    model, tokenizer = MINI.base(WORDS, 0)
    policy = policy_of(model, tokenizer, [Prompt("p", turns, {}), prompt("w3")])
    assert policy.end in given_tokens(policy, 0)
    prompts, numbers = drawn(policy, responses=8)
    wanted = plain(policy, numbers).detach()
    torch.testing.assert_close(policy.log_prob(prompts, numbers), wanted, rtol=0, atol=1e-5)


def test_an_empty_response_is_its_end() -> None:
    policy = mini_policy()
    number = policy.encode(torch.tensor([[0]]), [""])
    assert policy.bank.tokens(int(number)).tolist() == [policy.end]
    assert policy.text(number) == [""]
    found = policy.log_prob(torch.tensor([[0]]), number)
    torch.testing.assert_close(found, plain(policy, number), rtol=0, atol=1e-5)


def test_means_are_over_the_tokens_of_each_response() -> None:
    policy = mini_policy(reduction="mean")
    numbers = policy.encode(torch.tensor([[0, 0]]), ["w1", "w1 w2 w3"])
    sums = plain(policy, numbers)
    found = policy.log_prob(torch.zeros_like(numbers), numbers)
    wanted = sums / torch.tensor([[2.0, 4.0]])
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-5)


def test_tokens_are_scored_one_by_one_and_padding_is_zero() -> None:
    policy = mini_policy()
    numbers = policy.encode(torch.tensor([[1, 1]]), ["w1", "w1 w2 w3"])
    table, real = policy.token_log_probs(torch.ones_like(numbers), numbers)
    assert real.tolist() == [[[True, True, False, False], [True] * 4]]
    assert table[0, 0, 2:].tolist() == [0.0, 0.0]
    for item in (0, 1):
        tokens = policy.bank.tokens(int(numbers[0, item]))
        wanted = plain_log_prob(policy.model, given_tokens(policy, 1), tokens)
        torch.testing.assert_close(table[0, item][real[0, item]], wanted, rtol=0, atol=1e-5)
    kept = policy.snapshot({})
    frozen, _ = policy.token_log_probs(torch.ones_like(numbers), numbers, kept)
    assert torch.equal(frozen, table.detach()) and not frozen.requires_grad


def test_snapshots_keep_their_policy_and_leave_the_present_one_alone() -> None:
    policy = mini_policy()
    prompts, numbers = drawn(policy)
    before, kept = policy.log_prob(prompts, numbers).detach(), policy.snapshot({"step": [1]})
    with torch.no_grad():
        for value in policy.parameters():
            value.add_(0.1 * torch.randn(value.shape, generator=torch.Generator().manual_seed(3)))
    live = [value.detach().clone() for value in policy.parameters()]
    moved = policy.log_prob(prompts, numbers).detach()
    assert float((moved - before).abs().min()) > 1e-3
    assert torch.equal(policy.frozen_log_prob(kept, prompts, numbers), before)
    policy.sample([(kept, 1.0)], 1.0, prompts, 2, np.random.default_rng(0))
    assert all(map(torch.equal, live, policy.parameters()))
    assert torch.equal(policy.log_prob(prompts, numbers).detach(), moved)
    policy.load(kept)
    assert torch.equal(policy.log_prob(prompts, numbers).detach(), before)
    assert kept.optimizer_state == {"step": [1]}


def test_a_model_s_dropout_is_off_when_it_trains() -> None:
    model = three_token_model(attention_dropout=0.5)
    model.train()
    policy = policy_of(model, three_token_tokenizer(), [prompt("a b a b b a")], tokens=4)
    number = policy.bank.add([0], [[1, 2, 1, 2]])[None]
    found = {float(policy.log_prob(torch.tensor([[0]]), number).detach()) for _ in range(20)}
    assert len(found) == 1
    checkpoint_activations(model)
    with pytest.raises(ImpossibleSettingError, match="attention_dropout"):
        policy_of(model, three_token_tokenizer(), [prompt("a")])


def test_checkpointed_gradients_are_the_same() -> None:
    found = []
    for checkpointing in (False, True):
        policy = mini_policy(microbatch=4)
        if checkpointing:
            checkpoint_activations(policy.model)
        policy.log_prob(*drawn(policy)).sum().backward()
        assert not policy.model.training
        found.append(gradients(policy))
    torch.testing.assert_close(found[0], found[1], rtol=1e-6, atol=1e-7)


def test_tokens_are_counted_to_the_unit() -> None:
    policy = mini_policy()
    prompts, numbers = drawn(policy)
    lengths = policy.lengths(numbers)
    assert policy.sampled_tokens == int(lengths.sum())
    policy.frozen_log_prob(policy.snapshot({}), prompts, numbers)
    assert policy.trained_tokens == 0
    policy.log_prob(prompts, numbers)
    given = sum(len(given_tokens(policy, int(index))) for index in prompts[0])
    distinct = numbers.unique().numel() == numbers.numel()
    assert distinct and policy.trained_tokens == int(lengths.sum()) + given


def test_texts_come_back_as_they_went_in() -> None:
    policy = mini_policy()
    texts = ["w1 w2", "w29", "w3 w3 w3"]
    assert policy.text(policy.encode(torch.tensor([[0, 1, 2]]), texts)) == texts


def test_what_makes_no_sense_is_refused() -> None:
    policy = mini_policy()
    numbers = policy.encode(torch.tensor([[0]]), ["w1"])
    with pytest.raises(ValueError, match="another prompt"):
        policy.log_prob(torch.tensor([[1]]), numbers)
    kept, random = policy.snapshot({}), np.random.default_rng(0)
    with pytest.raises(ImpossibleSettingError, match="on_policy"):
        policy.sample([(kept, 1.0)], float("inf"), torch.tensor([[0]]), 1, random)
    with pytest.raises(ImpossibleSettingError, match="nonzero weight"):
        policy.sample([(kept, 0.0)], 1.0, torch.tensor([[0]]), 1, random)
    with pytest.raises(ImpossibleSettingError, match="top_k = 1"):
        policy.sample([(kept, 1.0)], 0.0, torch.tensor([[0]]), 1, random)
    with pytest.raises(ImpossibleSettingError, match="64"):
        policy_of(policy.model, policy.tokenizer, [prompt(" ".join(["w1"] * 60))])
    with pytest.raises(ImpossibleSettingError, match="microbatch"):
        mini_policy(microbatch=0)


@pytest.mark.parametrize("lacking", ["eos_token", "chat_template"])
def test_a_tokenizer_that_lacks_something_is_refused(lacking: str) -> None:
    model, tokenizer = MINI.base(WORDS, 0)
    setattr(tokenizer, lacking, None)
    with pytest.raises(ImpossibleSettingError, match=r"end-of-sequence|chat template"):
        policy_of(model, tokenizer, random_prompts(1))
