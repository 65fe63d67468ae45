"""A judge on 127.0.0.1 that speaks chat completions, and goes wrong where a plan says so."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from email.utils import formatdate
from typing import Any

from aiohttp import web

from nlhf_repro.judges.served import ServedJudge
from nlhf_repro.seeds import generator_for

Plan = Callable[[str, int], str]
"""From a request's text and how often it was seen before to a behavior of `_respond`."""

KEY = "sk-never-to-be-seen-0123456789"
TRANSIENT = ("429", "500", "timeout", "cut", "no json", "no choices", "closed", "not utf-8")


def good(text: str, times: int) -> str:
    return "good"


def a_fifth_faulty(text: str, times: int) -> str:
    """20 % of all attempts fail, each for one of eight reasons; 3 % of questions get garbage."""
    rng = generator_for("faults", text, times)
    if rng.random() < 0.2:
        return str(rng.choice(TRANSIENT))
    return "garbage" if generator_for("garbage", text).random() < 0.03 else "good"


def only_garbage(text: str, times: int) -> str:
    """The same answers as of `a_fifth_faulty`, without the faults."""
    return "garbage" if generator_for("garbage", text).random() < 0.03 else "good"


class JudgeServer:
    """Counts what was asked; answers after `seconds`."""

    def __init__(self, plan: Plan, seconds: float) -> None:
        self.plan, self.seconds = plan, seconds
        self.asked: Counter[str] = Counter()  # by text, in any of its states
        self.answered: Counter[str] = Counter()  # by text, with a whole chat completion
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.moments: list[float] = []
        self.in_flight = self.most_in_flight = 0
        self.url = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        text = body["messages"][-1]["content"]
        times = self.asked[text]
        self.asked[text] += 1
        self.bodies.append(body)
        self.headers.append(dict(request.headers))
        self.moments.append(asyncio.get_running_loop().time())
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            if self.seconds:
                await asyncio.sleep(self.seconds)
            return await self._respond(request, body, self.plan(text, times))
        finally:
            self.in_flight -= 1

    async def _respond(
        self, request: web.Request, body: dict[str, Any], behavior: str
    ) -> web.StreamResponse:
        text = body["messages"][-1]["content"]
        kind, _, argument = behavior.partition(" ")
        if behavior in ("good", "garbage", "exhausted"):
            self.answered[text] += 1
            verdict = "\x00\ud800 no verdict" if behavior == "garbage" else _verdict(body)
            headers = {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "300ms"}
            return _json(_completion(verdict, body), headers if behavior == "exhausted" else {})
        if behavior == "429":
            return _json(_error("slow down"), {"Retry-After": "0.01"}, 429)
        if behavior == "date":
            return _json(_error("slow down"), {"Retry-After": formatdate(usegmt=True)}, 429)
        if kind == "wait":
            return _json(_error("slow down"), {"Retry-After": argument}, 429)
        if kind == "code":
            return _json(_error(f"{argument} of you", argument), {}, 400)
        if behavior.isdigit():
            return _json(
                _error(f"your header {request.headers.get('Authorization')}"), {}, int(kind)
            )
        if behavior == "timeout":
            await asyncio.sleep(30)
        if behavior in ("cut", "closed"):
            return await _broken(request, b'{"choices": [' if behavior == "cut" else b"")
        bodies = {
            "no json": b"<html>gateway</html>",
            "no choices": b'{"choices": []}',
            "not utf-8": b'{"choices": [{"message": {"content": "\xff"}}]}',
            "deep": b"[" * 100_000,
        }
        return web.Response(body=bodies[behavior], content_type="application/json")


def _verdict(body: dict[str, Any]) -> str:
    return f"{body['messages'][-1]['content']} [{body.get('seed', 0)}]"


def _completion(text: str, body: dict[str, Any]) -> dict[str, Any]:
    alternatives = [{"token": "A", "logprob": -0.25}, {"token": "B", "logprob": -1.5}]
    first = {**alternatives[0], "top_logprobs": alternatives[: body.get("top_logprobs", 0)]}
    return {
        "object": "chat.completion",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": text},
                "finish_reason": "stop",
                "logprobs": {"content": [first]} if body.get("logprobs") else None,
            }
        ],
        "usage": {"prompt_tokens": len(text.split()), "completion_tokens": 2},
    }


def _error(message: str, code: str | None = None) -> dict[str, Any]:
    return {"error": {"message": message, "type": "error", "param": None, "code": code}}


def _json(value: Any, headers: dict[str, str], status: int = 200) -> web.Response:
    return web.Response(
        body=json.dumps(value), headers=headers, status=status, content_type="application/json"
    )


async def _broken(request: web.Request, start: bytes) -> web.StreamResponse:
    """A response that promises more than it has, or none at all."""
    response = web.StreamResponse(headers={"Content-Length": "1000"})
    if start:
        await response.prepare(request)
        await response.write(start)
    assert request.transport is not None
    request.transport.close()
    return response


@contextlib.contextmanager
def judging(plan: Plan = good, seconds: float = 0.0) -> Iterator[JudgeServer]:
    """A server in a thread for the time of the block."""
    server = JudgeServer(plan, seconds)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    def await_(coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, loop).result(timeout=10)

    app = web.Application(client_max_size=2**19)
    app.router.add_post("/v1/chat/completions", server.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    try:
        await_(runner.setup())
        await_(web.TCPSite(runner, "127.0.0.1", 0).start())
        server.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        yield server
    finally:
        await_(runner.cleanup())
        loop.call_soon_threadsafe(loop.stop)
        thread.join(timeout=10)
        loop.close()


def served(url: str, **changes: Any) -> ServedJudge:
    """A judge with waits of milliseconds."""
    settings: dict[str, Any] = {
        "model": "tiny",
        "base_url": url,
        "server_name": "the test server",
        "key_variable": None,
        "concurrency": 32,
        "timeout_s": 0.5,
        "attempts": 8,
        "first_wait_s": 0.001,
        "longest_wait_s": 1.0,
        "maximum_calls": None,
        "maximum_money": None,
        "prompt_price": None,
        "completion_price": None,
        "token_limit": "max_tokens",
        "seed_draws": True,
        "extra_body": {},
    }
    return ServedJudge(**{**settings, **changes})
