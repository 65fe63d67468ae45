"""A pair preference model: a language model that answers A or B, asked in both orders."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, NamedTuple, final

import torch

from nlhf_repro.interfaces import (
    Array,
    ImpossibleSettingError,
    Message,
    OracleCost,
    Prompt,
)
from nlhf_repro.oracles.batching import Row, RowNumbers, sigmoid
from nlhf_repro.oracles.guarded_tokens import (
    HOLE,
    CutWarning,
    GuardedTokenizer,
    Shield,
    chat_text,
    require_chat_template,
    without_begin,
)
from nlhf_repro.oracles.loading import Dtype, check_sizes, checkpoint_of, loaded
from nlhf_repro.oracles.ordered_pairs import PositionBias, averaged, in_both_orders
from nlhf_repro.weights import fingerprint

MARKS = ("[CONTEXT]", "[RESPONSE A]", "[RESPONSE B]", "<turn> user", "<turn> assistant")
_KEPT_TEXTS, _KEPT_NUMBERS = 8192, 200_000  # then those not asked about are forgotten


@final
@dataclass(frozen=True)
class PairPreferenceModel:
    """P(A | first, second) = softmax of the logits of the tokens A and B, averaged over the orders.

    RLHFlow/pair-preference-model-LLaMA3-8B and its kin (arXiv:2405.07863), by hub name or folder.
    The text is that of its model card and of RLHFlow/RLHF-Reward-Modeling, pair-pm: one user turn
    under the tokenizer's chat template, `[CONTEXT] {context} [RESPONSE A] {first} [RESPONSE B]
    {second}`, a space and a line break; the context is an empty line before the first turn, then
    for every turn a line `<turn> user` or `<turn> assistant` and a line of a space and its text.
    (The card's template for it looks longer: Jinja takes a line break after every tag, which leaves
    the example of the card's page on training data.) The template's begin-of-text token is taken
    out (`strip_bos`), and none is added.

    Whether the assistant's turn is begun before A or B is read is up to the chat template, as on
    the card; `generation_prompt` begins it in any case. A turn of the system's is written as the
    user's: our reading.

    The same in every world. The parts of the text are tokenized apart, once a prompt and a response
    and not once a pair; under LLaMA-3's tokenizer these are the tokens of the whole text, and under
    one where they are not there is a warning. Texts that write a special token or a mark of the
    template get the tokens of its characters. Responses that do not fit into `max_length` tokens
    are cut at their end, the longer one first, with a warning; the card cuts nothing.
    """

    cost: ClassVar[OracleCost] = OracleCost(ordered_passes=2)

    name_or_path: str
    revision: str | None
    dtype: Dtype
    device: str
    batch_size: int
    max_length: int
    strip_bos: bool
    generation_prompt: bool
    unsafe_weights: bool

    def __post_init__(self) -> None:
        check_sizes(batch_size=self.batch_size, max_length=self.max_length)

    def fingerprint(self) -> dict[str, str]:
        """What results are kept under: SHA-256 of a folder's files, or the revision on the hub."""
        return fingerprint(self.name_or_path, self.revision, "oracle")

    def oracle(self, world: int) -> PairPreferenceOracle:
        """The oracle, loaded.

        Raises:
            ImpossibleSettingError: it cannot be loaded, or its tokenizer lacks a chat template or a
                single token for A or B.
        """
        return PairPreferenceOracle(self)


class _Template(NamedTuple):
    """The text of a prompt without its responses, as tokens."""

    before: list[int]
    between: list[int]
    after: list[int]
    trimmed: bool  # whether the chat template takes white space off the end of a turn

    @property
    def tokens(self) -> int:
        """How many tokens it has."""
        return len(self.before) + len(self.between) + len(self.after)

    def filled(self, first: list[int], second: list[int]) -> Row:
        """All tokens, with those of the responses."""
        return (*self.before, *first, *self.between, *second, *self.after)


@final
class PairPreferenceOracle:
    """Probabilities of pairs, averaged over both orders.

    Attributes:
        bias: What the order of the responses has changed so far.
    """

    cost: ClassVar[OracleCost] = PairPreferenceModel.cost

    def __init__(self, settings: PairPreferenceModel) -> None:
        self.settings = settings
        self._model, self._tokenizer = loaded(
            checkpoint_of(settings),
            "causal language model",
        )
        require_chat_template(self._tokenizer)
        self._guarded = GuardedTokenizer(self._tokenizer, MARKS)
        self._labels = [self._guarded.single(x, "which it answers with") for x in ("A", "B")]
        self._keeps = "logits_to_keep" in inspect.signature(self._model.forward).parameters
        self._numbers = RowNumbers(
            settings.batch_size, 0, settings.device, self._forward, _KEPT_NUMBERS
        )
        self.bias = PositionBias()
        self._template = lru_cache(_KEPT_TEXTS)(self._template_of)
        self._response = lru_cache(_KEPT_TEXTS)(self._response_of)
        self._cut = CutWarning(settings.max_length)
        self._warn_where_parts_differ()

    @property
    def position_bias(self) -> float:
        """How much the first place was preferred so far, in [-1, 1]; NaN before the first pair."""
        return self.bias.mean

    def preference(
        self, prompts: Sequence[Prompt], first: Sequence[str], second: Sequence[str]
    ) -> Array:
        """P(first preferred over second), [items]; exchanged responses sum to 1 within 1e-15.

        Raises:
            ImpossibleSettingError: a prompt leaves no room in `max_length`, or the chat template
                does not take it.
            ValueError: an answer is not finite.
        """
        shown, exchanged = self.ordered(prompts, first, second)
        self.bias.add(shown, exchanged)
        return averaged(shown, exchanged)

    def ordered(
        self, prompts: Sequence[Prompt], first: Sequence[str], second: Sequence[str]
    ) -> tuple[Array, Array]:
        """P(A) with first as A, and with second as A, [items] each."""
        shown, exchanged = in_both_orders(prompts, first, second, self._row, self._numbers)
        return sigmoid(shown), sigmoid(exchanged)

    def score(self, prompts: Sequence[Prompt], responses: Sequence[str]) -> Array:
        """Refuses.

        Raises:
            ImpossibleSettingError: pairs are compared, and single responses have no score.
        """
        raise ImpossibleSettingError(
            "oracle=pair_preference_model compares two responses and has no score of one: take "
            "oracle=reward_model, or labels other than scores."
        )

    def _forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Log-odds of A against B after every row, [rows]."""
        last = mask.sum(dim=1) - 1
        columns, place = torch.unique(last, return_inverse=True)
        kept = {"logits_to_keep": columns} if self._keeps else {}
        logits = self._model(input_ids=ids, attention_mask=mask, use_cache=False, **kept).logits
        place = place if self._keeps else last
        one, other = (
            logits[torch.arange(len(ids), device=ids.device), place, label].double()
            for label in self._labels
        )
        difference: torch.Tensor = one - other
        return difference

    def _row(self, prompt: Prompt, first: str, second: str) -> Row:
        template = self._template(prompt.messages, prompt.identifier)
        one = self._response(first, False)
        other = self._response(second, template.trimmed)
        room = self.settings.max_length - template.tokens
        if room < 0:
            raise ImpossibleSettingError(
                f"prompt {prompt.identifier} and the template around it take {template.tokens} of "
                f"the oracle.max_length = {self.settings.max_length} tokens, which leaves no room "
                "for responses: raise it, or take shorter prompts."
            )
        if len(one) + len(other) > room:
            self._cut.warn()
            one, other = shared(one, other, room)
        return template.filled(one, other)

    def _template_of(self, messages: tuple[Message, ...], identifier: str) -> _Template:
        rendered = ""

        def render(shield: Shield) -> str:
            nonlocal rendered
            rendered = self._text(messages, identifier, shield, HOLE, HOLE)
            return rendered

        before, between, after = self._guarded.pieces(render)
        before = without_begin(before, self._tokenizer, self.settings.strip_bos)
        trimmed = not rendered.rpartition(HOLE)[2].startswith(" \n")
        return _Template(before, between, after, trimmed)

    def _response_of(self, response: str, trimmed: bool) -> list[int]:
        """Tokens of a response and the space before it, as many as can be of use."""
        if trimmed:
            response = response.rstrip()
            if not response:
                return []
        return self._guarded.text(response, before=" ")[: self.settings.max_length]

    def _text(
        self,
        messages: tuple[Message, ...],
        identifier: str,
        shield: Shield,
        first: str,
        second: str,
    ) -> str:
        """The text under the chat template; responses come with the space before them."""
        content = (
            f"[CONTEXT] {context_of(messages, shield)} [RESPONSE A]{first} [RESPONSE B]{second} \n"
        )
        turns = [Message("user", content)]
        return chat_text(self._tokenizer, identifier, turns, self.settings.generation_prompt)

    def _warn_where_parts_differ(self) -> None:
        """Tell of a tokenizer whose tokens reach over the ends of responses."""
        prompt = Prompt("probe", (Message("user", "Name one."),), {})
        text = self._text(prompt.messages, "probe", lambda x: x, " One: 1.", " no\n- two")
        whole = self._tokenizer(text, add_special_tokens=False)["input_ids"]
        whole = without_begin(list(whole), self._tokenizer, self.settings.strip_bos)
        template = self._template(prompt.messages, "probe")
        responses = self._response("One: 1.", False), self._response("no\n- two", template.trimmed)
        if tuple(whole) != template.filled(*responses):
            warnings.warn(
                f"the tokenizer of oracle.name_or_path = {self.settings.name_or_path} gives the "
                "parts of a text other tokens than the whole text, which the model may have been "
                "trained on: compare its answers with published ones before use.",
                UserWarning,
                stacklevel=2,
            )


def context_of(messages: Sequence[Message], shield: Shield = str) -> str:
    """A conversation as the context of a comparison: `<turn> user`, its text, and so on."""
    turns = (
        f"\n<turn> {'assistant' if turn.role == 'assistant' else 'user'}\n {shield(turn.content)}"
        for turn in messages
    )
    return f"\n{''.join(turns)}\n"


def shared(one: list[int], other: list[int], room: int) -> tuple[list[int], list[int]]:
    """Both texts cut to `room` tokens together: to half each, or what the shorter leaves."""
    half = room // 2
    shares = max(half, room - len(other)), max(half, room - len(one))
    return one[: shares[0]], other[: shares[1]]
