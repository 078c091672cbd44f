"""The sections as plain text, which a terminal of a hundred columns shows."""

from __future__ import annotations

import textwrap
import unicodedata
from collections.abc import Sequence

from minigrad.explaining.as_text import BLANK, as_text
from minigrad.explaining.document import Hidden, Line, Said, Section, numbers, shape_words

WIDTH, SHAPES = 108, 64  # columns in all, and where shapes stand
RULE = 8  # the column of "rule 1"


def text_page(sections: Sequence[Section]) -> str:
    """All sections, one below the other."""
    return "\n\n".join("\n".join(_section(section)) for section in sections)


def sentence(said: Said) -> str:
    """Words and formulas in one line."""
    return "".join(part if isinstance(part, str) else as_text(part) for part in said)


def _section(section: Section) -> list[str]:
    lines = [section.title] if section.title else []
    for said in section.said:
        lines += textwrap.wrap(sentence(said), WIDTH, initial_indent="  ", subsequent_indent="  ")
    for line in section.lines:
        lines += _line(line)
    return lines


def _line(line: Line) -> list[str]:
    indent = "  " * (line.depth + 1)
    if line.equation is None:
        return ["", f"{indent}{line.heading}"]
    start = f"{indent}  {line.rule.ljust(RULE)}"
    text = as_text(line.equation)
    deeper = " " * (len(start) + 2)
    lines = textwrap.wrap(text, WIDTH - len(deeper), initial_indent=start, subsequent_indent=deeper) or [start]
    if line.shape is not None:
        shape = shape_words(line.shape)
        short = len(lines) == 1 and len(lines[0]) + 2 <= SHAPES
        if short or len(lines[-1]) + 3 + len(shape) <= WIDTH:
            gap = max(SHAPES - _width(lines[-1]), 0) if short else 0
            lines[-1] = f"{lines[-1]}{' ' * gap}   {shape}"
        else:
            lines.append(f"{deeper}{shape}")
    at = len(start) + (text.find(" = ") + 1 if " = " in text else len(text) + 1)
    lines += _numbers(line.value, " " * min(at, len(start) + 12))
    for said in line.said:
        lines += textwrap.wrap(sentence(said), WIDTH, initial_indent=deeper, subsequent_indent=deeper)
    return lines


def _width(text: str) -> int:
    """The columns that it takes: a hat stands over the letter before it."""
    return sum(not unicodedata.combining(letter) for letter in text)


def _numbers(value: object, indent: str) -> list[str]:
    if value is None:
        return []
    if isinstance(value, Hidden):
        return [f"{indent}= {BLANK}"]
    rows = numbers(value)
    if rows is None:
        return []
    if len(rows) == 1 and len(rows[0]) == 1 and getattr(value, "ndim", 0) == 0:
        return [f"{indent}= {rows[0][0]}"]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        f"{indent}{'=' if i == 0 else ' '} [ {'  '.join(c.rjust(w) for c, w in zip(cells, widths, strict=True))} ]"
        for i, cells in enumerate(rows)
    ]
