"""The arguments of `nlhf score`, `nlhf compare` and `nlhf plan`."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from glob import glob, has_magic
from pathlib import Path
from typing import Literal

from nlhf_repro.interfaces import ImpossibleSettingError

Benchmark = Literal["alpaca_eval", "arena_hard", "mt_bench", "academic"]
BENCHMARKS: tuple[Benchmark, ...] = ("alpaca_eval", "arena_hard", "mt_bench", "academic")


@dataclass(frozen=True)
class ScoreOptions:
    """What a scorer may be told beside its files; shares in [0, 1]."""

    questions: Path | None = None
    gamed: Path | None = None
    outputs: Path | None = None
    answers: tuple[Path, ...] = ()
    baseline: str | None = None
    anchor: str | None = None
    repeats: int = 1
    macro: Mapping[str, str] | None = None
    maximum_unusable: float = 0.02


TAKEN = {
    "alpaca_eval": {"questions", "gamed", "outputs"},
    "arena_hard": {"questions", "answers", "baseline", "anchor"},
    "mt_bench": {"questions", "baseline", "repeats"},
    "academic": {"macro"},
}

STRENGTH = "bradley_terry/"  # metrics of models that met each other

FORMATS = ("terminal", "markdown", "latex", "csv", "json")


def add_format(parser: argparse.ArgumentParser) -> None:
    """`--format`, of what is written to standard output."""
    parser.add_argument("--format", choices=FORMATS, default="terminal", help="of the output")


def add_scoring(parser: argparse.ArgumentParser) -> None:
    """What a scorer may be told beside its files."""
    add = parser.add_argument
    add("--questions", type=Path, metavar="FILE", help="the benchmark's list of questions")
    add("--gamed", type=Path, metavar="FILE", help="alpaca_eval: df_gamed.csv, for lc_win_rate")
    add("--outputs", type=Path, metavar="FILE", help="alpaca_eval: the judged model_outputs.json")
    add("--answers", type=Path, nargs="+", default=[], metavar="FILE", help="arena_hard: answers")
    add("--baseline", metavar="NAME", help="whom the models met, where rows do not say")
    add("--anchor", metavar="NAME", help="arena_hard: of strength 0, where models meet each other")
    add("--repeats", type=int, default=1, help="mt_bench: judgments of each question and turn")
    add("--macro", action="append", default=[], metavar="TASK=METRIC", help="academic: averaged")
    add("--max-unusable", type=float, default=2.0, metavar="PERCENT", help="refused above (2)")


def add_score(parser: argparse.ArgumentParser) -> None:
    """`nlhf score BENCHMARK FILES...`."""
    parser.add_argument("benchmark", choices=BENCHMARKS)
    parser.add_argument("files", nargs="*", help="annotation files; for academic results_*.json")
    parser.add_argument(
        "--seeds",
        action="append",
        default=[],
        metavar="NAME=FILE,FILE,...",
        help="files (or NAME=PATTERN) that are training runs of one algorithm",
    )
    parser.add_argument("--metric", action="append", default=[], help="show and compare only this")
    parser.add_argument("--upstream", action="store_true", help="what the official script prints")
    parser.add_argument("--figure", type=Path, metavar="FILE", help="a forest plot: .png .svg .pdf")
    add_scoring(parser)
    add_format(parser)


def add_compare(parser: argparse.ArgumentParser) -> None:
    """`nlhf compare A B`."""
    what = "FILE, NAME=FILE,FILE,... or NAME=PATTERN (training runs), or EXPERIMENT:ROW"
    parser.add_argument("first", help=what)
    parser.add_argument("second", help=what)
    parser.add_argument("--benchmark", choices=BENCHMARKS, help="where the content does not say")
    parser.add_argument("--metric", action="append", default=[], help="compare only this")
    parser.add_argument("--margin", type=float, help="the largest difference that does not matter")
    add_scoring(parser)
    add_format(parser)


def add_plan(parser: argparse.ArgumentParser) -> None:
    """`nlhf plan`, of an experiment or of a comparison of two algorithms."""
    add = parser.add_argument
    what = "an experiment, and GROUP=CHOICE KEY=VALUE: what it asks and costs; without: what a "
    add("experiment", nargs="*", help=what + "comparison of two algorithms can detect")
    add("--benchmark", choices=BENCHMARKS, help="for its size and usual spreads (alpaca_eval)")
    add("--questions", type=int, help="number of questions")
    add("--seeds", type=int, help="training runs of each algorithm")
    add("--seed-sd", type=float, help="SD between training runs, in the metric's unit")
    add("--prompt-sd", type=float, help="SD of which questions suit which algorithm")
    add("--noise-sd", type=float, help="SD of one question between runs, generations, judge calls")
    add("--tests", type=int, default=1, help="tests in the family, for Holm's first step (1)")
    add("--effect", type=float, help="difference to be found: how many seeds and questions?")
    add("--power", type=float, default=0.8, help="probability of finding it (0.8)")
    add(
        "--pilot",
        nargs=2,
        metavar="FILE,FILE,...",
        help="files of two algorithms, at least two runs each, to measure the spreads",
    )
    add("--metric", help="of the pilot")
    add("--costs-of", metavar="EXPERIMENT:ROW", help="add what runs as those of this row cost")
    add_format(parser)


def options_of(known: argparse.Namespace) -> ScoreOptions:
    """The scorer's options.

    Raises:
        ImpossibleSettingError: a share outside 0 to 100 %, or a --macro without '='.
    """
    if not 0 <= known.max_unusable <= 100:
        raise ImpossibleSettingError(
            f"--max-unusable {known.max_unusable:g} is no percentage: give one from 0 to 100."
        )
    return ScoreOptions(
        questions=known.questions,
        gamed=known.gamed,
        outputs=known.outputs,
        answers=tuple(known.answers),
        baseline=known.baseline,
        anchor=known.anchor,
        repeats=known.repeats,
        macro=dict(_named(text, "--macro TASK=METRIC") for text in known.macro) or None,
        maximum_unusable=known.max_unusable / 100,
    )


def groups_of(texts: Sequence[str]) -> dict[str, list[Path]]:
    """`NAME=FILE,FILE,...` by name.

    Raises:
        ImpossibleSettingError: no '=', a name twice, or no file.
    """
    groups: dict[str, list[Path]] = {}
    for text in texts:
        name, files = _named(text, "--seeds NAME=FILE,FILE,...")
        if name in groups:
            raise ImpossibleSettingError(f"--seeds names {name} twice: give all its files at once.")
        groups[name] = paths_of(files)
    return groups


def paths_of(files: str) -> list[Path]:
    """Files separated by commas, or by patterns such as runs/*.json, in the order of their names.

    Raises:
        ImpossibleSettingError: a pattern that no file matches.
    """
    paths: list[Path] = []
    for name in filter(None, files.split(",")):
        found = [name] if Path(name).exists() else sorted(glob(name))
        if not found and has_magic(name):
            raise ImpossibleSettingError(f"{name} matches no file: check the pattern.")
        paths += map(Path, found or [name])
    return paths


def _named(text: str, form: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (equals and name and value):
        raise ImpossibleSettingError(f"{text!r} is not {form}: write it so.")
    return name, value
