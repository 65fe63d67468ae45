"""What an oracle is learned from: a data set, or what the oracle of a world answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from nlhf_repro.interfaces import Prompt, TextOracle
from nlhf_repro.models.causal_lm import CausalLanguageModelPolicy
from nlhf_repro.pipeline.language.prompts import PromptDeck, check_probabilities
from nlhf_repro.pipeline.stages import generators
from nlhf_repro.preferences.readers import read_preferences
from nlhf_repro.preferences.records import PreferenceRecord
from nlhf_repro.preferences.settings import OracleFit


@dataclass(frozen=True)
class Comparisons:
    """Answered comparisons; in a world with its oracle and further responses to some prompts."""

    records: tuple[PreferenceRecord, ...]
    source: str
    truth: TextOracle | None = None
    responses: Callable[[Sequence[Prompt]], list[tuple[str, ...]]] | None = None


def data_comparisons(settings: OracleFit) -> Comparisons:
    """Those of a file, or of a data set on the hub."""
    records = read_preferences(settings.data, settings.revision, settings.data_split)
    return Comparisons(records, f"{len(records)} comparisons of {settings.data}")


def world_comparisons(
    policy: CausalLanguageModelPolicy,
    oracle: TextOracle,
    settings: OracleFit,
    world: int,
    seed: int,
) -> Comparisons:
    """Two responses of the reference policy to every drawn training prompt, answered by the oracle.

    Prompts come again once all were drawn. With drawn labels an answer is 1 with the oracle's
    probability, else 0.
    """
    assert settings.comparisons is not None
    draws = generators(("oracle fit", int(world), int(seed)))
    reference = policy.snapshot({})
    numbers = PromptDeck(policy, draws("prompts")).draw(settings.comparisons)
    drawn = policy.sample([(reference, 1.0)], 1.0, numbers, 2, draws("responses"))
    prompts = [policy.prompts[number] for number in numbers[0].tolist()]
    first, second = policy.text(drawn[0, :, 0]), policy.text(drawn[0, :, 1])
    answers = check_probabilities(oracle.preference(prompts, first, second), prompts)
    if settings.labels == "bernoulli":
        answers = (draws("answers").random(len(answers)) < answers).astype(np.float64)
    places = {prompt.identifier: place for place, prompt in enumerate(policy.prompts)}

    def responses(asked: Sequence[Prompt]) -> list[tuple[str, ...]]:
        rows = torch.tensor([[places[prompt.identifier] for prompt in asked]])
        many = policy.sample(
            [(reference, 1.0)], 1.0, rows, settings.cycle_responses, draws("triples")
        )[0]
        return [tuple(dict.fromkeys(policy.text(row))) for row in many]

    records = zip(prompts, first, second, answers.tolist(), strict=True)
    return Comparisons(
        tuple(PreferenceRecord(*record) for record in records),
        f"{settings.comparisons} comparisons of the reference policy's responses in world {world}, "
        f"answered by {type(oracle).__name__} ({settings.labels} labels)",
        oracle,
        responses,
    )
