"""A table as Markdown."""

from __future__ import annotations

from nlhf_repro.reporting.cells import Cell, Table


def to_markdown(table: Table) -> str:
    """GitHub-flavored Markdown: title, caption, pipe table, notes."""
    lines = [[_escaped(row.label), *(_cell(cell) for cell in row.cells)] for row in table.rows]
    grid = [[_escaped(name) for name in table.header], *lines]
    widths = [max(len(line[column]) for line in grid) for column in range(len(table.header))]
    padded = [
        "| "
        + " | ".join(text.ljust(width) for text, width in zip(line, widths, strict=True))
        + " |"
        for line in grid
    ]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    caption = [_one_line(table.caption), ""] if table.caption else []
    notes = [f"- {_one_line(note)}" for note in table.notes]
    text = [f"### {_one_line(table.title)}", "", *caption, padded[0], rule, *padded[1:], "", *notes]
    return "\n".join(text).rstrip() + "\n"


def _cell(cell: Cell) -> str:
    text = _escaped(cell.text)
    return f"**{text}**" if cell.best else text


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _escaped(text: str) -> str:
    return _one_line(text).replace("\\", "\\\\").replace("|", "\\|").replace("*", "\\*")
