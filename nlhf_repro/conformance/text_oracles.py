"""Oracles that read text, asked about posts and their summaries."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np

from nlhf_repro.conformance.outcomes import NotApplicableError, require
from nlhf_repro.conformance.subjects import Subject
from nlhf_repro.interfaces import (
    Array,
    FeatureOracle,
    ImpossibleSettingError,
    Prompt,
    TextOracle,
)
from nlhf_repro.prompts.posts import Posts
from nlhf_repro.seeds import generator_for

ROUNDING = 1e-15
POSTS, RESPONSES, MIXTURES = 12, 240, 20
HOSTILE = (
    "",
    " ",
    "\x00\x07\x1b[31m",
    "\ud800 \udfff",
    "\u202eword\u00a0word\n\tword",
    "word " * 200_000,
    "x" * 1_000_000,
    "so " * 300,
)
"""Texts that a broken tokenizer or an untrained policy may hand in."""


@cache
def material() -> tuple[tuple[Prompt, ...], tuple[str, ...]]:
    """A post and a response to it, RESPONSES times: demonstrations, and words in random order."""
    posts = Posts(
        training=POSTS,
        selection=1,
        tuning=1,
        evaluation=1,
        demonstration_count=RESPONSES,
        drop_rate=0.3,
        no_opener_rate=0.1,
        invention_rate=0.1,
        wrong_marker_rate=0.1,
        repetition_rate=0.1,
        style_mix=(0.4, 0.3, 0.3),
        style_spread=0.0,
    )
    shown = posts.demonstrations(0)
    stream = generator_for("conformance", "responses")
    responses = [each.response for each in shown]
    for number in range(0, RESPONSES, 5):
        words = stream.choice(posts.vocabulary(), int(stream.integers(1, 12)))
        responses[number] = " ".join(words)
    return tuple(each.prompt for each in shown), tuple(responses)


def asked_of(subject: Subject, world: int = 0) -> TextOracle:
    """The subject's oracle, which has to answer about posts.

    Raises:
        NotApplicableError: it reads prompts of another kind.
    """
    oracle: TextOracle = subject.build().oracle(world)
    prompts, responses = material()
    try:
        oracle.preference(prompts[:1], responses[:1], responses[:1])
    except ImpossibleSettingError as error:
        raise NotApplicableError(f"it does not read posts: {error}") from error
    return oracle


def text_answers_sum_to_one(subject: Subject) -> None:
    """P in [0, 1], [items]; 1 - P for exchanged responses; 1/2 of a response against itself."""
    prompts, responses = material()
    require_swaps(asked_of(subject), prompts, responses, responses[POSTS:] + responses[:POSTS])


def hostile_texts_are_answered(subject: Subject) -> None:
    """Empty, huge and undecodable responses have probabilities as all others have."""
    oracle = asked_of(subject)
    prompts, responses = material()
    pairs = [(x, y) for x in HOSTILE for y in (*HOSTILE, responses[1])]
    first, second = zip(*pairs, strict=True)
    require_swaps(oracle, [prompts[1]] * len(pairs), first, second)


def the_world_decides_the_answers(subject: Subject) -> None:
    """The same world has the same answers, another world others."""
    prompts, responses = material()
    second = responses[POSTS:] + responses[:POSTS]
    one, again, other = (
        asked_of(subject, world).preference(prompts, responses, second).tobytes()
        for world in (4, 4, 5)
    )
    require(
        one == again,
        "two oracles of world 4 answer differently: take every number from "
        "seeds.generator_for(..., world, ...).",
    )
    if one == other:
        raise NotApplicableError("its answers are the same in every world")


def items_are_answered_apart(subject: Subject) -> None:
    """An answer is the same alone, and in another order."""
    oracle = asked_of(subject)
    prompts, responses = material()
    second = responses[POSTS:] + responses[:POSTS]
    together = oracle.preference(prompts, responses, second)
    fresh = asked_of(subject)
    order = generator_for("conformance", "order").permutation(RESPONSES)
    for rows in (order, *order[:6, None]):
        some = fresh.preference(
            [prompts[i] for i in rows], [responses[i] for i in rows], [second[i] for i in rows]
        )
        off = float(np.abs(some - together[rows]).max())
        require(
            off < 1e-12,
            f"an answer is {off:.1e} different alone or in another order: items are mixed.",
        )


def text_scores_explain_the_answers(subject: Subject) -> None:
    """Scores are refused, or P is the sigmoid of their difference."""
    oracle = asked_of(subject)
    prompts, responses = material()
    try:
        scores = oracle.score(prompts, responses)
    except ImpossibleSettingError as error:
        raise NotApplicableError(f"it has no scores: {error}") from error
    second = responses[POSTS:] + responses[:POSTS]
    answers = oracle.preference(prompts, responses, second)
    gaps = scores - oracle.score(prompts, second)
    off = float(np.abs(answers - 1 / (1 + np.exp(-gaps))).max())
    require(
        off < 1e-12,
        f"the scores do not explain the answers: sigmoid of their difference is {off:.1e} away; "
        "raise ImpossibleSettingError where no reward gives the preferences.",
    )


def responder_types_are_responses(subject: Subject) -> None:
    """Every type has a response to every prompt, of the same features, that is preferred as it."""
    oracle = _feature_oracle(subject)
    prompts, responses = material()
    preferences = oracle.responder_preference(prompts, responses)
    for kind in range(preferences.shape[1]):
        own = [oracle.responder_response(prompt, kind) for prompt in prompts]
        features = oracle.features(prompts, own)
        require(
            features.shape == (RESPONSES, len(oracle.feature_names)),
            f"features of {RESPONSES} responses have the shape {features.shape}: they are "
            "[items, features].",
        )
        require(
            bool((features == features[0]).all()),
            f"responses of type {kind} to two prompts have different features.",
        )
        off = float(np.abs(oracle.preference(prompts, own, responses) - preferences[:, kind]).max())
        require(
            off < 1e-12,
            f"type {kind} is preferred with a probability that is {off:.1e} away from that of its "
            "own response.",
        )


def no_response_beats_the_best_type(subject: Subject) -> None:
    """Against a random mixture of responses to a prompt, the best type is preferred most."""
    oracle = _feature_oracle(subject)
    prompts, responses = material()
    stream = generator_for("conformance", "mixtures")
    for number in range(MIXTURES):
        post = prompts[number % POSTS]
        mixture = [responses[i] for i in stream.choice(RESPONSES, 3)]
        posts = [post] * len(mixture)
        best = float(oracle.responder_preference(posts, mixture).mean(axis=0).max())
        others = [post] * (RESPONSES * len(mixture))
        first = [response for response in responses for _ in mixture]
        answers = oracle.preference(others, first, mixture * RESPONSES)
        found = float(answers.reshape(RESPONSES, -1).mean(axis=1).max())
        require(
            found <= best + 1e-12,
            f"a response is preferred to a mixture with {found:.4f}, above the {best:.4f} of the "
            "best type: a type is missing.",
        )


def require_swaps(
    oracle: TextOracle, prompts: Sequence[Prompt], first: Sequence[str], second: Sequence[str]
) -> None:
    """The answers are probabilities, [items], symmetric and 1/2 on equal responses."""
    answers = oracle.preference(prompts, first, second)
    require(
        answers.shape == (len(prompts),),
        f"{len(prompts)} questions are answered with the shape {answers.shape}: return [items].",
    )
    require(_probabilities(answers), "the answers are not all in [0, 1].")
    off = float(np.abs(answers + oracle.preference(prompts, second, first) - 1).max())
    require(
        off <= ROUNDING,
        f"P and that of the exchanged responses sum to 1 +- {off:.1e}: write P as 1/2 plus an odd "
        "function of the pair.",
    )
    off = float(np.abs(oracle.preference(prompts, first, first) - 0.5).max())
    require(off <= ROUNDING, f"P of a response against itself is {off:.1e} away from 1/2.")


def _probabilities(answers: Array) -> bool:
    return bool(((answers >= 0) & (answers <= 1)).all())


def _feature_oracle(subject: Subject) -> FeatureOracle:
    oracle = asked_of(subject)
    if not isinstance(oracle, FeatureOracle):
        raise NotApplicableError("it reads no features, so that its best response is unknown")
    return oracle
