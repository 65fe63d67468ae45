"""Drawing responses with transformers' `generate`: the same draws as the own loop, more slowly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch.func import functional_call

from nlhf_repro.interfaces import ImpossibleSettingError
from nlhf_repro.models.forward import CausalForward
from nlhf_repro.models.layouts import prompt_layout
from nlhf_repro.models.responses import Tokens
from nlhf_repro.models.sampling import (
    GenerationSettings,
    Samples,
    WeightedParameters,
    draw,
    row_uniforms,
    warped,
)


def generate_responses(
    forward: CausalForward,
    policies: Sequence[WeightedParameters],
    temperature: float,
    prompts: Sequence[Tokens],
    seeds: NDArray[np.uint64],
    settings: GenerationSettings,
    end: int,
) -> Samples:
    """What `sample_responses` draws, with the loop and the cache of `generate`.

    `generate` has one random stream for a batch, so each token is drawn by a logits processor from
    the response's own stream, and `generate` takes the likeliest of what is left.

    Raises:
        ImpossibleSettingError: There are several policies.
    """
    if len(policies) != 1:
        raise ImpossibleSettingError(
            f"backend = generate draws from one policy, not from a mixture of {len(policies)}: set "
            "backend = own."
        )
    [(parameters, weight)] = policies
    groups, branches = seeds.shape
    steps = settings.max_new_tokens
    ids, _, real = prompt_layout([prompt for prompt in prompts for _ in range(branches)])
    uniforms = torch.from_numpy(row_uniforms(seeds, steps).reshape(-1, steps))
    processor = _Draw(uniforms.to(forward.device), ids.shape[1], weight / temperature, settings)
    arguments = {
        "inputs": ids.to(forward.device),
        "attention_mask": real.to(torch.int64).to(forward.device),
        "logits_processor": [processor],
        "generation_config": _greedy(steps, end),
    }
    generating = _Generating(forward.model)
    with torch.no_grad():
        named = {f"model.{name}": value for name, value in (parameters or {}).items()}
        out = functional_call(generating, named, (), arguments)
    drawn = out[:, ids.shape[1] :].cpu()
    tokens = torch.full((len(ids), steps), end, dtype=torch.int64)
    tokens[:, : drawn.shape[1]] = drawn
    lengths = ((tokens == end).cumsum(dim=1) == 0).sum(dim=1).add(1).clamp_max(steps)
    counted = torch.arange(steps) < lengths[:, None]
    log_prob = torch.zeros(len(ids), steps, dtype=torch.float64)
    log_prob[:, : len(processor.log_prob)] = torch.stack(processor.log_prob, dim=1).cpu()
    shape = (groups, branches)
    return Samples(
        tokens.view(*shape, steps).numpy(),
        lengths.view(shape).numpy(),
        torch.where(counted, log_prob, 0.0).sum(dim=1).view(shape).numpy(),
    )


def _greedy(steps: int, end: int) -> Any:
    from transformers import GenerationConfig

    made: Any = GenerationConfig
    return made(
        max_new_tokens=steps, do_sample=False, num_beams=1, eos_token_id=end, pad_token_id=end
    )


@final
class _Draw:
    """A logits processor that leaves one token of each row: the one that its uniform selects."""

    def __init__(
        self, uniforms: torch.Tensor, width: int, scale: float, settings: GenerationSettings
    ) -> None:
        self.uniforms, self.width, self.scale, self.settings = uniforms, width, scale, settings
        self.log_prob: list[torch.Tensor] = []  # [rows] of every step

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        step = input_ids.shape[1] - self.width
        mixed = warped(scores.double() * self.scale, self.settings)
        token, log_prob = draw(mixed, self.uniforms[:, step])
        self.log_prob.append(log_prob)
        alone = torch.full_like(scores, -torch.inf)
        return alone.scatter_(-1, token[:, None], 0.0)


@final
class _Generating(torch.nn.Module):
    """Makes `generate` the forward of a module, so that a snapshot's weights can stand in."""

    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, **arguments: Any) -> torch.Tensor:
        generate: Any = self.model.generate
        # The checkpoint's own generation settings (penalties, forced tokens) are not the policy.
        own, self.model.generation_config = (
            self.model.generation_config,
            arguments["generation_config"],
        )
        try:
            drawn: torch.Tensor = generate(**arguments)
        finally:
            self.model.generation_config = own
        return drawn
