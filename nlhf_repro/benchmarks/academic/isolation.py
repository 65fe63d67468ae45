"""What lm-eval would change around it and must not: random states, caches, the model's mode."""

from __future__ import annotations

import importlib
import logging
import random
import shutil
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np


@contextmanager
def undisturbed(model: Any) -> Iterator[None]:
    """The random states of `random`, numpy and torch, and the model's modes, are put back.

    Whatever happens inside; torch's include those of the devices that the model lies on.
    """
    import torch

    python, legacy = random.getstate(), np.random.get_state()  # noqa: NPY002 - what lm-eval reseeds
    modes = [(module, module.training) for module in model.modules()]
    places = {value.device for value in model.parameters() if value.device.type != "cpu"}
    with ExitStack() as states:
        states.enter_context(torch.random.fork_rng(devices=[]))
        for place in sorted(places, key=str):
            states.enter_context(
                torch.random.fork_rng(devices=[place.index or 0], device_type=place.type)
            )
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(legacy)  # noqa: NPY002
            for module, mode in modes:
                module.training = mode


def seed_documents() -> None:
    """Start `random` and numpy where lm-eval starts them, for tasks that shuffle their documents.

    GPQA's choices are in the order that this gives, for every policy and seed.
    """
    random.setstate(random.Random(_PYTHON).getstate())
    legacy = np.random.RandomState(_NUMPY)
    np.random.set_state(legacy.get_state())  # noqa: NPY002


def seed_answers(model: Any, seed: int) -> None:
    """Start torch's generators, for tasks that sample answers."""
    import torch

    torch.set_rng_state(torch.Generator().manual_seed(seed).get_state())
    for place in {value.device for value in model.parameters() if value.device.type == "cuda"}:
        state = torch.Generator(device=place).manual_seed(seed).get_state()
        torch.cuda.set_rng_state(state, place)


@contextmanager
def logged(path: Path) -> Iterator[None]:
    """What lm-eval logs, its progress bars among it, goes to a file and not to the terminal."""
    logger = logging.getLogger("lm_eval")
    with path.open("w", encoding="utf-8") as log, ExitStack() as changes:
        changes.enter_context(redirect_stderr(log))
        handler, level, up = logging.StreamHandler(log), logger.level, logger.propagate
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        logger.propagate = False
        changes.callback(logger.removeHandler, handler)
        changes.callback(logger.setLevel, level)
        changes.callback(setattr, logger, "propagate", up)
        yield


@contextmanager
def confined(folder: Path, shared_cache: bool) -> Iterator[None]:
    """No file outside of `folder` is written, but by the hub where its cache is shared.

    Prepared data sets lie in a folder inside, which is removed again. Nothing reports a download,
    and a metric that bootstraps starts no processes.
    """
    cache = folder / "cache"
    with ExitStack() as changes:
        changes.enter_context(patch.object(sys, "dont_write_bytecode", True))
        changes.enter_context(patch.dict("os.environ", {"DISABLE_MULTIPROC": "1"}))
        settings = importlib.import_module("datasets.config")
        values: dict[str, Any] = {"HF_UPDATE_DOWNLOAD_COUNTS": False}
        if not shared_cache:
            values |= {
                "HF_DATASETS_CACHE": cache,
                "DOWNLOADED_DATASETS_PATH": cache / "downloads",
                "EXTRACTED_DATASETS_PATH": cache / "downloads" / "extracted",
                "HF_MODULES_CACHE": cache / "modules",
            }
        for name, value in values.items():
            changes.enter_context(patch.object(settings, name, value))
        requests = importlib.import_module("lm_eval.caching.cache")
        changes.enter_context(patch.object(requests, "PATH", str(cache / "requests")))
        changes.callback(shutil.rmtree, cache, ignore_errors=True)
        yield


_PYTHON, _NUMPY = 0, 1234  # defaults of lm_eval.simple_evaluate, as EXAMPLES is
EXAMPLES = 1234
