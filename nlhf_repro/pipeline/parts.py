"""From the nodes of a composed configuration to the objects that they name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate

from nlhf_repro.interfaces import ImpossibleSettingError

Node = Mapping[str, Any]


def build(node: Node) -> Any:
    """The object that `_target_` names, built with the node's other keys.

    Raises:
        ImpossibleSettingError: where the constructor refuses the settings.
    """
    try:
        return instantiate(dict(node), _convert_="all")
    except InstantiationException as error:
        if isinstance(error.__cause__, ImpossibleSettingError):
            raise error.__cause__ from None
        raise


def target_module(node: Node) -> str:
    """The module part of `_target_`."""
    return str(node["_target_"]).rpartition(".")[0]


def targets(value: Any) -> Iterator[Node]:
    """Every node with a `_target_` inside `value`, itself included."""
    if isinstance(value, Mapping):
        if "_target_" in value:
            yield value
        for child in value.values():
            yield from targets(child)
    elif isinstance(value, list | tuple):
        for child in value:
            yield from targets(child)
