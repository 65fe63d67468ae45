"""Judges: every request has its own reply, whatever is asked beside it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from hydra.errors import InstantiationException

from nlhf_repro.conformance.judge_requests import (
    HOSTILE,
    ROUNDING,
    TOP,
    identity_of,
    judge_of,
    ordinary,
    plain,
    replies_of,
    requests_about,
    same,
)
from nlhf_repro.conformance.outcomes import (
    ConformanceError,
    NotApplicableError,
    described,
    require,
)
from nlhf_repro.conformance.subjects import Subject
from nlhf_repro.conformance.text_oracles import material
from nlhf_repro.interfaces import ImpossibleSettingError, JudgeReply
from nlhf_repro.seeds import generator_for

DRAWS, ALONE = 5, 5
NUMBERS = (-1, 0, 1_000_000_000)


def every_request_is_answered_once(subject: Subject) -> None:
    """One reply for each, calls are counted, and nothing is asked where nothing is wanted."""
    with judge_of(subject) as judge:
        require(replies_of(judge, []) == [], "no request has a reply.")
        requests = ordinary()
        before = judge.usage.calls + judge.usage.replayed
        replies = replies_of(judge, requests)
        used = judge.usage.calls + judge.usage.replayed - before
        require(
            used == len(requests),
            f"{len(requests)} requests are counted as {used} in usage: count calls and what a "
            "cache knew.",
        )
        lost = [each.finish for each in replies if each.finish not in ("stop", "length")]
        require(
            not lost,
            f"{len(lost)} ordinary requests end with {lost[:1]}: finish is stop or length.",
        )


def order_and_company_change_no_reply(subject: Subject) -> None:
    """A reply is the same in another order, and alone."""
    with judge_of(subject) as judge:
        requests = ordinary()
        together = replies_of(judge, requests)
        order = generator_for("conformance", "judges").permutation(len(requests)).tolist()
        for rows in (order, *([row] for row in order[:ALONE])):
            for row, reply in zip(
                rows, replies_of(judge, [requests[x] for x in rows]), strict=True
            ):
                require(
                    same(reply, together[row]),
                    f"the reply to {requests[row].identifier} depends on the order or the company "
                    "of requests: draw from a stream of the request alone.",
                )


def the_same_request_has_the_same_reply(subject: Subject) -> None:
    """Asked twice at once, again later, and by another judge of the same settings and world."""
    with judge_of(subject, 4) as judge, judge_of(subject, 4) as other:
        requests = ordinary()
        first = replies_of(judge, [*requests, *requests])
        for again in (
            first[len(requests) :],
            replies_of(judge, requests),
            replies_of(other, requests),
        ):
            require(
                all(map(same, again, first)),
                "the same request has another reply when it is asked again: draw from a stream of "
                "the request, its draw and the world.",
            )


def draws_differ(subject: Subject) -> None:
    """What is asked again with another draw, at temperature 1, is answered anew."""
    with judge_of(subject) as judge:
        asked = [
            [replace(each, draw=draw, temperature=1.0) for each in ordinary()]
            for draw in range(DRAWS)
        ]
        replies = [replies_of(judge, requests) for requests in asked]
        alike = [all(map(same, each, replies[0])) for each in replies[1:]]
        if all(alike):
            raise NotApplicableError("its replies are the same in every draw")
        require(
            not any(alike), "some draws have the replies of draw 0: name the draw in the stream."
        )


def first_tokens_have_probabilities(subject: Subject) -> None:
    """At most as many as are asked for, none above 0 in log, and all at most 1 together."""
    with judge_of(subject) as judge:
        tokens = [each for each in ordinary() if each.material.form == "token"]
        for top in (0, 1, TOP):
            asked = [replace(each, top_logprobs=top) for each in tokens]
            for reply in replies_of(judge, asked):
                found = reply.first_token
                total = math.fsum(math.exp(x) for x in found.values())
                require(
                    len(found) <= top and all(x <= ROUNDING for x in found.values()),
                    f"{top} alternatives of the first token are wanted, and {dict(found)} given: "
                    "give the likeliest with their log-probabilities.",
                )
                require(
                    total <= 1 + ROUNDING,
                    f"the probabilities of first tokens sum to {total:.4f}: normalize them over "
                    "all tokens.",
                )
                require(bool(found) or not top, "the first token has no log-probabilities.")


def hostile_answers_change_no_other_reply(subject: Subject) -> None:
    """Instructions, labels, a megabyte, control characters, lone surrogates: all are answered."""
    with judge_of(subject) as judge:
        requests = ordinary()
        alone = replies_of(judge, requests)
        prompts, responses = material()
        answers = (*HOSTILE, *responses[: len(HOSTILE)])  # which are compared across the halves
        hostile = requests_about(answers, [prompts[0]] * len(answers), "hostile/")
        replies = replies_of(judge, [*hostile, *requests])
        for request, reply, before in zip(requests, replies[len(hostile) :], alone, strict=True):
            require(
                same(reply, before),
                f"the reply to {request.identifier} changes beside hostile answers: answer every "
                "request for itself.",
            )
        for request, reply in zip([*hostile, *requests], replies, strict=True):
            said = (reply.text, reply.finish, *reply.first_token)
            require(
                all(x == x.encode("utf-8", "replace").decode("utf-8") for x in said),
                f"the reply to {request.identifier} cannot be written as UTF-8: leave out what the "
                "answer brought in.",
            )


def the_identity_is_plain(subject: Subject) -> None:
    """Plain JSON, and the same for the same settings."""
    require(
        identity_of(subject) == identity_of(subject),
        "two judges of the same settings differ in identity: nothing that is kept would be found.",
    )


def the_identity_tells_replies_apart(subject: Subject) -> None:
    """It is another one where the world or a setting changes replies."""
    own = identity_of(subject)
    with judge_of(subject) as judge:
        replies = replies_of(judge, ordinary())
    with judge_of(subject, world=1) as judge:
        _require_told("the world", own, plain(judge), replies, replies_of(judge, ordinary()))
    for field, value in _changes(subject):
        try:
            with judge_of(subject, **{field: value}) as judge:
                found = replies_of(judge, ordinary())
                _require_told(f"judge.{field} = {value}", own, plain(judge), replies, found)
        except ImpossibleSettingError:
            continue  # the field does not take this number


def numbers_are_refused_or_answered_with(subject: Subject) -> None:
    """-1, 0 and 10^9 in every numeric field: a sentence that names it, or replies."""
    fields = subject.numeric_fields()
    if not fields:
        raise NotApplicableError("no field is annotated as a number")
    for name in fields:
        for value in NUMBERS:
            try:
                with judge_of(subject, **{name: value}) as judge:
                    replies_of(judge, ordinary()[:6])
            except ImpossibleSettingError as error:
                named = name in str(error)
                require(
                    named, f"judge.{name} = {value} is refused, but {error!s} does not name it."
                )
            except (InstantiationException, ArithmeticError, ValueError, IndexError) as error:
                raise ConformanceError(
                    f"judge.{name} = {value} is met by {described(error)}: refuse it with an "
                    "ImpossibleSettingError in __post_init__ that names the key."
                ) from error


def _changes(subject: Subject) -> Iterator[tuple[str, Any]]:
    """Every number of the settings as another one."""
    for field in subject.numeric_fields():
        value = subject.arguments.get(field)
        if isinstance(value, int | float) and not isinstance(value, bool):
            yield field, value + 1 if field in subject.integer_fields() else value / 2 + 0.3


def _require_told(
    what: str, own: Any, other: Any, replies: Sequence[JudgeReply], found: Sequence[JudgeReply]
) -> None:
    require(
        own != other or all(map(same, found, replies)),
        f"{what} changes replies and not the identity, under which they are kept: name it there.",
    )
