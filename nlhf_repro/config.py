"""What a run is configured by: the schema, and the composition."""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from nlhf_repro.interfaces import ImpossibleSettingError, LanguageSettings, TrainingSettings
from nlhf_repro.pipeline.parts import build
from nlhf_repro.preferences.settings import OracleFit
from nlhf_repro.validation import Target, check, check_constructor, suggestion

Config = dict[str, Any]


@dataclass(frozen=True)
class Seeds:
    """Training seeds of an experiment, and whether rows share the draws of equal seeds."""

    values: list[int]
    design: Literal["independent", "matched"]


@dataclass(frozen=True)
class Budget:
    """Where training stops: comparisons per training problem, null for no limit."""

    comparisons: int | None


@dataclass(frozen=True)
class Grid:
    """Points at which every row of an experiment is run: a number, and the overrides it stands for.

    The number is the position on a figure's axis; `name` says in labels and on axes what it counts.
    """

    name: str
    values: dict[str, list[str]]


@dataclass(frozen=True)
class RunConfig:
    """Every top-level key of a configuration."""

    name: str
    seed: int
    world: int
    worlds: list[int] | None
    row: str | None
    rows: dict[str, list[str]]
    grid: Grid | None
    tuning: str | None
    untuned: list[str]
    search: dict[str, Any] | None
    trial: list[str]
    seeds: Seeds
    training: TrainingSettings
    budget: Budget
    output_dir: str
    algorithm: Target
    model: Target
    oracle: Target
    oracle_wrapper: dict[str, Target]
    benchmark: dict[str, Target]
    judge: Target | None
    tracker: Target
    prompts: Target | None
    language: LanguageSettings | None
    fit: OracleFit | None
    table: dict[str, Any] | None = field(default=None)


def conf_directory() -> Path:
    """The folder of the configurations that ship: in the package, or beside it in a checkout."""
    package = Path(__file__).resolve().parent
    for folder in (package / "conf", package.parent / "conf"):
        if (folder / "config.yaml").is_file():
            return folder
    raise ImpossibleSettingError(
        f"No conf/config.yaml lies in or beside {package}: install nlhf_repro again."
    )


def search_path_override(config_dir: str | None) -> list[str]:
    """The override that adds a user's own folder of configurations.

    Its folder's parent, and the current folder, are where the user's modules are looked for.

    Raises:
        ImpossibleSettingError: no such folder, or a file in it that a shipped one hides.
    """
    if config_dir is None:
        return []
    folder = Path(config_dir).resolve()
    if not folder.is_dir():
        raise ImpossibleSettingError(
            f"--config-dir {config_dir} is no folder: give one that exists."
        )
    _refuse_hidden(folder)
    return [f"hydra.searchpath=['file://{folder}']"]


def _refuse_hidden(folder: Path) -> None:
    """Hydra takes a shipped file before a user's of the same name, which would never be read."""
    if folder == conf_directory():
        return
    for path in sorted(folder.rglob("*.yaml")):
        name = path.relative_to(folder)
        if name.parts[0] != "tuned" and (conf_directory() / name).is_file():
            raise ImpossibleSettingError(
                f"{path} would never be read, because {name} ships with nlhf_repro: rename yours."
            )


def search_folders(overrides: Sequence[str]) -> list[Path]:
    """Every folder of configurations that a command line searches, the shipped one first."""
    found = [conf_directory()]
    for override in overrides:
        if override.startswith("hydra.searchpath="):
            found += [Path(path) for path in re.findall(r"file://([^'\"\],]+)", override)]
    return found


def add_user_modules(overrides: Sequence[str]) -> None:
    """Let `_target_` name modules in the current folder and beside a user's configurations."""
    for folder in [Path.cwd(), *(path.parent for path in search_folders(overrides)[1:])]:
        if str(folder) not in sys.path:
            sys.path.append(str(folder))


def compose_config(overrides: Sequence[str], hydra_node: bool = False) -> DictConfig:
    """The composed configuration, interpolations unresolved.

    Raises:
        ImpossibleSettingError: one sentence on what Hydra could not compose.
    """
    with hydra_setup():
        try:
            return compose("config", list(overrides), return_hydra_config=hydra_node)
        except (HydraException, OmegaConfBaseException, ValueError) as error:
            raise ImpossibleSettingError(_sentence(error, overrides)) from error


def resolved_config(config: DictConfig) -> Config:
    """Plain values, every interpolation resolved, checked against the schema.

    Raises:
        ImpossibleSettingError: naming the key that does not fit.
    """
    plain = _plain(config)
    algorithm = plain.get("algorithm")
    if isinstance(algorithm, dict) and algorithm.get("regularization", 0.0) is None:
        plain = {**_plain(_with_regularization(config, algorithm)), "algorithm": algorithm}
    check("", plain, RunConfig)
    return plain


