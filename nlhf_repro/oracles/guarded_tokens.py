"""Tokens of texts that others wrote: nothing in them becomes a part of the template around them."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any, final

from nlhf_repro.interfaces import ImpossibleSettingError, Message

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Shield = Callable[[str], str]
HOLE = "\ue001"  # stands in a rendered template where tokens are put in later
_MARK = "\ue000"  # around the number of a text that is spelled
_ANYTHING = re.compile("(?s).+")


@final
class GuardedTokenizer:
    """A tokenizer under which special tokens, and `marks` of a template, stand in templates alone.

    A text that writes one, such as <|eot_id|>, gets the tokens of its characters instead, so that
    it neither ends its turn nor begins another. All other texts have the tokens that the tokenizer
    gives them. Characters that are no text (lone surrogates) are question marks.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, marks: Sequence[str] = ()) -> None:
        self.tokenizer: Any = tokenizer
        added = self.tokenizer.added_tokens_decoder.values()
        special = {token.content for token in added if token.special}
        special |= {*self.tokenizer.all_special_tokens, *marks}
        self._guarded = re.compile(_either([*special, _MARK, HOLE]))
        numbers = {string: self.tokenizer.convert_tokens_to_ids(string) for string in special}
        self._structural = {*numbers.values()} - {None, self.tokenizer.unk_token_id}
        tokens = (string for string, number in numbers.items() if number in self._structural)
        self._special = re.compile(_either(tokens))

    def text(self, text: str, before: str = "") -> list[int]:
        """Tokens of `before`, which may hold special tokens, and of a text, which may not."""
        text = _readable(text)
        found, pieces = self._guarded.findall(text), self._guarded.split(text)
        ids = self._tokens(before + pieces[0])
        for string, piece in zip(found, pieces[1:], strict=True):
            ids += self._spelled(string) + self._tokens(piece)
        prefix = self._tokens(before)
        if self._count(ids) != self._count(prefix):  # written so that normalization makes one
            return prefix + self._spelled(text)
        return ids

    def pieces(self, render: Callable[[Shield], str]) -> list[list[int]]:
        """Tokens of a rendered template, cut at its holes, which have none.

        `render` takes a function through which it passes every text that others wrote.
        """
        rendered, ids = self._rendered(render, self._guarded)
        if self._count(chain(*ids)) != len(self._special.findall(rendered)):
            _, ids = self._rendered(render, _ANYTHING)
        return ids

    def single(self, string: str, why: str) -> int:
        """The number of a string that has to be one token.

        Raises:
            ImpossibleSettingError: it is none, or several.
        """
        ids = self._tokens(string)
        if len(ids) != 1 or ids[0] == self.tokenizer.unk_token_id:
            raise ImpossibleSettingError(
                f"the tokenizer of oracle.name_or_path = {self.tokenizer.name_or_path} has no "
                f"single token {string}, {why}: take a model that was trained with it."
            )
        return ids[0]

    def _rendered(
        self, render: Callable[[Shield], str], guarded: re.Pattern[str]
    ) -> tuple[str, list[list[int]]]:
        held: list[str] = []

        def hold(match: re.Match[str]) -> str:
            held.append(match[0])
            return f"{_MARK}{len(held) - 1}{_MARK}"

        rendered = render(lambda text: guarded.sub(hold, _readable(text)))
        return rendered, [self._unmarked(piece, held) for piece in rendered.split(HOLE)]

    def _unmarked(self, piece: str, held: Sequence[str]) -> list[int]:
        ids: list[int] = []
        for place, part in enumerate(piece.split(_MARK)):  # numbers have the odd places
            ids += self._spelled(held[int(part)]) if place % 2 else self._tokens(part)
        return ids

    def _tokens(self, text: str) -> list[int]:
        if not text:
            return []
        return list(self.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])

    def _spelled(self, text: str) -> list[int]:
        different = sorted(set(text))
        encoded = self.tokenizer(different, add_special_tokens=False, split_special_tokens=True)
        ids = dict(zip(different, encoded["input_ids"], strict=True))
        return [number for character in text for number in ids[character]]

    def _count(self, ids: Iterable[int]) -> int:
        return sum(number in self._structural for number in ids)


@final
class CutWarning:
    """Says once that responses are cut, whatever their number."""

    def __init__(self, max_length: int) -> None:
        self.max_length = max_length
        self.said = False

    def warn(self) -> None:
        """Say it, if it was not said before."""
        if not self.said:
            self.said = True
            warnings.warn(
                f"responses that do not fit into oracle.max_length = {self.max_length} tokens "
                "with their prompt are judged without their end: raise it.",
                UserWarning,
                stacklevel=2,
            )


def chat_text(
    tokenizer: Any, identifier: str, messages: Sequence[Message], generation_prompt: bool
) -> str:
    """Messages under the tokenizer's chat template; `identifier` is their prompt's, for errors.

    Raises:
        ImpossibleSettingError: the template refuses them.
    """
    from jinja2.exceptions import TemplateError

    turns = [{"role": turn.role, "content": turn.content} for turn in messages]
    try:
        text: str = tokenizer.apply_chat_template(
            turns, tokenize=False, add_generation_prompt=generation_prompt
        )
    except TemplateError as error:
        raise ImpossibleSettingError(
            f"the chat template of oracle.name_or_path = {tokenizer.name_or_path} does not take "
            f"prompt {identifier} ({error}): take other prompts, or another oracle."
        ) from error
    return text


def require_chat_template(tokenizer: Any) -> None:
    """Refuse a tokenizer that does not say how a conversation is written.

    Raises:
        ImpossibleSettingError: it has no chat template.
    """
    if not tokenizer.chat_template:
        raise ImpossibleSettingError(
            f"the tokenizer of oracle.name_or_path = {tokenizer.name_or_path} has no chat template "
            "that says how a prompt and a response are written: save one with it, or take another "
            "oracle."
        )


def without_begin(ids: list[int], tokenizer: Any, strip_bos: bool) -> list[int]:
    """The tokens without the begin-of-text token that the chat template has put in front.

    Raises:
        ImpossibleSettingError: the token also begins turns, so that it is no begin of texts.
    """
    begin = tokenizer.bos_token_id
    if not strip_bos or begin is None or begin not in ids:
        return ids
    if ids.count(begin) > 1 or ids[0] != begin:
        raise ImpossibleSettingError(
            f"the chat template of oracle.name_or_path = {tokenizer.name_or_path} has the token "
            f"{tokenizer.bos_token} inside: set oracle.strip_bos=false."
        )
    return ids[1:]


def _either(strings: Iterable[str]) -> str:
    """A pattern that finds the longest of the strings first, and nothing where there is none."""
    ordered = sorted((string for string in strings if string), key=len, reverse=True)
    return "|".join(map(re.escape, ordered)) or "(?!)"


def _readable(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")
