"""`nlhf run`: the Hydra application, one cell or a sweep of cells."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Sequence
from typing import Any

import hydra
import yaml
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from nlhf_repro.cells import single_cell
from nlhf_repro.config import (
    add_user_modules,
    conf_directory,
    override_key,
    search_path_override,
)
from nlhf_repro.interfaces import Algorithm, ImpossibleSettingError, TrainingSettings
from nlhf_repro.pipeline.cell import run_cell
from nlhf_repro.pipeline.keys import Config, is_language
from nlhf_repro.pipeline.language.answering import check_fits
from nlhf_repro.pipeline.language.parts import check_game_parts, check_language_parts
from nlhf_repro.pipeline.language.settings import (
    check_benchmarks,
    check_language_settings,
    check_oracle_scores,
    check_wrapped,
)
from nlhf_repro.pipeline.language.task import LanguageTask, language_settings
from nlhf_repro.pipeline.parts import build
from nlhf_repro.pipeline.scored import (
    judge_node,
    judge_of,
    judged_benchmark,
    kind_of,
    own_node,
)
from nlhf_repro.pipeline.settings import check_settings
from nlhf_repro.pipeline.stages import game_of
from nlhf_repro.validation import check_constructor, load_target
from nlhf_repro.verbs.fit_oracle import check_fit, fit_oracle
from nlhf_repro.verbs.result import full_report, short_report, show_warning
from nlhf_repro.verbs.sweep import named_cells, quote_row, sweep_of_cells


def run(overrides: Sequence[str], config_dir: str | None, multirun: bool) -> None:
    """Check every cell that the command line names, then hand the command line to Hydra.

    Raises:
        ImpossibleSettingError: before any cell has begun.
    """
    warnings.showwarning = show_warning
    arguments = [*search_path_override(config_dir), *at_scale(overrides)]
    add_user_modules(arguments)
    arguments = quote_row(arguments)
    arguments = sweep_of_cells(arguments) if multirun else arguments
    for cell in named_cells(arguments, multirun):
        check_parts(cell.config)
    hydra_main([*arguments, *(["--multirun"] if multirun else [])])


def show_configuration(overrides: Sequence[str], config_dir: str | None) -> None:
    """Print the resolved configuration of one cell as YAML; nothing is run.

    Raises:
        ImpossibleSettingError: where it is not sound.
    """
    arguments = [*search_path_override(config_dir), *at_scale(overrides)]
    add_user_modules(arguments)
    cell = single_cell(quote_row(arguments))
    sys.stdout.write(yaml.safe_dump(cell.config, sort_keys=False))


def at_scale(overrides: Sequence[str]) -> list[str]:
    """The overrides with the composition of their scale, mini where none is said.

    `scale=tabular` is the root of every composition: a policy on games. The others are
    conf/experiment/SCALE/default.yaml, which overrides and groups of the command line change.

    Raises:
        ImpossibleSettingError: a scale beside an experiment, which has its own.
    """
    scales = [x.partition("=")[2] for x in overrides if override_key(x) == "scale"]
    rest = [x for x in overrides if override_key(x) != "scale"]
    if any(override_key(x) == "experiment" for x in rest):
        if scales:
            raise ImpossibleSettingError(
                f"scale={scales[0]} beside experiment=: an experiment is SCALE/NAME, so drop scale."
            )
        return rest
    scale = scales[-1] if scales else "mini"
    return rest if scale == "tabular" else [f"experiment={scale}/default", *rest]


def hydra_main(arguments: Sequence[str]) -> None:
    """Run Hydra's main program; a failed job's exception comes through as it was raised."""
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")
    sys.argv = ["nlhf run", *arguments]
    main = hydra.main(version_base="1.3", config_path=str(conf_directory()), config_name="config")
    main(job)()


def job(config: DictConfig) -> None:
    """What Hydra runs, here or in a launcher's worker: one cell, mirrored by its tracker."""
    warnings.showwarning = show_warning
    node = HydraConfig.get()
    searched = [x for x in node.overrides.hydra if override_key(x) == "hydra.searchpath"]
    overrides = [*searched, *node.overrides.task]
    add_user_modules(overrides)
    cell = single_cell(overrides)
    check_parts(cell.config)
    if cell.config["fit"] is not None:
        sys.stdout.write("".join(f"{line}\n" for line in fit_oracle(cell.config)))
        return
    result = run_cell(cell.config, overrides)
    build(cell.config["tracker"]).mirror_cell(result.directory)
    report = full_report if node.mode == RunMode.RUN else short_report
    sys.stdout.write("".join(f"{line}\n" for line in report(cell, result)))


