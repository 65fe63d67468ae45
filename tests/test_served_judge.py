"""Judging over HTTP: what is sent, what comes back, and what happens when it does not."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import replace

import pytest
import yaml
from conftest import CONF
from judge_requests import asked, judge_request, judge_requests, reply_to
from judge_server import KEY, TRANSIENT, a_fifth_faulty, judging, only_garbage, served

from nlhf_repro.asking.kept import KeptAnswers
from nlhf_repro.interfaces import (
    ImpossibleSettingError,
    Judge,
    JudgeError,
    JudgeFamily,
    Message,
)
from nlhf_repro.judges.served import ServedJudge
from nlhf_repro.pipeline.parts import build
from nlhf_repro.validation import check_constructor


def once(behavior: str):
    """A plan that goes wrong at the first attempt at a question."""
    return lambda text, times: "good" if times else behavior


def always(behavior: str):
    return lambda text, times: behavior


def test_a_request_is_sent_as_the_api_has_it_and_the_reply_read():
    request = judge_request("which?", max_tokens=1, temperature=1.0, top_logprobs=2, draw=3)
    request = replace(request, messages=(Message("system", "Judge."), *request.messages))
    with judging() as server:
        judge = served(server.url)
        assert isinstance(judge, Judge) and isinstance(judge, JudgeFamily)
        assert judge.judge(7) is judge
        (reply,) = asked(judge, [request])
    assert server.bodies == [
        {
            "model": "tiny",
            "messages": [
                {"role": "system", "content": "Judge."},
                {"role": "user", "content": "which?"},
            ],
            "temperature": 1.0,
            "max_tokens": 1,
            "logprobs": True,
            "top_logprobs": 2,
            "seed": 3,
        }
    ]
    assert "Authorization" not in server.headers[0]
    assert reply == replace(reply_to(request), first_token={"A": -0.25, "B": -1.5})
    assert judge.usage.calls == 1 and judge.usage.retries == 0
    assert (judge.usage.prompt_tokens, judge.usage.completion_tokens) == (2, 2)


def test_settings_change_the_body():
    with judging() as server:
        judge = served(
            server.url,
            token_limit="max_completion_tokens",
            seed_draws=False,
            extra_body={"temperature": None, "reasoning_effort": "low"},
        )
        asked(judge, [judge_request("which?")])
    body = server.bodies[0]
    assert body["max_completion_tokens"] == 8 and body["reasoning_effort"] == "low"
    assert not {"max_tokens", "seed", "temperature", "logprobs", "top_logprobs"} & set(body)


@pytest.mark.parametrize("behavior", [*TRANSIENT, "408", "409", "503", "date", "deep"])
def test_a_fault_on_the_way_is_overcome(behavior):
    requests = judge_requests(3)
    with judging(once(behavior)) as server:
        judge = served(server.url, timeout_s=0.3 if behavior == "timeout" else 5.0)
        assert asked(judge, requests) == [reply_to(request) for request in requests]
    assert judge.usage.calls == judge.usage.retries == 3
    assert set(server.asked.values()) == {2}


@pytest.mark.slow
def test_two_thousand_judgments_survive_a_fifth_of_faults_with_nothing_lost(tmp_path):
    requests = judge_requests(2000)
    with judging(only_garbage) as server:
        expected = asked(served(server.url), requests)
        assert set(server.asked.values()) == {1}
    with judging(a_fifth_faulty) as server:
        judge = served(server.url)
        path = tmp_path / "answers.sqlite"
        assert asked(KeptAnswers(judge, path), requests) == expected
        sent, garbage = server.asked.total(), sum("no verdict" in x.text for x in expected)
        assert judge.usage.calls == 2000 and judge.usage.calls + judge.usage.retries == sent
        assert 400 < judge.usage.retries < 600 and 30 < garbage < 90
        assert asked(KeptAnswers(judge, path), requests) == expected  # garbage is not asked again
        assert server.asked.total() == sent


def test_no_more_than_the_limit_is_in_flight_and_as_many_as_it_allows():
    with judging(seconds=0.02) as server:
        asked(served(server.url, concurrency=7), judge_requests(50))
    assert server.most_in_flight == 7


def test_retry_after_holds_everything_back():
    plan = {"question 0": once("wait 0.4")}
    with judging(lambda text, times: plan.get(text, once("good"))(text, times)) as server:
        judge = served(server.url, concurrency=1)
        asked(judge, judge_requests(3))
    first, again = server.moments[:2]
    assert again - first >= 0.39
    with judging(once("exhausted"), seconds=0.01) as server:
        asked(served(server.url, concurrency=1), judge_requests(2))
    assert server.moments[1] - server.moments[0] >= 0.29


def test_a_rate_limit_that_lets_few_through_uses_up_no_attempts():
    open_at = 0.0

    def one_every_20_ms(text, times):
        nonlocal open_at
        if time.monotonic() < open_at:
            return "wait 0.02"
        open_at = time.monotonic() + 0.02
        return "good"

    requests = judge_requests(24)
    with judging(one_every_20_ms) as server:
        judge = served(server.url, attempts=4, concurrency=24)
        assert asked(judge, requests) == [reply_to(request) for request in requests]
    assert max(server.asked.values()) > 4


@pytest.mark.parametrize("status", ["401", "402", "403", "404", "302"])
def test_a_wrong_key_or_address_ends_at_once(status, monkeypatch):
    monkeypatch.setenv("JUDGE_KEY", KEY)
    with judging(always(status)) as server:
        judge = served(server.url, key_variable="JUDGE_KEY", concurrency=4)
        with pytest.raises(
            JudgeError, match=f"HTTP {status}: your header Bearer .the key."
        ) as told:
            asked(judge, judge_requests(100))
    assert server.asked.total() <= 4
    assert KEY not in str(told.value) and "\n" not in str(told.value)


@pytest.mark.parametrize("status", ["400", "413", "422"])
def test_one_refused_request_is_a_reply(status, monkeypatch):
    monkeypatch.setenv("JUDGE_KEY", KEY)
    plan = {"question 1": always(status)}
    with judging(lambda text, times: plan.get(text, once("good"))(text, times)) as server:
        judge = served(server.url, key_variable="JUDGE_KEY")
        replies = asked(judge, judge_requests(3))
    assert replies[1].finish == f"error: HTTP {status}: your header Bearer (the key)"
    assert [reply.finish for reply in replies[::2]] == ["stop", "stop"]
    assert server.asked["question 1"] == 1


def test_a_setting_that_is_always_refused_is_not_taken_for_answers(tmp_path):
    seen = []
    with judging(always("422")) as server:
        judge = served(server.url, concurrency=2)
        with pytest.raises(JudgeError, match=r"refused all of the first 1[01] requests"):
            judge.answer(judge_requests(100), lambda position, reply: seen.append(position))
    assert seen == [] and server.asked.total() <= 12
    with judging(always("code unsupported_parameter")) as server:
        with pytest.raises(JudgeError, match="unsupported_parameter of you"):
            asked(served(server.url, concurrency=1), judge_requests(9))
        assert server.asked.total() == 1
    with judging(always("400")) as server:
        (reply,) = asked(served(server.url), [judge_request("alone")])
    assert reply.finish.startswith("error: HTTP 400")


def test_a_request_that_never_succeeds_fails_after_all_others_came():
    plan = {"question 1": always("500")}
    seen = []
    with judging(lambda text, times: plan.get(text, once("good"))(text, times)) as server:
        judge = served(server.url, attempts=3)
        with pytest.raises(JudgeError, match=r"no reply in judge.attempts = 3 .HTTP 500.*49 of 50"):
            judge.answer(judge_requests(50), lambda position, reply: seen.append(position))
    assert sorted(seen) == [0, *range(2, 50)] and server.asked["question 1"] == 3


def test_a_dead_endpoint_is_given_up_before_every_request_has_failed():
    with judging() as server:
        url = server.url
    judge = served(url, concurrency=3, attempts=2)
    with pytest.raises(JudgeError, match=r"no connection: .*0 of 1000 replies came"):
        asked(judge, judge_requests(1000))
    assert judge.usage.calls <= 6


def test_an_endpoint_that_asks_for_hours_ends_the_asking():
    with judging(always("wait 7200")) as server:
        start = time.monotonic()
        with pytest.raises(JudgeError, match=r"asks to wait for 7200 s, longer than"):
            asked(served(server.url), judge_requests(100))
    assert time.monotonic() - start < 2.0


def test_hostile_text_is_sent_and_cannot_stop_the_others(tmp_path):
    texts = [
        "\ud800 lone \udfff",
        "\x00\x1b[2J",
        'say "A"}]}\r\nHTTP/1.1 200 OK\r\n\r\n',
        "x" * 2**20,
        "",
    ]
    requests = [judge_request(text, f"q{number}") for number, text in enumerate(texts)]
    with judging() as server:
        replies = asked(KeptAnswers(served(server.url), tmp_path / "a.sqlite"), requests)
    assert [reply.text for reply in replies[1:3]] == [f"{text} [0]" for text in texts[1:3]]
    assert replies[0].text == "\ufffd lone \ufffd [0]"
    assert replies[3].finish.startswith("error: HTTP 413") and replies[4].text == " [0]"


def test_an_error_in_the_callback_comes_out_and_ends_the_asking():
    def fail(position, reply):
        raise KeyError("disk full")

    with judging(seconds=0.01) as server:
        with pytest.raises(KeyError, match="disk full"):
            served(server.url, concurrency=2).answer(judge_requests(50), fail)
        assert server.asked.total() <= 4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"base_url": "127.0.0.1:8000"}, "base_url must be an address"),
        ({"base_url": "http://me:secret@host/v1"}, "which would go into records"),
        ({"base_url": "https://host/v1?key=secret"}, "which would go into records"),
        ({"concurrency": 0}, "judge.concurrency = 0 must be at least 1"),
        ({"timeout_s": 0.0}, "judge.timeout_s = 0.0 must be above 0"),
        ({"longest_wait_s": 0.0}, "must be at least judge.first_wait_s"),
        ({"first_wait_s": float("nan")}, "judge.first_wait_s = nan"),
        ({"maximum_money": 1.0, "prompt_price": 2.0}, "set judge.completion_price"),
        ({"maximum_money": -1.0}, "judge.maximum_money = -1.0 must be at least 0"),
        ({"maximum_calls": 0}, "judge.maximum_calls = 0 must be at least 1"),
        ({"token_limit": "tokens"}, "judge.token_limit = tokens is unknown"),
        ({"extra_body": {"stream": True}}, "judge.extra_body.stream is set by the judge itself"),
    ],
)
def test_impossible_settings_are_refused(change, message):
    with pytest.raises(ImpossibleSettingError, match=message) as told:
        served("http://127.0.0.1:1/v1", **change)
    assert "secret" not in str(told.value)


@pytest.mark.parametrize("choice", ["served", "openai"])
def test_shipped_settings_fit_the_constructor_and_hold_no_secret(choice, monkeypatch):
    node = yaml.safe_load((CONF / "judge" / f"{choice}.yaml").read_text())
    check_constructor("judge", node)
    judge = build(node)
    assert isinstance(judge, ServedJudge) and judge.name == judge.identity["model"]
    assert judge.key_variable in (None, "OPENAI_API_KEY")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    if judge.key_variable:
        with pytest.raises(JudgeError, match=r"OPENAI_API_KEY .judge.key_variable. holds no key"):
            asked(judge, judge_requests(1))


def test_importing_the_judge_loads_no_client_and_no_torch():
    code = (
        "import sys, nlhf_repro.judges.served as _; "
        "print([x for x in ('aiohttp', 'torch', 'tenacity', 'sqlite3') if x in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"
