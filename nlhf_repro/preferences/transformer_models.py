"""Learners over any transformers model: a reward, a language model that says A or B, a classifier.

What is saved is a folder that the oracles of the same names load (`joint_classifier` too).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any, final

import torch

from nlhf_repro.interfaces import ImpossibleSettingError
from nlhf_repro.preferences.records import PreferenceRecord
from nlhf_repro.preferences.settings import Kind
from nlhf_repro.preferences.templates import LABELS, missing_tokens, pair_row, response_row
from nlhf_repro.seeds import seed_for

PAD = "<|pad|>"
_KEPT_ROWS = 100_000  # then all are forgotten


@final
class TransformerLearner:
    """Log-odds of preferences by a transformers model, which is trained whole.

    - reward_model: r(first) - r(second), r the output of a sequence classifier (Bradley and Terry).
    - pair_preference_model: the logit of A less that of B after both responses, of a causal
      language model.
    - joint_classifier: the one output of a sequence classifier over both responses.

    The last two read the order of the responses. Dropout is off: predictions are those that the
    oracle will give.
    """

    def __init__(self, kind: Kind, model: Any, tokenizer: Any) -> None:
        self.kind, self.model, self.tokenizer = kind, model, tokenizer
        self.reads_order = kind != "reward_model"
        self._labels = [tokenizer.convert_tokens_to_ids(label) for label in LABELS]
        self._rows: dict[tuple[Any, ...], list[int]] = {}
        model.train(False)

    def margins(self, records: Sequence[PreferenceRecord]) -> torch.Tensor:
        """Log-odds that first is preferred as they stand, [records]."""
        rows = [row for record in records for row in self.rows(record)]
        ids, mask = _padded(rows, self.tokenizer.pad_token_id)
        ids, mask = ids.to(self.model.device), mask.to(self.model.device)
        logits: torch.Tensor = self.model(input_ids=ids, attention_mask=mask).logits
        if self.kind == "pair_preference_model":
            last = logits[torch.arange(len(rows), device=logits.device), mask.sum(dim=1) - 1]
            margins: torch.Tensor = last[:, self._labels[0]] - last[:, self._labels[1]]
            return margins.float()
        outputs = logits[:, 0].float()
        return outputs if self.reads_order else outputs[0::2] - outputs[1::2]

    def rows(self, record: PreferenceRecord) -> list[list[int]]:
        """The tokens that the model reads of a comparison: of each response, or of both at once."""
        if len(self._rows) > _KEPT_ROWS:
            self._rows.clear()
        if not self.reads_order:
            return [self._response(record, text) for text in (record.first, record.second)]
        key = (record.prompt.messages, record.first, record.second)
        if key not in self._rows:
            self._rows[key] = pair_row(self.tokenizer, record.prompt, record.first, record.second)
        return [self._rows[key]]

    def weights(self) -> list[torch.nn.Parameter]:
        """Of the whole model, in the order of its names."""
        return [weight for _, weight in sorted(self.model.named_parameters())]

    def save(self, folder: Path) -> None:
        """Write config.json, safetensors weights and the tokenizer."""
        from transformers.utils import logging as transformers_logging

        logging: Any = transformers_logging
        shown = logging.is_progress_bar_enabled()
        logging.disable_progress_bar()
        self.model.save_pretrained(folder, safe_serialization=True)
        self.tokenizer.save_pretrained(folder)
        if shown:
            logging.enable_progress_bar()

    def _response(self, record: PreferenceRecord, text: str) -> list[int]:
        key = (record.prompt.messages, text)
        if key not in self._rows:
            self._rows[key] = response_row(self.tokenizer, record.prompt, text)
        return self._rows[key]


def transformer_learner(kind: Kind, model: Any, tokenizer: Any, seed: int) -> TransformerLearner:
    """The learner that starts from a causal language model.

    A classifier takes over the language model's body, and its output starts at 0: every answer is
    1/2. Labels and marks that the tokenizer does not know become tokens of their own, drawn from
    the seed, and so does a padding where there is none.

    Raises:
        ImpossibleSettingError: no chat template, adapters, or an architecture without a classifier.
    """
    if not tokenizer.chat_template:
        raise ImpossibleSettingError(
            f"the tokenizer of {tokenizer.name_or_path} has no chat template, under which an "
            "oracle reads responses: save one with the tokenizer."
        )
    if hasattr(model, "peft_config"):
        raise ImpossibleSettingError(
            "model.lora with pipeline=fit_oracle: a learned oracle is trained whole, so set "
            "model.lora=null."
        )
    if kind != "pair_preference_model":
        model = _as_classifier(model)
    _add_tokens(model, tokenizer, missing_tokens(tokenizer) if kind != "reward_model" else [], seed)
    model.config.pad_token_id = tokenizer.pad_token_id
    return TransformerLearner(kind, model, tokenizer)


def _as_classifier(model: Any) -> Any:
    """The same body with one output, which is 0 for everything."""
    from transformers import AutoModelForSequenceClassification

    factory: Any = AutoModelForSequenceClassification
    config = deepcopy(model.config)
    config.num_labels = 1
    try:
        with torch.random.fork_rng(devices=[]):  # the body is drawn, and then overwritten
            made = factory.from_config(config)
        made.base_model.load_state_dict(model.base_model.state_dict())
    except (ValueError, RuntimeError) as error:
        raise ImpossibleSettingError(
            f"fit.kind needs a sequence classifier over the body of {type(model).__name__}, and "
            "transformers has none: take fit.kind=pair_preference_model, or another model."
        ) from error
    body = {id(weight) for weight in made.base_model.parameters()}
    with torch.no_grad():
        for weight in made.parameters():
            if id(weight) not in body:
                weight.zero_()
    return made.to(model.device, model.dtype)


def _add_tokens(model: Any, tokenizer: Any, texts: list[str], seed: int) -> None:
    from tokenizers import AddedToken

    before = len(tokenizer)
    tokenizer.add_tokens([AddedToken(x, single_word=True, normalized=False) for x in texts])
    if tokenizer.pad_token_id is None:
        tokenizer.add_special_tokens({"pad_token": PAD})
    old = model.get_input_embeddings().num_embeddings
    if len(tokenizer) > old:
        with torch.random.fork_rng(devices=[]):
            model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    generator = torch.Generator()
    generator.manual_seed(seed_for("preferences", "tokens", seed))
    embeddings = [model.get_input_embeddings(), model.get_output_embeddings()]
    with torch.no_grad():
        for weight in (each.weight for each in embeddings if each is not None):
            spread = float(weight[:before].float().std())
            shape = weight[before : len(tokenizer)].shape
            draws = torch.randn(shape, generator=generator) * spread
            weight[before : len(tokenizer)] = draws.to(weight)


def _padded(rows: Sequence[list[int]], pad: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Tokens and mask [rows, columns], padded on the right."""
    width = max(len(row) for row in rows)
    ids = torch.tensor([[*row, *[pad] * (width - len(row))] for row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows])
    return ids, mask


def too_long(learner: TransformerLearner, record: PreferenceRecord, most: int) -> bool:
    """Whether a comparison has more than `most` tokens, or more than the model has positions."""
    positions = getattr(learner.model.config, "max_position_embeddings", None) or math.inf
    return any(len(row) > min(most, positions) for row in learner.rows(record))
