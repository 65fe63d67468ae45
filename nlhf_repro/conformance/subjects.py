"""The part under test: a node of a configuration, and the fields of the class that it names."""

from __future__ import annotations

import dataclasses
import inspect
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, final

from nlhf_repro.pipeline.parts import build
from nlhf_repro.validation import HYDRA_KEYS, check_constructor, load_target

Group = Literal["algorithm", "oracle", "oracle_wrapper", "benchmark", "model", "prompts", "judge"]


@final
@dataclass(frozen=True)
class Subject:
    """A part as it is configured: `node` names its class and holds its constructor's arguments."""

    group: Group
    name: str
    node: Mapping[str, Any]

    @property
    def key(self) -> str:
        """Where its fields are set: `algorithm`, or `benchmark.NAME` where several can be."""
        return f"{self.group}.{self.name}" if self.several else self.group

    @property
    def several(self) -> bool:
        """Whether a configuration can hold several parts of this group."""
        return self.group in ("benchmark", "oracle_wrapper")

    @property
    def shipped(self) -> bool:
        """Whether the class comes with this package."""
        return str(self.node["_target_"]).startswith("nlhf_repro.")

    @property
    def reads_text(self) -> bool:
        """Whether it is a part of language tasks: prompts, an oracle of texts, its wrapper, ..."""
        scoring = ("score_samples", "requests", "score_model")
        methods = ("prompts", "oracle", "learn", "base", "judge", *scoring)
        wraps_texts_alone = hasattr(self.kind, "wrap_text") and not hasattr(self.kind, "wrap")
        return wraps_texts_alone or any(hasattr(self.kind, method) for method in methods)

    @property
    def kind(self) -> Any:
        """The class."""
        return load_target(self.key, self.node["_target_"])

    @property
    def arguments(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {key: value for key, value in self._own_node.items() if key not in HYDRA_KEYS}

    def build(self, **changes: Any) -> Any:
        """The part, checked and built as a run would, with some fields changed.

        Raises:
            ImpossibleSettingError: the fields do not fit, or the constructor refuses them.
        """
        node = {**self._own_node, **changes}
        check_constructor(self.key, node)
        return build(node)

    @property
    def _own_node(self) -> dict[str, Any]:
        """The node without the judge that a judged benchmark asks, which is a part of its own."""
        judged = hasattr(self.kind, "requests")
        return {key: value for key, value in self.node.items() if not judged or key != "judge"}

    def numeric_fields(self) -> list[str]:
        """Fields that take a number, as far as the constructor is annotated."""
        return [name for name, hint in self._hints().items() if {int, float} & set(_leaves(hint))]

    def integer_fields(self) -> list[str]:
        """Fields that take an integer and no other number."""
        kinds = {name: {int, float} & set(_leaves(hint)) for name, hint in self._hints().items()}
        return [name for name, found in kinds.items() if found == {int}]

    def options(self) -> Iterator[tuple[str, Any]]:
        """Every option of every field that is annotated as a Literal or as a bool."""
        for name, hint in self._hints().items():
            for leaf in _leaves(hint):
                if typing.get_origin(leaf) is Literal:
                    yield from ((name, option) for option in typing.get_args(leaf))
                elif leaf is bool:
                    yield from ((name, option) for option in (False, True))

    def literal_fields(self) -> list[str]:
        """Fields that take a word from a list."""
        words = (name for name, option in self.options() if isinstance(option, str))
        return list(dict.fromkeys(words))

    def _hints(self) -> dict[str, Any]:
        kind = self.kind
        plain = inspect.isclass(kind) and not dataclasses.is_dataclass(kind)
        hints = typing.get_type_hints(kind.__init__ if plain else kind)
        return {name: hints[name] for name in inspect.signature(kind).parameters if name in hints}


def _leaves(hint: Any) -> Iterator[Any]:
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        for part in typing.get_args(hint):
            yield from _leaves(part)
    else:
        yield hint
