"""What a search found: the winners' file, the table of all trials, the summary."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import yaml

from nlhf_repro.reporting import Cell, Table, TableRow, to_markdown
from nlhf_repro.reporting.numbers import plain, positive_interval
from nlhf_repro.search import Search, as_override, column_names, edges, sampler_description
from nlhf_repro.trials import Outcome, SearchedRow, total_comparisons
from nlhf_repro.tuned import Winner, Winners, problem_of


@dataclass(frozen=True)
class Results:
    """A search whose trials have all ended; `outcomes` by the row's label, in the trials' order."""

    experiment: str  # under conf/experiment
    changes: list[str]
    digest: str
    search: Search
    rows: Sequence[SearchedRow]
    outcomes: Mapping[str, Sequence[Outcome]]


def best(outcomes: Sequence[Outcome]) -> int | None:
    """The number of the trial of the least value, the first of equal ones; None without one."""
    finite = [number for number, each in enumerate(outcomes) if math.isfinite(each.value)]
    return min(finite, key=lambda number: outcomes[number].value) if finite else None


def winner_of(row: SearchedRow, outcomes: Sequence[Outcome]) -> Winner:
    """The row's winner, numbers to six digits."""
    chosen = best(outcomes)
    complete = row.first_is_untuned and math.isfinite(outcomes[0].value)
    found = None if chosen is None else outcomes[chosen]
    parameters = {} if chosen is None else row.trials[chosen].parameters
    return Winner(
        overrides=[as_override(key, value) for key, value in parameters.items()],
        row=list(row.overrides),
        problem=problem_of(row.cells[0].config, row.space),
        gap=_digits(found.value) if found else None,
        interval=[_digits(x) for x in found.interval] if found and found.interval else None,
        untuned_gap=_digits(outcomes[0].value) if complete else None,
        second_gap=_second(row, outcomes),
        trials=len(row.trials),
        distinct=len({repr(trial.parameters) for trial in row.trials}),
        failed=sum(not math.isfinite(each.value) for each in outcomes),
        edges=edges(row.space, parameters, len(row.trials)) if parameters else [],
        comparisons=total_comparisons(row.trials),
        budget=row.cells[0].config["budget"]["comparisons"],
    )


def winners_file(results: Results) -> str:
    """conf/tuned/NAME.yaml: equal results give equal bytes."""
    cells = [cell for row in results.rows for cell in row.cells]
    winners = Winners(
        name="",
        experiment=results.experiment,
        changes=results.changes,
        digest=results.digest,
        sampler=f"{sampler_description()}, search.seed {results.search.seed}",
        worlds=sorted({cell.config["world"] for cell in cells}),
        seeds=sorted({cell.seed for cell in cells}),
        metric=str(results.search.metric),
        rows={row.label: winner_of(row, results.outcomes[row.label]) for row in results.rows},
    )
    head = f"# Winners of {results.search.trials} trials a row, written by nlhf tune: not edited\n"
    return head + written(winners)


class _Flow(dict[str, Any]):
    """A mapping that YAML writes in braces."""


class _Dumper(yaml.SafeDumper):
    """YAML in which such mappings stay short."""


_Dumper.add_representer(
    _Flow,
    lambda dumper, node: dumper.represent_mapping(
        "tag:yaml.org,2002:map", node.items(), flow_style=True
    ),
)


def written(winners: Winners) -> str:
    """The winners as YAML; their name is the file's."""
    node = asdict(winners)
    del node["name"]
    for row in node["rows"].values():
        row["problem"] = _Flow(row["problem"])
    return yaml.dump(node, Dumper=_Dumper, sort_keys=False, width=100)


def trial_table(results: Results) -> str:
    """Every trial of every row as CSV, numbers in full, an infinite value where it failed."""
    names = column_names(row.space for row in results.rows)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    measured = ("value", "standard_error", "comparisons", "state", "reason")
    writer.writerow(["row", "trial", *names, *measured])
    for row in results.rows:
        for trial, found in zip(row.trials, results.outcomes[row.label], strict=True):
            own = [_written(trial.parameters, name) for name in names]
            numbers = [repr(found.value), repr(found.standard_error), found.comparisons]
            writer.writerow([row.label, trial.number, *own, *numbers, found.state, found.reason])
    return text.getvalue()


def summary(results: Results, name: str) -> str:
    """The winners as a Markdown table, and what nobody should conclude from it."""
    winners = {row.label: winner_of(row, results.outcomes[row.label]) for row in results.rows}
    search = results.search
    header = ("row", "winner", "gap", "untuned", "second", "on the edge", "failed", "comparisons")
    table = Table(
        title=f"Tuning {name}",
        caption=f"The least of {search.trials} trials a row by the {search.metric}.",
        header=header,
        rows=tuple(_line(label, winner) for label, winner in winners.items()),
        notes=tuple(_notes(winners)),
    )
    return to_markdown(table)


def _notes(winners: Mapping[str, Winner]) -> Iterable[str]:
    yield (
        "gap: on the worlds that chose the winner, the least of many and therefore lower than it "
        "is elsewhere [95% interval over games or worlds, which does not correct for that]; rows "
        "are compared on other worlds."
    )
    yield "untuned: the row's own settings; second: the next best setting."
    yield "comparisons: a game, on all trials and seeds; a failed run counts with its whole budget."
    on_edge = [label for label, winner in winners.items() if winner.edges]
    if on_edge:
        yield (
            "Warning: the winners of "
            f"{'; '.join(on_edge)} lie on the edge of their space, and better ones may lie beyond."
        )


def _line(label: str, winner: Winner) -> TableRow:
    gap = "no winner" if winner.trials else "nothing to tune"
    if winner.gap is not None:
        ends = winner.interval or [math.nan, math.nan]
        gap = positive_interval(winner.gap, *ends)
    texts = (
        ", ".join(winner.overrides) or "-",
        gap,
        _number(winner.untuned_gap),
        _number(winner.second_gap),
        ", ".join(winner.edges) or "-",
        f"{winner.failed} of {winner.trials}",
        str(winner.comparisons),
    )
    return TableRow(label, tuple(Cell(text) for text in texts))


def _second(row: SearchedRow, outcomes: Sequence[Outcome]) -> float | None:
    values = {
        repr(trial.parameters): found.value
        for trial, found in zip(row.trials, outcomes, strict=True)
        if math.isfinite(found.value)
    }
    ordered = sorted(values.values())
    return _digits(ordered[1]) if len(ordered) > 1 else None


def _written(parameters: Mapping[str, object], name: str) -> str:
    """A value as an override writes it; empty where the row does not tune it."""
    if name not in parameters:
        return ""
    return as_override(name, parameters[name]).partition("=")[2]  # type: ignore[arg-type]


def _digits(value: float) -> float:
    return float(f"{value:.6g}")


def _number(value: float | None) -> str:
    return "-" if value is None else plain(value, 3)
