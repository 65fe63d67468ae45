"""What asking costs, and the budget that it must not exceed."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import final

from nlhf_repro.interfaces import JudgeReply, JudgeUsage


class BudgetSpentError(Exception):
    """Nothing more may be asked; the message says which limit is reached."""


@final
@dataclass(frozen=True)
class Budget:
    """Limits of one judge and the file that keeps its replies, None where there is none.

    Attributes:
        maximum_calls: requests that are sent, those that are sent again included.
        maximum_money: US dollars; needs both prices.
        prompt_price, completion_price: US dollars a million tokens.
    """

    maximum_calls: int | None
    maximum_money: float | None
    prompt_price: float | None
    completion_price: float | None

    def price(self, prompt_tokens: int, completion_tokens: int) -> float:
        """US dollars of so many tokens; 0 where no prices are configured."""
        prompt = prompt_tokens * (self.prompt_price or 0.0)
        return (prompt + completion_tokens * (self.completion_price or 0.0)) / 1e6


@final
class Spending:
    """What was spent and what may still be, shared by everything that asks, from any thread.

    Before a request is sent, the most that it can cost is set aside; its reply says what it did
    cost. So `maximum_money` is never exceeded, however many requests are in flight. An attempt that
    broke off may have been charged for, which nobody tells: all that was set aside for it counts
    against the budget, and is named apart from what is known to be spent.
    """

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self._lock = threading.Lock()
        self._usage = JudgeUsage()
        self._in_flight = 0
        self._set_aside = 0.0
        self._lost = 0.0
        self._before: JudgeUsage | None = None
        self.answered = 0
        self.refused = 0

    @property
    def usage(self) -> JudgeUsage:
        """What has been spent so far."""
        return self._usage

    def count_before(self, kept: JudgeUsage) -> None:
        """Let earlier runs, and other ones, count against the budget: what their replies cost.

        Counted once, when this process begins to ask; runs that ask at the same time see of each
        other what was kept by then.
        """
        with self._lock:
            if self._before is None:
                self._before = kept

    def reserve(self, most: float, again: bool) -> bool:
        """Whether a request that costs at most so much may be sent now, which is then counted.

        False: not before others that are in flight have said what they cost.

        Raises:
            BudgetSpentError: it would exceed the budget.
        """
        with self._lock:
            usage, limits = self._usage, self.budget
            before = self._before or JudgeUsage()
            sent = before.calls + usage.calls + usage.retries
            if limits.maximum_calls is not None and sent >= limits.maximum_calls:
                raise BudgetSpentError(f"judge.maximum_calls = {limits.maximum_calls} is reached")
            paid = self.budget.price(before.prompt_tokens, before.completion_tokens)
            known = paid + usage.money + self._lost + self._set_aside + most
            if limits.maximum_money is not None and known > limits.maximum_money:
                if self._in_flight:
                    return False
                raise BudgetSpentError(
                    f"the next request could exceed judge.maximum_money = {limits.maximum_money:g}"
                )
            self._usage = (
                replace(usage, retries=usage.retries + 1)
                if again
                else replace(usage, calls=usage.calls + 1)
            )
            self._in_flight += 1
            self._set_aside += most
            return True

    def settle(self, most: float, reply: JudgeReply) -> None:
        """A reply came to a request for which so much was set aside."""
        with self._lock:
            self._release(most)
            self.answered += 1
            counted = reply.prompt_tokens + reply.completion_tokens
            money = self.budget.price(reply.prompt_tokens, reply.completion_tokens)
            self._lost += 0.0 if counted else most
            self._usage = replace(
                self._usage,
                prompt_tokens=self._usage.prompt_tokens + reply.prompt_tokens,
                completion_tokens=self._usage.completion_tokens + reply.completion_tokens,
                money=self._usage.money + money,
            )

    def refuse(self, most: float) -> None:
        """The endpoint refused the request for good, which costs nothing."""
        with self._lock:
            self._release(most)
            self.refused += 1

    def fail(self, most: float, charged: bool) -> None:
        """No reply came; `charged` says that it may have cost something all the same."""
        with self._lock:
            self._release(most)
            self._lost += most if charged else 0.0

    def _release(self, most: float) -> None:
        self._in_flight -= 1
        self._set_aside = self._set_aside - most if self._in_flight else 0.0

    def told(self) -> str:
        """What was spent, in words."""
        usage = self._usage
        requests = (
            f"{usage.calls + usage.retries} requests were sent, {usage.retries} of them again"
        )
        if self.budget.prompt_price is None or self.budget.completion_price is None:
            return requests
        lost = f" and at most ${self._lost:.4g} that nobody tells of" if self._lost else ""
        return f"{requests}, for ${usage.money:.4g}{lost}"
