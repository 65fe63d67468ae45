"""What has no meaning for a language model is refused before any work, in one sentence."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from laboratory import algorithm
from mini_world import tiny_overrides

from nlhf_repro.cells import single_cell
from nlhf_repro.interfaces import ImpossibleSettingError
from nlhf_repro.verbs.run import check_parts

LEARNED = "oracle_wrapper=[bradley_terry_fit]"


def refusal(*overrides: str, tabular: bool = False) -> str:
    """The sentence of a composition on the mini world, or on games."""
    first = ["tracker=none"] if tabular else tiny_overrides()
    with pytest.raises(ImpossibleSettingError) as caught:
        check_parts(single_cell([*first, *overrides]).config)
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert sentence[-1] in ".?" and ". " not in sentence
    return sentence


def accepted(*overrides: str) -> None:
    check_parts(single_cell([*tiny_overrides(), *overrides]).config)


@pytest.mark.parametrize(
    ("override", "named", "remedy"),
    [
        ("language.max_new_tokens=0", "language.max_new_tokens = 0", "at least 1: raise it"),
        ("language.microbatch=0", "language.microbatch = 0", "at least 1: raise it"),
        ("language.evaluation_samples=0", "language.evaluation_samples = 0", "at least 1"),
        ("language.warmup_steps=-1", "language.warmup_steps = -1", "at least 0: raise it"),
        ("language.top_k=0", "language.top_k = 0", "at least 1: raise it"),
        ("language.resume_every=0", "language.resume_every = 0", "at least 1: raise it"),
        ("language.weight_decay=-0.1", "language.weight_decay = -0.1", "at least 0: raise it"),
        ("language.top_p=0", "language.top_p = 0", "(0, 1]: set it inside, or to null"),
        ("language.top_p=1.5", "language.top_p = 1.5", "(0, 1]: set it inside, or to null"),
        ("language.uniform_temperature=0", "language.uniform_temperature = 0", "set one, or null"),
        ("language.uniform_temperature=inf", "language.uniform_temperature = inf", "set one, or"),
        ("language.gradient_clip=0", "language.gradient_clip = 0", "raise it, or set it to null"),
        ("language.fine_tuning.steps=0", "language.fine_tuning.steps = 0", "fine_tuning=null"),
        ("language.fine_tuning.batch_size=0", "batch_size = 0", "fine_tuning=null"),
        ("language.fine_tuning.learning_rate=0", "fine_tuning.learning_rate = 0", "raise it"),
        ("training.iterations=0", "training.iterations = 0", "at least 1: raise it"),
        ("training.groups_per_iteration=0", "training.groups_per_iteration = 0", "raise it"),
        ("training.minibatch_size=0", "training.minibatch_size = 0", "raise it"),
        ("training.learning_rate=-1", "training.learning_rate = -1", "positive"),
        ("training.learning_rate=null", "training.learning_rate = null", "set a rate"),
        ("training.face=exact", "training.face = exact", "set training.face=sampled"),
        ("training.face=expected", "training.face = expected", "set training.face=sampled"),
        ("training.average_iterate=true", "training.average_iterate = true", "set it to false"),
        ("algorithm.gradient_steps=null", "algorithm.gradient_steps = null", "set a number"),
        ("algorithm.gradient_steps=0", "algorithm.gradient_steps = 0", "at least 1"),
        ("budget.comparisons=3", "budget.comparisons = 3", "raise it or lower"),
        ("language.schedule=linear", "language.schedule", "constant"),
        ("language.evaluation_split=test", "language.evaluation_split", "evaluation"),
        ("language.backend=vllm", "language.backend", "own"),
        ("+language.temperature=1", "language.temperature", "uniform_temperature"),
    ],
)
def test_a_setting_out_of_range_is_refused(override: str, named: str, remedy: str) -> None:
    sentence = refusal(override)
    assert named in sentence
    assert remedy in sentence


@pytest.mark.parametrize(
    ("overrides", "named", "remedy"),
    [
        (["algorithm=nash_md_pg", "language.log_prob=mean"], "NashMDPG", "set it to sum"),
        (["algorithm=rlhf", "language.top_p=0.9"], "RLHF", "set both to null"),
        (["algorithm=self_play", "language.top_k=5"], "NashMDPG", "set both to null"),
        (["algorithm=nash_md_pg", "language.backend=generate"], "NashMDPG", "set it to own"),
        (["algorithm=egpo", "language.uniform_temperature=null"], "EGPO", "uniform_temperature"),
        (["algorithm=rebel", "algorithm.labels=score"], "no common reward", "bradley_terry_fit"),
        (["algorithm=rlhf", "algorithm.reward=oracle"], "no common reward", "bradley_terry_fit"),
        (["algorithm=ipo", "budget.comparisons=400"], "groups_per_iteration = 4", "set it to 400"),
    ],
)
def test_an_algorithm_that_a_setting_does_not_fit_is_refused(overrides, named, remedy) -> None:
    sentence = refusal(*overrides)
    assert named in sentence
    assert remedy in sentence


@pytest.mark.parametrize(
    "overrides",
    [
        ["algorithm=nash_md_pg"],
        ["language.log_prob=mean", "language.top_p=0.9", "benchmark=[oracle_win_rate]"],
        ["algorithm=inpo", "language.backend=generate"],
        ["algorithm=egpo"],
        ["algorithm=rebel", "algorithm.labels=score", LEARNED],
        ["algorithm=rlhf", "algorithm.reward=oracle", "oracle.group_weights=[1,0,0]"],
        ["budget.comparisons=4"],
        ["language.fine_tuning=null"],
    ],
)
def test_what_fits_is_accepted(overrides: list[str]) -> None:
    accepted(*overrides)


@pytest.mark.parametrize(
    ("override", "named", "remedy"),
    [
        ("model=tabular_softmax", "model._target_", "model=mini_llama"),
        ("model=token_tree", "model._target_", "scale=tabular"),
        ("oracle=random_games", "oracle._target_", "oracle=annotators"),
        ("benchmark=[duality_gap]", "benchmark.duality_gap", "benchmark=[oracle_win_rate]"),
    ],
)
def test_a_part_of_games_is_refused_in_a_language_run(override, named, remedy) -> None:
    arguments = tiny_overrides() if override.split("=")[0] != "model" else []
    first = arguments or ["experiment=mini/default", "tracker=none"]
    with pytest.raises(ImpossibleSettingError) as caught:
        check_parts(single_cell([*removing(first, override), override]).config)
    assert named in str(caught.value) and remedy in str(caught.value)


def test_a_language_run_without_prompts_is_refused() -> None:
    config = {**single_cell(tiny_overrides()).config, "prompts": None}
    with pytest.raises(ImpossibleSettingError, match=r"prompts is null: choose .* prompts=posts"):
        check_parts(config)


def removing(arguments: list[str], override: str) -> list[str]:
    """Without the settings of the group that the override replaces."""
    group = override.split("=")[0]
    return [x for x in arguments if not x.startswith(f"{group}.")]


@pytest.mark.parametrize(
    ("override", "named", "remedy"),
    [
        ("prompts=posts", "prompts is set and language is null", "language=mini"),
        ("model=mini_llama", "model._target_", "language=mini and prompts=posts, or scale=mini"),
        ("oracle=annotators", "oracle._target_", "language=mini and prompts=posts, or scale=mini"),
        ("benchmark=[oracle_win_rate]", "benchmark.oracle_win_rate", "benchmark=[duality_gap]"),
        (LEARNED, "oracle_wrapper.bradley_terry_fit is fitted", "drop the wrapper"),
    ],
)
def test_a_language_part_is_refused_on_games(override: str, named: str, remedy: str) -> None:
    sampled = ["training.face=sampled", "training.learning_rate=0.1", "training.optimizer=sgd"]
    with pytest.raises(ImpossibleSettingError) as caught:
        check_parts(single_cell(["tracker=none", *sampled, override]).config)
    assert named in str(caught.value) and remedy in str(caught.value)


@dataclass(frozen=True)
class Scheduled:
    """INPO with a learning rate that an update changes."""

    method: object

    def __getattr__(self, name: str):
        return getattr(self.method, name)

    def learning_rate(self, actions: int, update: int) -> float:
        return 1.0 / (update + 1)


def test_a_scheduled_step_would_be_fixed_and_is_refused() -> None:
    from nlhf_repro.interfaces import TrainingSettings
    from nlhf_repro.pipeline.language.settings import check_language_settings
    from nlhf_repro.pipeline.language.task import language_settings

    config = single_cell(tiny_overrides()).config
    settings, language = TrainingSettings(**config["training"]), language_settings(config)
    with pytest.raises(ImpossibleSettingError, match=r"algorithm.step_size .* give it one number"):
        check_language_settings(Scheduled(algorithm("inpo")), settings, language, (), None)


@pytest.mark.parametrize(
    ("budget", "refused"), [(39, True), (40, False), (41, False), ("null", False)]
)
def test_a_budget_pays_for_what_a_learned_oracle_is_fitted_to(budget, refused) -> None:
    """Nothing is asked afterwards: the budget need not pay for an iteration."""
    overrides = [LEARNED, "oracle_wrapper.bradley_terry_fit.comparisons=40"]
    if not refused:
        accepted(*overrides, f"budget.comparisons={budget}")
        return
    sentence = refusal(*overrides, f"budget.comparisons={budget}")
    assert "budget.comparisons = 39 does not pay for the 40 comparisons" in sentence
    assert "raise it, or lower oracle_wrapper's" in sentence


def test_a_scale_has_no_place_beside_an_experiment() -> None:
    from nlhf_repro.verbs.run import at_scale

    assert at_scale(["seed=1"]) == ["experiment=mini/default", "seed=1"]
    assert at_scale(["scale=tabular", "seed=1"]) == ["seed=1"]
    assert at_scale(["experiment=tabular/check"]) == ["experiment=tabular/check"]
    with pytest.raises(ImpossibleSettingError, match="scale=mini beside experiment="):
        at_scale(["scale=mini", "experiment=tabular/check"])
