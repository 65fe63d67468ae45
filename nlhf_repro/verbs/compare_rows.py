"""Two rows of an experiment, all their seeds, from what is on disk."""

from __future__ import annotations

from collections.abc import Sequence

from nlhf_repro.interfaces import ImpossibleSettingError, RowRecord
from nlhf_repro.reporting.cells import RefusedCell
from nlhf_repro.reporting.columns.gap import GeometricMeanGap
from nlhf_repro.reporting.columns.levels import games_share_nothing
from nlhf_repro.reporting.columns.mean import MeanValue
from nlhf_repro.reporting.comparison import Primary, check_pair
from nlhf_repro.reporting.scores.verdict_table import OWN_UNIT, TIMES
from nlhf_repro.reporting.scores.verdicts import Verdict, verdict_on
from nlhf_repro.reporting.series import collapse_exact
from nlhf_repro.uncertainty import judge_note
from nlhf_repro.validation import suggestion
from nlhf_repro.verbs.bundled import named_experiment
from nlhf_repro.verbs.printed import Printed

Comparable = GeometricMeanGap | MeanValue


def compare_rows(
    first: str, second: str, metrics: Sequence[str], config_dir: str | None
) -> tuple[tuple[str, str], str, list[Verdict], list[str], str]:
    """Verdicts on two rows as the experiment's table compares them: differences, or log ratios.

    Last comes the plural noun of what the rows are paired by: games, prompts or worlds.

    Args:
        first: EXPERIMENT:ROW; bundles with commas between them stand for an experiment too.
        second: Another row of the same experiment.
        metrics: Headers of columns of gaps or means; without any, the table's primary one.
        config_dir: A folder of the user's configurations.

    Raises:
        ImpossibleSettingError: no such experiment, row or column, or rows that are incomplete or
            cannot be compared.
    """
    experiment, label = first.split(":", 1)
    other, baseline = second.split(":", 1)
    if experiment != other:
        raise ImpossibleSettingError(
            f"{first} and {second} are rows of two experiments, whose games and seeds need not be "
            "the same: put both rows into one experiment."
        )
    loaded = named_experiment(experiment, config_dir)
    records = {row.label: collapse_exact(row) for row in loaded.records()}
    for name in (label, baseline):
        if name not in records:
            raise ImpossibleSettingError(
                f"{experiment} has no row {name!r}: {suggestion(name, records)}"
            )
    design = loaded.declared[0].config["seeds"]["design"]
    found: list[Verdict] = []
    columns = _columns(loaded, metrics)
    if len({type(column) for column in columns}) > 1:
        raise ImpossibleSettingError(
            "--metric names a column of ratios and one of differences: compare one kind at a time."
        )
    for column in columns:
        try:
            sides = records[label], records[baseline]
            check_pair(*sides, Primary(column.header, None, design))
            found.append(_verdict(column, *sides, matched=design == "matched"))
        except RefusedCell as refusal:
            raise ImpossibleSettingError(
                f"{first} against {baseline}, {column.header}: {refusal} (run nlhf reproduce "
                f"{experiment}, or choose other rows)."
            ) from refusal
    noun = records[label].clusters
    notes = [
        *loaded.notes,
        "p is of this comparison alone: the experiment's table adjusts over all that it makes.",
        *(f"{column.header}: {column.explanation(0.95, noun)}." for column in columns),
        *dict.fromkeys(
            f"{each.metric}: {judges_said(each)}." for each in found if judges_said(each)
        ),
    ]
    return (label, baseline), f"{experiment}, {design} seeds.", found, notes, noun


def judges_said(verdict: Verdict) -> str:
    """What is to be said of the judge's draws; empty where there are none."""
    found = verdict.found
    said = judge_note(found.judge_draws, found.judge_alike)
    if found.judge_variance > 0:
        said += (
            "; what would settle it takes the judge's variance for 0, so that more is needed, or "
            "more draws"
        )
    return said


def _columns(experiment: Printed, metrics: Sequence[str]) -> list[Comparable]:
    specification = experiment.specification
    columns = {x.header: x for x in specification.columns if isinstance(x, Comparable)}
    for name in metrics:
        if name not in columns:
            raise ImpossibleSettingError(
                f"--metric {name} is no column of gaps or means in the table of {experiment.name}: "
                f"{suggestion(name, columns)}"
            )
    if metrics:
        return [columns[name] for name in dict.fromkeys(metrics)]
    primary = specification.compared
    if isinstance(primary, Comparable):
        return [primary]
    raise ImpossibleSettingError(
        f"The table of {experiment.name} declares no comparison of gaps or means: say which column "
        f"with --metric; {suggestion('', columns)}"
    )


def _verdict(column: Comparable, row: RowRecord, baseline: RowRecord, *, matched: bool) -> Verdict:
    if not column.across_regularization and row.regularization != baseline.regularization:
        raise RefusedCell(
            f"refused: regularization {row.regularization:g} against {baseline.regularization:g}"
        )
    means = (column.cell(row, 0.95).estimate, column.cell(baseline, 0.95).estimate)
    still = games_share_nothing(row, baseline) or (row.deterministic and baseline.deterministic)
    if isinstance(column, MeanValue):
        found = column.difference(row, baseline, matched, 0.95)
        return verdict_on(column.header, OWN_UNIT, means, found, nested=still)
    ratio = column.ratio(row, baseline, matched, 0.95)
    return verdict_on(column.header, TIMES, means, ratio.on_log_scale, nested=still)
