"""Log-probabilities of given response tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch.utils.checkpoint import checkpoint

from nlhf_repro.models.forward import CausalForward
from nlhf_repro.models.layouts import MOST_BRANCHES, Layout, batches, layout, rows_of
from nlhf_repro.models.responses import Tokens


@dataclass(frozen=True)
class TokenScores:
    """Log-probabilities of tokens, in float64: entry i is step `steps[i]` of `owners[i]`."""

    log_prob: torch.Tensor
    owners: torch.Tensor
    steps: torch.Tensor
    responses: int

    def total(self) -> torch.Tensor:
        """The sum over the tokens of every response, [responses]."""
        return self.log_prob.new_zeros(self.responses).index_add(0, self.owners, self.log_prob)

    def lengths(self) -> torch.Tensor:
        """Tokens of every response, [responses]."""
        return torch.bincount(self.owners, minlength=self.responses)

    def table(self) -> tuple[torch.Tensor, torch.Tensor]:
        """[responses, tokens], 0 beyond a response, and which entries exist."""
        shape = (self.responses, int(self.lengths().max()) if self.responses else 0)
        place = (self.owners, self.steps)
        real = torch.zeros(shape, dtype=torch.bool).index_put(place, torch.tensor(True))
        return self.log_prob.new_zeros(shape).index_put(place, self.log_prob), real


def token_scores(
    forward: CausalForward,
    parameters: Mapping[str, torch.Tensor] | None,
    prompts: Sequence[Tokens],
    responses: Sequence[Tokens],
    identities: Sequence[int],
    microbatch: int,
) -> TokenScores:
    """Scores of every response to its prompt; equal `identities` say that prompts are the same.

    `microbatch` responses are computed at once. Where gradients are wanted through more of them,
    the activations of each microbatch are computed again when its gradients are.
    """
    branches = min(microbatch, MOST_BRANCHES) if forward.packs else 1
    rows = rows_of(prompts, responses, identities, branches)
    if not rows:
        none = torch.zeros(0, dtype=torch.int64)
        return TokenScores(none.double(), none, none, 0)
    layouts = [layout(batch) for batch in batches(rows, microbatch)]
    compute = partial(_log_prob, forward, parameters)
    if torch.is_grad_enabled() and len(layouts) > 1:
        found = [
            checkpoint(compute, each, use_reentrant=False, preserve_rng_state=False)
            for each in layouts
        ]
    else:
        found = [compute(each) for each in layouts]
    return TokenScores(
        torch.cat(found),
        torch.cat([each.owners for each in layouts]),
        torch.cat([each.steps for each in layouts]),
        len(responses),
    )


def _log_prob(
    forward: CausalForward, parameters: Mapping[str, torch.Tensor] | None, rows: Layout
) -> torch.Tensor:
    """Log-probabilities of the layout's targets, on the CPU."""
    mask = rows.visible if forward.packs else rows.real
    logits = forward(parameters, rows.ids, rows.positions, mask, rows.kept)
    device = logits.device
    chosen = logits[rows.rows.to(device), rows.columns.to(device)]
    if chosen.dtype in (torch.float16, torch.bfloat16):
        chosen = chosen.float()
    targets = rows.targets.to(device)
    loss = torch.nn.functional.cross_entropy(chosen, targets, reduction="none")
    return -loss.cpu().double()
