"""Oracles of text, learned oracles and prompts that are wrong in one way each."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nlhf_repro.interfaces import Demonstration, Message
from nlhf_repro.oracles.annotators import AnnotatorGroups
from nlhf_repro.oracles.bradley_terry_fit import BradleyTerryFit
from nlhf_repro.prompts.posts import Posts

GROUPS = {
    "cycle_strength": 2.5,
    "quality_weight": 1.5,
    "noise": 1.0,
    "length_bias": 0.0,
    "group_weights": [0.36, 0.34, 0.30],
    "orientation": "fixed",
    "world_spread": 0.1,
    "words_read": 16,
}
FIT = {"comparisons": 4000, "ridge": 1e-4}
POSTS = {
    **dict.fromkeys(("training", "selection", "tuning", "evaluation"), 20),
    "demonstration_count": 20,
    **dict.fromkeys(("drop_rate", "no_opener_rate", "invention_rate"), 0.1),
    **dict.fromkeys(("wrong_marker_rate", "repetition_rate"), 0.1),
    "style_mix": [0.5, 0.25, 0.25],
    "style_spread": 0.0,
}


class Changed:
    """Annotators who answer as `changed` says, and are otherwise as they are."""

    def __init__(self, right):
        self.right = right
        self.feature_names = right.feature_names

    def __getattr__(self, name):
        return getattr(self.right, name)

    def score(self, prompts, responses):
        return self.right.score(prompts, responses)

    def features(self, prompts, responses):
        return self.right.features(prompts, responses)

    def responder_preference(self, prompts, responses):
        return self.right.responder_preference(prompts, responses)

    def responder_response(self, prompt, responder):
        return self.right.responder_response(prompt, responder)

    def preference(self, prompts, first, second):
        return self.changed(prompts, first, second, self.right.preference(prompts, first, second))

    def changed(self, prompts, first, second, answers):
        return answers


def oracle_of(kind):
    """A family of the annotators of the kind."""

    def __init__(self, **arguments):
        self.right = AnnotatorGroups(**arguments)

    def oracle(self, world):
        return kind(self.right.oracle(world))

    return type(kind.__name__, (), {"__init__": __init__, "oracle": oracle})


class _FirstFavoured(Changed):
    def changed(self, prompts, first, second, answers):
        return np.clip(answers + 0.01, 0, 1)


class _Matrix(Changed):
    def changed(self, prompts, first, second, answers):
        return answers[:, None]


class _Fragile(Changed):
    def changed(self, prompts, first, second, answers):
        return np.where([bool(text.strip()) for text in first], answers, np.nan)


class _Mixing(Changed):
    def changed(self, prompts, first, second, answers):
        return 0.5 + 0.5 * (answers - 0.5) * (1 + len(first) % 2)


class _Scored(Changed):
    def score(self, prompts, responses):
        return self.right.features(prompts, responses)[:, 0]


class _Misquoted(Changed):
    def responder_response(self, prompt, responder):
        return self.right.responder_response(prompt, responder) + " the"


class _Various(Changed):
    def responder_response(self, prompt, responder):
        more = " the" * (prompt.identifier[-1] == "1")
        return self.right.responder_response(prompt, responder) + more


class _OneType(Changed):
    def responder_preference(self, prompts, responses):
        return self.right.responder_preference(prompts, responses)[:, -1:]


FirstFavoured = oracle_of(_FirstFavoured)
MatrixAnswers = oracle_of(_Matrix)
Fragile = oracle_of(_Fragile)
MixingItems = oracle_of(_Mixing)
ScoredMixture = oracle_of(_Scored)
Misquoted = oracle_of(_Misquoted)
Various = oracle_of(_Various)
OneType = oracle_of(_OneType)


class RestlessAnnotators:
    def __init__(self, **arguments):
        self.right = AnnotatorGroups(**arguments)

    def oracle(self, world):
        return self.right.oracle(int(np.random.default_rng().integers(1_000_000)))


class Fit:
    """The shipped fit, to be broken."""

    def __init__(self, comparisons: int, ridge: float) -> None:
        self.comparisons = comparisons
        self.right = BradleyTerryFit(comparisons, ridge)

    def learn(self, oracle, prompts, first, second, answers):
        return self.right.learn(oracle, prompts, first, second, answers)

    def wrap(self, oracle):
        return self.right.wrap(oracle)


class Unlearning(Fit):
    def learn(self, oracle, prompts, first, second, answers):
        return Fit.learn(self, oracle, prompts, first, second, np.roll(answers, 1))


class Lopsided(Fit):
    def learn(self, oracle, prompts, first, second, answers):
        return _FirstFavoured(Fit.learn(self, oracle, prompts, first, second, answers).oracle)


class Deaf(Fit):
    def learn(self, oracle, prompts, first, second, answers):
        return oracle


class CrashingFit(Fit):
    def learn(self, oracle, prompts, first, second, answers):
        oracle.features(prompts, first)


class Wrapping(Fit):
    def wrap(self, oracle):
        return oracle


def _family(self, **arguments):
    self.right = Posts(**arguments)


def _vocabulary(self):
    return self.right.vocabulary()


def _prompts(self, split, world):
    return self.right.prompts(split, world)


def _demonstrations(self, world):
    return self.right.demonstrations(world)


def _spoken_by_assistants(self, split, world):
    return tuple(
        replace(each, messages=(*each.messages, Message("assistant", "so")))
        for each in self.right.prompts(split, world)
    )


def _shared(self, split, world):
    return self.right.prompts("training" if split == "tuning" else split, world)


def _restless(self, split, world):
    return self.right.prompts(split, int(np.random.default_rng().integers(1_000_000)))


def _shouted(self, world):
    shown = self.right.demonstrations(world)
    return (replace(shown[0], response="LOUD"), *shown[1:])


def _of_evaluation(self, world):
    return (Demonstration(self.right.prompts("evaluation", world)[0], "so basically party"),)


def family(prompts=_prompts, demonstrations=_demonstrations):
    methods = {"prompts": prompts, "demonstrations": demonstrations, "vocabulary": _vocabulary}
    return type("Family", (), {"__init__": _family, **methods})


AssistantLast = family(prompts=_spoken_by_assistants)
SharedSplits = family(prompts=_shared)
RestlessPrompts = family(prompts=_restless)
UnknownWord = family(demonstrations=_shouted)
EvaluationShown = family(demonstrations=_of_evaluation)

CAUGHT = [  # part, group, check, what its sentence says
    ("FirstFavoured", "oracle", "text answers sum", "sum to 1 +- 2.0e-02"),
    ("MatrixAnswers", "oracle", "text answers sum", "with the shape (240, 1)"),
    ("Fragile", "oracle", "hostile texts", "not all in [0, 1]"),
    ("RestlessAnnotators", "oracle", "the world decides the answers", "of world 4 answer differ"),
    ("MixingItems", "oracle", "items are answered apart", "items are mixed"),
    ("ScoredMixture", "oracle", "text scores explain", "do not explain the answers"),
    ("Misquoted", "oracle", "responder types", "away from that of its own response"),
    ("Various", "oracle", "responder types", "have different features"),
    ("OneType", "oracle", "no response beats", "a type is missing"),
    ("Unlearning", "oracle_wrapper", "it learns a reward", "90% are needed"),
    ("Lopsided", "oracle_wrapper", "learned answers sum", "sum to 1 +- 2.0e-02"),
    ("Deaf", "oracle_wrapper", "the answers decide", "are they read?"),
    ("CrashingFit", "oracle_wrapper", "what cannot be", "is met by AttributeError"),
    ("Wrapping", "oracle_wrapper", "what cannot be", "wrap accepts a game"),
    ("AssistantLast", "prompts", "prompts end", "let the user speak last"),
    ("SharedSplits", "prompts", "splits are disjoint", "of tuning is in training as well"),
    ("RestlessPrompts", "prompts", "the world decides the prompts", "two draws of world 4 differ"),
    ("UnknownWord", "prompts", "the vocabulary", "['LOUD'] of 'LOUD' is not in the vocabulary"),
    ("EvaluationShown", "prompts", "demonstrations answer", "which is no training prompt"),
]
_BY_GROUP = {"oracle": GROUPS, "oracle_wrapper": FIT, "prompts": POSTS}
TEXT_ARGUMENTS = {name: _BY_GROUP[group] for name, group, _, _ in CAUGHT}
