"""What the rows of an experiment answer, side by side and in words, for people to read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nlhf_repro.interfaces import ShownPrompt
from nlhf_repro.summaries.lexicon import FACTS, STYLES

SPECIAL = "\\`*_[]<>|~&$.:@"  # anywhere in a line: emphasis, links, markup, cells, mathematics
LEADING = "#+-="  # where a line begins: headings and lists
NO_ANSWER = "no answer: the row is not complete"


def samples_page(title: str, prompts: Sequence[ShownPrompt]) -> str:
    """GitHub-flavored Markdown: every prompt as a quotation, and a table of its answers.

    Nothing that a policy or a prompt says is markup.
    """
    lines = [
        f"### {' '.join(title.split())}: answers",
        "",
        "One answer of every row to the first evaluation prompts, by its first seed in its first "
        "world: the first that was sampled, not a chosen one.",
    ]
    for number, prompt in enumerate(prompts, 1):
        lines += [
            "",
            f"**{number}.** Prompt {escaped(prompt.identifier)}:",
            "",
            f"> {escaped(prompt.text)}",
            "",
            "| row | answer | what it is like |",
            "|---|---|---|",
        ]
        for answer in prompt.answers:
            said = NO_ANSWER if answer.text is None else escaped(answer.text) or "(nothing)"
            lines.append(f"| {escaped(answer.label)} | {said} | {in_words(answer.features)} |")
    return "\n".join(lines) + "\n"


def escaped(text: str) -> str:
    """Text as one line in which nothing is markup and everything can be encoded.

    White space and control characters become spaces; a lone surrogate becomes U+FFFD.
    """
    plain = "".join(x if x.isprintable() else " " for x in _encodable(text))
    line = " ".join(plain.split())
    lead = "\\" if line[:1] and line[0] in LEADING else ""
    return lead + "".join(f"\\{x}" if x in SPECIAL else x for x in line)


def in_words(features: Mapping[str, float]) -> str:
    """Facts covered, inventions and style, where they are read; else every feature's number."""
    if not {"coverage", "inventions", *STYLES} <= set(features):
        return ", ".join(f"{escaped(name)} {value:g}" for name, value in features.items())
    invented = features["inventions"]
    words = [
        f"covers {features['coverage']:g} of {len(FACTS)} facts",
        "invents nothing" if not invented else f"invents {invented:g}",
        style_in_words(features),
    ]
    if features.get("repetitions"):
        words.append(f"repeats {features['repetitions']:g}")
    return ", ".join(words)


def style_in_words(features: Mapping[str, float]) -> str:
    """One style, or the mixture, or none."""
    present = sorted((s for s in STYLES if features[s] > 0), key=lambda s: -features[s])
    if not present:
        return "no style"
    if len(present) == 1:
        return present[0]
    return "mixed: " + " and ".join(f"{style} {features[style]:.0%}" for style in present)


def _encodable(text: str) -> str:
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
