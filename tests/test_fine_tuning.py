"""Supervised fine-tuning: the loss by hand, the same bytes for the same seed, what it learns."""

from __future__ import annotations

import dataclasses
import hashlib
from typing import Any

import numpy as np
import pytest
import torch
from language_models import MINI, WORDS, given_tokens, plain_log_prob, policy_of, prompt

from nlhf_repro.interfaces import Demonstration, ImpossibleSettingError
from nlhf_repro.models.encoding import response_tokens
from nlhf_repro.models.fine_tuning import FineTuningSettings, fine_tune, learning_rate

SETTINGS = FineTuningSettings(
    steps=60,
    batch_size=8,
    learning_rate=1e-2,
    warmup_steps=5,
    weight_decay=0.1,
    gradient_clip=1.0,
)


def demonstrations() -> list[Demonstration]:
    """Every word is answered by the next one, twice."""
    return [Demonstration(prompt(f"w{n} w{(3 * n) % 30}"), f"w{n + 1} w{n + 1}") for n in range(12)]


def fine_tuned(seed: int, **changes: Any) -> tuple[Any, Any, list[float]]:
    model, tokenizer = MINI.base(WORDS, 0)
    settings = dataclasses.replace(SETTINGS, **changes)
    random = np.random.default_rng(seed)
    return model, tokenizer, fine_tune(model, tokenizer, demonstrations(), settings, random)


def digest(model: Any) -> str:
    total = hashlib.sha256()
    for _, value in sorted(model.named_parameters()):
        total.update(value.detach().numpy().tobytes())
    return total.hexdigest()


def test_the_first_loss_is_that_of_the_plain_loop() -> None:
    """Over the response's tokens and its end, all tokens of the batch alike; not the prompt's."""
    pairs = demonstrations()
    pairs[0] = dataclasses.replace(pairs[0], response="w1 w2 w3 w4 w5")
    model, tokenizer = MINI.base(WORDS, 0)
    policy = policy_of(model, tokenizer, [each.prompt for each in pairs])
    scores = [
        plain_log_prob(model, given_tokens(policy, index), tokens)
        for index, tokens in enumerate(
            response_tokens(tokenizer, [each.response for each in pairs])
        )
    ]
    wanted = -float(torch.cat(scores).mean().detach())
    settings = dataclasses.replace(SETTINGS, steps=1, batch_size=12, warmup_steps=1)
    [loss] = fine_tune(model, tokenizer, pairs, settings, np.random.default_rng(0))
    assert loss == pytest.approx(wanted, abs=1e-6)


def test_one_step_is_adamw_s_on_the_clipped_gradient() -> None:
    model, tokenizer = MINI.base(WORDS, 0)
    pairs, before = demonstrations()[:1], MINI.base(WORDS, 0)[0]
    settings = dataclasses.replace(SETTINGS, steps=1, batch_size=1, warmup_steps=0)
    fine_tune(model, tokenizer, pairs, settings, np.random.default_rng(0))
    policy = policy_of(before, tokenizer, [pairs[0].prompt])
    number = policy.encode(torch.tensor([[0]]), [pairs[0].response])
    (-policy.log_prob(torch.tensor([[0]]), number).sum() / 3).backward()
    norm = torch.cat([x.grad.flatten() for x in policy.parameters()]).norm()
    for value, moved in zip(policy.parameters(), model.parameters(), strict=True):
        gradient = value.grad / max(1.0, float(norm) + 1e-6)
        step = gradient / (gradient.abs() + 1e-8)
        wanted = value * (1 - 1e-2 * 0.1) - 1e-2 * step
        settled = gradient.abs() > 1e-6
        assert settled.any()
        torch.testing.assert_close(moved[settled], wanted[settled], rtol=1e-4, atol=1e-6)


def test_the_same_seed_gives_the_same_bytes() -> None:
    state = torch.get_rng_state()
    first, second, other = (fine_tuned(seed) for seed in (1, 1, 2))
    assert digest(first[0]) == digest(second[0]) and first[2] == second[2]
    assert digest(first[0]) != digest(other[0])
    assert torch.equal(torch.get_rng_state(), state)


def test_what_is_demonstrated_is_learned() -> None:
    model, tokenizer, losses = fine_tuned(0, steps=150)
    assert losses[0] > 2.5 and np.mean(losses[-10:]) < 0.1
    pairs = demonstrations()
    policy = policy_of(model, tokenizer, [each.prompt for each in pairs], top_k=1)
    numbers = policy.sample(
        [(policy.snapshot({}), 1.0)], 1.0, torch.arange(12)[None], 1, np.random.default_rng(0)
    )
    assert policy.text(numbers) == [each.response for each in pairs]
    assert bool(policy.ended(numbers).all())


def test_every_pass_shows_every_demonstration_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from nlhf_repro.models import fine_tuning

    seen: list[bytes] = []
    scored = fine_tuning.token_scores

    def spy(forward: Any, parameters: Any, prompts: Any, *rest: Any) -> Any:
        seen.extend(each.tobytes() for each in prompts)
        return scored(forward, parameters, prompts, *rest)

    monkeypatch.setattr(fine_tuning, "token_scores", spy)
    fine_tuned(0, steps=6)
    passes = [seen[start : start + 12] for start in range(0, 48, 12)]
    assert all(len(set(each)) == 12 for each in passes)
    assert passes[0] != passes[1]


def test_the_rate_rises_and_falls_to_nothing() -> None:
    rates = [learning_rate(SETTINGS, step) for step in range(61)]
    assert rates[0] == pytest.approx(2e-3) and rates[4] == rates[5] == max(rates) == 1e-2
    assert rates[5 + 55 // 2 + 1] < 0.5e-2 < rates[5 + 55 // 2]
    assert rates[59] > 0 and rates[60] == pytest.approx(0.0, abs=1e-12)
    assert learning_rate(dataclasses.replace(SETTINGS, warmup_steps=0), 0) == 1e-2


@pytest.mark.parametrize(
    "changes",
    [
        {"steps": -1},
        {"batch_size": 0},
        {"learning_rate": 0.0},
        {"warmup_steps": 61},
        {"weight_decay": -0.1},
        {"gradient_clip": 0.0},
    ],
)
def test_settings_out_of_range_are_refused(changes: Any) -> None:
    with pytest.raises(ImpossibleSettingError, match=next(iter(changes))):
        dataclasses.replace(SETTINGS, **changes)


def test_nothing_to_imitate_is_refused() -> None:
    model, tokenizer = MINI.base(WORDS, 0)
    with pytest.raises(ImpossibleSettingError, match="demonstrations"):
        fine_tune(model, tokenizer, [], SETTINGS, np.random.default_rng(0))
    none = dataclasses.replace(SETTINGS, steps=0, warmup_steps=0)
    assert fine_tune(model, tokenizer, [], none, np.random.default_rng(0)) == []
