"""`nlhf table`: print an experiment from what is on disk; nothing is run."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from nlhf_repro.interfaces import RowRecord
from nlhf_repro.reporting import to_markdown
from nlhf_repro.verbs.experiment import load_experiment, write_table


def table(name: str, overrides: Sequence[str], config_dir: str | None) -> int:
    """Print the table; exit status 1 where cells are missing or failed."""
    experiment = load_experiment(name, overrides, config_dir)
    records = experiment.records()
    rendered, _ = write_table(experiment, records)
    sys.stdout.write(to_markdown(rendered))
    return say_what_lacks(name, records)


def say_what_lacks(name: str, records: Sequence[RowRecord]) -> int:
    """Name failed and missing cells on standard error; the exit status."""
    missing = sum(len(record.missing) for record in records)
    failed = [
        (record.label, seed, error) for record in records for seed, error in record.failed.items()
    ]
    for label, seed, error in failed:
        sys.stderr.write(f"nlhf: failed: {label}, seed {seed}: {error}\n")
    if missing:
        sys.stderr.write(f"nlhf: {missing} cells are missing: nlhf reproduce {name}\n")
    return 1 if missing or failed else 0
