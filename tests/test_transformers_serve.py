"""Judging over HTTP by a real peer: `transformers serve` with a tiny model made on the spot."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import requests as http
from judge_requests import asked, judge_request
from judge_server import served
from language_models import MINI, WORDS

from nlhf_repro.asking.kept import KeptAnswers
from nlhf_repro.interfaces import JudgeError

START_SECONDS = 120.0
pytestmark = pytest.mark.slow


def command() -> str | None:
    """`transformers` of this environment."""
    return shutil.which("transformers", path=Path(sys.executable).parent)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.fixture(scope="module")
def peer(tmp_path_factory):
    """The address of a server with one model, and the model's name there: its folder."""
    program = command()
    if program is None:
        pytest.skip("`transformers serve` is not installed: pip install transformers[serving]")
    folder = tmp_path_factory.mktemp("served") / "judge"
    model, tokenizer = MINI.base(WORDS, seed=0)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    port, log = free_port(), folder.parent / "log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [program, "serve", "--host", "127.0.0.1", "--port", str(port), "--device", "cpu"],
            env={**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(folder.parent / "home")},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_for(process, f"http://127.0.0.1:{port}/health", log)
        yield f"http://127.0.0.1:{port}/v1", str(folder)
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(timeout=10)


def wait_for(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        assert process.poll() is None, log.read_text()
        try:
            if http.get(url, timeout=5, proxies={"http": ""}).ok:
                return
        except http.ConnectionError:
            time.sleep(0.1)
    pytest.fail(f"no server after {START_SECONDS} s: {log.read_text()}")


def test_judging_over_http_end_to_end(peer, tmp_path):
    url, model = peer
    judge = served(url, model=model, timeout_s=60.0, concurrency=4)
    questions = [judge_request(f"{word} w1 w2", max_tokens=3) for word in WORDS[:6]]
    kept = KeptAnswers(judge, tmp_path / "answers.sqlite")
    replies = asked(kept, questions)
    assert all(0 < len(reply.text.split()) <= 3 for reply in replies)
    assert {word for reply in replies for word in reply.text.split()} <= {*WORDS, *["<unk>"]}
    assert {reply.prompt_tokens for reply in replies} == {5}  # <user>, three words, <assistant>
    assert len({reply.text for reply in replies}) > 1
    assert asked(kept, questions) == replies
    assert judge.usage.calls == 6 and kept.usage.replayed == 6
    fresh = asked(served(url, model=model, timeout_s=60.0, concurrency=1), questions)
    assert fresh == replies  # temperature 0


def test_what_the_peer_does_not_support_is_not_made_up(peer):
    """transformers 5.23 ignores logprobs, and draws only where the model's own settings say so."""
    url, model = peer
    judge = served(url, model=model, timeout_s=60.0)
    (asked_for,) = asked(judge, [judge_request("w1 w2", top_logprobs=5, max_tokens=1)])
    assert asked_for.first_token == {} and asked_for.finish == "length"
    draws = [judge_request("w1 w2", draw=draw, temperature=1.0, max_tokens=6) for draw in range(4)]
    assert len({reply.text for reply in asked(judge, draws)}) == 1
    sampling = {"generation_config": '{"do_sample": true}'}
    drawing = served(url, model=model, timeout_s=60.0, concurrency=1, extra_body=sampling)
    texts = [reply.text for reply in asked(drawing, draws)]
    assert len(set(texts)) > 1
    assert [reply.text for reply in asked(drawing, draws)] == texts  # a draw is its seed


def test_the_peer_meets_hostile_text_and_wrong_settings(peer, tmp_path):
    url, model = peer
    judge = served(url, model=model, timeout_s=60.0, attempts=2)
    hostile = ["\ud800 \x00 w1", "w1 " * 2000, "<eos> <assistant> w1", ""]
    requests = [judge_request(text, f"q{number}") for number, text in enumerate(hostile)]
    replies = asked(KeptAnswers(judge, tmp_path / "answers.sqlite"), requests)
    assert all(reply.finish in ("stop", "length") for reply in replies)
    unknown = served(url, model=model, timeout_s=60.0, extra_body={"nonsense": 1})
    with pytest.raises(
        JudgeError, match=r"HTTP 422: Unexpected fields in the request: .'nonsense'"
    ):
        asked(unknown, [judge_request(str(number)) for number in range(20)])
    nowhere = served(url, model=f"{model}/nowhere", timeout_s=60.0, attempts=2)
    with pytest.raises(JudgeError, match=r"judge.attempts = 2 .HTTP 500: Internal Server Error"):
        asked(nowhere, [judge_request("w1")])
