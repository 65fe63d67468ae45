"""Families of prompts."""

from __future__ import annotations

from typing import NamedTuple, get_args

from nlhf_repro.conformance.outcomes import NotApplicableError, require
from nlhf_repro.conformance.subjects import Subject
from nlhf_repro.interfaces import Demonstration, Message, Prompt, PromptFamily, Split

SPLITS: tuple[Split, ...] = get_args(Split)
WORLD, OTHER_WORLD = 4, 5
ROLES = ("system", "user", "assistant")


def prompts_end_with_the_user(subject: Subject) -> None:
    """Every split has prompts: conversations of known roles that the user says the last of."""
    for split, prompts in _drawn(subject, WORLD).splits.items():
        require(bool(prompts), f"the split {split} has no prompts.")
        for prompt in prompts:
            roles = [message.role for message in prompt.messages]
            require(
                bool(roles) and roles[-1] == "user" and set(roles) <= set(ROLES),
                f"prompt {prompt.identifier} has the roles {roles}: let the user speak last.",
            )
            require(
                bool(prompt.messages[-1].content.strip()),
                f"prompt {prompt.identifier} asks nothing.",
            )


def splits_are_disjoint(subject: Subject) -> None:
    """No conversation and no identifier occurs twice, in one split or in two."""
    for world in (WORLD, OTHER_WORLD):
        met: dict[object, str] = {}
        for split, prompts in _drawn(subject, world).splits.items():
            for prompt in prompts:
                for key in (prompt.messages, prompt.identifier):
                    require(
                        key not in met,
                        f"prompt {prompt.identifier} of {split} is in {met.get(key)} as well, in "
                        "its words or its identifier.",
                    )
                    met[key] = split


def the_world_decides_the_prompts(subject: Subject) -> None:
    """The same world has the same prompts and demonstrations, to the byte; another may differ."""
    drawn = _drawn(subject, WORLD)
    require(
        drawn == _draw(subject, WORLD),
        f"two draws of world {WORLD} differ: take every number from "
        "seeds.generator_for(..., world, ...).",
    )
    if _asked(drawn) == _asked(_drawn(subject, OTHER_WORLD)):
        raise NotApplicableError("its prompts are the same in every world")


def the_vocabulary_has_every_word(subject: Subject) -> None:
    """Words are separated by single spaces, and all are in the vocabulary, each once."""
    vocabulary = subject.build().vocabulary()
    if not vocabulary:
        raise NotApplicableError("its vocabulary is unbounded")
    require(len(set(vocabulary)) == len(vocabulary), "a word is twice in the vocabulary.")
    known = set(vocabulary)
    drawn = _drawn(subject, WORLD)
    responses = [each.response for each in drawn.demonstrations]
    for text in [
        *(message.content for messages in _asked(drawn) for message in messages),
        *responses,
    ]:
        unknown = [word for word in text.split(" ") if word not in known]
        require(not unknown, f"{unknown[:1]} of '{text[:60]}' is not in the vocabulary.")


def demonstrations_answer_training_prompts(subject: Subject) -> None:
    """Every demonstration is a response, not empty, to a training prompt of its world."""
    drawn = _drawn(subject, WORLD)
    if not drawn.demonstrations:
        raise NotApplicableError("it has no demonstrations")
    training = {prompt.identifier: prompt for prompt in drawn.splits["training"]}
    for each in drawn.demonstrations:
        name = each.prompt.identifier
        require(
            training.get(name) == each.prompt,
            f"a demonstration answers {name}, which is no training prompt.",
        )
        require(bool(each.response.strip()), f"the demonstration of {name} is empty.")


class _Drawn(NamedTuple):
    splits: dict[Split, tuple[Prompt, ...]]
    demonstrations: tuple[Demonstration, ...]


def _draw(subject: Subject, world: int) -> _Drawn:
    family: PromptFamily = subject.build()
    splits = {split: family.prompts(split, world) for split in SPLITS}
    return _Drawn(splits, family.demonstrations(world))


_KEPT: dict[tuple[str, int], _Drawn] = {}  # a draw takes a second, and every check needs it


def _drawn(subject: Subject, world: int) -> _Drawn:
    key = (repr(subject), world)
    if key not in _KEPT:
        _KEPT[key] = _draw(subject, world)
    return _KEPT[key]


def _asked(drawn: _Drawn) -> list[tuple[Message, ...]]:
    return [prompt.messages for prompts in drawn.splits.values() for prompt in prompts]
