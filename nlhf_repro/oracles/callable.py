"""A Python function as an oracle."""

from __future__ import annotations

import hashlib
import importlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np

from nlhf_repro.interfaces import Array, ImpossibleSettingError, OracleCost, Prompt


@final
@dataclass(frozen=True)
class CallableOracle:
    """Preferences by `preference`, and scores by `score`, functions named by their dotted path.

    `preference(prompts: list[Prompt], first: list[str], second: list[str])` returns
    P(first preferred over second), a number in [0, 1] for each, as a list or an array; a Prompt has
    `identifier`, `messages` (with `role` and `content`; the last one is the user's) and `details`.
    `score(prompts: list[Prompt], responses: list[str])` returns a finite number for each.

    An answer depends on its own prompt and responses alone, and draws nothing. With `symmetric`
    both orders are asked and P(a, b) = (f(a, b) + 1 - f(b, a)) / 2; without it f(a, b) + f(b, a)
    = 1 is yours to keep. The file of each function is part of every key, the modules that it
    imports are not: after a change in those, change the function's file too.
    """

    preference: str | None
    score: str | None
    symmetric: bool

    def __post_init__(self) -> None:
        if self.preference is None:
            raise ImpossibleSettingError(
                "oracle.preference is null: name your function, as in "
                "oracle.preference=my_module.prefer."
            )

    def oracle(self, world: int) -> FunctionOracle:
        """The functions as an oracle, the same in every world.

        Raises:
            ImpossibleSettingError: a path names no function.
        """
        assert self.preference is not None
        scores = None if self.score is None else _function("score", self.score)
        return FunctionOracle(_function("preference", self.preference), scores, self.symmetric)

    def fingerprint(self) -> Mapping[str, str]:
        """SHA-256 of the files that hold the functions, by field."""
        paths = {"preference": self.preference, "score": self.score}
        return {name: _source(name, path) for name, path in paths.items() if path is not None}


@final
@dataclass(frozen=True)
class FunctionOracle:
    """Asks the functions, and refuses replies that are none."""

    compare: Callable[..., Any]
    rate: Callable[..., Any] | None
    symmetric: bool

    @property
    def cost(self) -> OracleCost:
        """A pass a comparison, or one in each order."""
        return OracleCost(ordered_passes=2 if self.symmetric else 1)

    def preference(
        self, prompts: Sequence[Prompt], first: Sequence[str], second: Sequence[str]
    ) -> Array:
        """P(first preferred over second), [items].

        Raises:
            ValueError: the function returned something else than a probability an item.
        """
        forward = self._compared(prompts, first, second)
        if not self.symmetric:
            return forward
        return np.asarray((forward + (1 - self._compared(prompts, second, first))) / 2)

    def score(self, prompts: Sequence[Prompt], responses: Sequence[str]) -> Array:
        """Scalar rewards, [items].

        Raises:
            ImpossibleSettingError: there is no function for them.
            ValueError: the function returned something else than a finite number an item.
        """
        if self.rate is None:
            raise ImpossibleSettingError(
                "oracle.score is null, and the algorithm asks for scores: name a function that "
                "gives them, or take an algorithm whose labels are preferences."
            )
        values = _numbers(self.rate, self.rate(list(prompts), list(responses)), prompts)
        return _checked(self.rate, values, np.isfinite(values), prompts, "a finite number")

    def _compared(
        self, prompts: Sequence[Prompt], first: Sequence[str], second: Sequence[str]
    ) -> Array:
        replies = self.compare(list(prompts), list(first), list(second))
        values = _numbers(self.compare, replies, prompts)
        sound = (values >= 0) & (values <= 1)
        return _checked(self.compare, values, sound, prompts, "a probability from 0 to 1")


def _numbers(function: Callable[..., Any], replies: object, prompts: Sequence[Prompt]) -> Array:
    try:
        values = np.asarray(replies, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{_name(function)} returned no numbers ({error}).") from error
    if values.shape != (len(prompts),):
        raise ValueError(
            f"{_name(function)} returned an array of shape {values.shape} for {len(prompts)} items:"
            " return one number an item."
        )
    return values


def _checked(
    function: Callable[..., Any], values: Array, sound: Any, prompts: Sequence[Prompt], what: str
) -> Array:
    if not sound.all():
        item = int(np.flatnonzero(~sound)[0])
        raise ValueError(
            f"{_name(function)} returned {values[item]} for prompt {prompts[item].identifier}, "
            f"which is not {what}."
        )
    return values


def _function(field: str, path: str) -> Callable[..., Any]:
    module, _, name = path.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ImpossibleSettingError(
            f"oracle.{field} = {path} cannot be imported ({error}): write package.module.function, "
            "with the package in the current folder, beside your --config-dir, or installed."
        ) from error
    if not callable(found):
        raise ImpossibleSettingError(f"oracle.{field} = {path} is no function.")
    made: Callable[..., Any] = found
    return made


def _source(field: str, path: str) -> str:
    function = inspect.unwrap(_function(field, path))
    try:
        file = inspect.getsourcefile(function) or ""
        return hashlib.sha256(Path(file).read_bytes()).hexdigest()
    except (TypeError, OSError) as error:
        raise ImpossibleSettingError(
            f"The source of oracle.{field} = {path} was not found, but keys a run: write the "
            "function in a .py file."
        ) from error


def _name(function: Callable[..., Any]) -> str:
    return getattr(function, "__qualname__", type(function).__name__)
