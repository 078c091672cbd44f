"""Tables as aligned text and as HTML."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

WIDEST = 32  # letters of a cell


def as_text(*parts: Sequence[Any]) -> str:
    """Tables, given as rows of cells with the heads first, and lists of sentences, one below the other."""
    return "\n\n".join("\n".join(_aligned(part) if _is_table(part) else part) for part in parts if _is_full(part))


def as_html(*parts: Sequence[Any]) -> str:
    """The same for notebooks."""
    from html import escape  # on use: importing minigrad loads little beyond NumPy

    def line(cells: Sequence[Any], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{escape(_cell(cell))}</{tag}>" for cell in cells) + "</tr>"

    return "".join(
        "<table>" + line(part[0], "th") + "".join(line(row, "td") for row in part[1:]) + "</table>"
        if _is_table(part)
        else "".join(f"<p>{escape(sentence)}</p>" for sentence in part)
        for part in parts
        if _is_full(part)
    )


def _is_table(part: Sequence[Any]) -> bool:
    return not isinstance(part[0], str)


def _is_full(part: Sequence[Any]) -> bool:
    return len(part) > _is_table(part)


def _aligned(rows: Sequence[Sequence[Any]]) -> list[str]:
    """Columns of one width; numbers to the right."""
    cells = [[_cell(value) for value in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    words = [any(isinstance(row[i], str | tuple) for row in rows[1:]) for i in range(len(widths))]
    return [
        "  ".join(
            cell.ljust(width) if of_words else cell.rjust(width)
            for cell, width, of_words in zip(row, widths, words, strict=True)
        ).rstrip()
        for row in cells
    ]


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.3g}"
    text = str(value)
    return text if len(text) <= WIDEST else f"{text[: WIDEST - 3]}..."
