"""A judge's known biases, put on top of an oracle: length, verbosity, position."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np

from nlhf_repro.interfaces import Array, ImpossibleSettingError, Occasion, Prompt, TextOracle
from nlhf_repro.oracles.changed_answers import changed

_LARGEST = 1e3


@final
@dataclass(frozen=True)
class Biased:
    """logit P' = logit P + worth(first) - worth(second) + position_bias.

    worth(y) = length_bias * words(y) + verbosity_bias * (words(y) - different words(y)), in
    log-odds; a score is raised by the worth of its response. `length_bias` is for every word,
    `verbosity_bias` for every word that the response has said before, as the lists that judges
    favor repeat themselves (Zheng et al., "Judging LLM-as-a-Judge", arXiv:2306.05685, section 3.3);
    `position_bias` is for the response that is shown first. An answer that is certain stays so.

    A position bias breaks P(a, b) + P(b, a) = 1 on purpose: training asks a pair in one order and
    learns the bias, an evaluation that asks both orders averages most of it out. Such a wrapper
    says so (`favors_a_position`), and is checked for favoring one.
    """

    length_bias: float
    verbosity_bias: float
    position_bias: float

    def __post_init__(self) -> None:
        for name in ("length_bias", "verbosity_bias", "position_bias"):
            if not abs(getattr(self, name)) <= _LARGEST:
                raise ImpossibleSettingError(
                    f"oracle_wrapper.biased.{name} = {getattr(self, name)} must be log-odds from "
                    f"-{_LARGEST:g} to {_LARGEST:g}."
                )

    @property
    def favors_a_position(self) -> bool:
        """Whether answers depend on the order in which responses are shown."""
        return self.position_bias != 0

    def wrap_text(self, oracle: TextOracle) -> TextOracle:
        """The oracle with these biases."""
        return changed(oracle, self._favored, self._raised)

    def _favored(
        self,
        prompts: Sequence[Prompt],
        first: Sequence[str],
        second: Sequence[str],
        answers: Array,
        occasion: Occasion | None,
    ) -> Array:
        return shifted(answers, self._worth(first) - self._worth(second) + self.position_bias)

    def _raised(self, prompts: Sequence[Prompt], responses: Sequence[str], scores: Array) -> Array:
        return np.asarray(scores + self._worth(responses))

    def _worth(self, responses: Sequence[str]) -> Array:
        words = [response.split() for response in responses]
        length = np.array([len(each) for each in words], dtype=np.float64)
        repeated = length - np.array([len(set(each)) for each in words], dtype=np.float64)
        return self.length_bias * length + self.verbosity_bias * repeated


def shifted(answers: Array, log_odds: Array) -> Array:
    """Probabilities whose log-odds are those of the answers plus `log_odds`, [items].

    Odd around 1/2 where both are: exchanged responses keep summing to 1 within rounding.
    """
    margin = np.asarray(answers, dtype=np.float64) - 0.5  # 1/2 +- margin are both representable
    with np.errstate(divide="ignore"):
        own = np.log(0.5 + margin) - np.log(0.5 - margin)
    return np.asarray(0.5 + np.tanh((own + log_odds) / 2) / 2)
