"""What policies answered, on disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nlhf_repro.interfaces import PolicySamples, Prompt

FILE = "samples.parquet"


def write_samples(folder: Path, samples: Mapping[int, PolicySamples]) -> None:
    """One line an update, prompt and sample; zstd-compressed Parquet."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    tables = []
    for update, each in samples.items():
        prompts, count = each.log_prob.shape
        identifiers = [prompt.identifier for prompt in each.prompts for _ in range(count)]
        tables.append(
            pa.table(
                {
                    "update": np.full(prompts * count, update),
                    "prompt": pa.array(identifiers),
                    "sample": np.tile(np.arange(count), prompts),
                    "response": pa.array([x for row in each.responses for x in row]),
                    "tokens": each.tokens.ravel(),
                    "ended": each.ended.ravel(),
                    "log_prob": each.log_prob.ravel(),
                    "reference_log_prob": each.reference_log_prob.ravel(),
                }
            )
        )
    pq.write_table(pa.concat_tables(tables), folder / FILE, compression="zstd")


def first_samples(folder: Path, prompts: int) -> tuple[list[str], list[list[Any]]]:
    """Columns and rows: one answer of the last recorded policy to each of the first prompts."""
    import pyarrow.parquet as pq

    table = pq.read_table(folder / FILE)
    updates, samples = table["update"].to_numpy(), table["sample"].to_numpy()
    shown = table.filter((updates == updates.max()) & (samples == 0)).slice(0, prompts)
    names = list(shown.column_names)
    return names, [[row[name] for name in names] for row in shown.to_pylist()]


def read_samples(folder: Path, prompts: Sequence[Prompt]) -> dict[int, PolicySamples]:
    """The samples of every recorded update, prompts in their order."""
    import pyarrow.parquet as pq

    table = pq.read_table(folder / FILE)
    updates = table["update"].to_numpy()
    found = {}
    for update in np.unique(updates):
        part = table.filter(updates == update)
        shape = (len(prompts), len(part) // len(prompts))
        texts = np.array(part["response"].to_pylist(), dtype=object).reshape(shape)
        columns = {
            name: part[name].to_numpy().reshape(shape)
            for name in ("tokens", "ended", "log_prob", "reference_log_prob")
        }
        found[int(update)] = PolicySamples(
            tuple(prompts), tuple(tuple(row) for row in texts.tolist()), **columns
        )
    return found
