"""Calling a causal language model: with a snapshot's weights, packed rows, and a cache."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any, final

import numpy as np
import torch
from torch.func import functional_call

from nlhf_repro.models.layouts import Row, layout

if TYPE_CHECKING:
    from transformers import PreTrainedModel

PROBE_ROUNDINGS = 16  # a model that ignores mask or positions is off by more


@final
class CausalForward:
    """A causal language model's logits under its present weights, or under a snapshot's.

    `packs` says whether several responses may share a row with their prompt. That needs a mask for
    every query, explicit positions and full attention in every layer; it is tried out, because no
    attribute of a model tells it. Other models get a row for every response.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        self.model: Any = model
        unwrapped: Any = getattr(model, "get_base_model", lambda: model)  # of a model with adapters
        inner = unwrapped()
        taken = inspect.signature(inner.forward).parameters
        self._positions = "position_ids" in taken
        self._keeps = "logits_to_keep" in taken
        self.packs = False
        self.packs = self._positions and self._fully_attends() and self._packing_agrees()

    @property
    def device(self) -> torch.device:
        """Where the model computes."""
        device: torch.device = self.model.device
        return device

    def __call__(
        self,
        parameters: Mapping[str, torch.Tensor] | None,
        ids: torch.Tensor,
        positions: torch.Tensor,
        mask: torch.Tensor,
        kept: int,
        past: Any = None,
    ) -> torch.Tensor:
        """Logits [rows, kept, vocabulary] of the last `kept` columns, on the model's device.

        `mask` is bool: [rows, keys], or [rows, queries, keys] for models that pack. `parameters`
        stand for the present weights of the same names. `past` is a cache, which is extended.
        """
        arguments: dict[str, Any] = {
            "input_ids": ids.to(self.device),
            "attention_mask": self._mask(mask.to(self.device)),
            "use_cache": past is not None,
        }
        if past is not None:
            arguments["past_key_values"] = past
        if self._positions:
            arguments["position_ids"] = positions.to(self.device)
        if self._keeps:
            arguments["logits_to_keep"] = kept
        with self._checkpointing():
            if parameters is None:
                output = self.model(**arguments)
            else:
                output = functional_call(self.model, dict(parameters), (), arguments)
        logits: torch.Tensor = output.logits
        return logits[:, -kept:]

    def new_cache(self, capacity: int) -> Any:
        """An empty cache; for a model that packs, of room for `capacity` columns."""
        from transformers.cache_utils import Cache, DynamicCache

        config = self.model.config.get_text_config(decoder=True)
        if not self.packs:
            return DynamicCache(config=config)
        layers = len(DynamicCache(config=config).layers)
        return Cache(layers=[_preallocated()(capacity) for _ in range(layers)])

    @contextmanager
    def _checkpointing(self) -> Iterator[None]:
        """Where gradients are wanted of a checkpointing model: it does so in training mode only."""
        wanted = torch.is_grad_enabled() and checkpoints_activations(self.model)
        try:
            if wanted:
                self.model.train(True)
            yield
        finally:
            if wanted:
                self.model.train(False)

    def _mask(self, mask: torch.Tensor) -> torch.Tensor:
        if mask.dim() == 2:
            return mask.to(torch.int64)
        hidden = torch.finfo(self.model.dtype).min
        additive = torch.zeros(mask.shape, dtype=self.model.dtype, device=mask.device)
        return additive.masked_fill_(~mask, hidden)[:, None]

    def _fully_attends(self) -> bool:
        from transformers.cache_utils import DynamicCache, DynamicLayer

        config = self.model.config.get_text_config(decoder=True)
        layers = DynamicCache(config=config).layers
        plain = bool(layers) and all(type(layer) is DynamicLayer for layer in layers)
        return plain and self.model.config._attn_implementation in ("sdpa", "eager")

    def _packing_agrees(self) -> bool:
        """Whether two responses packed with a prompt score as each of them does alone."""
        vocabulary = self.model.get_input_embeddings().num_embeddings
        prompt, *responses = (np.asarray(x) % vocabulary for x in ([3, 1, 4], [1, 5], [9, 2, 6]))
        packed = layout([Row(prompt, tuple(responses), (0, 1))])
        with torch.no_grad():
            try:
                together = self(None, packed.ids, packed.positions, packed.visible, packed.kept)
            except (RuntimeError, ValueError, TypeError):
                return False  # the model takes no mask of this shape
            for owner, response in enumerate(responses):
                ids = torch.from_numpy(np.concatenate([prompt, response[:-1]]))[None]
                logits = self.model(input_ids=ids.to(self.device), use_cache=False).logits
                alone = torch.log_softmax(logits[0, -len(response) :].float(), dim=-1)
                columns = packed.columns[packed.owners == owner]
                shared = torch.log_softmax(together[0, columns.to(self.device)].float(), dim=-1)
                rounding = torch.finfo(logits.dtype).eps * float(alone.abs().max())
                if float((shared - alone).abs().max()) > PROBE_ROUNDINGS * rounding:
                    return False
        return True


def checkpoint_activations(model: Any) -> None:
    """Let the model compute its activations again for gradients instead of keeping them."""
    older = "gradient_checkpointing_enable"  # the name before transformers 5.20
    enable = getattr(model, "activation_checkpointing_enable", None) or getattr(model, older)
    enable({"use_reentrant": False})


def checkpoints_activations(model: torch.nn.Module) -> bool:
    """Whether it does so in training mode."""
    return any(getattr(module, "gradient_checkpointing", False) for module in model.modules())


def dropout_rates(config: Any) -> list[str]:
    """The names of a model's settings that make it random in training mode."""
    return [
        name
        for name, value in vars(config).items()
        if any(word in name for word in ("drop", "jitter"))
        and isinstance(value, int | float)
        and value
    ]


@cache
def _preallocated() -> Any:
    """The class of a cache layer that is written in place; made late, to import late."""
    from transformers.cache_utils import DynamicLayer

    layer: Any = DynamicLayer

    class PreallocatedLayer(layer):  # type: ignore[misc]
        """Keys and values [rows, heads, capacity, size], of which the first `filled` are held."""

        def __init__(self, capacity: int) -> None:
            super().__init__()
            self.is_initialized = False
            self.capacity, self.filled = capacity, 0

        def update(
            self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
        ) -> tuple[torch.Tensor, torch.Tensor]:
            if not self.is_initialized:
                self.keys, self.values = self._room(key_states), self._room(value_states)
                self.is_initialized = True
            end = self.filled + key_states.shape[-2]
            self.keys[:, :, self.filled : end] = key_states
            self.values[:, :, self.filled : end] = value_states
            self.filled = end
            return self.keys[:, :, :end], self.values[:, :, :end]

        def get_seq_length(self) -> int:
            return int(self.filled)

        def _room(self, states: torch.Tensor) -> torch.Tensor:
            rows, heads, _, size = states.shape
            return states.new_empty(rows, heads, self.capacity, size)

    return PreallocatedLayer
