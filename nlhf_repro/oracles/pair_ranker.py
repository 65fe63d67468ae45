"""The architecture of PairRM: DeBERTa over a prompt and two responses, a head on their marks."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import nn


@cache
def pair_ranker() -> Any:
    """The class, made late, to import late.

    Read in the released code of LLM-Blender (arXiv:2306.02561; yuchenlin/LLM-Blender,
    llm_blender/pair_ranker/pairrm.py) and written anew, with the names of its weights, so that
    those of llm-blender/PairRM-hf load without running code from there.
    """
    from transformers import DebertaV2Model, DebertaV2PreTrainedModel

    base: Any = DebertaV2PreTrainedModel

    class PairRanker(base):  # type: ignore[misc]
        """h(source mark, first mark) - h(source mark, second mark), h a perceptron of one layer.

        The states of the marks are those of the last layer; several outputs are averaged.
        """

        def __init__(self, config: Any) -> None:
            super().__init__(config)
            size = config.hidden_size
            self.pretrained_model = DebertaV2Model(config)
            self.head_layer = nn.Sequential(
                nn.Identity(),  # dropout in training; keeps the numbers of the others
                nn.Linear(2 * size, size),
                nn.Tanh(),
                nn.Identity(),
                nn.Linear(size, getattr(config, "n_tasks", 1)),
            )
            self.post_init()

        def forward(
            self, ids: torch.Tensor, mask: torch.Tensor, marks: tuple[int, int, int]
        ) -> torch.Tensor:
            """The log-odds that the first response is preferred, [rows], of tokens [rows, columns].

            `marks` are the tokens of source, first and second, once in every row.
            """
            states = self.pretrained_model(input_ids=ids, attention_mask=mask).last_hidden_state
            rows = torch.arange(len(ids), device=ids.device)
            source, first, second = (
                states[rows, (ids == mark).long().argmax(dim=1)] for mark in marks
            )
            one, other = (
                self.head_layer(torch.cat([source, candidate], dim=-1))
                for candidate in (first, second)
            )
            logits: torch.Tensor = (one - other).mean(dim=-1)
            return logits

    return PairRanker
