"""A table as aligned text."""

from __future__ import annotations

from textwrap import wrap

from nlhf_repro.reporting.cells import Table

WIDTH = 100


def to_text(table: Table) -> str:
    """Title, caption, aligned columns (numbers keep their order of text) and wrapped notes."""
    grid = [
        list(table.header),
        *([row.label, *(cell.text for cell in row.cells)] for row in table.rows),
    ]
    widths = [max(len(line[column]) for line in grid) for column in range(len(table.header))]
    lines = [
        "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()
        for line in grid
    ]
    rule = "  ".join("-" * width for width in widths)
    caption = wrap(table.caption, WIDTH, break_on_hyphens=False) if table.caption else []
    notes = [line for note in table.notes for line in _bullet(note)]
    below = ["", *notes] if notes else []
    return "\n".join([table.title, *caption, "", lines[0], rule, *lines[1:], *below]) + "\n"


def _bullet(note: str) -> list[str]:
    return wrap(note, WIDTH, initial_indent="- ", subsequent_indent="  ", break_on_hyphens=False)
