"""The words: facts by slot, marks of a style, topics, and words that say nothing by themselves."""

from __future__ import annotations

from typing import Literal, get_args

Style = Literal["formal", "casual", "vivid"]
STYLES: tuple[Style, ...] = get_args(Style)

Topic = Literal["family", "work", "money", "travel"]

FACTS: dict[str, tuple[str, ...]] = {
    slot: tuple(words.split())
    for slot, words in {
        "who": "neighbor cousin roommate boss teacher sister brother landlord coach dentist "
        "nephew colleague barista uncle grandma plumber student manager tenant nurse",
        "act": "borrowed broke sold lost found painted hid returned burned repaired stole mailed "
        "dropped cleaned bought wrapped traded flooded copied buried",
        "object": "ladder bicycle guitar laptop necklace camera sofa cake tent kettle violin "
        "passport drone lamp suitcase puzzle blender jacket notebook piano",
        "place": "garage kitchen attic library airport park office basement beach bakery station "
        "balcony museum hospital stadium garden market church hotel gym",
        "reason": "jealousy boredom debt storm hunger rumor bet prank deadline illness curiosity "
        "panic mistake birthday insomnia greed strike heatwave dare shortage",
        "outcome": "argument apology lawsuit refund wedding promotion divorce party fine silence "
        "reunion injury eviction award friendship arrest scandal resignation truce hangover",
    }.items()
}
"""Slot to its words; no word belongs to two slots. A post has one fact of every slot."""

SLOTS = tuple(FACTS)

OPENERS: dict[Style, tuple[tuple[str, str], ...]] = {
    "formal": (("in", "summary"), ("in", "short")),
    "casual": (("so", "basically"), ("so", "yeah")),
    "vivid": (("just", "picture"), ("just", "imagine")),
}
"""How a summary begins: a neutral word and one that marks the style."""

CONNECTIVES: dict[Style, tuple[str, ...]] = {
    "formal": ("given", "considering"),
    "casual": ("cuz", "cause"),
    "vivid": ("amid", "facing"),
}
"""Before the reason."""

CLOSERS: dict[Style, tuple[str, ...]] = {
    "formal": ("consequently", "thus"),
    "casual": ("anyway", "welp"),
    "vivid": ("alas", "behold"),
}
"""Before the outcome."""

TOPICS: dict[Topic, tuple[str, ...]] = {
    "family": ("family", "relatives"),
    "work": ("work", "career"),
    "money": ("money", "budget"),
    "travel": ("travel", "holiday"),
}
"""Topic to the words by which a post shows it."""

ADJECTIVES = ("old", "noisy", "tiny", "angry", "red", "strange", "famous", "quiet")

_NEUTRAL = (
    "the a my at and i it was of in so just story trouble more news because after behind came "
    "ended led to then which while watched not unlike last week near heard this that"
)
NEUTRAL = tuple(_NEUTRAL.split())
"""Words that count for the length alone, those that begin an opener among them."""


def markers(style: Style) -> tuple[str, ...]:
    """The words that mark a style: of its openers, then connectives and closers."""
    return (*(opener[1] for opener in OPENERS[style]), *CONNECTIVES[style], *CLOSERS[style])


VOCABULARY: tuple[str, ...] = (
    *(word for words in FACTS.values() for word in words),
    *(word for style in STYLES for word in markers(style)),
    *(word for words in TOPICS.values() for word in words),
    *ADJECTIVES,
    *NEUTRAL,
)
"""Every word of posts and summaries, once."""
