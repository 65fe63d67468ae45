"""Judging in processes that share answers, are killed, run out of budget, and hold a secret."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from command import REPOSITORY
from judge_requests import asked, judge_requests, reply_to
from judge_server import KEY, judging, served

from nlhf_repro.asking.kept import KeptAnswers
from nlhf_repro.interfaces import JudgeError

SCRIPT = """
import json, sys
from judge_requests import asked, judge_requests
from judge_server import served
from nlhf_repro.asking.kept import KeptAnswers

url, path, count, start = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
requests = judge_requests(count)
judge = KeptAnswers(served(url, concurrency=8, timeout_s=10.0), path)
sys.stdin.read(1)
replies = asked(judge, requests[start:] + requests[:start])
print(json.dumps([judge.usage.calls, judge.usage.replayed, [x.text for x in replies]]))
"""


def judging_process(url: str, path: Path, count: int, start: int = 0) -> subprocess.Popen[str]:
    """A process that judges in the order from `start` on, once a byte is written to it."""
    folders = os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "tests")])
    code = SCRIPT.replace("sys.argv[2], int", "__import__('pathlib').Path(sys.argv[2]), int", 1)
    return subprocess.Popen(
        [sys.executable, "-c", code, url, str(path), str(count), str(start)],
        env={**os.environ, "PYTHONPATH": folders},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def begin(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def test_after_a_kill_only_what_was_in_flight_is_asked_again(tmp_path):
    path, count = tmp_path / "answers.sqlite", 200
    with judging(seconds=0.05) as server:
        process = judging_process(server.url, path, count)
        try:
            begin(process)
            end = time.monotonic() + 60
            while server.answered.total() < 80 and time.monotonic() < end:
                time.sleep(0.01)
        finally:
            os.kill(process.pid, signal.SIGKILL)
            process.wait(timeout=10)
        time.sleep(0.2)  # until the server has noticed
        before = server.asked.copy()
        assert 80 <= before.total() < count and set(before.values()) == {1}
        judge = KeptAnswers(served(server.url), path)
        replies = asked(judge, judge_requests(count))
    assert replies == [reply_to(request) for request in judge_requests(count)]
    repeated = [text for text, times in server.asked.items() if times > 1]
    assert len(repeated) <= 8  # its concurrency
    assert len(server.asked) == count and server.asked.total() == count + len(repeated)
    assert judge.usage.replayed == before.total() - len(repeated)


def test_two_processes_that_share_answers_never_pay_twice(tmp_path):
    path, count = tmp_path / "answers.sqlite", 120
    with judging(seconds=0.01) as server:
        processes = [judging_process(server.url, path, count, start) for start in (0, 60)]
        for process in processes:
            begin(process)
        told = [json.loads(process.communicate(timeout=60)[0]) for process in processes]
    assert set(server.asked.values()) == {1} and len(server.asked) == count
    assert sum(calls for calls, _, _ in told) == count
    assert sum(replayed for _, replayed, _ in told) == count
    texts = [reply_to(request).text for request in judge_requests(count)]
    assert told[0][2] == texts and told[1][2] == texts[60:] + texts[:60]


def test_a_killed_owners_claims_are_taken_over_at_once_by_who_waits(tmp_path):
    path, count = tmp_path / "answers.sqlite", 30
    with judging(seconds=0.15) as server:
        owner, waiter = (judging_process(server.url, path, count) for _ in range(2))
        try:
            begin(owner)
            end = time.monotonic() + 60
            while server.answered.total() < 8 and time.monotonic() < end:
                time.sleep(0.01)
            begin(waiter)
            time.sleep(0.1)
        finally:
            os.kill(owner.pid, signal.SIGKILL)
            owner.wait(timeout=10)
        killed = time.monotonic()
        _, _, texts = json.loads(waiter.communicate(timeout=60)[0])
    assert texts == [reply_to(request).text for request in judge_requests(count)]
    assert time.monotonic() - killed < 30  # and not after a minute, when claims run out
    assert max(server.asked.values()) <= 2 and server.asked.total() <= count + 8


def test_the_key_is_sent_and_appears_nowhere(tmp_path, monkeypatch):
    monkeypatch.setenv("JUDGE_KEY", f" {KEY}\n")
    path = tmp_path / "answers.sqlite"
    plan = {"question 1": "400", "question 2": "good"}
    with judging(lambda text, times: plan.get(text, "good" if times else "500")) as server:
        judge = served(server.url, key_variable="JUDGE_KEY", attempts=2)
        replies = asked(KeptAnswers(judge, path), judge_requests(5))
    assert {headers["Authorization"] for headers in server.headers} == {f"Bearer {KEY}"}
    shown = repr(judge) + str(judge.identity) + repr(vars(judge)) + repr(replies)
    assert "JUDGE_KEY" in repr(judge) and KEY not in shown and KEY not in str(judge.usage)
    kept = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert b"question 2" in kept and KEY.encode() not in kept
    with pytest.raises(JudgeError) as told:  # the server is gone
        asked(judge, judge_requests(1))
    assert KEY not in "".join(map(str, [told.value, told.value.__cause__, told.value.__context__]))


@pytest.mark.parametrize("value", ["", "  ", "two\nlines", "clé"])
def test_a_missing_key_is_named_before_anything_is_sent(monkeypatch, value):
    monkeypatch.setenv("JUDGE_KEY", value)
    with judging() as server:
        judge = served(server.url, key_variable="JUDGE_KEY")
        with pytest.raises(JudgeError, match=r"JUDGE_KEY .judge.key_variable. holds") as told:
            asked(judge, judge_requests(1))
        assert not server.asked and "lines" not in str(told.value)
        asked(judge, [])


def test_a_budget_of_calls_ends_the_asking_and_the_next_run_goes_on(tmp_path):
    requests, path = judge_requests(50), tmp_path / "answers.sqlite"
    with judging(lambda text, times: "good" if times else "500") as server:
        judge = served(server.url, maximum_calls=30, concurrency=4)
        kept = KeptAnswers(judge, path)
        seen = []
        with pytest.raises(JudgeError, match=r"judge.maximum_calls = 30 is reached.*30 requests"):
            kept.answer(requests, lambda position, reply: seen.append(position))
        assert server.asked.total() == 30 and 0 < len(seen) == server.answered.total()
        with pytest.raises(JudgeError, match=r"0 of \d+ replies came"):
            asked(kept, requests)
        assert server.asked.total() == 30
        assert len(asked(KeptAnswers(served(server.url), path), requests)) == 50
    assert max(server.answered.values()) == 1


def test_a_budget_counts_what_earlier_runs_have_kept(tmp_path):
    requests, path = judge_requests(50), tmp_path / "answers.sqlite"
    with judging() as server:
        asked(KeptAnswers(served(server.url), path), requests[:30])
        later = KeptAnswers(served(server.url, maximum_calls=40, concurrency=1), path)
        with pytest.raises(JudgeError, match=r"judge.maximum_calls = 40 is reached"):
            asked(later, requests)
        assert server.asked.total() == 40
        with pytest.raises(JudgeError, match=r"judge.maximum_calls = 40 is reached"):
            asked(KeptAnswers(served(server.url, maximum_calls=40), path), requests)
        assert server.asked.total() == 40
        prices = {"prompt_price": 1000.0, "completion_price": 5000.0}
        poor = served(server.url, maximum_money=0.1, **prices)
        with pytest.raises(JudgeError, match=r"judge.maximum_money = 0.1"):
            asked(KeptAnswers(poor, path), requests)
        assert server.asked.total() == 40


def test_a_budget_of_money_is_never_exceeded_and_nearly_used_up():
    requests = judge_requests(200)
    prices = {"prompt_price": 1000.0, "completion_price": 5000.0}
    most = (11 + 16 + 64) * 1e-3 + 8 * 5e-3  # of "question 99": bytes and the template, 8 tokens
    with judging(seconds=0.005) as server:
        judge = served(server.url, maximum_money=1.0, **prices)
        with pytest.raises(JudgeError, match=r"judge.maximum_money = 1[^0]*.*for \$0\.\d+"):
            asked(judge, requests)
    spent = server.answered.total() * (3 * 1e-3 + 2 * 5e-3)
    assert judge.usage.money == pytest.approx(spent) and 1.0 - most <= spent <= 1.0
    assert server.most_in_flight > 1
