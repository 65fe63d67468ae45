"""What annotators have read: every text once, for all who share the reading."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, final

import numpy as np

from nlhf_repro.interfaces import Array, ImpossibleSettingError, Prompt
from nlhf_repro.summaries import FEATURES, TOPICS, Facts, facts_of, read

_KEPT_READINGS = 200_000  # then all are forgotten


class _Post(NamedTuple):
    details: object
    facts: Facts
    turned: int


@final
class Readings:
    """Features of responses, and the groups' utilities of them.

    `utilities` [2, groups, features] are the groups' weights of the features, for the one and the
    other direction of the cycle, which is turned round for posts of `reversed_topics`.
    """

    _features: Array  # [readings, features]
    _utilities: Array  # [readings, groups]

    def __init__(self, utilities: Array, reversed_topics: frozenset[str], words_read: int) -> None:
        self.weights = utilities
        self.reversed_topics = reversed_topics
        self.words_read = words_read
        self._forget()

    def __len__(self) -> int:
        """How many responses are remembered."""
        return len(self._index)

    def features(self, prompts: Sequence[Prompt], responses: Sequence[str]) -> Array:
        """What is read of the responses, [items, features], see `summaries.FEATURES`.

        Raises:
            ImpossibleSettingError: a prompt is no post.
            ValueError: the arguments differ in length, or two posts have one identifier.
        """
        rows = self._rows(prompts, responses)
        return self._features[rows]

    def utility(self, prompts: Sequence[Prompt], responses: Sequence[str]) -> Array:
        """What the responses are worth to every group, [items, groups].

        Raises:
            ImpossibleSettingError: as `features`.
            ValueError: as `features`.
        """
        rows = self._rows(prompts, responses)
        return self._utilities[rows]

    def turned(self, prompts: Sequence[Prompt]) -> np.typing.NDArray[np.int64]:
        """The direction of the cycle of every post, [items], 0 or 1."""
        return np.array([self._post(prompt).turned for prompt in prompts], dtype=np.int64)

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
        weights = self.weights[[post.turned for post in new.values()]]
        utilities = np.einsum("if,igf->ig", features, weights)
        self._index |= {key: row for row, key in enumerate(new, len(self._features))}
        self._features = np.concatenate([self._features, features])
        self._utilities = np.concatenate([self._utilities, utilities])

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
        self._utilities = np.empty((0, self.weights.shape[1]))
