"""HTML: a result as a notebook shows it."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from minigrad.mle.report.report import Report, Row, report
from minigrad.mle.report.summary import COLUMNS, details, header_value
from minigrad.mle.tables import number, probability

if TYPE_CHECKING:
    from minigrad.mle.result import Result

# Colours that are read on light and dark pages alike.
GOOD, DOUBTFUL, BAD = "#2e7d32", "#b26a00", "#c62828"
COLOURS = {"regular": GOOD, "near_separated": DOUBTFUL, "not_identified": DOUBTFUL}
TABLE = "border-collapse:collapse;margin:0.4em 0"
NUMBER = "text-align:right;padding:0.15em 0.7em;font-variant-numeric:tabular-nums;white-space:nowrap"
NAME = "text-align:left;padding:0.15em 0.7em 0.15em 0"
LINE = "border-bottom:1px solid rgba(128,128,128,0.5)"


def html(result: Result, level: float = 0.95) -> str:
    """What `summary` says, as a table that notebooks show."""
    found = report(result, level)
    return "".join(
        [
            '<div class="minigrad-result" style="max-width:60em;overflow-x:auto">',
            f"<strong>{escape(found.title)}</strong>",
            _verdict(result),
            _header(found),
            *(_parameters(result, found, level) if found.blocks else []),
            *(f'<p style="margin:0.2em 0;font-size:90%">{escape(note)}</p>' for note in found.notes),
            "</div>",
        ]
    )


def _verdict(result: Result) -> str:
    verdict = result.verdict
    status = verdict.status.replace("_", " ")
    colour = COLOURS.get(verdict.status, BAD)
    said = "".join(f"<tr>{_head(name, 'row')}{_cell(text, NAME)}</tr>" for name, text in details(result))
    return (
        f'<div style="border-left:4px solid {colour};padding:0.1em 0.6em;margin:0.4em 0">'
        f'<strong style="color:{colour}">{escape(status)}</strong>: {escape(verdict.message)}'
        + (f'<table style="{TABLE}"><tbody>{said}</tbody></table>' if said else "")
        + "</div>"
    )


def _header(found: Report) -> str:
    pairs = [_head(name, "row") + _cell(header_value(name, value), NUMBER) for name, value in found.header.items()]
    pairs += ["<td></td><td></td>"] * (len(pairs) % 2)
    rows = (f"<tr>{left}{right}</tr>" for left, right in zip(pairs[::2], pairs[1::2], strict=True))
    return f'<table style="{TABLE}"><tbody>{"".join(rows)}</tbody></table>'


def _parameters(result: Result, found: Report, level: float) -> list[str]:
    named = (*COLUMNS, f"[{(1 - level) / 2:.4g}", f"{(1 + level) / 2:.4g}]")
    heads = "".join(_head(name, "col", NUMBER) for name in named)
    parts = [f'<table style="{TABLE}">']
    for block, rows in found.blocks:
        own = "" if block is None else f"{result.data.y_name} = {block}"
        parts.append(f'<tbody><tr style="{LINE}">{_head(own, "col")}{heads}</tr>')
        parts += [_row(row) for row in rows]
        parts.append("</tbody>")
    return [*parts, "</table>"]


def _row(row: Row) -> str:
    name = _head(row.label + " *" * row.flagged, "row")
    if not row.estimable:
        return f'<tr>{name}<td colspan="6" style="{NUMBER}"><em>not estimable</em></td></tr>'
    numbers = [number(row.estimate, 4), number(row.se, 3), number(row.z, 3), probability(row.p)]
    numbers += [number(row.low, 3), number(row.high, 3)]
    return f"<tr>{name}{''.join(_cell(text, NUMBER) for text in numbers)}</tr>"


def _head(text: str, scope: str, style: str = NAME) -> str:
    return f'<th scope="{scope}" style="{style}">{escape(text)}</th>'


def _cell(text: str, style: str) -> str:
    return f'<td style="{style}">{escape(text)}</td>'
