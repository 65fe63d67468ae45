"""Chat completions as the OpenAI API writes them: the body of a request, the reply in a response.

Source: the API's reference, "Create chat completion"; vLLM and `transformers serve` speak the same.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

from nlhf_repro.interfaces import JudgeReply, JudgeRequest

TokenLimit = Literal["max_tokens", "max_completion_tokens"]
"""The name of the limit: newer models of OpenAI take the second alone."""

OURS = ("model", "messages", "stream", "n")  # what extra_body must leave alone


class MalformedResponseError(ValueError):
    """A response that is no chat completion; the message says what is missing."""


def request_body(
    request: JudgeRequest,
    model: str,
    token_limit: TokenLimit,
    seed_draws: bool,
    extra_body: Mapping[str, Any],
) -> dict[str, Any]:
    """What is sent: one completion, temperature, token limit, log-probabilities where asked for.

    `seed` is the request's draw where `seed_draws`. `extra_body` goes over all of that; a null in
    it takes a field out, for a model that refuses it. Lone surrogates, which no server can encode,
    are sent as U+FFFD.
    """
    body: dict[str, Any] = {
        "model": model,
        "messages": [
            {"role": message.role, "content": sendable(message.content)}
            for message in request.messages
        ],
        "temperature": request.temperature,
        token_limit: request.max_tokens,
    }
    if request.top_logprobs:
        body |= {"logprobs": True, "top_logprobs": request.top_logprobs}
    if seed_draws:
        body["seed"] = request.draw
    return {name: value for name, value in {**body, **extra_body}.items() if value is not None}


def sendable(text: str) -> str:
    """The text with every lone surrogate replaced by U+FFFD, pairs of them joined."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def most_prompt_tokens(request: JudgeRequest) -> int:
    """No fewer tokens than the messages can have: one a byte, and 64 and 16 a message around them.

    Tokenizers that fall back to bytes need at most one token a byte; a chat template adds roles,
    marks and at times a short system message.
    """
    sizes = (len(sendable(message.content).encode()) + 16 for message in request.messages)
    return sum(sizes) + 64


def read_reply(payload: Any) -> JudgeReply:
    """The reply in a response: the first choice, and the tokens that the endpoint counted.

    A model's refusal to answer is an ordinary text. `first_token` is empty where the endpoint gives
    no log-probabilities. A reply that the endpoint's filter ended has `finish` = "error: ...".

    Raises:
        MalformedResponseError: it is no chat completion.
    """
    choices = _mapping(payload, "the response").get("choices")
    if not isinstance(choices, list) or not choices:
        raise MalformedResponseError("the response has no choices")
    choice = _mapping(choices[0], "the first choice")
    message = _mapping(choice.get("message"), "the message")
    text = message.get("content")
    if text is None:
        text = message.get("refusal") or ""
    if not isinstance(text, str):
        raise MalformedResponseError("the message's content is no text")
    usage = payload.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    return JudgeReply(
        text,
        _first_token(choice.get("logprobs")),
        _count(usage.get("prompt_tokens")),
        _count(usage.get("completion_tokens")),
        _finish(choice.get("finish_reason")),
    )


def _mapping(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise MalformedResponseError(f"{what} is no object")
    return value


def _first_token(logprobs: Any) -> dict[str, float]:
    """Alternatives of the first token; of two that read the same, the likelier."""
    content = logprobs.get("content") if isinstance(logprobs, dict) else None
    first = content[0] if isinstance(content, list) and content else None
    alternatives = first.get("top_logprobs") if isinstance(first, dict) else None
    found: dict[str, float] = {}
    for each in alternatives if isinstance(alternatives, list) else []:
        alternative = _mapping(each, "an alternative of the first token")
        token, log_prob = alternative.get("token"), alternative.get("logprob")
        if not isinstance(token, str) or not isinstance(log_prob, int | float) or not log_prob <= 0:
            raise MalformedResponseError("an alternative of the first token has no log-probability")
        found[token] = max(float(log_prob), found.get(token, -math.inf))
    return found


def _count(tokens: Any) -> int:
    return tokens if isinstance(tokens, int) and tokens >= 0 else 0


def _finish(reason: Any) -> str:
    if reason == "content_filter":
        return "error: the endpoint's content filter ended the reply"
    return "length" if reason == "length" else "stop"
