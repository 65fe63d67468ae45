"""Composition: what ships composes and is sound, what is wrong is refused in one sentence."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from command import user_folder
from conftest import CONF
from needed_settings import NOT_HERE, needed

from nlhf_repro.cells import experiment_cells, row_overrides, single_cell
from nlhf_repro.config import compose_config, conf_directory, resolved_config, search_path_override
from nlhf_repro.interfaces import ImpossibleSettingError
from nlhf_repro.validation import check
from nlhf_repro.verbs.check import at_scale_of, subject_of
from nlhf_repro.verbs.listing import choices
from nlhf_repro.verbs.run import check_parts
from nlhf_repro.verbs.sweep import named_cells, quote_row, sweep_of_cells

GROUPS = (
    *("algorithm", "model", "oracle", "oracle_wrapper", "prompts", "judge", "benchmark"),
    *("language", "tracker", "table"),
)
PARTS = GROUPS[:7]
CHOICES = [(group, path.stem) for group in GROUPS for path in sorted((CONF / group).glob("*.yaml"))]
MINI = ["experiment=mini/default"]
SHARED = ("algorithm", "tracker")
ELSEWHERE = ("mini", "paper", "tabular")  # rows: test_experiments, test_paper_settings
EXPERIMENTS = sorted(
    path.relative_to(CONF / "experiment").with_suffix("").as_posix()
    for path in (CONF / "experiment").rglob("*.yaml")
    if path.parent.name not in ELSEWHERE or path == CONF / "experiment" / "mini" / "default.yaml"
)


def refusal(*overrides: str) -> str:
    with pytest.raises(ImpossibleSettingError) as caught:
        check_parts(single_cell(["tracker=none", *overrides]).config)
    sentence = str(caught.value)
    assert "\n" not in sentence
    return sentence


@pytest.mark.parametrize(("group", "choice"), CHOICES)
def test_every_choice_composes_and_fits_its_constructor(group: str, choice: str) -> None:
    """Choices of language tasks on the mini world, all others on games."""
    several = group in ("oracle_wrapper", "benchmark")
    override = f"{group}=[{choice}]" if several else f"{group}={choice}"
    needs = ["algorithm=inpo"] if group != "algorithm" else []
    needs += needed(group, choice)
    scale = scale_of(group, choice)
    if group == "oracle" and scale:
        needs.append("benchmark=[oracle_win_rate]")  # others need an oracle with features
    config = single_cell([*scale, override, *needs]).config
    if choice in NOT_HERE:
        with pytest.raises(ImpossibleSettingError, match=NOT_HERE[choice]):
            check_parts(config)
    else:
        check_parts(config)


def scale_of(group: str, choice: str) -> list[str]:
    if group == "language":
        return MINI
    return at_scale_of(subject_of(f"{group}={choice}", [], [])) if group in PARTS else []


@pytest.mark.parametrize(
    "override", [f"{group}={choice}" for group, choice in CHOICES if group in SHARED]
)
def test_what_serves_both_scales_composes_on_the_mini_world(override: str) -> None:
    check_parts(single_cell([*MINI, override]).config)


def test_a_language_part_is_checked_against_the_schema() -> None:
    subject = subject_of("prompts=posts", ["prompts.training=8"], [])
    assert subject.arguments["training"] == 8
    with pytest.raises(ImpossibleSettingError, match=r"training.iterations = 2.5 does not fit"):
        subject_of("prompts=posts", ["training.iterations=2.5"], [])
    with pytest.raises(ImpossibleSettingError, match=r"prompts.training = \"many\" does not fit"):
        subject_of("prompts=posts", ["prompts.training=many"], []).build()


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_row_of_every_experiment_is_sound(experiment: str) -> None:
    if experiment.endswith("/default"):  # the composition of a scale, without rows
        check_parts(single_cell([f"experiment={experiment}"]).config)
        return
    cells = experiment_cells([f"experiment={experiment}"])
    for cell in cells:
        check_parts(cell.config)
    assert len({cell.key for cell in cells}) == len(cells), "two rows compute the same"


def test_shipped_folder_is_found() -> None:
    assert conf_directory() == CONF.resolve()


@pytest.mark.parametrize(
    ("override", "named", "remedy"),
    [
        ("algorithm=inpoo", "algorithm=inpoo", "did you mean inpo?"),
        ("algoritm=inpo", "algoritm", "did you mean algorithm?"),
        ("algorithm.stepsize=3", "algorithm.stepsize", "did you mean algorithm.step_size?"),
        ("benchmark=[dualitygap]", "dualitygap", "did you mean duality_gap?"),
        ("+bugdet=3", "bugdet", "did you mean budget?"),
        ("+algorithm.zz=1", "algorithm.zz is no key of INPO", "choose from"),
        ("+oracle.gamess=1", "oracle.gamess is no key of RandomGames", "did you mean games?"),
        ("+training.iteratons=1", "training.iteratons", "did you mean iterations?"),
        ("algorithm.step_size=abc", 'algorithm.step_size = "abc"', "give float or harmonic"),
        ("algorithm.step_size=true", "algorithm.step_size = true", "give float or harmonic"),
        ("training.iterations=true", "training.iterations = true", "give int"),
        ("training.iterations=2.5", "training.iterations = 2.5", "give int"),
        ("training.face=exat", "training.face", "give exact or expected or sampled"),
        ("budget.comparisons=many", "budget.comparisons", "give int or null"),
        ("~algorithm.regularization", "algorithm.regularization is missing", "set it"),
        ("seed=one", "seed", "give int"),
        ("oracle.games=0.5", "oracle.games", "give int"),
        ("algorithm._target_=nowhere.Thing", "nowhere.Thing cannot be imported", "--config-dir"),
        ("algorithm.step_size=-1", "algorithm.step_size = -1", "set it"),
        ("hydra/launcher=joblb", "joblb", "did you mean joblib?"),
        ("algorithm.step_size=[", "algorithm.step_size=[", "quote"),
        ("row=A", "row=A is no row", "nothing to choose from"),
        ("algorithm={_target_: decimal.Context}", "algorithm", "Context"),
    ],
)
def test_refusals_name_the_key_and_the_remedy(override: str, named: str, remedy: str) -> None:
    sentence = refusal(override)
    assert named in sentence
    assert remedy in sentence


def test_interpolation_without_its_key_is_named() -> None:
    sentence = refusal(
        "benchmark=[regularized_duality_gap]",
        "benchmark.regularized_duality_gap.regularization=${algorithm.temperature}",
    )
    assert "benchmark.regularized_duality_gap.regularization" in sentence
    assert "algorithm.temperature" in sentence


def test_benchmarks_nest_under_their_own_keys() -> None:
    config = single_cell(["benchmark=[duality_gap,kl_to_equilibrium]"]).config
    assert list(config["benchmark"]) == ["duality_gap", "kl_to_equilibrium"]
    assert config["benchmark"]["kl_to_equilibrium"]["regularization"] == 0.1


def test_integers_pass_for_floats_and_lists_for_tuples() -> None:
    check("key", 3, float)
    check("key", [1, 2.5], tuple[float, ...])
    with pytest.raises(ImpossibleSettingError, match=r"key = \[1, true\] does not fit"):
        check("key", [1, True], tuple[float, ...])


def experiment(folder: Path) -> list[str]:
    return [*search_path_override(str(user_folder(folder))), "experiment=tabular/small"]


def test_a_row_needs_to_be_chosen(tmp_path: Path) -> None:
    with pytest.raises(ImpossibleSettingError, match=r"choose one with row=LABEL .* or .* -m"):
        single_cell(experiment(tmp_path))


def test_a_row_brings_its_overrides_and_users_may_add_others(tmp_path: Path) -> None:
    overrides = [*experiment(tmp_path), "row='A, quick'", "seed=5", "training.iterations=7"]
    config = single_cell(overrides).config
    assert config["algorithm"]["step_size"] == 0.1
    assert (config["training"]["iterations"], config["seed"]) == (7, 5)


def test_an_override_that_meets_the_rows_own_is_refused(tmp_path: Path) -> None:
    overrides = [*experiment(tmp_path), "row=C", "algorithm.step_size=9"]
    with pytest.raises(ImpossibleSettingError, match=r"algorithm.step_size=9 .* row 'C'"):
        single_cell(overrides)


def test_rows_choose_groups_and_values_together() -> None:
    rows = {"A": ["algorithm=sppo", "algorithm.step_size=0.7"]}
    overrides = row_overrides(["tracker=none", "seed=3"], "A", rows)
    config = resolved_config(compose_config(overrides))
    assert config["algorithm"]["_target_"].endswith("SPPO")
    assert config["algorithm"]["step_size"] == 0.7


def test_multirun_sweeps_rows_and_seeds(tmp_path: Path) -> None:
    arguments = experiment(tmp_path)
    swept = sweep_of_cells(arguments)
    assert swept[-2:] == ["row='A, quick','B (it\\'s)','C'", "seed=0,1"]
    assert [cell.row for cell in named_cells(swept, multirun=True)] == ["A, quick", "B (it's)", "C"]
    assert sweep_of_cells([*arguments, "seed=4"])[-2] == "seed=4"
    assert quote_row([*arguments, "row=B (it's)"])[-1] == "row='B (it\\'s)'"


def test_exact_rows_have_one_cell_whatever_the_seeds(tmp_path: Path) -> None:
    cells = experiment_cells(experiment(tmp_path))
    assert [(cell.row, cell.seed) for cell in cells] == [("A, quick", 0), ("B (it's)", 0), ("C", 0)]
    sampled = [*experiment(tmp_path / "2"), "training.face=sampled"]
    assert len(experiment_cells(sampled)) == 6


def test_a_file_that_a_shipped_one_hides_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "algorithm" / "inpo.yaml"
    path.parent.mkdir()
    path.write_text("_target_: mine.Mine\n")
    with pytest.raises(ImpossibleSettingError, match=r"algorithm/inpo.yaml ships .* rename yours"):
        search_path_override(str(tmp_path))
    path.rename(path.with_name("mine.yaml"))
    assert search_path_override(str(tmp_path))


@pytest.mark.parametrize("group", [*GROUPS[:8], "experiment"])
def test_the_first_line_of_what_is_listed_says_what_it_is_and_its_source(group: str) -> None:
    listed = choices([CONF])[group]
    assert listed and (group != "experiment" or {"mini/default", "mini/one_world"} <= set(listed))
    for name, line in listed.items():
        assert re.search(r"^\S.* \(.+\)$", line), f"{group}/{name}: {line!r}"
