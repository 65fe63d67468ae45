"""Annotators who judge summaries: groups with a reward each, and a majority that cycles."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import Literal, final, get_args

import numpy as np

from nlhf_repro.interfaces import Array, ImpossibleSettingError, Prompt
from nlhf_repro.oracles.readings import Readings
from nlhf_repro.seeds import generator_for
from nlhf_repro.summaries import (
    FEATURES,
    TOPICS,
    SummaryType,
    every_type,
    facts_of,
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
Tilts = Callable[[Sequence[Prompt]], Array]
"""Of prompts: positive factors of the groups' shares, [items, groups]."""


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
        turned = map(str, reversed_topics) if self.orientation == "by_topic" else ()
        readings = Readings(self._utilities(spread), frozenset(turned), self.words_read)
        return AnnotatorOracle(readings, shares / shares.sum())

    def reweighted(self, group_weights: Sequence[float]) -> AnnotatorGroups:
        """The same groups in other shares."""
        return replace(self, group_weights=group_weights)

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


@final
class AnnotatorOracle:
    """The annotators of a world, who answer from what they have read.

    `readings` know what a response is worth to each group, divided by the noise; `shares` [groups]
    sum to 1. With `tilts` every prompt has a mixture of its own: the shares times the prompt's
    tilts, normalized again.
    """

    feature_names = FEATURES
    group_names = ("formal first", "casual first", "vivid first")

    def __init__(self, readings: Readings, shares: Array, tilts: Tilts | None = None) -> None:
        self.readings = readings
        self.utilities = readings.weights
        self.reversed_topics = readings.reversed_topics
        self.words_read = readings.words_read
        self.shares = shares
        self.tilts = tilts

    def mixed(self, shares: Array, tilts: Tilts | None = None) -> AnnotatorOracle:
        """The same groups, who share their readings, in another mixture."""
        return AnnotatorOracle(self.readings, shares, tilts or self.tilts)

    def preference(
        self, prompts: Sequence[Prompt], first: Sequence[str], second: Sequence[str]
    ) -> Array:
        """P(first preferred over second), [items]; exchanged responses sum to 1 within 1e-15.

        Raises:
            ImpossibleSettingError: a prompt is no post.
            ValueError: the arguments differ in length, or two posts have one identifier.
        """
        return self._answers(prompts, self._gaps(prompts, first, second))

    def group_preference(
        self, prompts: Sequence[Prompt], first: Sequence[str], second: Sequence[str]
    ) -> Array:
        """P(first preferred over second) of every group, [items, groups]."""
        return np.asarray(0.5 + np.tanh(self._gaps(prompts, first, second) / 2) / 2)

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
        return self.readings.utility(prompts, responses)[:, alone[0]]

    def features(self, prompts: Sequence[Prompt], responses: Sequence[str]) -> Array:
        """What is read of the responses, [items, features], see `summaries.FEATURES`."""
        return self.readings.features(prompts, responses)

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
        readings = self.readings
        features = type_features(self.responder_types, self.words_read)
        types = np.einsum("tf,dgf->dtg", features, self.utilities)
        gaps = types[readings.turned(prompts)] - readings.utility(prompts, responses)[:, None]
        return self._answers(prompts, gaps)

    def responder_response(self, prompt: Prompt, responder: int) -> str:
        """A summary of the type: an opener, facts in their order, other markers."""
        return write(self.responder_types[responder], facts_of(prompt))

    def _gaps(
        self, prompts: Sequence[Prompt], first: Sequence[str], second: Sequence[str]
    ) -> Array:
        """The groups' utility of first less that of second, [items, groups]."""
        utility = self.readings.utility
        return np.asarray(utility(prompts, first) - utility(prompts, second))

    def _answers(self, prompts: Sequence[Prompt], gaps: Array) -> Array:
        """The groups' answers to utility gaps [items, ..., groups], in the prompts' mixtures."""
        # 1/2 + tanh/2 is odd around 1/2 to the last bit, which a sigmoid is not.
        answers = np.tanh(gaps / 2)
        if self.tilts is None:
            return np.asarray(np.clip(0.5 + answers @ (self.shares / 2), 0.0, 1.0))
        shares = self.shares * self.tilts(prompts)
        shares /= shares.sum(axis=-1, keepdims=True)
        return np.asarray(np.clip(0.5 + np.einsum("i...g,ig->i...", answers, shares / 2), 0, 1))


@cache
def _types(words_read: int) -> tuple[tuple[SummaryType, ...], Array]:
    kinds = tuple(every_type(words_read))
    return kinds, type_features(kinds, words_read)
