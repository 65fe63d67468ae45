"""How long an endpoint wants its clients to wait, as its headers tell, and how long they wait."""

from __future__ import annotations

import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

import numpy as np

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|s|m|h|d))+")
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_EPOCH = 1e9  # a larger number is a moment, in seconds since 1970; 1000 times as large, in ms


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds that Retry-After asks to wait (RFC 9110, 10.2.3), at least 0; None where it does not.

    Args:
        headers: of a response, with names in lower case.
        now: seconds since 1970.
    """
    milliseconds = headers.get("retry-after-ms", "").strip()
    if _NUMBER.fullmatch(milliseconds):
        return float(milliseconds) / 1000
    text = headers.get("retry-after", "").strip()
    if _NUMBER.fullmatch(text):
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - now)
    except (ValueError, OverflowError):
        return None


def exhausted_for(headers: Mapping[str, str], now: float) -> float:
    """Seconds until a limit is reset of which x-ratelimit-remaining-... says that nothing is left.

    0 where something is left of every limit, or nothing is said. OpenAI and its like count
    `requests` and `tokens`, and write a reset as a duration, "1m30s"; others as seconds, or as a
    moment since 1970.
    """
    waits = [0.0]
    for kind in ("", "-requests", "-tokens"):
        remaining = headers.get(f"x-ratelimit-remaining{kind}", "").strip()
        if _NUMBER.fullmatch(remaining) and float(remaining) == 0:
            waits.append(_seconds(headers.get(f"x-ratelimit-reset{kind}", "").strip(), now))
    return max(waits)


def _seconds(text: str, now: float) -> float:
    if _NUMBER.fullmatch(text):
        number = float(text)
        if number < _EPOCH:
            return number
        return max(0.0, (number / 1000 if number > 1000 * _EPOCH else number) - now)
    if _DURATION.fullmatch(text):
        return sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))
    return 0.0


def backoff(failures: int, first: float, longest: float, rng: np.random.Generator) -> float:
    """Seconds to wait after so many failures, from half to all of min(longest, first 2^(n - 1)).

    The jitter keeps clients that failed together from coming back together.
    """
    whole = min(longest, first * 2.0 ** min(failures - 1, 60))
    return float(whole * rng.uniform(0.5, 1.0))
