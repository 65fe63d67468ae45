"""Annotators who judge summaries: groups with a reward each, and a majority that cycles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Literal, NamedTuple, final, get_args

import numpy as np

from nlhf_repro.interfaces import Array, ImpossibleSettingError, Prompt
from nlhf_repro.seeds import generator_for
from nlhf_repro.summaries import (
    FEATURES,
    TOPICS,
    Facts,
    SummaryType,
    every_type,
    facts_of,
    read,
    type_features,
    undominated,
    write,
)

Orientation = Literal["fixed", "by_topic"]
"""fixed: one cycle for all posts; by_topic: it runs the other way round for half of the topics."""

# Of each of the three groups, where a fact is the unit of quality.
COVERAGE = np.array([0.8, 0.6, 0.7])
LENGTH = np.array([0.06, 0.14, 0.09])  # a word's cost
INVENTION = np.array([1.0, 0.8, 1.6])  # its cost; that of a repetition is half
STYLES = np.array([[1.0, 0.0, -1.0], [-1.0, 1.0, 0.0], [0.0, -1.0, 1.0]])  # formal, casual, vivid
PURITY, OPENER = 1.5, 1.0

_RANGES = {
    "cycle_strength": (0, 1e6),
    "quality_weight": (0, 1e6),
    "noise": (1e-6, 1e6),
    "length_bias": (-1e6, 1e6),
    "world_spread": (0, 3),
    "words_read": (1, 64),
}
_KEPT_READINGS = 200_000  # then all are forgotten


@final
@dataclass(frozen=True)
class AnnotatorGroups:
    """P = sum_g share_g sigmoid((u_g(y) - u_g(y')) / noise): a random annotator of three groups.

    u_g = quality_weight [COVERAGE_g coverage - (LENGTH_g - length_bias) length
    - INVENTION_g (inventions + repetitions / 2) + PURITY purity + OPENER opener]
    + cycle_strength <STYLES_g, (formal, casual, vivid)>.

    Every group is Bradley-Terry. The first prefers formal to casual to vivid, the second casual to
    vivid to formal, the third vivid to formal to casual, so that at equal quality the majority
    prefers formal to casual to vivid to formal: with P = .61, .65, .59 at the defaults and
    `world_spread` 0. The equilibrium over all texts is then three natural summaries, an opener and
    all six facts, with the shares .419 formal, .264 casual, .316 vivid. Without a price on impurity
    a mixture of styles inside one summary would beat them. With `cycle_strength` 0 the groups
    differ in quality alone.

    `world_spread` s multiplies every taste and share of a world by an own exp(s N(0, 1)); shares
    are normalized again. A positive `length_bias` makes a word cheaper, and then worth having.
    Only the first `words_read` words of a response are read.
    """

    cycle_strength: float
    quality_weight: float
    noise: float
    length_bias: float
    group_weights: Sequence[float]
    orientation: Orientation
    world_spread: float
    words_read: int

    def __post_init__(self) -> None:
        for key, (low, high) in _RANGES.items():
            if not low <= getattr(self, key) <= high:
                raise ImpossibleSettingError(
                    f"oracle.{key} = {getattr(self, key)} must be from {low:g} to {high:g}."
                )
        weights = list(self.group_weights)
        if len(weights) != len(STYLES) or not min(weights) >= 0 or abs(sum(weights) - 1) > 1e-9:
            raise ImpossibleSettingError(
                f"oracle.group_weights = {weights} must be {len(STYLES)} shares that are at least "
                "0 and sum to 1."
            )
        if self.orientation not in get_args(Orientation):
            raise ImpossibleSettingError(
                f"oracle.orientation = {self.orientation} is unknown: "
                f"choose from {', '.join(get_args(Orientation))}."
            )

    def oracle(self, world: int) -> AnnotatorOracle:
        """The annotators of this world."""
        stream = generator_for("oracle", "annotators", world)
        spread = np.exp(self.world_spread * stream.standard_normal((len(STYLES), 7)))
        reversed_topics = stream.permutation(list(TOPICS))[: len(TOPICS) // 2]
        shares = np.array(list(self.group_weights), dtype=np.float64) * spread[:, 6]
        return AnnotatorOracle(
            self._utilities(spread),
            shares / shares.sum(),
            frozenset(map(str, reversed_topics)) if self.orientation == "by_topic" else frozenset(),
            self.words_read,
        )

    def _utilities(self, spread: Array) -> Array:
        """Weights of the features, [2, groups, features]; second with the cycle turned round."""
        quality = self.quality_weight / self.noise
        styles = self.cycle_strength / self.noise * STYLES * spread[:, 3:6]
        invention = quality * INVENTION * spread[:, 1]
        common = np.ones(len(STYLES))
        columns = {
            "coverage": quality * COVERAGE * spread[:, 0],
            "inventions": -invention,
            "repetitions": -invention / 2,
            "length": quality * (self.length_bias - LENGTH * spread[:, 2]),
            "purity": quality * PURITY * common,
            "opener": quality * OPENER * common,
        }
        orders = (("formal", "casual", "vivid"), ("formal", "vivid", "casual"))
        turned = [{**columns, **dict(zip(order, styles.T, strict=True))} for order in orders]
        return np.stack([np.column_stack([each[name] for name in FEATURES]) for each in turned])


class _Post(NamedTuple):
    details: object
    facts: Facts
    turned: int


@final
class AnnotatorOracle:
    """The annotators of a world: reads every text once and answers from what it has read.

    `utilities` [2, groups, features] are the groups' weights of the features, divided by the noise,
    for the one and the other direction of the cycle; `shares` [groups] sum to 1; the cycle is
    turned round for posts of `reversed_topics`.
    """

    feature_names = FEATURES
    _features: Array  # [readings, features]
    _read_utilities: Array  # [readings, groups]

    def __init__(
        self, utilities: Array, shares: Array, reversed_topics: frozenset[str], words_read: int
    ) -> None:
        self.utilities = utilities
        self.shares = shares
        self.reversed_topics = reversed_topics
        self.words_read = words_read
        self._forget()

    def preference(
        self, prompts: Sequence[Prompt], first: Sequence[str], second: Sequence[str]
    ) -> Array:
        """P(first preferred over second), [items]; exchanged responses sum to 1 within 1e-15.

        Raises:
            ImpossibleSettingError: a prompt is no post.
            ValueError: the arguments differ in length, or two posts have one identifier.
        """
        return self._mixed(self._utility(prompts, first) - self._utility(prompts, second))

    def score(self, prompts: Sequence[Prompt], responses: Sequence[str]) -> Array:
        """The utility of the only group, [items].

        Raises:
            ImpossibleSettingError: several groups are mixed.
        """
        alone = np.flatnonzero(self.shares)
        if len(alone) > 1:
            raise ImpossibleSettingError(
                f"{len(alone)} groups of annotators have no common reward, so that there are no "
                "scores: take oracle_wrapper=[bradley_terry_fit], or "
                "oracle.group_weights=[1,0,0]."
            )
        return self._utility(prompts, responses)[:, alone[0]]

    def features(self, prompts: Sequence[Prompt], responses: Sequence[str]) -> Array:
        """What is read of the responses, [items, features], see `summaries.FEATURES`."""
        rows = self._rows(prompts, responses)
        return self._features[rows]

    @cached_property
    def responder_types(self) -> tuple[SummaryType, ...]:
        """The types that no other equals or exceeds in every group, for posts of some topic."""
        kinds, features = _types(self.words_read)
        groups = np.flatnonzero(self.shares)
        directions = (0, 1) if self.reversed_topics else (0,)
        kept = {
            int(row)
            for turned in directions
            for row in undominated(features @ self.utilities[turned, groups].T)
        }
        return tuple(kinds[row] for row in sorted(kept))

    def responder_preference(self, prompts: Sequence[Prompt], responses: Sequence[str]) -> Array:
        """P(a response of the type preferred over the response), [items, types].

        A preference increases in every group's utility, so that one of the `responder_types` is
        best against any mixture.
        """
        features = type_features(self.responder_types, self.words_read)
        types = np.einsum("tf,dgf->dtg", features, self.utilities)
        turned = np.array([self._post(prompt).turned for prompt in prompts], dtype=np.int64)
        return self._mixed(types[turned] - self._utility(prompts, responses)[:, None])

    def responder_response(self, prompt: Prompt, responder: int) -> str:
        """A summary of the type: an opener, facts in their order, other markers."""
        return write(self.responder_types[responder], facts_of(prompt))

    def _mixed(self, gaps: Array) -> Array:
        """The groups' answers to utility gaps [..., groups], mixed."""
        # 1/2 + tanh/2 is odd around 1/2 to the last bit, which a sigmoid is not.
        return np.clip(0.5 + np.tanh(gaps / 2) @ (self.shares / 2), 0.0, 1.0)

    def _utility(self, prompts: Sequence[Prompt], responses: Sequence[str]) -> Array:
        rows = self._rows(prompts, responses)
        return self._read_utilities[rows]

    def _rows(self, prompts: Sequence[Prompt], responses: Sequence[str]) -> list[int]:
        """Where the readings of these responses are kept; those that are new are read first."""
        keys = [(x.identifier, y) for x, y in zip(prompts, responses, strict=True)]
        posts = [self._post(prompt) for prompt in prompts]
        if len(self._index) > _KEPT_READINGS:
            self._forget()
        new = {key: post for key, post in zip(keys, posts, strict=True) if key not in self._index}
        if new:
            self._read(new)
        return [self._index[key] for key in keys]

    def _read(self, new: dict[tuple[str, str], _Post]) -> None:
        facts = [post.facts for post in new.values()]
        features = read(facts, [response for _, response in new], self.words_read)
        weights = self.utilities[[post.turned for post in new.values()]]
        utilities = np.einsum("if,igf->ig", features, weights)
        self._index |= {key: row for row, key in enumerate(new, len(self._features))}
        self._features = np.concatenate([self._features, features])
        self._read_utilities = np.concatenate([self._read_utilities, utilities])

    def _post(self, prompt: Prompt) -> _Post:
        known = self._posts.get(prompt.identifier)
        if known is not None and known.details is prompt.details:
            return known
        topic = prompt.details.get("topic")
        if topic not in TOPICS:
            raise ImpossibleSettingError(
                f"prompt {prompt.identifier} has no details['topic'] among {', '.join(TOPICS)}: "
                "take prompts=posts."
            )
        post = _Post(prompt.details, facts_of(prompt), int(topic in self.reversed_topics))
        if known is not None and known[1:] != post[1:]:
            raise ValueError(
                f"two posts have the identifier {prompt.identifier}: give each its own."
            )
        self._posts[prompt.identifier] = post
        return post

    def _forget(self) -> None:
        self._posts: dict[str, _Post] = {}
        self._index: dict[tuple[str, str], int] = {}
        self._features = np.empty((0, len(FEATURES)))
        self._read_utilities = np.empty((0, len(self.shares)))


@cache
def _types(words_read: int) -> tuple[tuple[SummaryType, ...], Array]:
    kinds = tuple(every_type(words_read))
    return kinds, type_features(kinds, words_read)
