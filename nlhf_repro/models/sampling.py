"""Drawing responses from language models, token by token, with a key-value cache.

Every response has a random stream of its own: its uniforms depend on its seed and on the position
of the token alone, so that the same response is drawn whatever it is batched with (up to float
rounding of the logits, which moves a draw only if a uniform falls within it).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, final

import numpy as np
import torch
from numpy.typing import NDArray

from nlhf_repro.interfaces import ImpossibleSettingError
from nlhf_repro.models.forward import CausalForward
from nlhf_repro.models.layouts import MOST_BRANCHES, prompt_layout
from nlhf_repro.models.responses import Tokens

Parameters = Mapping[str, torch.Tensor]
WeightedParameters = tuple[Parameters | None, float]  # None stands for the present weights

FINISHED_SHARE = 0.25  # of a batch: when so much of it has ended, the rest goes on by itself


@final
@dataclass(frozen=True)
class GenerationSettings:
    """How responses are drawn; the temperature belongs to the responder.

    `top_k` and `top_p` are null for sampling from the whole distribution, the only one whose
    log-probabilities `log_prob` gives. `backend` own is this project's loop, generate that of
    transformers, slower, for single policies. `batch_size` bounds the responses drawn at once, null
    for all of them.
    """

    max_new_tokens: int
    top_p: float | None = None
    top_k: int | None = None
    backend: Literal["own", "generate"] = "own"
    batch_size: int | None = None

    def __post_init__(self) -> None:
        if self.max_new_tokens < 1:
            raise ImpossibleSettingError(
                f"max_new_tokens = {self.max_new_tokens} leaves no room for a token: raise it."
            )
        if self.top_p is not None and not 0.0 < self.top_p <= 1.0:
            raise ImpossibleSettingError(
                f"top_p = {self.top_p} is no share in (0, 1]: set null to keep every token."
            )
        if self.top_k is not None and self.top_k < 1:
            raise ImpossibleSettingError(
                f"top_k = {self.top_k} keeps no token: set null to keep every token."
            )
        if self.batch_size is not None and self.batch_size < 1:
            raise ImpossibleSettingError(
                f"batch_size = {self.batch_size} draws nothing: set null to draw all at once."
            )


@final
@dataclass(frozen=True)
class Samples:
    """Drawn responses: the first `lengths` entries of `tokens` count, an end included."""

    tokens: NDArray[np.int64]  # [groups, branches, max_new_tokens]
    lengths: NDArray[np.int64]  # [groups, branches]
    log_prob: NDArray[np.float64]  # [groups, branches], under the law that they were drawn from

    def responses(self) -> list[Tokens]:
        """The tokens of every response, group after group."""
        flat = self.tokens.reshape(-1, self.tokens.shape[-1])
        return [
            row[:length] for row, length in zip(flat, self.lengths.flatten().tolist(), strict=True)
        ]


def row_uniforms(seeds: NDArray[np.uint64], steps: int) -> NDArray[np.float64]:
    """Uniforms in [0, 1) of every row's stream (SplitMix64), [..., steps] for seeds [...]."""
    with np.errstate(over="ignore"):
        counter = np.arange(1, steps + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        state = seeds[..., None] + counter
        state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        state ^= state >> np.uint64(31)
    uniforms: NDArray[np.float64] = (state >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return uniforms


def warped(scores: torch.Tensor, settings: GenerationSettings) -> torch.Tensor:
    """Scores [..., vocabulary] with -inf at the tokens that top-k and then top-p leave out."""
    if settings.top_k is not None and settings.top_k < scores.shape[-1]:
        least = scores.topk(settings.top_k, dim=-1).values[..., -1:]
        scores = scores.masked_fill(scores < least, -torch.inf)
    if settings.top_p is not None and settings.top_p < 1.0:
        ordered, order = scores.sort(dim=-1, descending=False)
        below = ordered.softmax(dim=-1).cumsum(dim=-1)
        left_out = below <= 1.0 - settings.top_p
        left_out[..., -1] = False
        scores = scores.masked_fill(left_out.scatter(-1, order, left_out), -torch.inf)
    return scores


def draw(scores: torch.Tensor, uniforms: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Tokens [...] by inverting the distribution of scores [..., vocabulary], and their log-prob.

    Raises:
        FloatingPointError: A distribution is not finite.
    """
    log_prob = torch.log_softmax(scores, dim=-1)
    cumulative = log_prob.exp().cumsum(dim=-1)
    total = cumulative[..., -1:]
    if not bool(torch.isfinite(total).all()):
        raise FloatingPointError(
            "the policy's probabilities are no longer finite: lower training.learning_rate."
        )
    # Just below the total at most, so that the token found exists and has mass of its own.
    sought = uniforms[..., None] * (total * (1.0 - 2.0**-52))
    token = torch.searchsorted(cumulative, sought, right=True)
    return token[..., 0], log_prob.gather(-1, token)[..., 0]


def check_mixture(mixture: Sequence[tuple[Any, float]], temperature: float) -> None:
    """Refuse what a language model cannot sample from.

    Raises:
        ImpossibleSettingError: no policy, no weight, or a temperature that is not in (0, inf).
    """
    if not any(weight for _, weight in mixture):
        raise ImpossibleSettingError(
            "a mixture needs a policy of nonzero weight: name one in the responder."
        )
    if temperature == float("inf"):
        raise ImpossibleSettingError(
            "the uniform responder (infinite temperature) exists only where responses can be "
            "enumerated: choose the algorithm's on_policy form for language models."
        )
    if not temperature > 0.0:
        raise ImpossibleSettingError(
            f"a responder's temperature = {temperature} must be above 0: for the likeliest token, "
            "set top_k = 1."
        )


def sample_responses(
    forward: CausalForward,
    policies: Sequence[WeightedParameters],
    temperature: float,
    prompts: Sequence[Tokens],
    seeds: NDArray[np.uint64],
    settings: GenerationSettings,
    end: int,
) -> Samples:
    """Responses to every prompt, one for each of its seeds [groups, branches], by the own loop.

    Every token is drawn from prod_i pi_i^(w_i / temperature), normalized at that token, cut by
    top-k and top-p. A response ends with the token `end`, or without it at `max_new_tokens`.
    """
    groups, wanted = seeds.shape
    steps = settings.max_new_tokens
    branches = max(each for each in range(1, MOST_BRANCHES + 1) if wanted % each == 0)
    prompts = [prompt for prompt in prompts for _ in range(wanted // branches)]
    weights = [(parameters, weight / temperature) for parameters, weight in policies]
    with torch.no_grad():
        decoding = _Decoding(forward, weights, prompts, branches, steps)
        shape = (len(decoding.rows), decoding.branches)
        uniforms = torch.from_numpy(row_uniforms(seeds, steps).reshape(*shape, steps))
        tokens = torch.full((*shape, steps), end, dtype=torch.int64)
        lengths = torch.zeros(shape, dtype=torch.int64)
        log_prob = torch.zeros(shape, dtype=torch.float64)
        running = torch.ones(shape, dtype=torch.bool)
        for step in range(steps):
            rows = decoding.rows
            uniform = uniforms[rows, :, step].to(forward.device)
            drawn, drawn_log_prob = draw(warped(decoding.scores, settings), uniform)
            token = torch.where(running, drawn.cpu(), end)
            tokens[rows, :, step] = token
            log_prob[rows] += torch.where(running, drawn_log_prob.cpu(), 0.0)
            lengths[rows] += running
            running = running & (token != end)
            open_rows = running.any(dim=1)
            if step + 1 == steps or not bool(open_rows.any()):
                break
            if float(open_rows.double().mean()) <= 1.0 - FINISHED_SHARE:
                decoding.select(open_rows.nonzero()[:, 0])
                token, running = token[open_rows], running[open_rows]
            decoding.advance(token, step)
    return Samples(
        tokens.view(groups, wanted, steps).numpy(),
        lengths.view(groups, wanted).numpy(),
        log_prob.view(groups, wanted).numpy(),
    )


@final
class _Decoding:
    """Caches of every policy, and the scores [rows, branches, vocabulary] of the next tokens.

    Where the model packs, a row is a prompt and the branches are its responses, which share the
    prompt's keys and values; elsewhere every response is a row of one branch.
    """

    def __init__(
        self,
        forward: CausalForward,
        policies: Sequence[WeightedParameters],
        prompts: Sequence[Tokens],
        branches: int,
        steps: int,
    ) -> None:
        self.forward, self.policies = forward, policies
        ids, positions, real = prompt_layout(prompts)
        self.width = ids.shape[1]
        self.caches = [forward.new_cache(self.width + steps * branches) for _ in policies]
        mask = prompt_mask(real) if forward.packs else real
        scores = self._mixed(ids, positions, mask, kept=1)
        lengths = real.sum(dim=1)
        if forward.packs:
            self.branches = branches
            own = torch.eye(branches, dtype=torch.bool).repeat(1, steps)
            shared = real[:, None, :].expand(-1, branches, -1)
            self.mask = torch.cat([shared, own.expand(len(prompts), -1, -1)], dim=-1)
            self.scores, self.lengths = scores.expand(-1, branches, -1), lengths
        else:
            self.branches = 1
            every = torch.arange(len(prompts)).repeat_interleave(branches)
            self._reorder(every)
            ones = torch.ones(len(every), steps, dtype=torch.bool)
            self.mask = torch.cat([real[every], ones], dim=-1)
            self.scores, self.lengths = scores[every.to(scores.device)], lengths[every]
        self.rows = torch.arange(len(self.lengths))

    def advance(self, tokens: torch.Tensor, step: int) -> None:
        """Append the tokens [rows, branches] of a step, and score what comes next."""
        positions = (self.lengths + step)[:, None].expand(-1, self.branches)
        held = self.width + (step + 1) * self.branches
        self.scores = self._mixed(tokens, positions, self.mask[..., :held], self.branches)

    def select(self, kept: torch.Tensor) -> None:
        """Go on with these rows only."""
        self._reorder(kept)
        self.rows, self.lengths, self.mask = self.rows[kept], self.lengths[kept], self.mask[kept]

    def _reorder(self, rows: torch.Tensor) -> None:
        for past in self.caches:
            past.reorder_cache(rows.to(self.forward.device))

    def _mixed(
        self, ids: torch.Tensor, positions: torch.Tensor, mask: torch.Tensor, kept: int
    ) -> torch.Tensor:
        """The weighted sum of the policies' logits, in float64."""
        total: torch.Tensor | float = 0.0
        for (parameters, weight), past in zip(self.policies, self.caches, strict=True):
            logits = self.forward(parameters, ids, positions, mask, kept, past).double()
            total = total + (logits if weight == 1.0 else logits * weight)
        return torch.as_tensor(total)


def prompt_mask(real: torch.Tensor) -> torch.Tensor:
    """Causal mask [rows, queries, keys] over prompts; padding sees itself, not to be left empty."""
    columns = real.shape[1]
    causal = torch.ones(columns, columns, dtype=torch.bool).tril()
    return (real[:, None, :] & causal) | torch.eye(columns, dtype=torch.bool)
