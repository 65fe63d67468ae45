"""Where replies of judges are kept: one file for what is asked elsewhere, one a code for the rest.

What runs in this process answers otherwise once its code or its libraries change, so that these
are part of the file's name. An endpoint's replies do not depend on them.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from hydra.utils import get_class

from nlhf_repro.pipeline.files import digest
from nlhf_repro.pipeline.keys import LANGUAGE_LIBRARIES
from nlhf_repro.pipeline.parts import target_module, targets
from nlhf_repro.pipeline.sources import source_hashes


def answer_file(output_dir: Path, judge: Mapping[str, Any]) -> Path:
    """The SQLite file of the judge that this node configures."""
    named = [str(node["_target_"]) for node in targets(judge)]
    if all(getattr(get_class(name), "answers_elsewhere", False) for name in named):
        return output_dir / "answers.sqlite"
    modules = {target_module(node) for node in targets(judge)}
    code = {
        "source": source_hashes(modules),
        "versions": {name: version(name) for name in LANGUAGE_LIBRARIES},
    }
    return output_dir / "answers" / f"{digest(code)[:16]}.sqlite"
