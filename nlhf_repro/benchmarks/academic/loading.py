"""Tasks of lm-eval in memory, with the shots that are asked for and documents that stay.

Everything that can be missing (a package, a gated data set, the network) is said in one sentence.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from nlhf_repro.benchmarks.academic.isolation import seed_documents
from nlhf_repro.benchmarks.academic.task_files import needs_lm_evals_own
from nlhf_repro.interfaces import ImpossibleSettingError

_IFEVAL = ("langdetect", "immutabledict", "nltk")
_GATED = "Idavidrein/gpqa"


def require_packages_and_data(names: Sequence[str]) -> None:
    """What IFEval imports is installed, and GPQA's gated data can be asked for; no network is used.

    Raises:
        ImpossibleSettingError: what is missing, and how to get it.
    """
    for name in names:
        if "ifeval" in name or name == "leaderboard":
            _require_ifeval(name)
        if ("gpqa" in name or name == "leaderboard") and not _may_load_gpqa():
            raise ImpossibleSettingError(
                f"{name} has gated data: accept the terms of {_GATED} on the hub and run hf auth "
                "login, or leave it out of tasks."
            )


def _require_ifeval(name: str) -> None:
    missing = [package for package in _IFEVAL if find_spec(package) is None]
    if missing:
        raise ImpossibleSettingError(
            f"{name} needs {', '.join(missing)}: pip install 'lm-eval[ifeval]', or leave it out of "
            "tasks."
        )
    if not any(any(place.glob("tokenizers/punkt_tab*")) for place in _nltk_places()):
        raise ImpossibleSettingError(
            f"{name} needs nltk's punkt_tab: run python -m nltk.downloader punkt_tab, or leave it "
            "out of tasks."
        )


def _nltk_places() -> list[Path]:
    """Where nltk looks for its data, without the seconds that importing it takes."""
    named = [Path(each) for each in os.environ.get("NLTK_DATA", "").split(os.pathsep) if each]
    prefix = Path(sys.prefix)
    return [
        *named,
        Path("~/nltk_data").expanduser(),
        *(prefix / part for part in ("nltk_data", "share/nltk_data", "lib/nltk_data")),
        *(Path(part) / "nltk_data" for part in ("/usr/share", "/usr/local/share", "/usr/lib")),
        Path("/usr/local/lib/nltk_data"),
    ]


def _may_load_gpqa() -> bool:
    from huggingface_hub import constants, get_token

    name = _GATED.replace("/", "--")
    prepared = os.environ.get("HF_DATASETS_CACHE", os.path.join(constants.HF_HOME, "datasets"))
    cached = Path(constants.HF_HUB_CACHE, f"datasets--{name}").is_dir() or any(
        Path(prepared).glob(f"*{name.partition('--')[2]}*")
    )
    return cached or get_token() is not None


def load_tasks(
    names: Sequence[str], shots: Mapping[str, int | None], folder: Path | None
) -> tuple[dict[str, Any], dict[str, tuple[str, ...]]]:
    """Tasks and groups for `lm_eval.evaluate`, and the tasks that each name stands for.

    Raises:
        ImpossibleSettingError: a name cannot be loaded, holds a task of another one, or cannot have
            the shots that it is given.
    """
    from lm_eval.tasks import TaskManager

    manager = TaskManager(
        include_path=None if folder is None else str(folder),
        include_defaults=needs_lm_evals_own(names, folder),
    )
    together: dict[str, Any] = {"tasks": {}, "groups": {}, "group_map": {}}
    members: dict[str, tuple[str, ...]] = {}
    for name in names:
        loaded = _loaded(manager, name)
        members[name] = tuple(loaded["tasks"])
        for task in sorted(set(loaded["tasks"]) & set(together["tasks"])):
            other = next(each for each, tasks in members.items() if task in tasks)
            raise ImpossibleSettingError(
                f"{task} is in {other} and in {name}: leave one of them out of tasks."
            )
        for task in loaded["tasks"].values():
            _set_shots(task, name, shots.get(name))
            _keep_documents(task)
        for part in together:
            together[part] |= loaded[part]
    return together, members


def _loaded(manager: Any, name: str) -> dict[str, Any]:
    seed_documents()  # so that a task's documents do not depend on those before it
    try:
        loaded: dict[str, Any] = manager.load([name])
    except ModuleNotFoundError as error:
        raise ImpossibleSettingError(
            f"{name} needs the package {error.name}: install it, or leave {name} out of tasks."
        ) from error
    except KeyError as error:
        raise ImpossibleSettingError(
            f"{name} cannot be loaded by lm-eval ({_sentence(error)}): choose another task."
        ) from error
    except Exception as error:  # the hub's and the network's have no common class
        cure = "look at its data files and its YAML"
        if "gated" in str(error).lower():
            cure = "accept the data's terms on the hub and run hf auth login"
        elif isinstance(error, ConnectionError) or type(error).__module__.startswith(
            ("httpx", "requests", "huggingface_hub")
        ):
            cure = "load it once where there is a network, which keeps it in Hugging Face's cache"
        raise ImpossibleSettingError(
            f"the data of {name} cannot be loaded ({type(error).__name__}: {_sentence(error)}): "
            f"{cure}, or leave {name} out of tasks."
        ) from error
    if not loaded["tasks"]:
        raise ImpossibleSettingError(f"{name} holds no task: choose another.")
    return loaded


def _set_shots(task: Any, name: str, wanted: int | None) -> None:
    """As lm-eval does, which leaves a task at 0 that says 0; here that is refused."""
    fixed = task.get_config("num_fewshot")
    if wanted is None:
        task.set_config(key="num_fewshot", value=fixed or 0)
        return
    if fixed == 0 and wanted != 0:
        raise ImpossibleSettingError(
            f"shots.{name} = {wanted}, but {task.task_name} is a task without examples: set "
            f"shots.{name}=0, or take another task."
        )
    if wanted and _shows_what_it_asks(task):
        raise ImpossibleSettingError(
            f"shots.{name} = {wanted}, but {task.task_name} has no other documents for examples "
            f"than those it asks about: set shots.{name}=0."
        )
    task.set_config(key="num_fewshot", value=wanted)


def _shows_what_it_asks(task: Any) -> bool:
    """Whether a document could be among its own examples, with its answer.

    lm-eval falls back from a split for examples to training, validation and test, and takes the
    document out of its examples only where the split for examples is the test split.
    """
    config, declared = task.config, task.fewshot_cfg
    if declared.split is None and declared.samples is not None:
        return False
    pool = declared.split or config.training_split or config.validation_split or config.test_split
    asked = config.test_split or config.validation_split
    return bool(pool == asked and declared.split != config.test_split)


def _keep_documents(task: Any) -> None:
    """Hold on to the documents that were prepared first.

    lm-eval prepares them again whenever it reads them, and a task that shuffles would be scored on
    other documents than it asked about.
    """
    if task.get_config("process_docs") is None:
        return
    split = task.config.test_split if task.has_test_docs() else task.config.validation_split
    task.dataset = {**task.dataset, split: task.task_docs}
    task.set_config(key="process_docs", value=None)


def _sentence(error: BaseException) -> str:
    return " ".join(str(error).split()).partition(". ")[0].rstrip(".:")[:200]
