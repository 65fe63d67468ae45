"""What is read of a summary: a few numbers, for many summaries at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from nlhf_repro.interfaces import Array, ImpossibleSettingError, Prompt
from nlhf_repro.summaries.lexicon import FACTS, OPENERS, SLOTS, STYLES, VOCABULARY, markers

FEATURES = (
    "coverage",  # facts of the post that the summary names, 0 to 6
    "inventions",  # fact words that it names and the post has not as facts
    "repetitions",  # fact words and markers beyond their first occurrence
    "length",  # words
    "formal",  # share of the style among the distinct markers; all three 0 without any
    "casual",
    "vivid",
    "purity",  # the largest of the three shares
    "opener",  # 1 where it begins with an opener of any style
)
"""The columns of what `read` returns."""

Facts = tuple[str, ...]  # a word for every slot, in the order of SLOTS

_UNKNOWN = len(VOCABULARY)  # stands for every word outside of the vocabulary
_NUMBERS = {word: number for number, word in enumerate(VOCABULARY)}
_FACT_WORDS = np.array([_NUMBERS[word] for words in FACTS.values() for word in words])
_MARKERS = np.array([[_NUMBERS[word] for word in markers(style)] for style in STYLES])
_CONTENT = np.concatenate([_FACT_WORDS, _MARKERS.ravel()])
_OPENERS = np.array(
    [[_NUMBERS[word] for word in opener] for style in STYLES for opener in OPENERS[style]]
)


def facts_of(prompt: Prompt) -> Facts:
    """The post's facts, as its details tell them.

    Raises:
        ImpossibleSettingError: the prompt is no post with a fact of every slot.
    """
    facts = prompt.details.get("facts")
    if isinstance(facts, Mapping):
        words = tuple(facts.get(slot) for slot in SLOTS)
        if all(word in FACTS[slot] for slot, word in zip(SLOTS, words, strict=True)):
            return tuple(map(str, words))
    raise ImpossibleSettingError(
        f"prompt {prompt.identifier} has no details['facts'] with a known word for each of "
        f"{', '.join(SLOTS)}, which summaries are read by: take prompts=posts."
    )


def read(facts: Sequence[Facts], summaries: Sequence[str], words_read: int) -> Array:
    """The features of summaries of posts with these facts, [items, features].

    Only the first `words_read` words of a summary are read. Any text has finite features: a word
    outside of the vocabulary counts for the length alone, and an empty text has zeros.
    """
    items = len(summaries)
    words, lengths = _numbers(summaries, words_read)
    rows = np.arange(items)[:, None]
    cells = (rows * (_UNKNOWN + 2) + words).ravel()
    counts = np.bincount(cells, minlength=items * (_UNKNOWN + 2)).reshape(items, _UNKNOWN + 2)
    present = counts > 0
    own = np.array([[_NUMBERS[word] for word in each] for each in facts], dtype=np.int64)
    coverage = present[rows, own.reshape(items, len(SLOTS))].sum(axis=1)
    repetitions = counts[:, _CONTENT].sum(axis=1) - present[:, _CONTENT].sum(axis=1)
    of_style = present[:, _MARKERS].sum(axis=2)
    shares = of_style / np.maximum(of_style.sum(axis=1, keepdims=True), 1)
    opener = (words[:, None, :2] == _OPENERS).all(axis=2).any(axis=1)
    return np.column_stack(
        [
            coverage,
            present[:, _FACT_WORDS].sum(axis=1) - coverage,
            repetitions,
            lengths,
            shares,
            shares.max(axis=1),
            opener,
        ]
    ).astype(np.float64)


def _numbers(summaries: Sequence[str], words_read: int) -> tuple[NDArray[np.int64], Array]:
    """Words as numbers, [items, words_read], padded with a number of its own; and the lengths."""
    padding = _UNKNOWN + 1
    rows = []
    for summary in summaries:
        words = summary.split(None, words_read)[:words_read]
        rows.append([_NUMBERS.get(word, _UNKNOWN) for word in words])
    lengths = np.array([len(row) for row in rows], dtype=np.float64)
    padded = [row + [padding] * (words_read - len(row)) for row in rows]
    return np.array(padded, dtype=np.int64).reshape(len(rows), words_read), lengths
