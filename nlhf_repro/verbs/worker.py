"""The child process of `nlhf reproduce`: hands cells to the composed Hydra launcher.

It reads one line of JSON, {"overrides": [...], "jobs": [[...], ...]}, from standard input. When standard
input ends, whoever started it is gone, and it ends its process group with it.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Sequence

from hydra._internal.callbacks import Callbacks
from hydra.core.global_hydra import GlobalHydra
from hydra.core.plugins import Plugins
from hydra.types import HydraContext, RunMode

from nlhf_repro.config import add_user_modules, hydra_setup
from nlhf_repro.verbs.run import job


def launch(overrides: Sequence[str], jobs: Sequence[Sequence[str]]) -> None:
    """Launch every job; failed ones are on record and stop no other."""
    add_user_modules(overrides)
    with hydra_setup():
        hydra = GlobalHydra.instance().hydra
        assert hydra is not None
        config = hydra.compose_config(
            "config", list(overrides), run_mode=RunMode.MULTIRUN, with_log_configuration=False
        )
        context = HydraContext(config_loader=hydra.config_loader, callbacks=Callbacks(config))
        launcher = Plugins.instance().instantiate_launcher(
            hydra_context=context, task_function=job, config=config
        )
        launcher.launch([list(each) for each in jobs], initial_job_idx=0)


def _end_with_parent() -> None:
    sys.stdin.read()
    os.killpg(os.getpgid(0), signal.SIGKILL)


def main() -> None:
    """Read the work, watch for the parent's end, launch."""
    work = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    launch(work["overrides"], work["jobs"])


if __name__ == "__main__":
    main()
