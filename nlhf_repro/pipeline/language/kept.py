"""The key of an oracle's answers as a wrapper sees them: of all that decides them but the run."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from itertools import takewhile
from typing import Any

from nlhf_repro.pipeline.files import digest
from nlhf_repro.pipeline.keys import LANGUAGE_LIBRARIES, train_key, with_identities
from nlhf_repro.pipeline.parts import build, target_module, targets
from nlhf_repro.pipeline.sources import source_hashes

Config = Mapping[str, Any]


def answers_key(config: Config, wrapper: str) -> str:
    """The SHA-256 of the oracle of a world and of the wrappers inside this one.

    Runs that ask the same oracle share it, whatever they train. Where one of these wrappers is
    learned, its answers belong to the training that it was learned in.
    """
    inside = dict(takewhile(lambda item: item[0] != wrapper, config["oracle_wrapper"].items()))
    world = config["world"]
    nodes = {
        "oracle": with_identities(config["oracle"], world),
        "wrappers": {name: with_identities(node, world) for name, node in inside.items()},
    }
    parts = {name: build(node) for name, node in {"": config["oracle"], **inside}.items()}
    learned = any(hasattr(part, "learn") for part in parts.values())
    return digest(
        {
            **nodes,
            "files": {
                name: part.fingerprint()
                for name, part in parts.items()
                if hasattr(part, "fingerprint")
            },
            "world": world,
            "training": train_key(config) if learned else None,
            "source": source_hashes(target_module(part) for part in targets(nodes)),
            "versions": {name: version(name) for name in LANGUAGE_LIBRARIES},
        }
    )