def _plain(config: DictConfig) -> Config:
    try:
        plain = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise ImpossibleSettingError(_first_lines(error)) from error
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}


def _with_regularization(config: DictConfig, algorithm: Config) -> DictConfig:
    """The configuration with the number that the algorithm makes of a regularization of null.

    Benchmarks take theirs from it. What is declared stays null, since a search that varies the step
    would otherwise find another problem at every step.

    Raises:
        ImpossibleSettingError: the algorithm takes no null, or refuses its settings.
    """
    check("algorithm", algorithm, Target)
    check_constructor("algorithm", algorithm)
    number = build(algorithm).regularization
    if number is None:
        raise ImpossibleSettingError(
            "algorithm.regularization = null, and the algorithm makes no number of it, which its "
            "benchmarks need: give a number."
        )
    filled = config.copy()
    filled.algorithm.regularization = float(number)
    return filled


def override_key(override: str) -> str:
    """What an override sets: `algorithm` of `algorithm=inpo`, `a.b` of `+a.b=1`."""
    return override.partition("=")[0].lstrip("+~").partition("@")[0]


@contextlib.contextmanager
def hydra_setup() -> Iterator[None]:
    """Hydra set up for `compose`, also inside of a Hydra job, whose own set-up is kept aside."""
    outer = GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(conf_directory()), version_base="1.3", job_name="nlhf"):
            yield
    finally:
        GlobalHydra.instance().hydra = outer


def parse_overrides(overrides: Sequence[str]) -> list[Any]:
    """Hydra's own reading of overrides.

    Raises:
        ImpossibleSettingError: where one does not parse.
    """
    try:
        return list(OverridesParser.create().parse_overrides(list(overrides)))
    except HydraException as error:
        raise ImpossibleSettingError(_sentence(error, overrides)) from error


def _sentence(error: Exception, overrides: Sequence[str]) -> str:
    """Hydra's complaint in one sentence, with the closest key or choice."""
    text = str(error)
    choice = re.search(r"Could not (?:find|load) '([^']+)'", text)
    if choice:
        return _unknown_choice(choice[1].removesuffix(".yaml"), overrides)
    key = re.search(r"Could not override '([^']+)'", text)
    if key:
        return f"{key[1]} is no key of this configuration: {suggestion(key[1], _keys(overrides))}"
    if isinstance(error, OverrideParseException):
        return (
            f"{error.override} is no override that Hydra can read: write key=value, and quote a "
            "value with spaces or brackets twice, as in key='\"a b\"'."
        )
    return _first_lines(error)


def _unknown_choice(choice: str, overrides: Sequence[str]) -> str:
    group, _, name = choice.rpartition("/")
    if group.startswith("experiment"):
        group, name = "experiment", choice.removeprefix("experiment/")
    folders = [folder / group for folder in search_folders(overrides)]
    options = {
        path.relative_to(folder).with_suffix("").as_posix()
        for folder in folders
        for path in folder.rglob("*.yaml")
    }
    if group.startswith("hydra/"):
        with hydra_setup():
            options |= set(GlobalHydra.instance().config_loader().get_group_options(group))
    if not group or not options:
        groups = {path.name for folder in search_folders(overrides) for path in folder.iterdir()}
        return f"{choice} is no choice: {suggestion(group or choice, groups)}"
    return f"{group}={name} is no choice: {suggestion(name, options)}"


def _keys(overrides: Sequence[str]) -> list[str]:
    """Dotted keys, and groups, of the configuration that the group choices alone compose."""
    folders = [path for path in conf_directory().iterdir() if path.is_dir()]
    groups = {folder.name for folder in folders}
    chosen = [each for each in overrides if override_key(each) in {*groups, "hydra.searchpath"}]
    with hydra_setup(), contextlib.suppress(HydraException, OmegaConfBaseException):
        node = OmegaConf.to_container(compose("config", chosen), resolve=False)
        return [*groups, *_dotted(node)]
    return list(groups)


def _dotted(node: Any, prefix: str = "") -> Iterator[str]:
    if isinstance(node, dict):
        for key, child in node.items():
            yield f"{prefix}{key}"
            yield from _dotted(child, f"{prefix}{key}.")


def _first_lines(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    key = next(
        (line.split(":", 1)[1].strip() for line in lines if line.startswith("full_key:")), ""
    )
    sentence = lines[0].rstrip(".") if lines else type(error).__name__
    if sentence.startswith("Interpolation to parent node"):
        return f"{key} would take its value from what it is a part of: set it or choose otherwise."
    return f"{key}: {sentence}; set it or choose otherwise." if key else f"{sentence}."
