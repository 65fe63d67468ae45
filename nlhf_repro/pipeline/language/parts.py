"""Whether the parts of a configuration are all of language tasks, or all of games."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nlhf_repro.interfaces import ImpossibleSettingError

PARTS = {
    "model": ("base", "has no weights for texts: take model=mini_llama, or scale=tabular"),
    "prompts": ("prompts", "has no prompts: take prompts=posts"),
    "oracle": ("oracle", "answers about games alone: take oracle=annotators, or scale=tabular"),
}
SCORING = ("score_samples", "requests", "score_model")  # methods of benchmarks of answers


def check_language_parts(config: Mapping[str, Any], kinds: Mapping[str, type]) -> None:
    """Refuse parts of games; `kinds` holds the class of every part, benchmarks as benchmark.NAME.

    Raises:
        ImpossibleSettingError: naming the part and what to take in its place.
    """
    if config["prompts"] is None:
        raise ImpossibleSettingError(
            "language is set and prompts is null: choose what is answered, as in prompts=posts."
        )
    for name, (method, remedy) in PARTS.items():
        if not hasattr(kinds[name], method):
            raise ImpossibleSettingError(f"{name}._target_ = {_path(kinds[name])} {remedy}.")
    for name, kind in kinds.items():
        scores = any(hasattr(kind, method) for method in SCORING)
        if name.startswith("benchmark.") and not name.endswith(".judge") and not scores:
            raise ImpossibleSettingError(
                f"{name} scores policies on games, and a language model is trained: take "
                "benchmark=[oracle_win_rate], or scale=tabular."
            )
        of_texts = hasattr(kind, "wrap_text") or hasattr(kind, "learn")
        if name.startswith("oracle_wrapper.") and not of_texts:
            raise ImpossibleSettingError(
                f"{name} changes answers about games alone: give {_path(kind)} a method "
                "wrap_text, or take scale=tabular."
            )


def check_game_parts(config: Mapping[str, Any], kinds: Mapping[str, type]) -> None:
    """Refuse parts of language tasks where a policy plays games.

    Raises:
        ImpossibleSettingError: naming the part and what to take in its place.
    """
    remedy = "choose language=mini and prompts=posts, or scale=mini"
    if config["prompts"] is not None:
        raise ImpossibleSettingError(f"prompts is set and language is null: {remedy}.")
    for name, method in (("model", "base"), ("oracle", "oracle")):
        if hasattr(kinds[name], method):
            raise ImpossibleSettingError(
                f"{name}._target_ = {_path(kinds[name])} is a part of language tasks, and language "
                f"is null: {remedy}."
            )
    for name, kind in kinds.items():
        reads_text = any(hasattr(kind, method) for method in SCORING)
        if name.startswith("benchmark.") and reads_text:
            raise ImpossibleSettingError(
                f"{name} scores answers of a language model, and a policy plays games here: take "
                f"benchmark=[duality_gap], or {remedy}."
            )
        if name.startswith("oracle_wrapper.") and hasattr(kind, "learn"):
            raise ImpossibleSettingError(
                f"{name} is fitted to answers about texts, and a policy plays games here: drop the "
                f"wrapper, or {remedy}."
            )
        if name.startswith("oracle_wrapper.") and not hasattr(kind, "wrap"):
            raise ImpossibleSettingError(
                f"{name} changes answers about texts, and a policy plays games here: drop the "
                f"wrapper, or {remedy}."
            )


def _path(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"
