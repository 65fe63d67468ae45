"""Models made on the spot, pretrained ones from a folder, and adapters on them."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from language_models import MINI, WORDS, given_tokens, plain_step, policy_of, random_prompts

from nlhf_repro.interfaces import ImpossibleSettingError, Message, Prompt
from nlhf_repro.models.encoding import prompt_tokens, response_tokens
from nlhf_repro.models.mini_llama import MiniLlama
from nlhf_repro.models.pretrained import PretrainedCausalLM


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model saved as a checkpoint, dropout in its configuration."""
    path = tmp_path_factory.mktemp("checkpoint")
    model, tokenizer = MINI.base(WORDS, 3)
    model.config.attention_dropout = 0.3
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


def pretrained(folder: Path, **changes: Any) -> PretrainedCausalLM:
    settings: dict[str, Any] = {
        "revision": None,
        "dtype": "float32",
        "lora": None,
        "device": "cpu",
        "gradient_checkpointing": False,
    }
    return PretrainedCausalLM(str(folder), **{**settings, **changes})


LORA = {"rank": 4, "alpha": 8.0, "target_modules": ["q_proj", "v_proj"]}


def test_the_seed_alone_decides_the_weights_bit_for_bit() -> None:
    state = torch.get_rng_state()
    first, second = MINI.base(WORDS, 7)[0], MINI.base(WORDS, 7)[0]
    assert torch.equal(torch.get_rng_state(), state)
    torch.rand(3)
    third, other = MINI.base(WORDS, 7)[0], MINI.base(WORDS, 8)[0]
    for name, value in first.state_dict().items():
        assert value.dtype == torch.float32
        assert torch.equal(value, second.state_dict()[name])
        assert torch.equal(value, third.state_dict()[name])
        assert value.dim() < 2 or not torch.equal(value, other.state_dict()[name])


def test_first_activations_neither_vanish_nor_explode() -> None:
    model, _ = MiniLlama(96, 2, 4, 256, 128, False).base(WORDS, 0)
    ids = torch.arange(30)[None]
    with torch.no_grad():
        logits = model(input_ids=ids).logits
    assert 0.5 < float(logits.std()) < 2.0


@pytest.mark.parametrize("tied", [False, True])
def test_the_size_is_what_the_fields_say(tied: bool) -> None:
    model, tokenizer = MiniLlama(96, 2, 4, 256, 512, tied).base(WORDS, 0)
    embedding = 96 * len(tokenizer)
    block = 4 * 96 * 96 + 3 * 96 * 256 + 2 * 96
    wanted = embedding * (1 if tied else 2) + 2 * block + 96
    assert sum(value.numel() for value in model.parameters()) == wanted


def test_words_are_tokens_and_turns_are_marked() -> None:
    _, tokenizer = MINI.base(("red", "fox,", "ran"), 0)
    turns = (Message("system", "ran"), Message("user", "red fox,"), Message("assistant", "ran"))
    [ids] = prompt_tokens(tokenizer, [Prompt("p", (*turns, Message("user", "red")), {})])
    words = " ".join(tokenizer.convert_ids_to_tokens(ids.tolist()))
    assert words == "<system> ran <user> red fox, <assistant> ran <eos> <user> red <assistant>"
    [response] = response_tokens(tokenizer, ["fox, ran"])
    assert tokenizer.convert_ids_to_tokens(response.tolist()) == ["fox,", "ran", "<eos>"]
    assert tokenizer.decode(response.tolist(), skip_special_tokens=True) == "fox, ran"
    assert tokenizer("blue")["input_ids"] == [tokenizer.unk_token_id]


def test_a_model_saved_and_loaded_is_the_same(folder: Path) -> None:
    policies = [
        policy_of(*MINI.base(WORDS, 3), random_prompts(4)),
        policy_of(*pretrained(folder).base((), 0), random_prompts(4)),
    ]
    drawn = [
        policy.text(
            policy.sample(
                [(policy.snapshot({}), 1.0)],
                1.0,
                torch.arange(4)[None],
                3,
                np.random.default_rng(0),
            )
        )
        for policy in policies
    ]
    assert drawn[0] == drawn[1]
    assert policies[1].model.config.attention_dropout == 0.0


@pytest.mark.parametrize(
    "changes",
    [
        {"hidden_size": 0},
        {"layers": 0},
        {"heads": 3},
        {"intermediate_size": 0},
        {"positions": -1},
    ],
)
def test_sizes_without_meaning_are_refused(changes: Any) -> None:
    with pytest.raises(ImpossibleSettingError, match=f"model.{next(iter(changes))}"):
        dataclasses.replace(MINI, **changes)


@pytest.mark.parametrize("words", [(), ("a", "b c"), ("a", "a"), ("a", ""), ("<eos>",)])
def test_vocabularies_without_meaning_are_refused(words: Any) -> None:
    with pytest.raises(ImpossibleSettingError, match="vocabulary"):
        MINI.base(words, 0)


def test_what_cannot_be_loaded_is_said_in_a_sentence(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ImpossibleSettingError, match="is no folder"):
        pretrained(tmp_path / "nowhere").base((), 0)
    with pytest.raises(ImpossibleSettingError, match="cannot be loaded") as refused:
        pretrained(tmp_path).base((), 0)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("lacking", ["eos_token", "chat_template"])
