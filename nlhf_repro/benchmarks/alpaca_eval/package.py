"""What the installed alpaca-eval package decides: configurations, prompts, order, parsing.

The package's own functions are called, with three traps handled. Its import sets the level of the
root logger and asks for the name of the user, which containers may not have. It fills a template
that is one string of ChatML, so that an answer with `<|im_end|>` cuts the judge's prompt off and
one with `{output_2}` is filled in itself: here the template is split into messages first and all of
its places are filled at once, which gives the same messages for answers without such marks.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from nlhf_repro.interfaces import ImpossibleSettingError, JudgeReply, Message

_PLACES = re.compile(r"\{(instruction|output_1|output_2)\}")


@cache
def configuration(name: str) -> Mapping[str, Any]:
    """The package's evaluator of this name: prompt_template, completions_kwargs, parser, ...

    Raises:
        ImpossibleSettingError: the package has none, or it does not read log-probabilities of
            answers that are compared one pair at a time.
    """
    path = _root() / "evaluators_configs" / name / "configs.yaml"
    if not path.is_file():
        raise ImpossibleSettingError(
            f"alpaca-eval {version('alpaca-eval')} has no evaluator {name}: choose a folder of its "
            "evaluators_configs, such as weighted_alpaca_eval_gpt4_turbo."
        )
    found: Mapping[str, Any] = yaml.safe_load(path.read_text())[name]
    if found["fn_completion_parser"] != "logprob_parser" or found.get("batch_size", 1) != 1:
        raise ImpossibleSettingError(
            f"alpaca-eval's evaluator {name} does not read log-probabilities of single pairs: "
            "choose a weighted one, such as weighted_alpaca_eval_gpt4_turbo."
        )
    return found


@cache
def template(path: str) -> tuple[Message, ...]:
    """A prompt template of the package, as messages with the places {instruction}, ..."""
    text = (_root() / "evaluators_configs" / path).read_text()
    with _imported():
        from alpaca_eval.utils import prompt_to_chatml

        return tuple(Message(turn["role"], turn["content"]) for turn in prompt_to_chatml(text))


def filled(messages: tuple[Message, ...], row: Mapping[str, str]) -> tuple[Message, ...]:
    """The messages with every place filled; what stands in an answer is text and no place."""
    return tuple(
        Message(each.role, _PLACES.sub(lambda place: row[place[1]], each.content))
        for each in messages
    )


def switched(instructions: Sequence[str], seed: int) -> list[bool]:
    """Whether the outputs of every instruction are shown in exchanged order."""
    with _imported():
        import pandas as pd
        from alpaca_eval.processors import RandomSwitchTwoColumnsProcessor

        order = RandomSwitchTwoColumnsProcessor(
            two_columns_to_switch=["output_1", "output_2"],
            random_seed_columns=["instruction"],
            seed=seed,
            _switch_column="is_switched_outputs",
        )
        rows = pd.DataFrame({"instruction": list(instructions), "output_1": "1", "output_2": "2"})
        return [bool(each) for each in order.preprocess(rows)["is_switched_outputs"]]


def parsed(reply: JudgeReply, parser_settings: Mapping[str, Any]) -> float:
    """The preference in [1, 2] for what was shown second; NaN where no label has a probability."""
    if not reply.first_token:
        return float("nan")
    tokens = [{"token": t, "logprob": p} for t, p in reply.first_token.items()]
    with _imported():
        from alpaca_eval.completion_parsers import logprob_parser

        completion = {"logprobs": {"content": [{"top_logprobs": tokens}]}}
        return float(logprob_parser(completion, **parser_settings)[0])


@cache
def _root() -> Path:
    found = importlib.util.find_spec("alpaca_eval")
    assert found is not None and found.origin is not None
    return Path(found.origin).parent


@contextmanager
def _imported() -> Iterator[None]:
    """The package may be imported and called inside; loggers and environment stay as they are."""
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    named = "LOGNAME" in os.environ
    os.environ.setdefault("LOGNAME", "nlhf_repro")
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)
        root.setLevel(level)
        root.handlers[:] = handlers
        if not named:
            del os.environ["LOGNAME"]
