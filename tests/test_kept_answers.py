"""Kept answers: none is asked twice, none is replayed for another question."""

from __future__ import annotations

import sqlite3
import threading
import time
from dataclasses import replace
from types import MappingProxyType

import pytest
from judge_requests import CountingJudge, asked, judge_request, judge_requests, reply_to

from nlhf_repro.asking.answer_file import AnswerFile
from nlhf_repro.asking.kept import KeptAnswers, answer_key
from nlhf_repro.interfaces import Judge, JudgeError, JudgeReply, Message

REQUEST = judge_request("which one?")
MATERIAL = REQUEST.material
OTHER_QUESTIONS = [
    replace(REQUEST, messages=(Message("user", "which one??"),)),
    replace(REQUEST, messages=(Message("system", "which one?"),)),
    replace(REQUEST, messages=(Message("user", "which"), Message("user", " one?"))),
    replace(REQUEST, max_tokens=9),
    replace(REQUEST, temperature=1.0),
    replace(REQUEST, top_logprobs=5),
    replace(REQUEST, draw=1),
    replace(REQUEST, material=replace(MATERIAL, form="label")),
    replace(REQUEST, material=replace(MATERIAL, answers=("no", "yes"))),
    replace(REQUEST, material=replace(MATERIAL, choices=("B", "A"))),
    replace(REQUEST, material=replace(MATERIAL, details={"topic": "coffee"})),
    replace(REQUEST, material=replace(MATERIAL, reference="yes")),
    replace(REQUEST, material=replace(MATERIAL, identifier="q/2")),
]


def test_an_answer_is_asked_once_and_replayed_for_the_same_question_alone(tmp_path):
    judge = CountingJudge()
    kept = KeptAnswers(judge, tmp_path / "answers.sqlite")
    assert isinstance(kept, Judge)
    requests = [REQUEST, *OTHER_QUESTIONS, replace(REQUEST, identifier="another name")]
    first = asked(kept, requests)
    assert first == [reply_to(request) for request in requests]
    assert kept.usage.calls == len(requests) - 1 and kept.usage.replayed == 1
    again = KeptAnswers(judge, tmp_path / "answers.sqlite")
    assert asked(again, requests[::-1]) == first[::-1]
    assert again.usage.calls == len(requests) - 1 and again.usage.replayed == len(requests)
    assert len({answer_key(judge.identity, request) for request in requests}) == len(requests) - 1


def test_another_judge_is_another_question(tmp_path):
    for identity in ({"model": "a"}, {"model": "b"}, {"model": "a", "revision": None}):
        judge = CountingJudge(identity=identity)
        asked(KeptAnswers(judge, tmp_path / "answers.sqlite"), [REQUEST])
        assert judge.asked.total() == 1


def test_a_judge_that_reads_messages_alone_shares_replies_between_materials():
    identity = {"model": "a", "reads": "messages"}
    key = answer_key(identity, REQUEST)
    same = [answer_key(identity, other) == key for other in OTHER_QUESTIONS]
    assert same == [False] * 7 + [True] * 6
    assert key != answer_key({"model": "a"}, REQUEST)


def test_keys_tell_texts_apart_that_json_escapes_make_the_same():
    texts = ["\ud83d\ude00", "\U0001f600", "\\ud83d\\ude00", "\x00", "\\u0000", ""]
    keys = {answer_key({}, judge_request(text, "q")) for text in texts}
    assert len(keys) == len(texts)


def test_details_of_any_mapping_have_a_key_and_others_are_refused():
    frozen = replace(MATERIAL, details=MappingProxyType({"topic": "tea"}))
    assert answer_key({}, replace(REQUEST, material=frozen)) == answer_key({}, REQUEST)
    strange = replace(REQUEST, material=replace(MATERIAL, details={"topic": object()}))
    with pytest.raises(JudgeError, match="a object is no JSON"):
        answer_key({}, strange)


@pytest.mark.parametrize(
    "text",
    ["", "\x00\x01\x1b[0m", "\ud800", "\ud83d\ude00", "\U0001f600", "a\r\n\u2028\x85", "x" * 2**20],
    ids=["empty", "controls", "lone", "two lone", "emoji", "line ends", "a megabyte"],
)
def test_texts_come_back_as_they_were(tmp_path, text):
    reply = JudgeReply(text, {text[:9]: float("-inf"), "B": -0.1}, 3, 1, "error: no")
    judge = CountingJudge(lambda request: reply)
    request = judge_request(text, "q")
    for _ in range(2):
        assert asked(KeptAnswers(judge, tmp_path / "answers.sqlite"), [request]) == [reply]
    assert judge.asked == {"q": 1}


