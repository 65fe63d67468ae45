"""Drawing from language models: exact distributions, streams of rows, mixtures, `generate`."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from language_models import (
    every_response,
    given_tokens,
    mini_policy,
    plain_log_prob,
    plain_step,
    three_token_model,
    three_token_policy,
)
from scipy.stats import chi2

from nlhf_repro.interfaces import ImpossibleSettingError
from nlhf_repro.models import sampling
from nlhf_repro.models.causal_lm import CausalLanguageModelPolicy, GenerationSettings
from nlhf_repro.models.sampling import Samples, draw, row_uniforms, sample_responses, warped

DRAWS, STANDARD_ERRORS = 8_000, 5.0


def samples(policy: CausalLanguageModelPolicy, seeds: Any, *, indices: Any = None) -> Samples:
    prompts = [given_tokens(policy, i) for i in (range(len(seeds)) if indices is None else indices)]
    return sample_responses(
        policy._forward, [(None, 1.0)], 1.0, prompts, seeds, policy.generation, policy.end
    )


def seeds_for(groups: int, branches: int, seed: int = 0) -> Any:
    random = np.random.default_rng(seed)
    return random.integers(0, 2**64, size=(groups, branches), dtype=np.uint64)


def mixed_log_prob(
    models: Sequence[Any], weights: Sequence[float], temperature: float, given: Any, tokens: Any
) -> float:
    """log of prod_t (prod_i pi_i^w_i)^(1/T) normalized at every token, by the plainest loop."""
    prefix, total = given.tolist(), 0.0
    for token in tokens:
        steps = [w * plain_step(m, prefix) for m, w in zip(models, weights, strict=True)]
        total += float(torch.log_softmax(sum(steps) / temperature, dim=-1)[token].detach())
        prefix.append(int(token))
    return total


def require_law(policy: CausalLanguageModelPolicy, numbers: Any, index: int, law: Any) -> None:
    """Every response within 5 standard errors of its probability, and chi-square as extreme."""
    every = every_response(3, policy.end, 4)
    codes = policy.bank.add([index] * len(every), every)
    counts = torch.stack([(numbers == code).sum() for code in codes]).double().numpy()
    total = numbers.numel()
    assert counts.sum() == total
    probability = np.exp(np.array([law(each) for each in every]))
    assert probability.sum() == pytest.approx(1.0, abs=1e-5)
    error = np.sqrt(total * probability * (1 - probability))
    assert (np.abs(counts - total * probability) < STANDARD_ERRORS * error).all()
    frequent = total * probability >= 5
    expected = np.append(total * probability[frequent], total * probability[~frequent].sum())
    observed = np.append(counts[frequent], counts[~frequent].sum())
    used = expected > 0
    statistic = ((observed[used] - expected[used]) ** 2 / expected[used]).sum()
    assert chi2.sf(statistic, used.sum() - 1) > 1e-6


@pytest.mark.parametrize("temperature", [1.0, 0.6])
def test_draws_follow_the_policy(temperature: float) -> None:
    policy = three_token_policy()
    numbers = policy.sample(
        [(policy.snapshot({}), 1.0)],
        temperature,
        torch.tensor([[0, 1]]),
        DRAWS,
        np.random.default_rng(5),
    )
    for index in (0, 1):
        given = given_tokens(policy, index)
        require_law(
            policy,
            numbers[0, index],
            index,
            lambda each, given=given: mixed_log_prob(
                [policy.model], [1.0], temperature, given, each
            ),
        )


@pytest.mark.parametrize(("weights", "temperature"), [((0.75, 0.25), 1.0), ((1.5, -0.5), 0.8)])
def test_draws_of_a_mixture_follow_its_law(weights: Any, temperature: float) -> None:
    policy, others = three_token_policy(0), [three_token_model(0), three_token_model(1)]
    first = policy.snapshot({})
    second = three_token_policy(1).snapshot({})
    numbers = policy.sample(
        list(zip((first, second), weights, strict=True)),
        temperature,
        torch.tensor([[1]]),
        DRAWS,
        np.random.default_rng(5),
    )
    given = given_tokens(policy, 1)
    gap = mixed_log_prob(others[:1], [1.0], 1.0, given, [1, 2, 0]) - mixed_log_prob(
        others, weights, temperature, given, [1, 2, 0]
    )
    assert abs(gap) > 0.05  # the mixture is not one of its members
    require_law(
        policy,
        numbers[0, 0],
        1,
        lambda each: mixed_log_prob(others, weights, temperature, given, each),
    )


@pytest.mark.parametrize("branches", [1, 4, 5, 11])
def test_the_log_probability_of_a_draw_is_its_score(branches: int) -> None:
    policy = mini_policy()
    drawn = samples(policy, seeds_for(5, branches))
    for row, found, index in zip(
        drawn.responses(),
        drawn.log_prob.flatten(),
        np.repeat(np.arange(5), branches),
        strict=True,
    ):
        with torch.no_grad():
            plain = plain_log_prob(policy.model, given_tokens(policy, int(index)), row).sum()
        assert found == pytest.approx(float(plain), abs=1e-5)


def test_a_row_draws_the_same_whatever_it_is_batched_with() -> None:
    policy = mini_policy()
    seeds = seeds_for(5, 4)
    whole = samples(policy, seeds)
    for group in range(5):
        alone = samples(policy, seeds[[group]], indices=[group])
        np.testing.assert_array_equal(alone.tokens[0], whole.tokens[group])
        single = samples(policy, seeds[[group]][:, [2]], indices=[group])
        np.testing.assert_array_equal(single.tokens[0, 0], whole.tokens[group, 2])
    backward = samples(policy, seeds[::-1], indices=list(range(5))[::-1])
    np.testing.assert_array_equal(backward.tokens[::-1], whole.tokens)


@pytest.mark.parametrize("branches", [1, 2])
def test_rows_that_end_leave_the_others_as_they_are(
    monkeypatch: pytest.MonkeyPatch, branches: int
) -> None:
    policy = mini_policy(count=12, tokens=12)
    with torch.no_grad():
        policy.model.lm_head.weight[policy.end] *= 2.0
    seeds, going_on = seeds_for(12, branches), []
    select = sampling._Decoding.select

    def spy(decoding: Any, kept: torch.Tensor) -> None:
        going_on.append(len(kept))
        select(decoding, kept)

    monkeypatch.setattr(sampling._Decoding, "select", spy)
    compacted = samples(policy, seeds)
    assert going_on and going_on[-1] > 1
    monkeypatch.setattr(sampling, "FINISHED_SHARE", 1.0)
    whole = samples(policy, seeds)
    np.testing.assert_array_equal(compacted.tokens, whole.tokens)
    np.testing.assert_array_equal(compacted.lengths, whole.lengths)
    np.testing.assert_allclose(compacted.log_prob, whole.log_prob, rtol=0, atol=1e-5)
    rows = zip(compacted.responses(), compacted.log_prob.flatten(), strict=True)
    for place, (row, found) in enumerate(rows):
        with torch.no_grad():
            given = given_tokens(policy, place // branches)
            plain = float(plain_log_prob(policy.model, given, row).sum())
        assert found == pytest.approx(plain, abs=1e-5)


def test_equal_generators_draw_equal_responses_in_batches_of_any_size() -> None:
    texts = []
    for batch_size in (None, 6, 1):
        policy = mini_policy(batch_size=batch_size)
        numbers = policy.sample(
            [(policy.snapshot({}), 1.0)], 1.0, torch.arange(5)[None], 3, np.random.default_rng(3)
        )
        texts.append(policy.text(numbers))
    assert texts[0] == texts[1] == texts[2]
    assert len(set(texts[0])) > 10


def test_streams_are_uniform_and_depend_on_seed_and_step_alone() -> None:
    seeds = seeds_for(100, 100)
    uniforms = row_uniforms(seeds, 8)
    np.testing.assert_array_equal(uniforms[:, :, :3], row_uniforms(seeds, 3))
    np.testing.assert_array_equal(uniforms[7, 9], row_uniforms(seeds[7, 9], 8))
    assert uniforms.min() >= 0.0 and uniforms.max() < 1.0
    for step in range(8):
        counts = np.histogram(uniforms[..., step], bins=50, range=(0, 1))[0]
        assert chi2.sf(((counts - 200.0) ** 2 / 200.0).sum(), 49) > 1e-6
    for one, other in pairwise(range(8)):
        correlation = np.corrcoef(uniforms[..., one].flatten(), uniforms[..., other].flatten())
        assert abs(correlation[0, 1]) < STANDARD_ERRORS / 100


def test_the_first_outputs_of_splitmix64_are_known() -> None:
    """Its published outputs for seed 1234567."""
    known = [6457827717110365317, 3203168211198807973, 9817491932198370423]
    found = row_uniforms(np.array(1234567, dtype=np.uint64), 3)
    np.testing.assert_array_equal(found, [(each >> 11) * 2.0**-53 for each in known])


def test_extreme_uniforms_draw_tokens_that_have_probability() -> None:
    scores = torch.tensor([[-torch.inf, 0.0, -0.3, -torch.inf]], dtype=torch.float64)
    assert draw(scores, torch.tensor([0.0], dtype=torch.float64))[0].tolist() == [1]
    for uniform in (1.0 - 2.0**-53, 1.0 - 2.0**-40):
        assert draw(scores, torch.tensor([uniform], dtype=torch.float64))[0].tolist() == [2]


def test_policies_that_are_no_longer_finite_are_refused() -> None:
    policy = mini_policy()
    with torch.no_grad():
        next(iter(policy.parameters())).fill_(torch.nan)
    with pytest.raises(FloatingPointError, match="learning_rate"):
        samples(policy, seeds_for(1, 1))


@pytest.mark.parametrize("top_k", [None, 1, 5, 99])
@pytest.mark.parametrize("top_p", [None, 0.05, 0.5, 0.95, 1.0])
def test_top_k_and_top_p_are_those_of_transformers(top_k: int | None, top_p: float | None) -> None:
    from transformers.generation.logits_process import TopKLogitsWarper, TopPLogitsWarper

    generator = torch.Generator().manual_seed(0)
    scores = 3 * torch.randn(50, 36, generator=generator, dtype=torch.float64)
    wanted = scores
    if top_k is not None:
        wanted = TopKLogitsWarper(top_k)(None, wanted)
    if top_p is not None and top_p < 1:
        wanted = TopPLogitsWarper(top_p)(None, wanted)
    assert torch.equal(warped(scores, GenerationSettings(4, top_p, top_k)), wanted)


def test_top_k_of_one_draws_the_likeliest_tokens() -> None:
    policy = mini_policy(top_k=1)
    prefix = given_tokens(policy, 0).tolist()
    start = len(prefix)
    for _ in range(6):
        prefix.append(int(plain_step(policy.model, prefix).argmax()))
    drawn = samples(policy, seeds_for(1, 3))
    wanted = prefix[start:]
    if policy.end in wanted:
        wanted = wanted[: wanted.index(policy.end) + 1]
    assert [row.tolist() for row in drawn.responses()] == [wanted] * 3
    assert drawn.log_prob.tolist() == [[0.0] * 3]


@pytest.mark.parametrize("settings", [{"top_k": 1}, {}, {"top_p": 0.9, "top_k": 20}])
@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_generate_draws_the_same_tokens(settings: Any, temperature: float) -> None:
    drawn = []
    for backend in ("own", "generate"):
        policy = mini_policy(count=8, tokens=12, backend=backend, **settings)
        # A checkpoint's own habits of generation are no part of the policy.
        policy.model.generation_config.repetition_penalty = 5.0
        kept = policy.snapshot({})
        with torch.no_grad():
            next(iter(policy.parameters())).mul_(3.0)  # the snapshot is drawn from, not these
        numbers = policy.sample(
            [(kept, 1.0)], temperature, torch.arange(8)[None], 4, np.random.default_rng(2)
        )
        drawn.append([policy.bank.tokens(number).tolist() for number in numbers.flatten().tolist()])
        assert policy.sampled_tokens == sum(map(len, drawn[-1]))
    assert drawn[0] == drawn[1]
    assert len({len(each) for each in drawn[0]}) > 1


def test_generate_refuses_mixtures() -> None:
    policy = mini_policy(backend="generate")
    mixture = [(policy.snapshot({}), 0.5), (policy.snapshot({}), 0.5)]
    with pytest.raises(ImpossibleSettingError, match="backend = own"):
        policy.sample(mixture, 1.0, torch.tensor([[0]]), 1, np.random.default_rng(0))


@pytest.mark.parametrize(
    "settings",
    [
        {"max_new_tokens": 0},
        {"max_new_tokens": 4, "top_p": 0.0},
        {"max_new_tokens": 4, "top_p": 1.1},
        {"max_new_tokens": 4, "top_k": 0},
        {"max_new_tokens": 4, "batch_size": 0},
    ],
)
def test_settings_out_of_range_are_refused(settings: Any) -> None:
    with pytest.raises(ImpossibleSettingError, match=list(settings)[-1]):
        GenerationSettings(**settings)
