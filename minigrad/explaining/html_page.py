"""The sections as HTML with MathML: no script, no style of its own but what aligns, and the colours of the page."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from minigrad.explaining.as_mathml import as_mathml
from minigrad.explaining.as_text import BLANK
from minigrad.explaining.document import Hidden, Line, Said, Section, numbers, shape_words

FIXED = "; white-space: nowrap"
CELL = "text-align: left; vertical-align: top; padding: 0.3em 0.8em"
HEAD = f"{CELL}; padding-top: 0.9em; font-weight: 600"


def html_page(sections: Sequence[Section]) -> str:
    """All sections, one below the other."""
    return f'<div class="minigrad-explanation">{"".join(map(_section, sections))}</div>'


def sentence(said: Said) -> str:
    """Words, and formulas as <math>."""
    return "".join(escape(part) if isinstance(part, str) else as_mathml(part) for part in said)


def _section(section: Section) -> str:
    parts = [f"<h4>{escape(section.title)}</h4>"] if section.title else []
    parts += [f"<p>{sentence(said)}</p>" for said in section.said]
    if section.lines:
        ruled = any(line.rule for line in section.lines)
        numbered = any(_value(line.value) for line in section.lines)
        heads = [*(["rule"] if ruled else []), "formula", "shape", *(["numbers"] if numbered else [])]
        head = "".join(f'<th scope="col" style="{CELL}">{name}</th>' for name in heads)
        rows = "".join(_line(line, ruled, numbered) for line in section.lines)
        parts.append(
            '<div style="overflow-x: auto">'
            f'<table style="border-collapse: collapse" aria-label="{escape(section.title)}">'
            f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
        )
    return "".join(parts)


def _line(line: Line, ruled: bool, numbered: bool) -> str:
    indent = f"; padding-left: {0.8 + 1.6 * line.depth}em"
    if line.equation is None:
        columns = 2 + ruled + numbered
        return f'<tr><th scope="colgroup" colspan="{columns}" style="{HEAD}{indent}">{escape(line.heading)}</th></tr>'
    notes = "".join(f"<br/><small>{sentence(said)}</small>" for said in line.said)
    cells = [escape(line.rule)] if ruled else []
    cells.append(f"{as_mathml(line.equation)}{notes}")
    cells.append("" if line.shape is None else escape(shape_words(line.shape)))
    cells += [_value(line.value)] if numbered else []
    # A formula may be broken in the middle; a rule, a shape and a matrix may not.
    last = {0: indent + FIXED * ruled, ruled + 1: FIXED}
    styled = [f'<td style="{CELL}{last.get(i, "")}">{cell}</td>' for i, cell in enumerate(cells)]
    return f"<tr>{''.join(styled)}</tr>"


def _value(value: object) -> str:
    if isinstance(value, Hidden):
        return BLANK
    rows = None if value is None else numbers(value)
    if rows is None:
        return ""
    if len(rows) == 1 and len(rows[0]) == 1:
        return f"<math>{_number(rows[0][0])}</math>"
    inside = "".join(f"<mtr>{''.join(f'<mtd>{_number(c)}</mtd>' for c in cells)}</mtr>" for cells in rows)
    return (
        '<math><mrow><mo fence="true" form="prefix">(</mo>'
        f'<mtable>{inside}</mtable><mo fence="true" form="postfix">)</mo></mrow></math>'
    )


def _number(word: str) -> str:
    digits, e, power = word.partition("e")
    if e:
        return f"<mrow>{_number(digits)}<mo>&#xb7;</mo><msup><mn>10</mn>{_number(str(int(power)))}</msup></mrow>"
    if word.startswith("-"):
        return f"<mrow><mo>&#x2212;</mo>{_number(word[1:])}</mrow>"
    return f"<mn>{escape({'inf': '∞', 'nan': 'NaN'}.get(word, word))}</mn>"
