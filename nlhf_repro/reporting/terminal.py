"""Tables as aligned text, as wide as a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from textwrap import wrap

from nlhf_repro.reporting.answers import Answer
from nlhf_repro.reporting.cells import Table, TableRow

WIDTH = 100
SENTENCES = 12  # of single comparisons, at most


def to_text(table: Table) -> str:
    """Title, caption, aligned columns (numbers keep their order of text) and wrapped notes."""
    columns = _aligned(table.header, table.rows, best="")
    notes = [line for note in table.notes for line in _bullet(note, WIDTH)]
    below = ["", *notes] if notes else []
    return "\n".join([*_heading(table, WIDTH), *_block(columns), *below]) + "\n"


def to_summary(table: Table, answers: Sequence[Answer], whole: str | None, width: int) -> str:
    """What a terminal shows of a table: its numbers, the answer, and how far they reach.

    Columns that do not fit stand in blocks one below the other, the rows' labels before each. A
    paper's rows that were not run are left out, and of the notes all but `Table.reach`.

    Args:
        table: Any; one without `reach` prints all its notes.
        answers: To its declared comparison; empty: nothing is said of one.
        whole: The file of the whole table; None: there is none, and nothing is left out.
        width: Of a line, in characters; a column that is wider stays whole.
    """
    rows = [row for row in table.rows if whole is None or not row.published]
    blocks = [
        line
        for block in _blocks(_aligned(table.header, rows, best="*"), width)
        for line in (*_block(block), "")
    ]
    said = [*verdict(answers), *((whole and table.reach) or table.notes)]
    notes = [line for note in said for line in _bullet(note, width)]
    lines = [
        *_heading(table, width),
        *blocks,
        *notes,
        *(_left_out(table, whole, width) if whole else []),
    ]
    return "\n".join(lines).rstrip() + "\n"


def verdict(answers: Sequence[Answer]) -> Iterator[str]:
    """The answers in few lines: differences in full, what is undecided together."""
    different = [x.text for x in answers if x.kind == "different"]
    yield from _first(different, "more differences")
    undecided: dict[str, list[str]] = {}
    for answer in answers:
        if answer.kind == "undecided":
            told = f"{answer.row} ({answer.p_value})"
            undecided.setdefault(answer.baseline, []).append(told)
    for baseline, rows in undecided.items():
        listed = ", ".join(_first(rows, "more"))
        yield f"Not told apart from {baseline}: {listed}."
    yield from _first(
        [x.text for x in answers if x.kind in ("checkpoint", "refused", "none")], "more refusals"
    )


def _first(texts: Sequence[str], rest: str) -> list[str]:
    further = len(texts) - SENTENCES
    return [*texts[:SENTENCES], *([f"and {further} {rest}"] if further > 0 else [])]


def _left_out(table: Table, whole: str, width: int) -> list[str]:
    further = len(table.notes) - len(table.reach) if table.reach else 0
    published = sum(row.published for row in table.rows)
    parts = [f"Further notes ({further})"] if further else []
    parts += [f"rows of the paper that were not run ({published})"] if published else []
    return _wrapped(f"{' and '.join(parts)}: in {whole}.", width) if parts else []


def _heading(table: Table, width: int) -> list[str]:
    return [table.title, *_wrapped(table.caption, width), ""]


def _aligned(header: Sequence[str], rows: Sequence[TableRow], best: str) -> list[list[str]]:
    """Every column from its header down, padded to one width."""
    lines = ([x.label, *(f"{y.text}{best}" if y.best else y.text for y in x.cells)] for x in rows)
    columns = zip(header, *lines, strict=True)
    widths = [(column, max(map(len, column))) for column in columns]
    return [[text.ljust(width) for text in column] for column, width in widths]


def _blocks(columns: Sequence[list[str]], width: int) -> Iterator[list[list[str]]]:
    """Columns that fit beside one another, the first one before each."""
    label, *rest = columns
    block, used = [label], len(label[0])
    for column in rest:
        needed = 2 + len(column[0])
        if len(block) > 1 and used + needed > width:
            yield block
            block, used = [label], len(label[0])
        block.append(column)
        used += needed
    yield block


def _block(columns: Sequence[Sequence[str]]) -> list[str]:
    head, *lines = ["  ".join(texts).rstrip() for texts in zip(*columns, strict=True)]
    return [head, "  ".join("-" * len(column[0]) for column in columns), *lines]


def _bullet(note: str, width: int) -> list[str]:
    return wrap(
        note,
        min(width, WIDTH),
        initial_indent="- ",
        subsequent_indent="  ",
        break_on_hyphens=False,
        break_long_words=False,
    )


def _wrapped(text: str, width: int) -> list[str]:
    return wrap(text, min(width, WIDTH), break_on_hyphens=False, break_long_words=False)
