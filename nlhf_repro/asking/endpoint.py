"""The client of chat-completion endpoints: many requests at once, retried, within a budget."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from nlhf_repro.asking.rate_limits import backoff, exhausted_for
from nlhf_repro.asking.responses import AttemptError, FatalError, RefusedError, reply_in
from nlhf_repro.asking.spending import BudgetSpentError, Spending
from nlhf_repro.interfaces import JudgeError, JudgeReply, OnReply
from nlhf_repro.seeds import generator_for

if TYPE_CHECKING:
    from aiohttp import ClientSession

REFUSALS_BELIEVED = 10  # so many refusals, and no reply yet: it is the settings that are refused
BUDGET_POLL_SECONDS = 0.02


@final
@dataclass(frozen=True)
class Patience:
    """How hard an endpoint is asked.

    Attributes:
        concurrency: requests in flight at once.
        timeout_s: seconds until the whole response to an attempt must be there.
        attempts: of one request, in a row; the count begins anew where the rate limit turned one
            away and others were answered meanwhile.
        first_wait_s, longest_wait_s: seconds of the exponential backoff. An endpoint that asks for
            a longer wait than the longest ends the asking.
    """

    concurrency: int
    timeout_s: float
    attempts: int
    first_wait_s: float
    longest_wait_s: float


@final
@dataclass(frozen=True)
class Call:
    """One request as it is sent, and the most it can cost, in US dollars."""

    body: Mapping[str, Any]
    most: float


@final
class _GivenUpError(Exception):
    """No further attempt is made at a request."""


@final
class Asking:
    """One call of a judge's `answer`: its requests, and how far they are.

    Every reply is handed over as soon as it is there. Refusals of single requests are held back
    until the endpoint has given a reply, so that a setting that it always refuses ends the asking
    and is not taken for answers.
    """

    def __init__(
        self,
        name: str,
        url: str,
        key: str | None,
        patience: Patience,
        spending: Spending,
        on_reply: OnReply,
    ) -> None:
        self._name = name
        self._url = url
        self._key = key
        self._patience = patience
        self._spending = spending
        self._on_reply = on_reply
        self._proxy = _proxy(url)
        self._why = ""  # why nothing more is asked
        self._stopped = asyncio.Event()
        self._open_at = 0.0  # on the monotonic clock: when the rate limit lets requests pass again
        self._given_up: list[str] = []
        self._given_up_in_a_row = 0
        self._refusals: list[tuple[int, JudgeReply]] = []
        self._handed_over = 0

    async def ask(self, calls: Sequence[Call]) -> None:
        """Ask everything.

        Raises:
            JudgeError: the endpoint, the budget or the settings leave requests without a reply.
        """
        from aiohttp import ClientSession, ClientTimeout, TCPConnector

        headers = {"Content-Type": "application/json"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        concurrency = min(self._patience.concurrency, len(calls))
        async with ClientSession(
            connector=TCPConnector(limit=concurrency),
            timeout=ClientTimeout(total=self._patience.timeout_s),
            headers=headers,
        ) as session:
            queue = iter(enumerate(calls))
            workers = [asyncio.create_task(self._work(session, queue)) for _ in range(concurrency)]
            try:
                await asyncio.gather(*workers)
            except FatalError as error:
                raise self._error(str(error), len(calls)) from None
            finally:
                for worker in workers:
                    worker.cancel()
                await asyncio.gather(*workers, return_exceptions=True)
        if not self._why:
            self._release_refusals()
        if self._why or self._given_up:
            raise self._error(self._why or self._given_up[-1], len(calls))

    async def _work(self, session: ClientSession, queue: Iterator[tuple[int, Call]]) -> None:
        for position, call in queue:
            try:
                reply = await self._reply(session, call)
            except RefusedError as error:
                self._refuse(position, str(error))
            except _GivenUpError as error:
                self._give_up(str(error))
            else:
                self._given_up_in_a_row = 0
                self._hand_over(position, reply)
            if self._spending.answered:
                self._release_refusals()
            if self._why:
                return

    def _hand_over(self, position: int, reply: JudgeReply) -> None:
        self._handed_over += 1
        self._on_reply(position, reply)

    def _refuse(self, position: int, why: str) -> None:
        self._refusals.append((position, JudgeReply("", {}, 0, 0, f"error: {why}")))
        refused = self._spending.refused
        if not self._spending.answered and refused >= REFUSALS_BELIEVED:
            self._stop(f"it refused all of the first {refused} requests ({why})")

    def _release_refusals(self) -> None:
        while self._refusals:
            self._hand_over(*self._refusals.pop(0))

    def _give_up(self, why: str) -> None:
        self._given_up.append(why)
        self._given_up_in_a_row += 1
        if self._given_up_in_a_row >= self._patience.concurrency:
            self._stop(why)

    def _stop(self, why: str) -> None:
        """Let what is in flight come, and begin nothing more."""
        self._why = self._why or why
        self._stopped.set()

    async def _sleep(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopped.wait(), seconds)

    async def _reply(self, session: ClientSession, call: Call) -> JudgeReply:
        failures, answered, limited, again = 0, 0, False, False
        reasons: dict[str, None] = {}
        while True:
            await self._allowed(call.most, again)
            if limited and self._spending.answered > answered:
                failures = 0  # the limit lets others pass, and this one in its turn
            answered, again = self._spending.answered, True
            try:
                reply = await self._attempt(session, call)
            except AttemptError as error:
                self._spending.fail(call.most, error.charged)
                failures, limited = failures + 1, error.limited
                reasons[str(error)] = None
                if failures >= self._patience.attempts:
                    attempts = f"judge.attempts = {self._patience.attempts}"
                    why = f"no reply in {attempts} ({'; '.join(reasons)})"
                    raise _GivenUpError(why) from None
                await self._wait(error, failures)
            except (RefusedError, FatalError):
                self._spending.refuse(call.most)
                raise
            except BaseException:  # cancelled: a reply may have been on its way
                self._spending.fail(call.most, charged=True)
                raise
            else:
                self._spending.settle(call.most, reply)
                return reply

    async def _allowed(self, most: float, again: bool) -> None:
        """Return once rate limit and budget let a request be sent, and have counted it."""
        while not self._why:
            if (wait := self._open_at - time.monotonic()) > 0:
                await self._sleep(wait)
                continue
            try:
                if self._spending.reserve(most, again):
                    return
            except BudgetSpentError as error:
                self._stop(str(error))
            await self._sleep(BUDGET_POLL_SECONDS)
        raise _GivenUpError(self._why)

    async def _attempt(self, session: ClientSession, call: Call) -> JudgeReply:
        import aiohttp

        data = json.dumps(call.body).encode()
        try:
            async with session.post(
                self._url, data=data, allow_redirects=False, proxy=self._proxy
            ) as response:
                content = await response.read()
        except TimeoutError:
            why = f"no whole response within judge.timeout_s = {self._patience.timeout_s:g}"
            raise AttemptError(why, charged=True) from None
        except aiohttp.ClientConnectorError as error:
            why = error.os_error.strerror or type(error).__name__
            raise AttemptError(f"no connection: {why}") from None
        except (aiohttp.ClientError, OSError) as error:  # its text may hold what is secret
            raise AttemptError(f"cut off: {type(error).__name__}", charged=True) from None
        headers = {name.lower(): value for name, value in response.headers.items()}
        if response.status == 200:
            self._pause(min(exhausted_for(headers, time.time()), self._patience.longest_wait_s))
        return reply_in(response.status, headers, content, self._key)

    def _pause(self, seconds: float) -> None:
        """Send nothing for so long, whoever wants to."""
        self._open_at = max(self._open_at, time.monotonic() + seconds)

    async def _wait(self, error: AttemptError, failures: int) -> None:
        """Wait before the next attempt; everybody waits where the rate limit says so."""
        patience, asked = self._patience, error.wait or 0.0
        if asked > patience.longest_wait_s:
            self._stop(
                f"it asks to wait for {asked:.0f} s, longer than judge.longest_wait_s = "
                f"{patience.longest_wait_s:g} ({error})"
            )
        rng = generator_for("backoff", os.getpid(), time.monotonic_ns())
        own = backoff(failures, patience.first_wait_s, patience.longest_wait_s, rng)
        if error.limited:
            self._pause(max(own, asked))
        else:
            await self._sleep(max(own, asked))

    def _error(self, why: str, requests: int) -> JudgeError:
        return JudgeError(
            f"{self._name} at {self._url}: {why}. {self._handed_over} of {requests} replies came, "
            f"and {self._spending.told()}: mend that, and run again for the rest."
        )


def _proxy(url: str) -> str | None:
    """The proxy of the environment for this address; none for this machine."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if host in ("localhost", "::1") or host.startswith("127.") or proxy_bypass(host):
        return None
    return getproxies().get(parts.scheme)
