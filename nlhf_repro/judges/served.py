"""Judges behind an OpenAI-compatible endpoint of chat completions: vLLM, OpenAI and their like."""

from __future__ import annotations

import asyncio
import math
import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, final, get_args
from urllib.parse import urlsplit

from nlhf_repro.asking.chat_completions import (
    OURS,
    TokenLimit,
    most_prompt_tokens,
    request_body,
)
from nlhf_repro.asking.endpoint import Asking, Call, Patience
from nlhf_repro.asking.spending import Budget, Spending
from nlhf_repro.interfaces import (
    ImpossibleSettingError,
    JudgeError,
    JudgeRequest,
    JudgeUsage,
    OnReply,
)

_AT_LEAST = {"concurrency": 1, "attempts": 1, "first_wait_s": 0, "maximum_calls": 1}
_PRICES = ("prompt_price", "completion_price")


@final
@dataclass(frozen=True)
class ServedJudge:
    """A judge that is asked over HTTP, the same in every world.

    The key is read from the environment variable that `key_variable` names when something is asked,
    and is kept nowhere. An answer of 408, 409, 429 or 5xx, a broken connection, a response that is
    cut off or no chat completion is asked for again, after an exponential wait with jitter or the
    one that Retry-After asks for; while x-ratelimit headers say that nothing is left, nothing is
    sent. 400, 413 and 422 refuse one request, whose reply then has `finish` = "error: ...", unless
    the first ten requests are all refused. Every other status ends the asking at once.

    Log-probabilities are those of `top_logprobs`; `first_token` is empty where the endpoint has
    none. A client cannot know whether a server applies a seed, or a temperature above 0, so draws
    are as independent as the server makes them.

    Attributes:
        model: as the endpoint names it, and as tables do.
        base_url: up to and without /chat/completions.
        server_name: what stands for `base_url` in the identity under which replies are kept, for a
            server whose address changes while it stays the same; null: the address. Two servers
            may serve other weights, or another chat template, under one model's name.
        key_variable: the name of the environment variable that holds the key; null: no key is sent.
        concurrency: requests in flight at once.
        timeout_s: seconds until the whole response to an attempt must be there.
        attempts: of one request, in a row; the count begins anew where the rate limit turned one
            away and others were answered meanwhile.
        first_wait_s, longest_wait_s: seconds of the backoff. An endpoint that asks for a longer
            wait than the longest ends the asking.
        maximum_calls: replies of this model that are kept already, and requests of this process,
            repeated ones included; null: no limit.
        maximum_money: US dollars of both; null: no limit. The most that a request can
            cost, by the bytes of its messages and its token limit, must fit before it is sent.
        prompt_price, completion_price: US dollars a million tokens; null: unknown.
        token_limit: the field that limits a reply's tokens.
        seed_draws: whether a request's draw is sent as `seed`.
        extra_body: further fields of every request; a null takes a field out.
    """

    answers_elsewhere: ClassVar[bool] = True  # its replies do not depend on code of ours

    model: str
    base_url: str
    server_name: str | None
    key_variable: str | None
    concurrency: int
    timeout_s: float
    attempts: int
    first_wait_s: float
    longest_wait_s: float
    maximum_calls: int | None
    maximum_money: float | None
    prompt_price: float | None
    completion_price: float | None
    token_limit: TokenLimit
    seed_draws: bool
    extra_body: Mapping[str, Any]
    _spending: Spending = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _check_address(self.base_url)
        self._check_numbers()
        if self.token_limit not in get_args(TokenLimit):
            raise ImpossibleSettingError(
                f"judge.token_limit = {self.token_limit} is unknown: choose from "
                f"{', '.join(get_args(TokenLimit))}."
            )
        if taken := sorted({*OURS, "max_tokens", "max_completion_tokens"} & set(self.extra_body)):
            raise ImpossibleSettingError(
                f"judge.extra_body.{taken[0]} is set by the judge itself: take it out."
            )
        budget = Budget(
            self.maximum_calls, self.maximum_money, self.prompt_price, self.completion_price
        )
        object.__setattr__(self, "_spending", Spending(budget))

    def _check_numbers(self) -> None:
        for name, least in _AT_LEAST.items():
            value = getattr(self, name)
            if value is not None and not least <= value < math.inf:
                raise ImpossibleSettingError(f"judge.{name} = {value} must be at least {least}.")
        if not 0 < self.timeout_s < math.inf:
            raise ImpossibleSettingError(f"judge.timeout_s = {self.timeout_s} must be above 0.")
        if not self.first_wait_s <= self.longest_wait_s < math.inf:
            raise ImpossibleSettingError(
                f"judge.longest_wait_s = {self.longest_wait_s} must be at least "
                f"judge.first_wait_s = {self.first_wait_s}."
            )
        for name in ("maximum_money", *_PRICES):
            value = getattr(self, name)
            if value is not None and not 0 <= value < math.inf:
                raise ImpossibleSettingError(f"judge.{name} = {value} must be at least 0.")
        unknown = [name for name in _PRICES if getattr(self, name) is None]
        if self.maximum_money is not None and unknown:
            raise ImpossibleSettingError(
                f"judge.maximum_money = {self.maximum_money} needs prices: set judge.{unknown[0]}, "
                "in US dollars a million tokens."
            )

    def judge(self, world: int) -> ServedJudge:
        """Itself: an endpoint is the same in every world, and so are its budget and usage."""
        return self

    @property
    def name(self) -> str:
        """The model."""
        return self.model

    @property
    def identity(self) -> dict[str, Any]:
        """Model, server and what is sent besides the request: what replies are kept under."""
        return {
            "judge": "served",
            "reads": "messages",
            "model": self.model,
            "server": self.server_name or self.base_url.rstrip("/"),
            "token_limit": self.token_limit,
            "seed_draws": self.seed_draws,
            "extra_body": dict(self.extra_body),
        }

    @property
    def usage(self) -> JudgeUsage:
        """What it has cost in this process; `calls` leaves out `retries`."""
        return self._spending.usage

    def count_before(self, kept: JudgeUsage) -> None:
        """Let the replies that are kept already count against the budget, once."""
        self._spending.count_before(kept)

    def answer(self, requests: Sequence[JudgeRequest], on_reply: OnReply) -> None:
        """Ask the endpoint; `on_reply` is called in this thread.

        Raises:
            JudgeError: no key, a refusal of everything, no reply in `attempts`, or the budget.
        """
        if not requests:
            return
        patience = Patience(
            self.concurrency, self.timeout_s, self.attempts, self.first_wait_s, self.longest_wait_s
        )
        url = f"{self.base_url.rstrip('/')}/chat/completions"
        calls = [self._call(request) for request in requests]
        asking = Asking(self.name, url, self._key(), patience, self._spending, on_reply)
        asyncio.run(asking.ask(calls))

    def _call(self, request: JudgeRequest) -> Call:
        body = request_body(request, self.model, self.token_limit, self.seed_draws, self.extra_body)
        return Call(
            body, self._spending.budget.price(most_prompt_tokens(request), request.max_tokens)
        )

    def check(self) -> None:
        """Warn where the key is missing; no refusal, since kept replies need none."""
        try:
            self._key()
        except JudgeError as error:
            warnings.warn(f"{error} Only replies that are kept do without it.", stacklevel=2)

    def _key(self) -> str | None:
        if self.key_variable is None:
            return None
        key = os.environ.get(self.key_variable, "").strip()
        if not key or not key.isascii() or not key.isprintable():
            raise JudgeError(
                f"{self.name}: the environment variable {self.key_variable} (judge.key_variable) "
                f"holds {'what no key is' if key else 'no key'}: export the endpoint's key in it."
            )
        return key


def _check_address(base_url: str) -> None:
    try:
        parts = urlsplit(base_url)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if not valid:
        raise ImpossibleSettingError(
            "judge.base_url must be an address such as http://127.0.0.1:8000/v1: correct it."
        )
    if parts.username is not None or parts.query or parts.fragment:
        raise ImpossibleSettingError(
            "judge.base_url holds a user, a query or a fragment, which would go into records: "
            "leave the address alone, and name a key's variable in judge.key_variable."
        )
