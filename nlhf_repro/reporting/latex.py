"""A table as LaTeX (booktabs)."""

from __future__ import annotations

import re

from nlhf_repro.reporting.cells import Cell, Table

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": "$<$",
    ">": "$>$",
    "|": "$|$",
    '"': "''",
    "†": r"\dag{}",
    "‡": r"\ddag{}",
    "§": r"\S{}",
    "±": r"$\pm$",
    "≤": r"$\le$",
    "τ": r"$\tau$",
}


def to_latex(table: Table) -> str:
    r"""A `table` environment for `\usepackage{booktabs}`, every special character escaped."""
    columns = "l" + "r" * (len(table.header) - 1)
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{escaped(_sentence(table.title) + ' ' + table.caption)}}}",
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        _line([escaped(name) for name in table.header]),
        r"\midrule",
        *(_line([escaped(row.label), *(_cell(c) for c in row.cells)]) for row in table.rows),
        r"\bottomrule",
        r"\end{tabular}",
        *(rf"\par\footnotesize {escaped(note)}" for note in table.notes),
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def escaped(text: str) -> str:
    """Text in which nothing is a command to LaTeX; line ends become spaces."""
    return "".join(_SPECIAL.get(character, character) for character in " ".join(text.split()))


def _cell(cell: Cell) -> str:
    text = _number(cell.text)
    return rf"\textbf{{{text}}}" if cell.best else text


def _number(text: str) -> str:
    """A cell's text with its powers of ten set as such."""
    return re.sub(r"(\d)e(-?\d+)", r"\1$\\cdot 10^{\2}$", escaped(text))


def _sentence(title: str) -> str:
    return title if title.endswith((".", "?", "!")) else title + "."


def _line(cells: list[str]) -> str:
    return " & ".join(cells) + r" \\"
