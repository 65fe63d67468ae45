"""What a reader has to know before any number: how far it reaches, what lacks, what was changed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from nlhf_repro.interfaces import RowRecord
from nlhf_repro.reporting.columns.levels import games_share_nothing
from nlhf_repro.reporting.comparison import is_complete
from nlhf_repro.reporting.report.material import CellFacts, Material
from nlhf_repro.reporting.series import cluster_noun, singular


def cautions(material: Material, rows: Sequence[RowRecord]) -> list[str]:
    """How far the numbers reach; `rows` are the records, exact ones collapsed."""
    return [
        *_worlds(rows),
        *_seeds(rows),
        *_changes(material.changes),
        *material.origin.notes,
        *_commits(material.cells),
        *_benchmarks(rows),
    ]


def shortfalls(material: Material) -> list[str]:
    """Rows and cells that lack or failed, each by its name."""
    found = []
    for row in material.records:
        if is_complete(row):
            continue
        for seed, error in sorted(row.failed.items()):
            found.append(f"{row.label}, seed {seed}, failed: {error}")
        if row.missing:
            seeds = ", ".join(map(str, row.missing))
            found.append(f"{row.label}: not finished: seeds {seeds}")
    return [*found, *material.lacking, *material.origin.unheld]


def _worlds(rows: Sequence[RowRecord]) -> Iterator[str]:
    recorded = [row for row in rows if row.values]
    if any(row.clusters == "prompts" for row in recorded):
        yield (
            "One world: one oracle, one starting policy, one set of prompts. Nothing here is "
            "known to hold in another world."
        )
    items = {values.shape[1] for row in recorded for values in row.values.values()}
    if 1 in items:
        one = singular(cluster_noun(rows))
        yield f"One {one}: nothing here generalizes over {cluster_noun(rows)}."


def _seeds(rows: Sequence[RowRecord]) -> Iterator[str]:
    varying = [
        row for row in rows if row.seeds and not row.deterministic and not games_share_nothing(row)
    ]
    labels = [row.label for row in varying if len(row.seeds) == 1]
    if labels:
        which = "all rows" if len(labels) == len(rows) else "; ".join(labels)
        yield (
            "One training seed: intervals leave out how much another run of the same algorithm "
            f"would differ, so they support no claim about algorithms ({which})."
        )


def _changes(changes: Sequence[str]) -> Iterator[str]:
    if changes:
        yield (
            f"Changed by the command line: {', '.join(changes)}. This is not the experiment as it "
            "was declared."
        )


def _commits(cells: Sequence[CellFacts]) -> Iterator[str]:
    commits = [cell.run.get("commit") or {} for cell in cells if cell.complete]
    hashes = {commit.get("hash", "unknown") for commit in commits}
    if len(hashes) > 1:
        yield (
            f"The cells were computed by {len(hashes)} commits. A stage is shared only where its "
            "source is the same."
        )
    if any(commit.get("dirty") for commit in commits):
        yield "Some cells were computed from a checkout with changes that no commit holds."


def _benchmarks(rows: Sequence[RowRecord]) -> Iterator[str]:
    """What benchmarks have to say of the values of all rows."""
    yield from (f"{note}." for note, labels, scored in _noted(rows) if len(labels) == scored)


def row_notes(rows: Sequence[RowRecord]) -> list[str]:
    """What benchmarks have to say of single rows: verdicts, equal answers, lengths."""
    return [
        f"{'; '.join(labels)}: {note}."
        for note, labels, scored in _noted(rows)
        if len(labels) < scored
    ]


def _noted(rows: Sequence[RowRecord]) -> Iterator[tuple[str, list[str], int]]:
    """Every note once, the rows that it is of, and how many rows its benchmark scored."""
    said: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        for benchmark, notes in row.notes.items():
            for note in notes:
                said.setdefault((benchmark, note), []).append(row.label)
    for (benchmark, note), labels in said.items():
        scored = sum(benchmark in {x.rpartition("/")[0] for x in row.values} for row in rows)
        yield f"{benchmark}: {note}", labels, scored