def test_a_tokenizer_that_lacks_something_is_refused(lacking: str, tmp_path: Path) -> None:
    model, tokenizer = MINI.base(WORDS, 3)
    setattr(tokenizer, lacking, None)
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(ImpossibleSettingError, match=r"end-of-sequence|chat template"):
        pretrained(tmp_path).base((), 0)


def test_weights_that_are_pickles_are_refused(folder: Path, tmp_path: Path) -> None:
    model, tokenizer = MINI.base(WORDS, 3)
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(ImpossibleSettingError, match="safetensors"):
        pretrained(tmp_path).base((), 0)


@pytest.mark.parametrize(
    ("lora", "said"),
    [
        ({"rank": 4}, "target_modules"),
        ({**LORA, "rank": 0}, "lora.rank"),
        ({**LORA, "dropout": 0.1}, "dropout"),
    ],
)
def test_adapters_without_meaning_are_refused(folder: Path, lora: Any, said: str) -> None:
    with pytest.raises(ImpossibleSettingError, match=said):
        pretrained(folder, lora=lora)


def adapted(folder: Path, **changes: Any) -> Any:
    pytest.importorskip("peft", reason="adapters need the optional extra peft")
    return policy_of(*pretrained(folder, lora=LORA, **changes).base((), 5), random_prompts(4))


def randomize(policy: Any, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for value in policy.parameters():
            value.copy_(0.5 * torch.randn(value.shape, generator=generator))


def test_adapters_start_at_the_model_and_alone_are_trained(folder: Path) -> None:
    policy = adapted(folder)
    kept = policy.snapshot({})
    assert kept.parameters and all("lora_" in name for name in kept.parameters)
    assert sum(x.numel() for x in policy.parameters()) == 2 * 2 * 2 * 4 * 16
    plain = policy_of(*pretrained(folder).base((), 0), random_prompts(4))
    scores = []
    for each in (policy, plain):
        numbers = each.encode(torch.tensor([[0, 1]]), ["w1 w2", "w3"])
        scores.append(each.log_prob(torch.tensor([[0, 1]]), numbers).detach())
    assert torch.equal(*scores)
    again = adapted(folder).snapshot({})
    assert all(torch.equal(again.parameters[name], x) for name, x in kept.parameters.items())


def test_a_mixture_with_the_reference_is_no_mixture_of_the_policy_with_itself(
    folder: Path,
) -> None:
    """The reference is the adapter that changes nothing, also while another one is active (P2)."""
    policy = adapted(folder)
    reference = policy.snapshot({})
    base, _ = pretrained(folder).base((), 0)
    randomize(policy, 1)
    current = policy.snapshot({})
    randomize(policy, 2)
    given = given_tokens(policy, 0)
    with torch.no_grad():
        alone = plain_step(base, given.tolist())
        policy.load(current)
        other = plain_step(policy.model, given.tolist())
        randomize(policy, 2)
    wanted = torch.log_softmax(0.5 * alone + 0.5 * other, dim=-1)
    assert float((wanted - other).abs().max()) > 0.1
    drawn = policy.sample(
        [(reference, 0.5), (current, 0.5)],
        1.0,
        torch.tensor([[0]]),
        20_000,
        np.random.default_rng(0),
    )
    first = np.array([policy.bank.tokens(int(number))[0] for number in drawn.flatten()])
    counts = np.bincount(first, minlength=len(wanted))
    probability = wanted.exp().numpy()
    error = np.sqrt(len(first) * probability * (1 - probability))
    assert (np.abs(counts - len(first) * probability) < 5 * error).all()
    numbers = policy.encode(torch.tensor([[0]]), ["w1 w2 w3"])
    frozen = policy.frozen_log_prob(reference, torch.tensor([[0]]), numbers)
    plain = policy_of(base, policy.tokenizer, random_prompts(4))
    same = plain.log_prob(torch.tensor([[0]]), plain.encode(torch.tensor([[0]]), ["w1 w2 w3"]))
    torch.testing.assert_close(frozen, same.detach(), rtol=0, atol=1e-5)


def test_checkpointing_changes_no_gradient_of_adapters(folder: Path) -> None:
    found = []
    for checkpointing in (False, True):
        policy = adapted(folder, gradient_checkpointing=checkpointing)
        randomize(policy, 1)
        numbers = policy.encode(torch.tensor([[0, 1]]), ["w1 w2", "w3"])
        policy.log_prob(torch.tensor([[0, 1]]), numbers).sum().backward()
        found.append(torch.cat([x.grad.flatten() for x in policy.parameters()]))
    assert float(found[0].abs().max()) > 0
    torch.testing.assert_close(*found, rtol=1e-5, atol=1e-6)


def test_adapters_for_modules_that_are_not_there_are_refused(folder: Path) -> None:
    pytest.importorskip("peft", reason="adapters need the optional extra peft")
    with pytest.raises(ImpossibleSettingError, match="target_modules"):
        pretrained(folder, lora={**LORA, "target_modules": ["nowhere"]}).base((), 0)


def test_half_precision_is_scored_in_single(folder: Path) -> None:
    model, tokenizer = pretrained(folder).base((), 0)
    half = policy_of(model.to(torch.bfloat16), tokenizer, random_prompts(4))
    full = policy_of(*pretrained(folder).base((), 0), random_prompts(4))
    assert half._forward.packs
    scores = []
    for each in (half, full):
        numbers = each.encode(torch.tensor([[0, 1]]), ["w1 w2", "w3"])
        scores.append(each.log_prob(torch.tensor([[0, 1]]), numbers).detach())
    torch.testing.assert_close(*scores, rtol=0, atol=0.2)
