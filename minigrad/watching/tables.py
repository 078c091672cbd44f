"""Tables as aligned text and as HTML."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from minigrad.watching.readable import Figure

WIDEST = 32  # letters of a cell
LEFT, RIGHT = ' style="text-align:left;white-space:pre"', ' style="text-align:right;white-space:nowrap"'
HEADING = ' style="text-align:left;font-weight:bold;white-space:nowrap;padding-top:0.8em"'


class Table(NamedTuple):
    """Rows of cells, the heads first, under a caption; cells of notebooks are aligned, and indented, as those of text.

    `widest` is how many letters a cell may have; the first of a row, which is its name, is never cut.
    """

    caption: str
    rows: Sequence[Sequence[Any]]
    widest: int = WIDEST


def as_text(*parts: Any) -> str:
    """Tables, given as such or as rows of cells with the heads first, and lists of sentences, one below the other."""
    return "\n\n".join("\n".join(_lines(part)) for part in parts if _is_full(part))


def as_html(*parts: Any) -> str:
    """The same for notebooks.  No colours: those of the notebook, light or dark, are right."""
    return "".join(_html(part) for part in parts if _is_full(part))


def _lines(part: Any) -> Sequence[str]:
    if isinstance(part, Table):
        return [part.caption, *_aligned(part.rows, part.widest)]
    return part if isinstance(part[0], str) else _aligned(part)


def _html(part: Any) -> str:
    from html import escape  # on use: importing minigrad loads little beyond NumPy

    if not isinstance(part, Table) and isinstance(part[0], str):
        return "".join(f"<p>{escape(sentence)}</p>" for sentence in part)
    rows, widest = (part.rows, part.widest) if isinstance(part, Table) else (part, WIDEST)
    sides = [""] * len(rows[0])
    caption = ""
    if isinstance(part, Table):
        sides = [LEFT if of_words else RIGHT for of_words in _of_words(rows)]
        caption = f"<caption{HEADING}>{escape(part.caption)}</caption>"

    def line(cells: Sequence[Any], tags: Sequence[str]) -> str:
        return "<tr>" + "".join(
            f"<{tag}{side}>{escape(cell)}</{tag[:2]}>"
            for cell, tag, side in zip(_written(cells, widest), tags, sides, strict=True)
        ) + "</tr>"  # fmt: skip

    heads = ['th scope="col"'] * len(sides)
    of_rows = ['th scope="row"'] + ["td"] * (len(sides) - 1)
    body = "".join(line(row, of_rows) for row in rows[1:])
    return f"<table>{caption}<thead>{line(rows[0], heads)}</thead><tbody>{body}</tbody></table>"


def _is_full(part: Any) -> bool:
    if isinstance(part, Table):
        return len(part.rows) > 1
    return len(part) > (not isinstance(part[0], str)) if part else False


def _of_words(rows: Sequence[Sequence[Any]]) -> list[bool]:
    """For each column, that it holds words or shapes, which stand to the left."""
    return [
        any(isinstance(row[i], str | tuple) and not isinstance(row[i], Figure) for row in rows[1:])
        for i in range(len(rows[0]))
    ]


def _aligned(rows: Sequence[Sequence[Any]], widest: int = WIDEST) -> list[str]:
    """Columns of one width; numbers to the right."""
    cells = [_written(row, widest) for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if of_words else cell.rjust(width)
            for cell, width, of_words in zip(row, widths, _of_words(rows), strict=True)
        ).rstrip()
        for row in cells
    ]


def _written(row: Sequence[Any], widest: int) -> list[str]:
    """Cells as text; the first is whole, since what two rows are called may differ in the last letter alone."""
    texts = [_cell(value) for value in row]
    return texts[:1] + [text if len(text) <= widest else f"{text[: widest - 3]}..." for text in texts[1:]]


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.3g}" if isinstance(value, float) else str(value)
