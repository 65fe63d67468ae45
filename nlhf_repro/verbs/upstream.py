"""What the benchmarks' own scripts print of the same files, beside the scores of `nlhf score`."""

from __future__ import annotations

from collections.abc import Sequence
from math import nan
from pathlib import Path

from nlhf_repro.interfaces import ImpossibleSettingError
from nlhf_repro.reporting.cells import Cell, Table, TableRow
from nlhf_repro.verbs.scoring_arguments import Benchmark, ScoreOptions

Numbers = dict[str, float]  # by the name that upstream gives them


def upstream_table(benchmark: Benchmark, files: Sequence[Path], options: ScoreOptions) -> Table:
    """Upstream's numbers, faults included, and a sentence on each fault.

    Raises:
        UnusableAnnotationsError: a file that upstream cannot score either.
        ImpossibleSettingError: the benchmark has no numbers of its own to compute.
    """
    if benchmark == "academic":
        raise ImpossibleSettingError(
            "--upstream: lm-eval's own numbers stand in its results file; drop the option."
        )
    lines: dict[str, Numbers] = {}
    notes: tuple[str, ...] = ()
    for path in files:
        if benchmark == "alpaca_eval":
            found, notes = _alpaca_eval(path, options)
        elif benchmark == "arena_hard":
            found, notes = _arena_hard(path, options)
        else:
            found, notes = _mt_bench(path)
        for name, numbers in found.items():
            lines[f"{name} ({path})" if name in lines else name] = numbers
    header = tuple(next(iter(lines.values())))
    rows = [
        TableRow(name, tuple(Cell(_text(key, value), value) for key, value in numbers.items()))
        for name, numbers in lines.items()
    ]
    return Table(
        "As the benchmark's own script prints it", "", ("model", *header), tuple(rows), notes
    )


def _text(name: str, value: float) -> str:
    return f"{value:.0f}" if name == "rows" or name.startswith("n_") else f"{value:.2f}"


def _alpaca_eval(path: Path, options: ScoreOptions) -> tuple[dict[str, Numbers], tuple[str, ...]]:
    from nlhf_repro.benchmarks.alpaca_eval import read_gamed_rows, upstream_numbers
    from nlhf_repro.benchmarks.alpaca_eval.upstream import Formula

    formula: Formula = "length_controlled_v1" if options.gamed else "length_controlled_minimal"
    gamed = read_gamed_rows(options.gamed) if options.gamed else None
    found = {name: dict(vars(x)) for name, x in upstream_numbers(path, formula, gamed).items()}
    return found, (
        f"alpaca-eval 0.6.6, {formula}. lc_standard_error is the spread of predicted difficulty, "
        "no standard error of the length-controlled win rate.",
        "It drops rows without a preference in silence, and finds difficulties by the row's place "
        "in the file: shuffled rows give another number.",
    )


def _arena_hard(path: Path, options: ScoreOptions) -> tuple[dict[str, Numbers], tuple[str, ...]]:
    from nlhf_repro.benchmarks.arena_hard import read_judgments, upstream_scores

    found = upstream_scores(read_judgments([path], options.baseline))
    table = {
        f"{each.model}, {each.category}": {
            "score": each.score,
            "lower": each.lower,
            "upper": each.upper,
            "rows": float(each.rows),
        }
        for each in found
    }
    return table, (
        f"Its interval is {found[0].interval}: the two games of a question and the threefold "
        "copies of a decisive verdict are resampled as if independent, so it is too narrow.",
    )


def _mt_bench(path: Path) -> tuple[dict[str, Numbers], tuple[str, ...]]:
    from nlhf_repro.benchmarks.mt_bench import read_ratings, upstream_means

    table = {
        each.model: {
            "first turn": each.first_turn,
            "second turn": each.second_turn,
            "average": each.average if each.rows else nan,
            "rows": float(each.rows),
        }
        for each in upstream_means(read_ratings(path))
    }
    return table, ("FastChat prints no interval, and averages over whatever rows are left.",)
