"""What an HTTP response of an endpoint stands for: a reply, or an error of one of three kinds."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import final

from nlhf_repro.asking.chat_completions import MalformedResponseError, read_reply
from nlhf_repro.asking.rate_limits import exhausted_for, retry_after
from nlhf_repro.interfaces import JudgeReply

_AGAIN = {408, 409, 425, 429}  # and all from 500 on
_REFUSED = {400, 413, 422}
_SETTINGS_CODES = {
    "insufficient_quota",
    "model_not_found",
    "unknown_parameter",
    "unsupported_parameter",
    "unsupported_value",
}
_LONGEST_MESSAGE = 300


@final
class AttemptError(Exception):
    """An attempt that failed and may be repeated.

    Attributes:
        charged: whether it may have cost what a reply costs.
        limited: whether the rate limit turned it away.
        wait: seconds that the endpoint asks to wait; None where it does not.
    """

    def __init__(
        self, why: str, charged: bool = False, limited: bool = False, wait: float | None = None
    ) -> None:
        super().__init__(why)
        self.charged = charged
        self.limited = limited
        self.wait = wait


@final
class RefusedError(Exception):
    """The endpoint refuses this request, and would again."""


@final
class FatalError(Exception):
    """The endpoint refuses all requests: the key, the address or the settings are wrong."""


def reply_in(
    status: int, headers: Mapping[str, str], content: bytes, key: str | None
) -> JudgeReply:
    """The reply in a whole response.

    An unknown model, a field that the model does not take and a spent quota end everything,
    whatever their status, because every other request would fare the same.

    Args:
        status: of HTTP.
        headers: with names in lower case.
        content: the body.
        key: what no error may repeat.

    Raises:
        AttemptError: 408, 409, 425, 429 and 5xx; a body that is no chat completion.
        RefusedError: 400, 413, 422.
        FatalError: every other status.
    """
    if status == 200:
        try:
            return read_reply(json.loads(content))
        except MalformedResponseError as error:
            raise AttemptError(str(error), charged=True) from None
        except (ValueError, RecursionError):
            raise AttemptError("the response is no JSON", charged=True) from None
    code, message = _error_in(content)
    why = f"HTTP {status}" + (f": {message}" if message else "")
    why = why.replace(key, "(the key)") if key else why
    if code in _SETTINGS_CODES:
        raise FatalError(why)
    if status in _AGAIN or status >= 500:
        limited = status in (429, 503)
        wait = retry_after(headers, time.time())
        if wait is None and limited:
            wait = exhausted_for(headers, time.time())
        raise AttemptError(why, limited=limited, wait=wait)
    raise RefusedError(why) if status in _REFUSED else FatalError(why)


def _error_in(content: bytes) -> tuple[str, str]:
    """The code and the message of an error, in one line; OpenAI's form, FastAPI's, or any text."""
    text = content.decode("utf-8", "replace")
    code = ""
    try:
        payload = json.loads(text)
    except (ValueError, RecursionError):
        payload = None
    error = payload.get("error", payload) if isinstance(payload, dict) else None
    if isinstance(error, dict):
        code = str(error.get("code") or "")
        text = str(error.get("message") or error.get("detail") or text)
    elif error is not None:
        text = str(error)
    text = "".join(each if each.isprintable() else " " for each in text[: 8 * _LONGEST_MESSAGE])
    return code, " ".join(text.split())[:_LONGEST_MESSAGE]
