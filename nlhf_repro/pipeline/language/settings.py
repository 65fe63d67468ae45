"""Which settings of a language run have a meaning together: said before any work begins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import takewhile
from math import inf, isinf
from typing import Any

from nlhf_repro.interfaces import (
    Algorithm,
    Collect,
    FeatureOracle,
    Fit,
    GroupedOracle,
    ImpossibleSettingError,
    LanguageSettings,
    LearnedOracleWrapper,
    Phase,
    Prompt,
    TextOracle,
    TrainingSettings,
)
from nlhf_repro.losses import PolicyGradient
from nlhf_repro.pipeline.settings import (
    check_budget,
    check_data_set,
    check_numbers,
    check_steps,
    check_temperatures,
)

NEEDED = {
    "needs_features": (FeatureOracle, "features"),
    "needs_groups": (GroupedOracle, "groups"),
}


def check_language_settings(
    algorithm: Algorithm,
    settings: TrainingSettings,
    language: LanguageSettings,
    wrappers: Sequence[Any],
    comparisons_budget: int | None,
) -> None:
    """Refuse what has no meaning for a language model, or would silently be ignored.

    Raises:
        ImpossibleSettingError: one sentence that names the key and the remedy.
    """
    check_numbers(settings)
    _check_language_numbers(language)
    _check_training(algorithm, settings)
    phases = list(algorithm.phases(0))
    check_steps(phases)
    check_temperatures([*phases, *algorithm.phases(1)])
    for phase in (*phases, *algorithm.phases(1)):
        _check_phase(phase, algorithm, language)
    if comparisons_budget is not None:
        learned = [x.comparisons for x in wrappers if isinstance(x, LearnedOracleWrapper)]
        if learned:  # nothing is asked after it is fitted
            _check_learned_budget(sum(learned), comparisons_budget)
        else:
            check_budget(phases, settings, comparisons_budget)
            check_data_set(algorithm, settings, comparisons_budget)


def check_benchmarks(
    benchmarks: Mapping[str, Any], language: LanguageSettings, oracle: TextOracle
) -> None:
    """Refuse benchmarks that the answers or the oracle would not satisfy, and a false selection.

    Raises:
        ImpossibleSettingError: naming the benchmark and the remedy.
    """
    truncated = language.top_p is not None or language.top_k is not None
    for name, benchmark in benchmarks.items():
        least = getattr(benchmark, "minimum_samples", 1)
        if language.evaluation_samples < least:
            raise ImpossibleSettingError(
                f"language.evaluation_samples = {language.evaluation_samples} is fewer than the "
                f"{least} answers a prompt that benchmark.{name} needs: raise it."
            )
        for needs, (kind, what) in NEEDED.items():
            if getattr(benchmark, needs, False) and not isinstance(oracle, kind):
                raise ImpossibleSettingError(
                    f"benchmark.{name} reads an oracle's {what}, and {type(oracle).__name__} has "
                    "none: drop it, as in benchmark=[oracle_win_rate]."
                )
        if truncated and getattr(benchmark, "reads_log_prob", False):
            raise ImpossibleSettingError(
                f"benchmark.{name} reads log-probabilities of the whole policy, and language.top_p "
                "and language.top_k draw from a truncated one: set both to null, or drop it."
            )
    _check_selection(benchmarks, language)


def _check_selection(benchmarks: Mapping[str, Any], language: LanguageSettings) -> None:
    if language.selection is None:
        if language.patience is not None:
            raise ImpossibleSettingError(
                f"language.patience = {language.patience} waits for better policies, and "
                "language.selection = null says of none that it is: choose a benchmark there."
            )
        return
    directed = [
        name
        for name, x in benchmarks.items()
        if getattr(x, "estimates_a_gap", False) or getattr(x, "more_is_better", False)
    ]
    if language.selection not in directed:
        known = ", ".join(directed) or "none of them"
        raise ImpossibleSettingError(
            f"language.selection = {language.selection} is no benchmark of this run that says "
            f"which policy is better: choose from {known}, or set it to null."
        )


def check_oracle_scores(
    algorithm: Algorithm, wrappers: Sequence[Any], oracle: TextOracle, prompt: Prompt
) -> None:
    """Refuse an algorithm that asks for scores of an oracle without, by asking for one.

    Raises:
        ImpossibleSettingError: the oracle's own sentence.
    """
    phases = (*algorithm.phases(0), *algorithm.phases(1))
    asks = any(isinstance(phase, Collect) and phase.labels == "score" for phase in phases)
    if asks and not any(isinstance(x, LearnedOracleWrapper) for x in wrappers):
        oracle.score([prompt], [""])


def check_wrapped(wrappers: Sequence[Any], oracle: TextOracle) -> None:
    """Refuse an oracle that a wrapper cannot have; a learned one answers by itself.

    Raises:
        ImpossibleSettingError: the wrapper's own sentence.
    """
    for wrapper in takewhile(lambda each: not isinstance(each, LearnedOracleWrapper), wrappers):
        if hasattr(wrapper, "check_oracle"):
            wrapper.check_oracle(oracle)


def _check_learned_budget(learned: int, budget: int) -> None:
    if learned > budget:
        raise ImpossibleSettingError(
            f"budget.comparisons = {budget} does not pay for the {learned} comparisons that the "
            "learned oracle is fitted to: raise it, or lower oracle_wrapper's."
        )


def _check_training(algorithm: Algorithm, settings: TrainingSettings) -> None:
    name = type(algorithm).__name__
    if settings.face != "sampled":
        raise ImpossibleSettingError(
            f"training.face = {settings.face} enumerates all responses, which a language model's "
            "are too many for: set training.face=sampled."
        )
    if settings.average_iterate:
        raise ImpossibleSettingError(
            "training.average_iterate = true has no meaning for a language model, whose mean of "
            "policies is no model: set it to false, or use algorithm=nash_ema for mean weights."
        )
    if settings.learning_rate is None:
        raise ImpossibleSettingError(
            "training.learning_rate = null is the rate of free logits, which a language model has "
            "not: set a rate."
        )
    rates = [algorithm.learning_rate(2, update) for update in (0, 1)]
    if rates[0] != rates[1]:
        raise ImpossibleSettingError(
            f"algorithm.step_size of {name} schedules the learning rate of free logits, which "
            "training.learning_rate would fix: give it one number."
        )


def _check_phase(phase: Phase, algorithm: Algorithm, language: LanguageSettings) -> None:
    name = type(algorithm).__name__
    if isinstance(phase, Collect):
        responders = (phase.candidate, *phase.opponent)
        uniform = any(isinf(each.temperature) for each in responders)
        if uniform and language.uniform_temperature is None:
            raise ImpossibleSettingError(
                f"{name} compares uniform responses, which exist only where responses can be "
                "enumerated: set language.uniform_temperature to a number, as EGPO's 2, or "
                "take an algorithm that learns from its own responses, such as inpo."
            )
        if language.backend == "generate" and any(len(x.mixture) > 1 for x in responders):
            raise ImpossibleSettingError(
                f"language.backend = generate cannot draw from the geometric mixture of {name}: "
                "set it to own."
            )
    elif isinstance(phase, Fit):
        if phase.gradient_steps is None:
            raise ImpossibleSettingError(
                "algorithm.gradient_steps = null solves for free logits: set a number of steps."
            )
        if isinstance(phase.loss, PolicyGradient):
            _check_policy_gradient(name, language)


def _check_policy_gradient(name: str, language: LanguageSettings) -> None:
    """Its estimator is that of the law which drew the responses, and of whole sequences."""
    if language.log_prob == "mean":
        raise ImpossibleSettingError(
            f"language.log_prob = mean is no log-probability, and {name} takes policy gradients: "
            "set it to sum."
        )
    if language.top_p is not None or language.top_k is not None:
        raise ImpossibleSettingError(
            f"language.top_p and language.top_k truncate the policy that {name} takes gradients "
            "of: set both to null."
        )


def _check_language_numbers(language: LanguageSettings) -> None:
    least = {"max_new_tokens": 1, "microbatch": 1, "evaluation_samples": 1, "warmup_steps": 0}
    least |= {"top_k": 1, "resume_every": 1, "weight_decay": 0, "sampling_batch": 1, "patience": 1}
    for name, bound in least.items():
        value = getattr(language, name)
        if value is not None and value < bound:
            raise ImpossibleSettingError(
                f"language.{name} = {value} must be at least {bound}: raise it."
            )
    if language.top_p is not None and not 0 < language.top_p <= 1:
        raise ImpossibleSettingError(
            f"language.top_p = {language.top_p} must lie in (0, 1]: set it inside, or to null."
        )
    if language.uniform_temperature is not None and not 0 < language.uniform_temperature < inf:
        raise ImpossibleSettingError(
            f"language.uniform_temperature = {language.uniform_temperature} must be a positive "
            "number: set one, or null to refuse algorithms that compare uniform responses."
        )
    if language.gradient_clip is not None and language.gradient_clip <= 0:
        raise ImpossibleSettingError(
            f"language.gradient_clip = {language.gradient_clip} must be positive: raise it, or set "
            "it to null."
        )
    tuning = language.fine_tuning
    if tuning is not None and (tuning.steps < 1 or tuning.batch_size < 1):
        raise ImpossibleSettingError(
            f"language.fine_tuning.steps = {tuning.steps} and batch_size = {tuning.batch_size} "
            "must be at least 1: raise them, or set language.fine_tuning=null."
        )
    if tuning is not None and not 0 <= tuning.warmup_steps <= tuning.steps:
        raise ImpossibleSettingError(
            f"language.fine_tuning.warmup_steps = {tuning.warmup_steps} does not lie within "
            f"language.fine_tuning.steps = {tuning.steps}: lower it."
        )
    if tuning is not None and tuning.learning_rate <= 0:
        raise ImpossibleSettingError(
            f"language.fine_tuning.learning_rate = {tuning.learning_rate} must be positive: raise "
            "it."
        )
