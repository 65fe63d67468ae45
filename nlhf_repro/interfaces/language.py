"""How a language model is tuned, asked, trained and scored: the keys of the `language` node."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class FineTuning:
    """Supervised fine-tuning on the demonstrations of the prompts; its result is the reference.

    AdamW with `warmup_steps` of linear rise, then a cosine to 0; the loss is the mean cross-entropy
    of response tokens, the end-of-sequence token included.
    """

    steps: int
    batch_size: int
    learning_rate: float
    warmup_steps: int
    weight_decay: float
    gradient_clip: float | None


@dataclass(frozen=True)
class LanguageSettings:
    """Everything that a run on a language model needs beside the `training` node.

    log_prob: a response's log-probability in losses, the sum over its tokens or their mean.
    uniform_temperature: of the present policy, which stands for the uniform responses that some
    algorithms compare and that cannot be drawn from all texts (2 in the language models of EGPO,
    arXiv:2503.08942, beside a top-k of 10); null: such algorithms are refused.
    microbatch: responses that go through the model at once, sampling_batch: that are drawn at once
    (null: all of them); memory, not results.
    unit_scale: squared losses divided by their scale squared (eta^2 for INPO, tau^2 for IPO).
    schedule: of the learning rate, `cosine` within every fit, `cosine_over_run` over all updates.
    evaluation_split: whose prompts are scored; searches use `tuning`. Never those of training.
    evaluation_samples: responses to every scored prompt.
    selection: the benchmark that chooses, on the `selection` prompts, the best policy recorded so
    far; every benchmark then scores the iterate `selected` beside `last`. It asks the true oracle,
    which no ledger counts and no budget pays for. null: no such iterate.
    patience: recorded updates in a row without a better policy by `selection` after which training
    ends; all later recorded updates then hold its last policy. null: it runs to its end.
    top_p, top_k: of training's and evaluation's draws; the truncated law is another policy than the
    one whose log-probabilities are trained and scored.
    resume_every: updates after which a killed training goes on; null: from its beginning.
    snapshots: where the policies of earlier updates are kept.
    """

    fine_tuning: FineTuning | None
    max_new_tokens: int
    top_p: float | None
    top_k: int | None
    uniform_temperature: float | None
    backend: Literal["own", "generate"]
    log_prob: Literal["sum", "mean"]
    schedule: Literal["constant", "cosine", "cosine_over_run"]
    warmup_steps: int
    weight_decay: float
    gradient_clip: float | None
    microbatch: int
    sampling_batch: int | None
    unit_scale: bool
    evaluation_split: Literal["evaluation", "tuning"]
    evaluation_samples: int
    selection: str | None
    patience: int | None
    resume_every: int | None
    snapshots: Literal["memory", "disk"]
