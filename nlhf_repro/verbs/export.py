"""`nlhf export`: one file of an experiment's records and scores, to share and to merge."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Sequence
from pathlib import Path

from nlhf_repro.interfaces import ImpossibleSettingError
from nlhf_repro.pipeline.bundle_contents import bundle_contents
from nlhf_repro.pipeline.bundle_files import packed
from nlhf_repro.pipeline.cell import is_complete
from nlhf_repro.pipeline.files import write_atomically
from nlhf_repro.verbs.bundled import SUFFIX
from nlhf_repro.verbs.experiment import load_experiment


def export(
    name: str, overrides: Sequence[str], config_dir: str | None, out: str | None, texts: bool
) -> int:
    """Write the bundle and say what is in it; exit status 0 also where cells are missing.

    Args:
        name: of the experiment.
        overrides: with which it was run.
        config_dir: a folder of the user's configurations.
        out: the file; None: bundles/NAME.zip in the output folder.
        texts: whether answers and judgments are in it.

    Raises:
        ImpossibleSettingError: no cell is complete, `out` is no .zip, or something that must not
            leave this machine would be in the bundle.
    """
    if out is not None and not out.endswith(SUFFIX):
        raise ImpossibleSettingError(f"--out {out}: call it *{SUFFIX}, which it is.")
    experiment = load_experiment(name, overrides, config_dir)
    keys = {cell.key for cell in experiment.cells}
    complete = sum(is_complete(experiment.output_dir, key) for key in keys)
    if not complete:
        raise ImpossibleSettingError(
            f"none of the {len(keys)} cells of {name} is complete in {experiment.output_dir} under "
            "the code and settings of now, so there is nothing to export: nlhf reproduce runs them."
        )
    data = packed(bundle_contents(experiment.exported(), texts))
    folder = experiment.output_dir / "bundles" / experiment.tables.name
    default = (folder if experiment.changes else folder.parent) / f"{experiment.name}{SUFFIX}"
    path = Path(out) if out else default
    write_atomically(path, data)
    sys.stdout.write(
        f"{path}: {complete} of {len(keys)} cells, {'with' if texts else 'without'} texts, "
        f"{len(data) / 2**20:.2f} MiB, SHA-256 {hashlib.sha256(data).hexdigest()}\n"
    )
    return 0
