"""The stages of a comparison: a pair of policies, a policy and the reference, a responder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nlhf_repro.benchmarks.oracle_exploitability import OracleExploitability
from nlhf_repro.benchmarks.oracle_win_rate import OracleWinRate
from nlhf_repro.benchmarks.round_robin import reference_responders, round_robin
from nlhf_repro.interfaces import FeatureOracle, PolicySamples, Prompt
from nlhf_repro.pipeline.language.samples import read_samples
from nlhf_repro.pipeline.language.task import LanguageTask

Config = Mapping[str, Any]
WON, RESPONDERS, TRUTH = "won.npy", "responders.npy", "truth.npy"


def last_answers(folder: Path, prompts: Sequence[Prompt]) -> PolicySamples:
    """What the last recorded policy answered."""
    found = read_samples(folder, prompts)
    return found[max(found)]


def pair_stage(config: Config, first: Path, second: Path, folder: Path) -> None:
    """Write P(first over second), [prompts], the means over pairs of their answers."""
    prompts, oracle = _judged(config)
    samples = [last_answers(each, prompts) for each in (first, second)]
    np.save(folder / WON, round_robin(samples, oracle)[0, 1])


def reference_stage(config: Config, samples: Path, reference: Path, folder: Path) -> None:
    """Write P(policy over reference), what the reference's best answers gain, and the truth.

    The truth, the enumerated exploitability, only where the oracle reads features.
    """
    prompts, oracle = _judged(config)
    policy, other = (last_answers(each, prompts) for each in (samples, reference))
    np.save(folder / WON, OracleWinRate().score_samples(policy, other, oracle))
    np.save(folder / RESPONDERS, reference_responders([policy], other, oracle)[0])
    if isinstance(oracle, FeatureOracle):
        truth = OracleExploitability("split").score_samples(policy, other, oracle)
        np.save(folder / TRUTH, truth)


def _judged(config: Config) -> tuple[tuple[Prompt, ...], Any]:
    task = LanguageTask(config, None)
    return task.prompts(task.settings.evaluation_split), task.oracle()
