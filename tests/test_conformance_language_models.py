"""The checks of language models catch what they are there for, and say it in a sentence."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from language_models import MINI

from nlhf_repro.conformance import CHECKS, Outcome, Subject, outcomes
from nlhf_repro.models.mini_llama import initialize


class Whole:
    """The base that ships; what follows changes one thing of it."""

    free_logits = False

    def base(self, vocabulary: Any, seed: int) -> Any:
        return self.changed(*MINI.base(vocabulary, seed))

    def changed(self, model: Any, tokenizer: Any) -> Any:
        return model, tokenizer


class Unseeded(Whole):
    draws = 0

    def changed(self, model: Any, tokenizer: Any) -> Any:
        Unseeded.draws += 1
        initialize(model, Unseeded.draws)
        return model, tokenizer


class Leaking(Whole):
    def changed(self, model: Any, tokenizer: Any) -> Any:
        torch.rand(1)
        return model, tokenizer


class DroppingOut(Whole):
    def changed(self, model: Any, tokenizer: Any) -> Any:
        model.config.attention_dropout = 0.1
        return model, tokenizer


class Endless(Whole):
    def changed(self, model: Any, tokenizer: Any) -> Any:
        tokenizer.eos_token = None
        return model, tokenizer


class Infinite(Whole):
    def changed(self, model: Any, tokenizer: Any) -> Any:
        with torch.no_grad():
            next(iter(model.parameters()))[0, 0] = torch.inf
        return model, tokenizer


class TooManyWords(Whole):
    def changed(self, model: Any, tokenizer: Any) -> Any:
        tokenizer.add_tokens(["one", "two"])
        return model, tokenizer


class LookingAhead(Whole):
    """Every logit is moved by the sum of the whole row's, later tokens included."""

    def changed(self, model: Any, tokenizer: Any) -> Any:
        inner = model.lm_head.forward

        def forward(hidden: Any) -> Any:
            return inner(hidden + hidden.sum(dim=1, keepdim=True))

        model.lm_head.forward = forward
        return model, tokenizer


class CountingCalls(Whole):
    """Logits that depend on how many columns are computed at once: a cache changes them."""

    def changed(self, model: Any, tokenizer: Any) -> Any:
        inner = model.model.forward

        def forward(*args: Any, **kwargs: Any) -> Any:
            output = inner(*args, **kwargs)
            if kwargs.get("past_key_values") is not None:
                output.last_hidden_state = output.last_hidden_state.roll(1, dims=-1)
            return output

        model.model.forward = forward
        return model, tokenizer


class Buffered(Whole):
    """Trained weights that a forward pass replaces by a running copy of its own."""

    def changed(self, model: Any, tokenizer: Any) -> Any:
        inner, kept = model.lm_head.forward, model.lm_head.weight.detach().clone()

        def forward(hidden: Any) -> Any:
            kept.add_(0.01)
            return inner(hidden) + hidden @ kept.T

        model.lm_head.forward = forward
        return model, tokenizer


class Untrained(Whole):
    """Only a weight that no logit depends on is trained."""

    def changed(self, model: Any, tokenizer: Any) -> Any:
        model.requires_grad_(False)
        model.spare = torch.nn.Parameter(torch.zeros(1))
        inner = model.lm_head.forward
        model.lm_head.forward = lambda hidden: inner(hidden) + 0.0 * model.spare
        return model, tokenizer


CAUGHT = [
    (Unseeded, "the seed decides the base", "two bases of one seed differ in"),
    (Leaking, "the seed decides the base", "moves torch's global random state"),
    (DroppingOut, "a base can converse", "drops out (attention_dropout)"),
    (Endless, "a base can converse", "no end-of-sequence token"),
    (Infinite, "a base can converse", "a weight of the base is not finite"),
    (TooManyWords, "a base can converse", "embeds 7 tokens, but the tokenizer has 9"),
    (LookingAhead, "all responses sum to one", "may depend on earlier tokens only"),
    (CountingCalls, "responses follow", "standard errors away from the probabilities"),
    (Buffered, "snapshots restore the language", "is not the policy that was kept"),
    (Untrained, "snapshots restore the language", "does not move the policy"),
]


def found(kind: type) -> list[Outcome]:
    subject = Subject("model", kind.__name__, {"_target_": f"{__name__}.{kind.__name__}"})
    checks = [each for each in CHECKS["model"] if each.__module__.endswith("language_models")]
    return list(outcomes(subject, checks))


@pytest.mark.parametrize(("kind", "check", "sentence"), CAUGHT)
def test_a_broken_base_is_caught(kind: type, check: str, sentence: str) -> None:
    [outcome] = [each for each in found(kind) if each.name.startswith(check)]
    assert outcome.kind == "FAILED" and sentence in outcome.sentence


def test_a_whole_base_passes() -> None:
    assert {each.kind for each in found(Whole)} == {"ok"}
