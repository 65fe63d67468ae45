"""The sweep that an experiment stands for, and the cells that a command line names."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

from nlhf_repro.cells import Cell, declared_rows, single_cell
from nlhf_repro.config import compose_config, override_key, parse_overrides
from nlhf_repro.interfaces import ImpossibleSettingError


def sweep_of_cells(arguments: Sequence[str]) -> list[str]:
    """The arguments with sweeps over the experiment's rows and seeds, unless they are given."""
    given = {override_key(argument) for argument in arguments}
    if "experiment" not in given:
        return list(arguments)
    fixed = [x for x in parse_overrides(arguments) if not x.is_sweep_override()]
    if "experiment" not in {x.get_key_element() for x in fixed}:
        raise ImpossibleSettingError(
            "experiment= takes one experiment at a time: run them in turn."
        )
    config = compose_config([x.input_line for x in fixed if x.get_key_element() != "row"])
    rows = declared_rows(config, arguments)
    if not rows:
        return list(arguments)
    added = []
    if "row" not in given:
        added.append("row=" + ",".join(quoted(label) for label in rows))
    if "seed" not in given:
        added.append("seed=" + ",".join(str(seed) for seed in config.seeds["values"]))
    if "world" not in given and config.worlds is not None:
        added.append("world=" + ",".join(str(world) for world in config.worlds))
    return [*arguments, *added]


def quote_row(arguments: Sequence[str]) -> list[str]:
    """The arguments, a row's label quoted as Hydra needs it where it was typed plain."""
    others = [x for x in arguments if override_key(x) not in ("row", "seed")]
    if len(others) == len(arguments) or not any(override_key(x) == "experiment" for x in others):
        return list(arguments)
    fixed = [x.input_line for x in parse_overrides(others) if not x.is_sweep_override()]
    rows = declared_rows(compose_config(fixed), arguments)
    typed = {f"row={label}": f"row={quoted(label)}" for label in rows}
    return [typed.get(argument, argument) for argument in arguments]


def quoted(label: str) -> str:
    """A label as a quoted string of Hydra's grammar."""
    return "'" + label.replace("\\", "\\\\").replace("'", "\\'") + "'"


def named_cells(arguments: Sequence[str], multirun: bool) -> Iterator[Cell]:
    """The cells of a command line, one seed for all, as far as they can be told before a sweep."""
    if not multirun:
        yield single_cell(arguments)
        return
    choices = [
        [x.input_line]
        if not x.is_sweep_override()
        else [f"{x.get_key_element()}={value}" for value in x.sweep_string_iterator()]
        for x in parse_overrides(arguments)
        if x.is_discrete_sweep() or not x.is_sweep_override()
    ]
    # Seeds differ in nothing that can be refused, so that one stands for all.
    choices = [x[:1] if override_key(x[0]) == "seed" else x for x in choices]
    for combination in itertools.product(*choices):
        yield single_cell(combination)
