"""Speed of judging: 1,000 judgments over HTTP, and 5,000 that are kept already.

Run with `make speed`. A server in a process of its own answers every chat completion after 50 ms;
the served judge asks it 32 at a time, through kept answers, as `nlhf run` does. The floor is
1000 / 32 x 50 ms = 1.6 s. Re-scoring then takes 5,000 judgments of 4,000 characters from the file,
in a fresh process state (a new `KeptAnswers`), without asking anybody. Prints seconds of wall clock
and of this process's processor time, the best of three repeats.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import yaml
from aiohttp import web

from nlhf_repro.asking.kept import KeptAnswers
from nlhf_repro.config import conf_directory
from nlhf_repro.interfaces import Judge, JudgeReply, JudgeRequest, JudgeUsage, Material, Message
from nlhf_repro.interfaces.judging import OnReply
from nlhf_repro.pipeline.parts import build

SECONDS, ASKED, KEPT, CHARACTERS, REPEATS = 0.05, 1000, 5000, 4000, 3


async def complete(request: web.Request) -> web.Response:
    """A chat completion, after 50 ms."""
    body = await request.json()
    await asyncio.sleep(SECONDS)
    message = {"role": "assistant", "content": body["messages"][-1]["content"][:9]}
    choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
    usage = {"prompt_tokens": 9, "completion_tokens": 1}
    return web.json_response({"choices": [choice], "usage": usage})


async def serve() -> None:
    """Print the address, and serve until standard input ends."""
    app = web.Application()
    app.router.add_post("/v1/chat/completions", complete)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(f"http://127.0.0.1:{runner.addresses[0][1]}/v1", flush=True)
    await asyncio.to_thread(sys.stdin.read)


class Echo:
    """A judge in memory, which fills the file."""

    name, identity, usage = "echo", {"judge": "echo"}, JudgeUsage()

    def answer(self, requests: Sequence[JudgeRequest], on_reply: OnReply) -> None:
        """Reply with the first words of the question."""
        for position, request in enumerate(requests):
            on_reply(position, JudgeReply(request.messages[-1].content[:2000], {}, 1, 1, "stop"))


def questions(count: int) -> list[JudgeRequest]:
    """As long as those of a benchmark, all different."""
    made = []
    for number in range(count):
        user = Message("user", (f"{number} which answer is better? " * CHARACTERS)[:CHARACTERS])
        material = Material("token", (user,), ("m", "M"), ("m", "M"), {})
        made.append(JudgeRequest(f"q{number}", (user,), 1, 0.0, 5, 0, material))
    return made


def seconds(judge: Judge, requests: list[JudgeRequest], path: Path) -> tuple[float, float]:
    """Of wall clock and of processor, until every request has its reply."""
    replies: dict[int, JudgeReply] = {}
    wall, used = time.perf_counter(), time.process_time()
    KeptAnswers(judge, path).answer(requests, replies.__setitem__)
    times = time.perf_counter() - wall, time.process_time() - used
    assert len(replies) == len(requests)
    return times


def report(what: str, repeats: list[tuple[float, float]], target: float) -> None:
    """One line."""
    wall, used = min(repeats)
    print(f"  {what:48s} {wall:6.2f} s (target: below {target} s), processor {used:5.2f} s")


def main() -> None:
    """Print the seconds of asking and of re-scoring."""
    server = subprocess.Popen(
        [sys.executable, __file__, "--serve"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdin is not None and server.stdout is not None
    settings = yaml.safe_load((conf_directory() / "judge" / "served.yaml").read_text())
    url = server.stdout.readline().strip()
    judge = build({**settings, "base_url": url})
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        asking = [
            seconds(judge, questions(ASKED), folder / f"asked{each}") for each in range(REPEATS)
        ]
        kept = questions(KEPT)
        filling = seconds(Echo(), kept, folder / "kept")
        rescoring = [seconds(Echo(), kept, folder / "kept") for _ in range(REPEATS)]
    server.stdin.close()
    server.wait(timeout=30)
    print(f"judging, {judge.concurrency} at a time, a server that answers in {SECONDS * 1e3:g} ms:")
    report(f"{ASKED} judgments over HTTP", asking, 2.5)
    report(f"{KEPT} judgments that are kept", rescoring, 1.0)
    print(f"  keeping {KEPT} judgments as they come took {filling[0]:.2f} s")


if __name__ == "__main__":
    if "--serve" in sys.argv:
        asyncio.run(serve())
    else:
        main()
