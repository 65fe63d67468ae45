"""Checks of a composed configuration, key by key, before any work begins."""

from __future__ import annotations

import dataclasses
import difflib
import functools
import importlib
import inspect
import json
import math
import types
import typing
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ConfigDict, PydanticUserError, TypeAdapter, ValidationError

from nlhf_repro.interfaces import ImpossibleSettingError


@dataclasses.dataclass(frozen=True)
class Target:
    """Annotates a node with a `_target_`, a class, beside its constructor's arguments."""


HYDRA_KEYS = {"_target_", "_convert_", "_recursive_", "_partial_"}


def check(path: str, value: Any, annotation: Any) -> None:
    """Check one value against what it is annotated to be; a `Target` only for naming a class.

    Raises:
        ImpossibleSettingError: naming the key, what it holds and what it takes.
    """
    inner = _optional(annotation)
    if inner is not None:
        if value is not None:
            check(path, value, inner)
    elif annotation is Target:
        _require_target(path, value)
    elif isinstance(value, Mapping) and "_target_" in value:
        check_constructor(path, value)
    elif dataclasses.is_dataclass(annotation):
        _check_dataclass(path, value, typing.cast(type, annotation))
    elif typing.get_origin(annotation) is dict and Target in typing.get_args(annotation):
        for key, child in _mapping(path, value).items():
            _require_target(f"{path}.{key}", child)
    else:
        _check_type(path, value, annotation)


def _optional(annotation: Any) -> Any:
    """The class of nodes in `class | None`; None for every other annotation."""
    kinds = [each for each in typing.get_args(annotation) if each is not type(None)]
    optional = isinstance(annotation, types.UnionType) and len(kinds) == 1
    if optional and (kinds[0] is Target or dataclasses.is_dataclass(kinds[0])):
        return kinds[0]
    return None


def check_constructor(path: str, node: Mapping[str, Any]) -> None:
    """Import the class that a node names and check the node's other keys against its constructor.

    Raises:
        ImpossibleSettingError: no such class, or naming the key that its constructor does not take.
    """
    function = load_target(path, node["_target_"])
    parameters = {
        name: parameter
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind not in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    }
    arguments = {key: child for key, child in node.items() if key not in HYDRA_KEYS}
    if not _takes_any(function):
        _refuse_unknown(arguments, parameters, f"{path}.", function.__name__)
    hints = _hints(path, function)
    for name, parameter in parameters.items():
        if name in arguments:
            check(f"{path}.{name}", arguments[name], hints.get(name, Any))
        elif parameter.default is inspect.Parameter.empty:
            raise ImpossibleSettingError(
                f"{path}.{name} is missing: {function.__name__} needs it, so set it."
            )


MANY = 40  # choices that nobody reads


def suggestion(word: str, choices: Iterable[str]) -> str:
    """A question naming the closest choice, else all of them, or what they begin with."""
    known = sorted(set(choices))
    lowered = {choice.lower(): choice for choice in known}
    close = difflib.get_close_matches(word.lower(), lowered, n=1, cutoff=0.6)
    if close:
        return f"did you mean {lowered[close[0]]}?"
    first = sorted({choice.partition(".")[0] for choice in known})
    if len(known) > MANY and len(first) < len(known):
        return f"none of {len(known)} is close; they begin with {', '.join(first)}."
    shown = [f"'{choice}'" if "," in choice else choice for choice in known]
    return (
        f"choose from {', '.join(shown)}."
        if known
        else "there is nothing to choose from, so drop it."
    )


def load_target(path: str, target: Any) -> Any:
    """The class or function that `_target_` names.

    Raises:
        ImpossibleSettingError: where it cannot be imported.
    """
    module, _, name = str(target).rpartition(".")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ImpossibleSettingError(
            f"{path}._target_ = {target} cannot be imported ({error}): write package.module.Class, "
            "with the package in the current folder, beside your --config-dir, or installed."
        ) from error


def _check_dataclass(path: str, value: Any, annotation: type) -> None:
    node = _mapping(path, value)
    hints = typing.get_type_hints(annotation)
    fields = {field.name: field for field in dataclasses.fields(annotation)}
    prefix = f"{path}." if path else ""
    _refuse_unknown(node, fields, prefix, "the configuration")
    for name, field in fields.items():
        if name in node:
            check(prefix + name, node[name], hints[name])
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise ImpossibleSettingError(f"{prefix}{name} is missing: set it.")


def _require_target(path: str, value: Any) -> None:
    if "_target_" not in _mapping(path, value):
        raise ImpossibleSettingError(f"{path} names no class: give it a _target_.")


def _refuse_unknown(node: Mapping[str, Any], known: Iterable[str], prefix: str, owner: str) -> None:
    for key in node:
        if key not in set(known):
            raise ImpossibleSettingError(
                f"{prefix}{key} is no key of {owner}: {suggestion(str(key), known)}"
            )


def _takes_any(function: Any) -> bool:
    parameters = inspect.signature(function).parameters.values()
    return any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters)


def _hints(path: str, function: Any) -> dict[str, Any]:
    plain = inspect.isclass(function) and not dataclasses.is_dataclass(function)
    try:
        return typing.get_type_hints(function.__init__ if plain else function)
    except NameError as error:
        raise ImpossibleSettingError(
            f"{path}: the annotations of {function.__name__} cannot be read ({error}): import what "
            "its constructor's annotations name at run time."
        ) from error


def _mapping(path: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ImpossibleSettingError(
            f"{path or 'the configuration'} is {value!r}, where a group of keys is needed."
        )
    return value


def _check_type(path: str, value: Any, annotation: Any) -> None:
    if _holds_nan(value):
        raise ImpossibleSettingError(
            f"{path} = {value} is no number: give {_readable(annotation)}."
        )
    try:
        # The JSON mode takes a list for a tuple and refuses true for a number.
        _adapter(annotation).validate_json(json.dumps(value), strict=True)
    except (ValidationError, TypeError) as error:
        raise ImpossibleSettingError(
            f"{path} = {json.dumps(value, default=str)} does not fit: give {_readable(annotation)}."
        ) from error


def _holds_nan(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return any(_holds_nan(each) for each in value)
    return isinstance(value, float) and math.isnan(value)


@functools.cache
def _adapter(annotation: Any) -> TypeAdapter[Any]:
    config = ConfigDict(arbitrary_types_allowed=True, allow_inf_nan=True)
    try:
        return TypeAdapter(annotation, config=config)
    except PydanticUserError:
        return TypeAdapter(annotation)


def _readable(annotation: Any) -> str:
    """`int or null`, `one of a, b`: an annotation in the words of a YAML file."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if annotation is type(None):
        return "null"
    if origin is typing.Literal:
        return " or ".join(str(argument) for argument in arguments)
    if arguments and origin not in (dict, list, tuple, set):
        if isinstance(origin, type) and issubclass(origin, Mapping):
            return str(annotation)
        return " or ".join(_readable(argument) for argument in arguments)
    return (
        annotation.__name__ if isinstance(annotation, type) and not arguments else str(annotation)
    )
