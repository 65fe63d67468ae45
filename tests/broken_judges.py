"""Judges that are wrong in one way each."""

from __future__ import annotations

from dataclasses import replace

from nlhf_repro.interfaces import ImpossibleSettingError, JudgeReply, JudgeUsage
from nlhf_repro.judges.unrelated import UnrelatedTaste


def _checked(self, sharpness: float) -> None:
    self.sharpness = abs(sharpness)


def _careless(self, sharpness: float) -> None:
    self.sharpness = 1 / (sharpness + 1)


def _nameless(self, sharpness: float) -> None:
    if sharpness < 0:
        raise ImpossibleSettingError("it must not be negative.")
    self.sharpness = sharpness


def _ordinary(self):
    return UnrelatedTaste(min(self.sharpness, 1e6), 0.0, 0.5, 0.0)


class Judge:
    """The unrelated judge, changed by `change(replies, requests)`."""

    def __init__(self, right, change, identity):
        self.right, self.change, self.own = right, change, identity
        self.name = right.name
        self.usage = JudgeUsage()

    @property
    def identity(self):
        return self.right.identity if self.own is None else self.own(self.right)

    def answer(self, requests, on_reply):
        replies: dict[int, JudgeReply] = {}
        self.right.answer(requests, replies.__setitem__)
        self.usage = self.right.usage
        for position, reply in self.change(self, replies, requests):
            on_reply(position, reply)


def _unchanged(judge, replies, requests):
    return list(replies.items())


def family(change=_unchanged, identity=None, init=_checked):
    def judge(self, world):
        return Judge(_ordinary(self).judge(world), change, identity)

    return type("Family", (), {"__init__": init, "judge": judge})


def _losing(judge, replies, requests):
    return list(replies.items())[:-1]


def _repeating(judge, replies, requests):
    return [*replies.items(), *list(replies.items())[:1]]


def _uncounted(judge, replies, requests):
    judge.usage = JudgeUsage()
    return list(replies.items())


def _failing(judge, replies, requests):
    return [(n, replace(reply, finish="error: full")) for n, reply in replies.items()]


def _in_order(judge, replies, requests):
    """The first request of a batch is favoured."""
    return [(n, replace(x, text=x.text + " first") if not n else x) for n, x in replies.items()]


def _restless(judge, replies, requests):
    return [(n, replace(x, text=f"{x.text} {judge.usage.calls}")) for n, x in replies.items()]


def _some_draws(judge, replies, requests):
    """Draws of an even number have the replies of draw 0."""
    found: dict[int, JudgeReply] = {}
    even = [replace(each, draw=each.draw % 2) for each in requests]
    judge.right.answer(even, found.__setitem__)
    judge.usage = JudgeUsage(calls=judge.usage.calls + len(requests))
    return list(found.items())


def _unnormalized(judge, replies, requests):
    return [
        (n, replace(x, first_token=dict.fromkeys(x.first_token, -0.1))) for n, x in replies.items()
    ]


def _talkative(judge, replies, requests):
    more = {"m": -1.0, "M": -1.0, "a": -3.0, "b": -3.0, "c": -3.0, "d": -3.0}
    return [(n, replace(x, first_token=more)) for n, x in replies.items()]


def _silent(judge, replies, requests):
    return [(n, replace(x, first_token={})) for n, x in replies.items()]


def _impressed(judge, replies, requests):
    """A megabyte beside them makes all others shorter."""
    long = any(len(answer) >= 1_000_000 for x in requests for answer in x.material.answers)
    return [(n, replace(x, text=x.text[:1]) if long else x) for n, x in replies.items()]


def _undecodable(judge, replies, requests):
    return [
        (n, replace(x, text=x.text + requests[n].material.answers[0])) for n, x in replies.items()
    ]


def _crashing(judge, replies, requests):
    for request in requests:
        request.material.answers[0].encode("utf-8")
    return list(replies.items())


def _one_identity(right):
    return {"judge": "same"}


def _restless_identity(right):
    return {"judge": id(right)}


def _set_identity(right):
    return {"settings": {1, 2}}


def _by_number(right):
    return {1: "a key that JSON turns into a text"}


Losing = family(_losing)
Repeating = family(_repeating)
Uncounted = family(_uncounted)
Failing = family(_failing)
InOrder = family(_in_order)
Restless = family(_restless)
SomeDraws = family(_some_draws)
Unnormalized = family(_unnormalized)
Talkative = family(_talkative)
Silent = family(_silent)
Impressed = family(_impressed)
Undecodable = family(_undecodable)
Crashing = family(_crashing)
OneIdentity = family(identity=_one_identity)
RestlessIdentity = family(identity=_restless_identity)
SetIdentity = family(identity=_set_identity)
NumberIdentity = family(identity=_by_number)
Careless = family(init=_careless)
Nameless = family(init=_nameless)

CAUGHT = [  # part, group, check, what its sentence says
    ("Losing", "judge", "every request is answered once", "1 of 72 requests have no reply"),
    ("Repeating", "judge", "every request is answered once", "is handed over twice"),
    ("Uncounted", "judge", "every request is answered once", "72 requests are counted as 0"),
    ("Failing", "judge", "every request is answered once", "end with ['error: full']"),
    ("InOrder", "judge", "order and company", "depends on the order or the company"),
    ("Restless", "judge", "the same request", "has another reply when it is asked again"),
    ("SomeDraws", "judge", "draws differ", "have the replies of draw 0"),
    ("Unnormalized", "judge", "first tokens", "sum to 1.8"),
    ("Talkative", "judge", "first tokens", "0 alternatives of the first token are wanted"),
    ("Silent", "judge", "first tokens", "has no log-probabilities"),
    ("Impressed", "judge", "hostile answers", "changes beside hostile answers"),
    ("Undecodable", "judge", "hostile answers", "cannot be written as UTF-8"),
    ("Crashing", "judge", "hostile answers", "crashed with UnicodeEncodeError"),
    ("RestlessIdentity", "judge", "the identity is plain", "differ in identity"),
    ("SetIdentity", "judge", "the identity is plain", "is no plain JSON"),
    ("NumberIdentity", "judge", "the identity is plain", "is no plain JSON"),
    ("OneIdentity", "judge", "the identity tells", "the world changes replies and not"),
    ("Careless", "judge", "numbers are refused", "sharpness = -1 is met by ZeroDivisionError"),
    ("Nameless", "judge", "numbers are refused", "does not name it"),
]
