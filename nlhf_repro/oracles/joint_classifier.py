"""A classifier of two responses at once that `nlhf run pipeline=fit_oracle` has learned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, final

import numpy as np

from nlhf_repro.interfaces import Array, ImpossibleSettingError, OracleCost, Prompt
from nlhf_repro.interfaces.lacking import LackingError
from nlhf_repro.preferences.records import PreferenceRecord
from nlhf_repro.preferences.templates import readable
from nlhf_repro.weights import fingerprint

_CHARACTERS = 64  # of a response, for every token of `max_length`, that are read at most


@final
@dataclass(frozen=True)
class JointClassifier:
    """P = (sigmoid(m(y, y')) + 1 - sigmoid(m(y', y))) / 2, m one output for both responses.

    A sequence classifier over the text of `pair_preference_model`, from a folder with safetensors
    weights; `batch_size` ordered pairs go through it at once. Where a comparison has more than
    `max_length` tokens, both responses are cut at their end, to half of what the prompt leaves.
    The same in every world.
    """

    cost: ClassVar[OracleCost] = OracleCost(ordered_passes=2)

    name_or_path: str
    batch_size: int
    max_length: int
    device: str

    def __post_init__(self) -> None:
        for name in ("batch_size", "max_length"):
            if getattr(self, name) < 1:
                raise ImpossibleSettingError(
                    f"oracle.{name} = {getattr(self, name)} must be at least 1: raise it."
                )

    def fingerprint(self) -> dict[str, str]:
        """SHA-256 of the folder's files: what results are kept under.

        Raises:
            LackingError: no such folder.
        """
        folder = Path(self.name_or_path).expanduser()
        if not (folder / "config.json").is_file():
            raise LackingError(
                f"oracle.name_or_path = {self.name_or_path} is no folder with a model: give the "
                "one that nlhf run pipeline=fit_oracle fit.kind=joint_classifier prints."
            )
        return fingerprint(self.name_or_path, None, "oracle")

    def oracle(self, world: int) -> JointClassifierOracle:
        """The oracle, whatever the world."""
        self.fingerprint()
        return JointClassifierOracle(self)


@final
class JointClassifierOracle:
    """Asked in both orders."""

    cost: ClassVar[OracleCost] = JointClassifier.cost

    def __init__(self, settings: JointClassifier) -> None:
        self._settings = settings

    def preference(
        self, prompts: Sequence[Prompt], first: Sequence[str], second: Sequence[str]
    ) -> Array:
        """Probabilities, [items]; exchanged responses sum to 1 within 1e-15.

        Every different ordered pair is read once, in an order of its own, so that the order in
        which they are asked about changes no bit.
        """
        from nlhf_repro.preferences.fitting import predictions

        asked = [self._cut(*item) for item in zip(prompts, first, second, strict=True)]
        known = {_key(each): each for one in asked for each in (one, one.swapped())}
        order = sorted(known, key=lambda key: (-len(key[1]) - len(key[2]), repr(key)))
        rows = [known[key] for key in order]
        answers = predictions(self._learner, rows, self._settings.batch_size)
        found = dict(zip(order, answers.tolist(), strict=True))
        shown = np.array([found[_key(each)] for each in asked])
        exchanged = np.array([found[_key(each.swapped())] for each in asked])
        return np.asarray(0.5 + (shown - exchanged) / 2, dtype=np.float64)

    def score(self, prompts: Sequence[Prompt], responses: Sequence[str]) -> Array:
        """Refused: pairs are compared.

        Raises:
            ImpossibleSettingError: always.
        """
        raise ImpossibleSettingError(
            "oracle=joint_classifier compares two responses and has no score of one: take "
            "oracle=reward_model, or labels other than scores."
        )

    def _cut(self, prompt: Prompt, first: str, second: str) -> PreferenceRecord:
        """The comparison, within `max_length` tokens."""
        most, tokenizer = self._settings.max_length, self._learner.tokenizer
        # A million words are not tokenized to be cut afterwards.
        texts = [readable(text)[: most * _CHARACTERS] for text in (first, second)]
        record = PreferenceRecord(prompt, texts[0], texts[1], 0.5)
        if len(self._learner.rows(record)[0]) <= most:
            return record
        room = most - len(self._learner.rows(PreferenceRecord(prompt, "", "", 0.5))[0])
        if room < 2:
            raise ImpossibleSettingError(
                f"prompt {prompt.identifier} leaves no room for responses within oracle.max_length "
                f"= {most} tokens: raise it, or take shorter prompts."
            )
        kept = [
            tokenizer.decode(tokenizer(x, add_special_tokens=False)["input_ids"][: room // 2])
            for x in texts
        ]
        return PreferenceRecord(prompt, kept[0], kept[1], 0.5)

    @cached_property
    def _learner(self) -> Any:
        from transformers import AutoModelForSequenceClassification, AutoTokenizer

        from nlhf_repro.preferences.transformer_models import TransformerLearner

        name = str(Path(self._settings.name_or_path).expanduser())
        tokenizer = AutoTokenizer.from_pretrained(name, trust_remote_code=False)
        model = AutoModelForSequenceClassification.from_pretrained(
            name, use_safetensors=True, trust_remote_code=False
        )
        return TransformerLearner("joint_classifier", model.to(self._settings.device), tokenizer)


def _key(record: PreferenceRecord) -> tuple[Any, ...]:
    return (record.prompt.messages, record.first, record.second)