def check_parts(config: Config) -> None:
    """Check every class's arguments and build what is cheap, so that refusals precede work.

    Raises:
        ImpossibleSettingError: a constructor does not take its arguments, or refuses them.
    """
    nodes = _part_nodes(config)
    for name, node in nodes.items():
        check_constructor(name, node)
    if config["fit"] is not None:
        check_fit(config)
        return
    kinds = {name: load_target(name, node["_target_"]) for name, node in nodes.items()}
    (check_language_parts if is_language(config) else check_game_parts)(config, kinds)
    built = {name: build(node) for name, node in nodes.items() if name != "model"}
    algorithm = built["algorithm"]
    if not isinstance(algorithm, Algorithm):
        raise ImpossibleSettingError(
            f"algorithm._target_ = {config['algorithm']['_target_']} is no algorithm: give it what "
            "nlhf_repro.interfaces.Algorithm lists."
        )
    settings = TrainingSettings(**config["training"])
    budget = config["budget"]["comparisons"]
    model = build(config["model"])
    if is_language(config):
        wrappers = [x for name, x in built.items() if name.startswith("oracle_wrapper.")]
        language = language_settings(config)
        check_language_settings(algorithm, settings, language, wrappers, budget)
        task = LanguageTask(config, None)
        oracle = task.oracle()
        check_wrapped(wrappers, oracle)
        check_oracle_scores(algorithm, wrappers, oracle, task.prompts("training")[0])
        benchmarks = {name: built[f"benchmark.{name}"] for name in config["benchmark"]}
        check_benchmarks(benchmarks, language, oracle)
        check_asked(config)
    else:
        check_settings(algorithm, model, game_of(config), settings, budget)


def check_asked(config: Config) -> None:
    """Refuse judged benchmarks without a judge, and benchmarks whose files are not there.

    A judge that has `check` is asked what it lacks, as is that of the oracle. A benchmark's
    questions have to fit the model's positions, which `without_weights` of a model tells; of a
    class of yours that has none they are checked when the first question is answered.

    Raises:
        ImpossibleSettingError: before any model is trained.
    """
    if config["oracle"].get("judge"):
        _check_judge(build(config["oracle"]["judge"]).judge(config["world"]))
    for name, node in config["benchmark"].items():
        if kind_of(node) == "model":
            build(node).check()
        elif kind_of(node) == "judged":
            _check_judge(judge_of(config, name))
            benchmark = judged_benchmark(config, name)
            if not benchmark.questions():
                raise ImpossibleSettingError(f"benchmark.{name} has no questions: give it some.")
            if benchmark.compares:
                benchmark.baseline()
            check_fits(config, benchmark)


def _check_judge(judge: Any) -> None:
    if hasattr(judge, "check"):
        judge.check()


def _part_nodes(config: Config) -> dict[str, Any]:
    """Every node that names a class, by its key."""
    single = ("algorithm", "model", "oracle", "tracker", "prompts")
    nodes = {name: config[name] for name in single if config[name] is not None}
    nodes |= {f"oracle_wrapper.{name}": node for name, node in config["oracle_wrapper"].items()}
    for name in config["benchmark"]:
        nodes[f"benchmark.{name}"] = own_node(config, name)
        if kind_of(config["benchmark"][name]) == "judged":
            nodes[f"benchmark.{name}.judge"] = judge_node(config, name)
    return nodes
