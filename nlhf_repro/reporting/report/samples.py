"""Answers side by side as JSON, and how many of them fit."""

from __future__ import annotations

import json
from collections.abc import Sequence

from nlhf_repro.interfaces import ShownAnswer, ShownPrompt
from nlhf_repro.reporting.report.encoding import Json, number
from nlhf_repro.reporting.report.material import SampleSet
from nlhf_repro.reporting.samples_page import in_words

CHARACTERS = 4000  # of a prompt or an answer; what is longer is cut, and says so


def samples_json(samples: SampleSet) -> Json:
    """A set with all of its prompts."""
    return {
        "title": samples.title,
        "note": samples.note,
        "compared_with": samples.compared_with,
        "prompts": [_prompt(prompt) for prompt in samples.prompts],
        "total": len(samples.prompts),
    }


def keep_what_fits(sets: Sequence[Json], budget: int) -> None:
    """Drop the last prompts of sets, in place, until all together have no more bytes than that.

    Every set has an equal share; what a small one leaves goes to the larger ones.
    """
    sizes = {id(each): [_bytes(prompt) for prompt in each["prompts"]] for each in sets}
    left = budget
    for place, each in enumerate(sorted(sets, key=lambda each: sum(sizes[id(each)]))):
        share = left // (len(sets) - place)
        used = kept = 0
        for size in sizes[id(each)]:
            if used + size > share:
                break
            used, kept = used + size, kept + 1
        each["prompts"] = each["prompts"][:kept]
        left -= used


def _bytes(prompt: Json) -> int:
    """As it is embedded: markup characters take six bytes, and a comma follows."""
    text = json.dumps(prompt)
    return len(text) + 5 * sum(text.count(x) for x in "<>&") + 2


def _prompt(prompt: ShownPrompt) -> Json:
    return {
        "identifier": prompt.identifier,
        **_text(prompt.text),
        "answers": [_answer(answer) for answer in prompt.answers],
    }


def _answer(answer: ShownAnswer) -> Json:
    found: Json = {"label": answer.label}
    if answer.text is not None:
        found |= _text(answer.text)
    if answer.features:
        found["words"] = in_words(answer.features).replace("\\", "")
    if answer.preferred is not None:
        found["preferred"] = number(answer.preferred)
    return found


def _text(text: str) -> Json:
    if len(text) <= CHARACTERS:
        return {"text": text}
    return {"text": text[:CHARACTERS], "characters": len(text)}
