"""What headers, chat completions and budgets say, by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from judge_requests import judge_request

from nlhf_repro.asking.chat_completions import (
    MalformedResponseError,
    most_prompt_tokens,
    read_reply,
    sendable,
)
from nlhf_repro.asking.rate_limits import backoff, exhausted_for, retry_after
from nlhf_repro.asking.spending import Budget, BudgetSpentError, Spending
from nlhf_repro.interfaces import JudgeReply

NOW = 784_111_777.0  # Sun, 06 Nov 1994 08:49:37 GMT, the example of RFC 9110


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "120"}, 120.0),
        ({"retry-after": " 0.5 "}, 0.5),
        ({"retry-after": "Sun, 06 Nov 1994 08:50:07 GMT"}, 30.0),
        ({"retry-after": "Sun, 06 Nov 1994 08:00:00 GMT"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after-ms": "250", "retry-after": "1"}, 0.25),
    ],
)
def test_retry_after(headers, seconds):
    assert retry_after(headers, NOW) == seconds


@pytest.mark.parametrize(
    ("remaining", "reset", "seconds"),
    [
        ("0", "1s", 1.0),
        ("0", "6m0s", 360.0),
        ("0", "1h2m3.5s", 3723.5),
        ("0", "120ms", 0.12),
        ("0", "17", 17.0),
        ("0", str(NOW * 2 + 8), NOW + 8),
        ("0", str(int((NOW * 2 + 8) * 1000)), NOW + 8),
        ("1", "6m0s", 0.0),
        ("", "6m0s", 0.0),
        ("0", "", 0.0),
        ("0", "tomorrow", 0.0),
    ],
)
@pytest.mark.parametrize("kind", ["", "-requests", "-tokens"])
def test_exhausted_limits(remaining, reset, seconds, kind):
    names = {f"x-ratelimit-remaining{kind}": remaining, f"x-ratelimit-reset{kind}": reset}
    found = exhausted_for({**names, "x-ratelimit-remaining-other": "0"}, NOW)
    assert found == pytest.approx(seconds, abs=1e-3)


def test_backoff_doubles_up_to_the_longest_wait_with_jitter():
    rng = np.random.default_rng(0)
    for failures, whole in [(1, 1.0), (2, 2.0), (4, 8.0), (5, 10.0), (10_000, 10.0)]:
        waits = [backoff(failures, 1.0, 10.0, rng) for _ in range(200)]
        assert whole / 2 <= min(waits) < 0.6 * whole and 0.9 * whole < max(waits) <= whole


def completion(**changes):
    choice = {"message": {"content": "A"}, "finish_reason": "stop", **changes}
    return {"choices": [choice], "usage": {"prompt_tokens": 5, "completion_tokens": 1}}


def logprobs(*alternatives):
    top = [{"token": token, "logprob": value, "bytes": None} for token, value in alternatives]
    return {"content": [{"token": "A", "logprob": -0.1, "top_logprobs": top}, {"token": "B"}]}


def test_replies_are_read():
    assert read_reply(completion()) == JudgeReply("A", {}, 5, 1, "stop")
    found = read_reply(completion(logprobs=logprobs(("A", -0.1), ("B", -2), ("A", -3.0))))
    assert found.first_token == {"A": -0.1, "B": -2.0}
    for nothing in (None, {}, {"content": None}, {"content": []}, {"tokens": ["A"]}):
        assert read_reply(completion(logprobs=nothing)).first_token == {}
    assert read_reply(completion(finish_reason="length")).finish == "length"
    assert read_reply(completion(finish_reason="content_filter")).finish.startswith("error: ")
    assert read_reply(completion(message={"content": None})).text == ""
    assert read_reply(completion(message={"content": None, "refusal": "no"})).text == "no"
    assert read_reply({**completion(), "usage": None}).prompt_tokens == 0


@pytest.mark.parametrize(
    "payload",
    [
        None,
        [],
        {},
        {"choices": {}},
        {"choices": []},
        {"choices": [None]},
        {"choices": [{"text": "A"}]},
        completion(message={"content": 3}),
        completion(logprobs=logprobs(("A", None))),
        completion(logprobs=logprobs(("A", 0.5))),
        completion(logprobs=logprobs(("A", math.nan))),
        completion(logprobs={"content": [{"top_logprobs": ["A"]}]}),
    ],
)
def test_other_responses_are_no_replies(payload):
    with pytest.raises(MalformedResponseError):
        read_reply(payload)


def test_only_lone_surrogates_are_replaced():
    assert sendable("\U0001f600 \x00 é") == "\U0001f600 \x00 é"
    assert sendable("\ud83d\ude00 \ud83d x \ude00") == "\U0001f600 \ufffd x \ufffd"
    assert most_prompt_tokens(judge_request("é" * 100)) == 200 + 16 + 64


def test_money_is_set_aside_until_the_reply_says_what_it_cost():
    spending = Spending(Budget(None, 1.0, 100_000.0, 500_000.0))  # $0.1 and $0.5 a token
    reply = JudgeReply("A", {}, 2, 0, "stop")
    assert spending.reserve(0.6, again=False)
    assert not spending.reserve(0.6, again=False)  # wait: the first may cost less
    spending.settle(0.6, reply)
    assert spending.usage.money == pytest.approx(0.2)
    assert spending.reserve(0.6, again=True)
    spending.fail(0.6, charged=True)  # nobody tells whether it was charged for
    with pytest.raises(BudgetSpentError, match=r"judge.maximum_money = 1"):
        spending.reserve(0.3, again=False)
    assert spending.reserve(0.1, again=False)
    spending.fail(0.1, charged=False)
    assert spending.usage.calls == 2 and spending.usage.retries == 1
    expected = "3 requests were sent, 1 of them again, for $0.2 and at most $0.6 that nobody"
    assert spending.told().startswith(expected)


def test_a_reply_without_counted_tokens_costs_the_most_it_can():
    spending = Spending(Budget(None, 1.0, 1.0, 1.0))
    assert spending.reserve(0.7, again=False)
    spending.settle(0.7, JudgeReply("A", {}, 0, 0, "stop"))
    with pytest.raises(BudgetSpentError):
        spending.reserve(0.7, again=False)


def test_calls_are_counted_with_those_sent_again():
    spending = Spending(Budget(2, None, None, None))
    assert spending.reserve(0.0, again=False) and spending.reserve(0.0, again=True)
    with pytest.raises(BudgetSpentError, match=r"judge.maximum_calls = 2 is reached"):
        spending.reserve(0.0, again=True)
