"""How prompts and their responses lie in the rows of a forward pass."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from nlhf_repro.models.responses import Tokens

PROMPT, PADDING = 0, -1  # segments; the branches of a row count from 1
MOST_BRANCHES = 8  # of a row: every branch's attention passes over the others' tokens


@dataclass(frozen=True)
class Row:
    """A prompt and responses to it; `owners` are the responses' places in the caller's list."""

    prompt: Tokens
    responses: tuple[Tokens, ...]
    owners: tuple[int, ...]

    @property
    def length(self) -> int:
        """Tokens of the row."""
        return len(self.prompt) + sum(len(each) for each in self.responses)


@dataclass(frozen=True)
class Layout:
    """Rows as tensors: prompts end, and the first responses begin, at the same column.

    The logits of the last `kept` columns say everything about the response tokens: target i is the
    token `targets[i]` of response `owners[i]`, at `steps[i]` in it, predicted at (`rows[i]`,
    `columns[i]`) of them.
    """

    ids: torch.Tensor  # [rows, columns]
    positions: torch.Tensor  # [rows, columns]
    visible: torch.Tensor  # [rows, queries, keys], bool
    real: torch.Tensor  # [rows, columns], bool: no padding
    kept: int
    rows: torch.Tensor
    columns: torch.Tensor
    targets: torch.Tensor
    owners: torch.Tensor
    steps: torch.Tensor


def rows_of(
    prompts: Sequence[Tokens], responses: Sequence[Tokens], identities: Sequence[int], branches: int
) -> list[Row]:
    """Rows of at most `branches` responses; those of the same prompt (by identity) share rows."""
    members: dict[int, list[int]] = {}
    for owner, identity in enumerate(identities):
        members.setdefault(identity, []).append(owner)
    return [
        Row(prompts[part[0]], tuple(responses[owner] for owner in part), tuple(part))
        for owners in members.values()
        for part in (owners[i : i + branches] for i in range(0, len(owners), branches))
    ]


def batches(rows: Sequence[Row], responses: int) -> Iterator[list[Row]]:
    """Rows of similar length together, about as many as hold `responses` responses."""
    batch: list[Row] = []
    held = 0
    for row in sorted(rows, key=lambda each: each.length):
        if batch and held + len(row.owners) > responses:
            yield batch
            batch, held = [], 0
        batch.append(row)
        held += len(row.owners)
    if batch:
        yield batch


def prompt_layout(prompts: Sequence[Tokens]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Prompts that end at the same column: ids, positions, and what is no padding (bool)."""
    width = max(len(prompt) for prompt in prompts)
    ids = np.zeros((len(prompts), width), dtype=np.int64)
    lengths = np.array([len(prompt) for prompt in prompts])
    positions = np.arange(width)[None, :] - (width - lengths)[:, None]
    real = positions >= 0
    ids[real] = np.concatenate(list(prompts))
    return (
        torch.from_numpy(ids),
        torch.from_numpy(np.maximum(positions, 0)),
        torch.from_numpy(real),
    )


def layout(rows: Sequence[Row]) -> Layout:
    """The tensors of a batch of rows; a token sees its prompt and its own response up to itself."""
    width = max(len(row.prompt) for row in rows)
    longest = max(row.length - len(row.prompt) for row in rows)
    shape = (len(rows), width + longest)
    ids, positions = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
    segments = np.full(shape, PADDING, dtype=np.int64)
    places: list[tuple[Tokens, ...]] = []
    for index, row in enumerate(rows):
        start = width - len(row.prompt)
        ids[index, start:width] = row.prompt
        positions[index, start:width] = np.arange(len(row.prompt))
        segments[index, start:width] = PROMPT
        column = width
        for branch, (owner, response) in enumerate(zip(row.owners, row.responses, strict=True), 1):
            steps = np.arange(len(response))
            there = slice(column, column + len(response))
            ids[index, there] = response
            positions[index, there] = len(row.prompt) + steps
            segments[index, there] = branch
            # The first token is predicted where the prompt ends, any other one column before it.
            predicted = np.where(steps == 0, 0, column - width + steps)
            places.append(
                (
                    np.full_like(steps, index),
                    predicted,
                    response,
                    np.full_like(steps, owner),
                    steps,
                )
            )
            column += len(response)
    found = [torch.from_numpy(np.concatenate(each)) for each in zip(*places, strict=True)]
    return Layout(
        torch.from_numpy(ids),
        torch.from_numpy(positions),
        visible(torch.from_numpy(segments)),
        torch.from_numpy(segments != PADDING),
        longest + 1,
        *found,
    )


def visible(segments: torch.Tensor) -> torch.Tensor:
    """Which key a query attends to, [rows, columns, columns], from the segments [rows, columns].

    Padding sees itself, so that no query is left without a key.
    """
    query, key = segments[:, :, None], segments[:, None, :]
    columns = segments.shape[1]
    causal = torch.ones(columns, columns, dtype=torch.bool).tril()
    seen = ((key == PROMPT) | (key == query)) & (key != PADDING) & causal
    return seen | torch.eye(columns, dtype=torch.bool)
