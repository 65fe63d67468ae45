"""Tiny models of the architectures that judge texts, with tokenizers that are cut like theirs."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import torch

from nlhf_repro.interfaces import Message, Prompt
from nlhf_repro.models.mini_llama import initialize

BEGIN, HEADER, END_HEADER, END = (
    "<|begin_of_text|>",
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<|eot_id|>",
)
LLAMA3_WORDS = (  # how LLaMA-3's tokenizer cuts a text into words
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
CHAT_TEMPLATE = (
    "{{ bos_token }}{% for turn in messages %}"
    "{{ '<|start_header_id|>' + turn['role'] + '<|end_header_id|>\n\n' }}"
    "{{ turn['content'] | trim }}{{ '<|eot_id|>' }}{% endfor %}"
    "{% if add_generation_prompt %}"
    "{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)
CORPUS = (
    "[CONTEXT] \n\n<turn> user\n what is one\n [RESPONSE A] the cat sat [RESPONSE B] a dog ran \n",
    "\n\n \n  \n a A B user assistant hello hello world, ...!? 12 123",
)
WORDS = ("the", "cat", "sat", "a", "dog", "ran", "hello", "world", "one", "two", "what", "is")
MARKS = ("<|source|>", "<|candidate1|>", "<|candidate2|>", "<|candidate|>")
SIZES = {
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
}


def prompt(text: str = "what is one", identifier: str = "p") -> Prompt:
    return Prompt(identifier, (Message("user", text),), {})


@cache
def llama3_tokenizer() -> Any:
    """Byte-level pairs, cut into words as LLaMA-3's, with its marks of turns and its template."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(LLAMA3_WORDS), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    raw.decoder = decoders.ByteLevel()
    special = [BEGIN, HEADER, END_HEADER, END, "<|pad|>"]
    trainer = trainers.BpeTrainer(
        vocab_size=340,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    raw.train_from_iterator(CORPUS * 5, trainer)
    raw.post_processor = processors.TemplateProcessing(f"{BEGIN} $A", None, [(BEGIN, 0)])
    return PreTrainedTokenizerFast(
        tokenizer_object=raw,
        bos_token=BEGIN,
        eos_token=END,
        pad_token="<|pad|>",
        additional_special_tokens=[HEADER, END_HEADER],
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
    )


@cache
def deberta_tokenizer() -> Any:
    """Words behind a mark of the space, [CLS] and [SEP] around, and the marks of PairRM added."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    letters = [chr(number) for number in range(33, 127)]
    pieces = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", "▁", *(f"▁{word}" for word in WORDS), *letters]
    raw = Tokenizer(
        models.Unigram([(piece, -float(len(pieces) - i)) for i, piece in enumerate(pieces)], 3)
    )
    raw.normalizer = normalizers.NFKC()
    raw.pre_tokenizer = pre_tokenizers.Metaspace()
    raw.post_processor = processors.TemplateProcessing(
        "[CLS] $A [SEP]", None, [("[CLS]", 1), ("[SEP]", 2)]
    )
    tokenizer: Any = PreTrainedTokenizerFast(
        tokenizer_object=raw,
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        unk_token="[UNK]",
    )
    tokenizer.add_tokens(list(MARKS))
    return tokenizer


def save(model: Any, tokenizer: Any, folder: Path, seed: int = 0, scale: float = 3.0) -> Path:
    """The model with weights from the seed, large enough for uneven answers, and its tokenizer."""
    initialize(model, seed)
    with torch.no_grad():
        for name, value in model.named_parameters():
            if name.startswith(("score", "lm_head", "head_layer.4")):
                value.mul_(scale)
    model.eval().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def reward_folder(folder: Path, outputs: int = 1, pad: bool = True, seed: int = 0) -> Path:
    """A LLaMA with one output a text."""
    from transformers import LlamaConfig, LlamaForSequenceClassification

    tokenizer = llama3_tokenizer()
    with torch.random.fork_rng(devices=[]):
        model = LlamaForSequenceClassification(
            LlamaConfig(
                vocab_size=len(tokenizer),
                max_position_embeddings=512,
                num_labels=outputs,
                pad_token_id=tokenizer.pad_token_id if pad else None,
                **SIZES,
            )
        )
    return save(model, tokenizer, folder, seed)


def pair_model_folder(folder: Path, seed: int = 0) -> Path:
    """A LLaMA that answers with a token."""
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = llama3_tokenizer()
    with torch.random.fork_rng(devices=[]):
        model = LlamaForCausalLM(
            LlamaConfig(
                vocab_size=len(tokenizer),
                max_position_embeddings=512,
                pad_token_id=None,
                tie_word_embeddings=False,
                **SIZES,
            )
        )
    return save(model, tokenizer, folder, seed, scale=1.0)


def ranker_folder(folder: Path, seed: int = 0) -> Path:
    """A DeBERTa with the head of PairRM."""
    from transformers import DebertaV2Config

    from nlhf_repro.oracles.pair_ranker import pair_ranker

    tokenizer = deberta_tokenizer()
    with torch.random.fork_rng(devices=[]):
        model = pair_ranker()(
            DebertaV2Config(
                vocab_size=len(tokenizer),
                max_position_embeddings=128,
                relative_attention=True,
                position_buckets=16,
                max_relative_positions=-1,
                norm_rel_ebd="layer_norm",
                share_att_key=True,
                pos_att_type=["p2c", "c2p"],
                position_biased_input=False,
                type_vocab_size=0,
                pad_token_id=0,
                **SIZES,
            )
        )
    return save(model, tokenizer, folder, seed)
