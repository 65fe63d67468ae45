"""Short summaries of made posts: their words, what is read of them, and the best there can be.

Both the prompts and the oracle of the mini world stand on it.
"""

from nlhf_repro.summaries.features import FEATURES, Facts, facts_of, read
from nlhf_repro.summaries.lexicon import (
    ADJECTIVES,
    CLOSERS,
    CONNECTIVES,
    FACTS,
    NEUTRAL,
    OPENERS,
    SLOTS,
    STYLES,
    TOPICS,
    VOCABULARY,
    Style,
    Topic,
    markers,
)
from nlhf_repro.summaries.types import SummaryType, every_type, type_features, undominated, write

__all__ = [
    "ADJECTIVES",
    "CLOSERS",
    "CONNECTIVES",
    "FACTS",
    "FEATURES",
    "NEUTRAL",
    "OPENERS",
    "SLOTS",
    "STYLES",
    "TOPICS",
    "VOCABULARY",
    "Facts",
    "Style",
    "SummaryType",
    "Topic",
    "every_type",
    "facts_of",
    "markers",
    "read",
    "type_features",
    "undominated",
    "write",
]