def test_what_was_answered_before_a_failure_is_kept_and_the_rest_asked_again(tmp_path):
    requests = judge_requests(5)
    broken = True

    def reply(request):
        if broken and request.identifier == "question 3":
            raise JudgeError("the line is dead")
        return reply_to(request)

    judge = CountingJudge(reply)
    kept = KeptAnswers(judge, tmp_path / "answers.sqlite")
    seen = []
    with pytest.raises(JudgeError, match="the line is dead"):
        kept.answer(requests, lambda position, reply: seen.append(position))
    assert seen == [0, 1, 2]
    broken = False
    assert asked(kept, requests) == [reply_to(request) for request in requests]
    assert judge.asked["question 3"] == 2 and judge.asked.total() == 6


def test_a_judge_that_leaves_a_request_out_is_found_out(tmp_path):
    class Silent(CountingJudge):
        def answer(self, requests, on_reply):
            super().answer(requests[1:], on_reply)

    kept = KeptAnswers(Silent(), tmp_path / "answers.sqlite")
    with pytest.raises(JudgeError, match="without a reply to 1 of 3"):
        asked(kept, judge_requests(3))


def test_threads_that_share_a_file_never_ask_twice(tmp_path):
    judge = CountingJudge(seconds=0.002)
    requests = judge_requests(40)
    results = []

    def run(start: int) -> None:
        order = requests[start:] + requests[:start]
        results.append(asked(KeptAnswers(judge, tmp_path / "answers.sqlite"), order) and order)

    threads = [threading.Thread(target=run, args=[start]) for start in (0, 10, 20, 30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert len(results) == 4
    assert set(judge.asked.values()) == {1} and len(judge.asked) == 40


def test_a_claim_of_a_dead_or_silent_owner_is_taken_over_and_a_living_ones_is_not(tmp_path):
    path = tmp_path / "answers.sqlite"
    ours, theirs = AnswerFile(path), AnswerFile(path)
    assert ours.claim(["a", "b"]) == ["a", "b"]
    assert theirs.claim(["a", "b", "c"]) == ["c"]
    with sqlite3.connect(path) as connection:  # 2**22 is above the largest process id of Linux
        connection.execute("UPDATE claims SET process = 4194304 WHERE key = 'c'")
    assert ours.claim(["a", "c"]) == ["c"]
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE claims SET host = 'elsewhere', expires = ?", [time.time() - 1])
    assert theirs.claim(["a", "b", "c"]) == ["a", "b", "c"]
    late = JudgeReply("late", {}, 1, 1, "stop")
    assert theirs.keep("a", reply_to(REQUEST), "judge") == reply_to(REQUEST)
    assert ours.keep("a", late, "judge") == reply_to(REQUEST)  # the first reply stays
    assert ours.claim(["a"]) == []
    theirs.close()
    assert ours.claim(["a", "b", "c"]) == ["b", "c"]
    ours.close()


def test_claims_are_renewed_while_their_owner_works(tmp_path, monkeypatch):
    monkeypatch.setattr("nlhf_repro.asking.answer_file.RENEWAL_SECONDS", 0.02)
    monkeypatch.setattr("nlhf_repro.asking.answer_file.CLAIM_SECONDS", 0.5)
    ours, theirs = AnswerFile(tmp_path / "a"), AnswerFile(tmp_path / "a")
    with ours.renewing():
        assert ours.claim(["a"]) == ["a"]
        time.sleep(0.8)
        assert theirs.claim(["a"]) == []
    time.sleep(0.6)
    assert theirs.claim(["a"]) == ["a"]
    theirs.close()
    ours.close()


@pytest.mark.parametrize("content", ["text", "other tables", "later version"])
def test_a_file_of_something_else_is_refused_and_left_as_it_is(tmp_path, content):
    path = tmp_path / "answers.sqlite"
    if content == "text":
        path.write_text("question,answer\n" * 200)
    else:
        with sqlite3.connect(path) as connection:
            connection.execute("CREATE TABLE votes (answer TEXT)")
            connection.execute(f"PRAGMA user_version = {2 * (content == 'later version')}")
        connection.close()
    with pytest.raises(JudgeError, match="cannot be used to keep answers"):
        asked(KeptAnswers(CountingJudge(), path), [REQUEST])
    if content == "text":
        assert path.read_text() == "question,answer\n" * 200


def test_five_thousand_answers_are_replayed_in_a_second(tmp_path):
    judge = CountingJudge()
    requests = [judge_request(f"{number} " + "word " * 400, str(number)) for number in range(5000)]
    asked(KeptAnswers(judge, tmp_path / "answers.sqlite"), requests)
    start = time.process_time()
    asked(KeptAnswers(judge, tmp_path / "answers.sqlite"), requests)
    assert time.process_time() - start < 1.0
    assert judge.asked.total() == 5000
