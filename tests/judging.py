"""Requests to judges about the post of `summary_texts`, and what a judge replies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from summary_texts import defaults, post

from nlhf_repro.conformance.judge_requests import CHOICES
from nlhf_repro.interfaces import Judge, JudgeReply, JudgeRequest, Material, Message, Prompt
from nlhf_repro.interfaces.judging import Form
from nlhf_repro.judges.annotator_panel import AnnotatorPanel
from nlhf_repro.oracles.annotators import AnnotatorGroups

FAMILY = AnnotatorGroups(**defaults("oracle/annotators"))
PLAIN = {"position_bias": 0.0, "verdict_noise": 0.0}


def panel(**changes: Any) -> AnnotatorPanel:
    settings = {**defaults("judge/annotator_panel"), "oracle": FAMILY}
    return AnnotatorPanel(**{**settings, **changes})


def request(
    form: Form,
    *answers: str,
    draw: int = 0,
    choices: Sequence[str] = (),
    prompt: Prompt | None = None,
    reference: str | None = None,
    name: str = "",
    **changes: Any,
) -> JudgeRequest:
    about = prompt or post()
    said = Material(
        form,
        about.messages,
        answers,
        tuple(choices) or CHOICES[form],
        about.details,
        reference,
        about.identifier,
    )
    rest = {"max_tokens": 50, "temperature": 0.0, "top_logprobs": 5, **changes}
    messages = rest.pop("messages", (Message("user", f"judge {name}"),))
    identifier = name or f"{form} {answers!r}"
    return JudgeRequest(identifier, messages, draw=draw, material=said, **rest)


def replies(judge: Judge, requests: Sequence[JudgeRequest]) -> list[JudgeReply]:
    found: dict[int, JudgeReply] = {}
    judge.answer(requests, found.__setitem__)
    return [found[row] for row in range(len(requests))]


def probability(reply: JudgeReply, choice: str) -> float:
    return float(np.exp(reply.first_token[choice]))
