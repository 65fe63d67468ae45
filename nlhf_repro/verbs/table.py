"""`nlhf table`: print an experiment from what is on disk, or in bundles; nothing is run."""

from __future__ import annotations

import shlex
import sys
import warnings
from collections.abc import Sequence

from nlhf_repro.interfaces import ImpossibleSettingError, RowRecord
from nlhf_repro.reporting import table_answers
from nlhf_repro.verbs.comparison import check_comparison, write_comparison
from nlhf_repro.verbs.experiment import load_experiment, write_table
from nlhf_repro.verbs.printed import Printed
from nlhf_repro.verbs.result import show_table, show_warning


def table(
    name: str, overrides: Sequence[str], config_dir: str | None, mixed_code: bool = False
) -> int:
    """Print the table; exit status 1 where cells are missing or failed.

    `name` and `overrides` may name bundles: the table is then that of all of them, and of the
    output folder where an experiment is named too.
    """
    from nlhf_repro.verbs.bundled import NO_BUNDLE, bundle_paths, open_bundles

    warnings.showwarning = show_warning
    names = [name, *overrides]
    experiment: Printed
    if bundle_paths(names):
        experiment = open_bundles(names, config_dir, mixed_code)
        again = experiment.name
    else:
        if mixed_code:
            raise ImpossibleSettingError(NO_BUNDLE)
        experiment = load_experiment(name, overrides, config_dir)
        check_comparison(experiment)
        again = shlex.join([*names, *(["--config-dir", config_dir] if config_dir else [])])
    records = experiment.records()
    rendered, _ = write_table(experiment, records)
    answers = table_answers(records, experiment.specification)
    show_table(rendered, answers, experiment.tables / f"{experiment.name}.md")
    compared = write_comparison(experiment, records, again)
    sys.stderr.write(f"nlhf: written to {experiment.tables}\n")
    return say_what_lacks(again, records) or (0 if compared else 1)


def say_what_lacks(again: str, records: Sequence[RowRecord]) -> int:
    """Name failed and missing cells on standard error, `again` the words that run them."""
    missing = sum(len(record.missing) for record in records)
    failed = [
        (record.label, seed, error) for record in records for seed, error in record.failed.items()
    ]
    for label, seed, error in failed:
        sys.stderr.write(f"nlhf: failed: {label}, seed {seed}: {error}\n")
    if missing:
        sys.stderr.write(f"nlhf: {missing} cells are missing: nlhf reproduce {again}\n")
    return 1 if missing or failed else 0
