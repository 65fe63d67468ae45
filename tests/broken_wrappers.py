"""Wrappers of text oracles that are wrong in one way each."""

from __future__ import annotations

from itertools import count

import numpy as np

from nlhf_repro.interfaces import ImpossibleSettingError, OracleCost, asked_on, cost_of, oracle_at

_CALLS = count()


class Passing:
    """A wrapped oracle that is as it was, to be broken."""

    def __init__(self, oracle):
        self.oracle = oracle

    @property
    def cost(self):
        return cost_of(self.oracle)

    def preference(self, prompts, first, second):
        return self.changed(first, asked_on(self.oracle, prompts, first, second, None))

    def preference_on(self, prompts, first, second, occasion):
        return self.changed(first, asked_on(self.oracle, prompts, first, second, occasion))

    def score(self, prompts, responses):
        return self.oracle.score(prompts, responses)

    def at(self, progress):
        return type(self)(oracle_at(self.oracle, progress))

    def changed(self, first, answers):
        return answers


def wrapper_of(kind, **attributes):
    """A wrapper whose oracles are of the kind."""

    def wrap_text(self, oracle):
        return kind(oracle)

    return type(kind.__name__, (), {"wrap_text": wrap_text, **attributes})


class _FirstFavored(Passing):
    def changed(self, first, answers):
        return np.clip(answers + 0.01, 0, 1)


class _Fragile(Passing):
    def changed(self, first, answers):
        return np.where([bool(text.strip()) for text in first], answers, np.nan)


class _Mixing(Passing):
    def changed(self, first, answers):
        return 0.5 + 0.5 * (answers - 0.5) * (1 + len(first) % 2)


class _Infinite(Passing):
    def score(self, prompts, responses):
        return self.oracle.score(prompts, responses) / 0.0


class _Timeless(Passing):
    def preference_on(self, prompts, first, second, occasion):
        return self.preference(prompts, first, second)


class _Restless(Passing):
    def preference_on(self, prompts, first, second, occasion):
        asked_on(self.oracle, prompts, first, second, occasion)
        return np.full(len(prompts), next(_CALLS) % 2 / 2)


class _Free(Passing):
    @property
    def cost(self):
        return OracleCost()


class _Still(Passing):
    def at(self, progress):
        return self


class _Refusing(Passing):
    def score(self, prompts, responses):
        raise ImpossibleSettingError("Nothing is scored here.")


Sound = wrapper_of(Passing)
Refusing = wrapper_of(_Refusing)
FirstFavored = wrapper_of(_FirstFavored)
Pretending = wrapper_of(Passing, favors_a_position=True)
Fragile = wrapper_of(_Fragile)
MixingItems = wrapper_of(_Mixing)
Infinite = wrapper_of(_Infinite)
Timeless = wrapper_of(_Timeless)
Restless = wrapper_of(_Restless)
Free = wrapper_of(_Free)
Still = wrapper_of(_Still)

CAUGHT = [
    ("FirstFavored", "wrapped texts have probabilities", "sum to 1 +- 2.0e-02"),
    ("Pretending", "wrapped texts have probabilities", "it says favors_a_position"),
    ("Fragile", "wrapped hostile texts are answered", "not all in [0, 1]"),
    ("MixingItems", "wrapped items are answered apart", "items are mixed"),
    ("Infinite", "wrapped scores are finite or refused", "not [items] finite numbers"),
    ("Timeless", "occasions are passed on", "asked without the occasion"),
    ("Restless", "occasions are passed on", "answered in two ways"),
    ("Free", "costs are passed on", "return interfaces.cost_of"),
    ("Still", "drift is passed on", "give the wrapped oracle a method `at`"),
]
