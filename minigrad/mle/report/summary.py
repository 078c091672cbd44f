"""Summary: a result as text, in the layout of statsmodels, and as plain values."""

from __future__ import annotations

import math
import textwrap
from typing import TYPE_CHECKING, Any

from minigrad.mle.identification import in_words
from minigrad.mle.report.report import Report, Row, is_number, report
from minigrad.mle.tables import number, probability

if TYPE_CHECKING:
    from minigrad.mle.result import Result

WIDTH = 78
NUMBERS = 66  # of which are the six columns of numbers
LONGEST = 34  # of a name: longer ones have lines of their own
SHOWN = 10  # entries of a direction, rows, pairs of classes
SAID = 4  # combinations of columns that the message of a verdict names
COLUMNS = ("coef", "std err", "z", "P>|z|")


def summary(result: Result, level: float = 0.95) -> str:
    """The verdict, the fit as a whole, its parameters with errors and intervals of `level`, and notes.

    Where there is no estimate: why, and what to do, and no number for it.
    """
    found = report(result, level)
    names = [row.label + " *" * row.flagged for _, rows in found.blocks for row in rows]
    names += [_head(result, block) for block, _ in found.blocks]
    width = max(WIDTH, NUMBERS + min(LONGEST, max(map(len, names), default=0)))
    rule, thin = "=" * width, "-" * width
    lines = [found.title.center(width).rstrip(), rule, *_verdict(result, width), rule]
    lines += _header(found, width)
    for i, (block, rows) in enumerate(found.blocks):
        low, high = f"[{(1 - level) / 2:.4g}", f"{(1 + level) / 2:.4g}]"
        cells = "".join(name.rjust(11) for name in (*COLUMNS, low, high))
        lines += [rule if i == 0 else thin, *_named_line(_head(result, block), cells, width), thin]
        lines += [line for row in rows for line in _lines(row, width)]
    lines.append(rule)
    for note in found.notes:
        lines += textwrap.wrap(note, width, break_long_words=False, break_on_hyphens=False)
    return "\n".join(lines)


def to_dict(result: Result, level: float = 0.95) -> dict[str, Any]:
    """Plain values, as JSON has them: all that `summary` says.  None for what is not estimable, "inf" for infinity."""
    found = report(result, level)
    rows = [
        {
            "name": row.name,
            "class": block,
            "column": row.label,
            "estimable": row.estimable,
            "estimate": as_json(row.estimate),
            "se": as_json(row.se),
            "z": as_json(row.z),
            "p": as_json(row.p),
            "ci": [as_json(row.low), as_json(row.high)],
            "hauck_donner": row.flagged,
        }
        for block, inner in found.blocks
        for row in inner
    ]
    return {
        "title": found.title,
        "verdict": as_json(result.verdict.to_dict()),
        "header": as_json(found.header),
        "level": float(level),
        "identification": result.identification,
        "parameters": rows,
        "notes": list(found.notes),
    }


def _verdict(result: Result, width: int) -> list[str]:
    """The verdict in lines, and for what is separated the direction, pairs of classes and rows."""
    verdict = result.verdict
    message = (verdict.message[:1].upper() + verdict.message[1:]).rstrip(".") + "."
    lines = textwrap.wrap(
        f"Verdict: {verdict.status.replace('_', ' ')}. {message}", width, break_long_words=False, break_on_hyphens=False
    )
    for name, text in details(result):
        hanging = " " * 20
        lines += textwrap.wrap(
            f"{name + ':':<20}{text}", width, subsequent_indent=hanging, break_long_words=False, break_on_hyphens=False
        )
    return lines


def details(result: Result) -> list[tuple[str, str]]:
    """What the verdict rests on, by name: a direction in columns, pairs of classes, rows."""
    verdict, found = result.verdict, []
    if verdict.direction:
        largest = sorted(verdict.direction, key=lambda name: -abs(verdict.direction[name]))[:SHOWN]
        shown = {name: value for name, value in verdict.direction.items() if name in largest}
        left = len(verdict.direction) - len(shown)
        found.append(("Direction", _named(shown) + (f", and {left} smaller" if left else "")))
    if verdict.class_pairs:
        classes = len(result.data.classes or ())
        each = len(verdict.class_pairs) == classes * (classes - 1) // 2 and classes > 3
        text = "every class from every other" if each else _few([f"{a} from {b}" for a, b in verdict.class_pairs])
        found.append(("Told apart", text))
    if verdict.rows:
        of = f"{len(verdict.rows):,} of {result.likelihood.rows:,}"
        names = [result.data.row(n).removeprefix("row ") for n in verdict.rows[: SHOWN + 1]]
        name = "Strict rows" if verdict.status == "separated" else "Rows"
        more = ", ..." if len(verdict.rows) > SHOWN else ""
        found.append((name, f"{of}: {', '.join(names[:SHOWN])}{more}"))
    if len(verdict.null_vectors) > SAID:
        for vector in verdict.null_vectors[:SHOWN]:
            found.append(("On every row", f"{in_words(vector)} = 0"))
    return found


def _named(direction: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:+.6g}" for name, value in direction.items())


def _few(texts: list[str]) -> str:
    return ", ".join(texts[:SHOWN]) + (f", and {len(texts) - SHOWN} more" if len(texts) > SHOWN else "")


def _header(found: Report, width: int) -> list[str]:
    """Pairs of names and values, two in a line; a long value in full above them, unless the title says it."""
    half = (width - 3) // 2
    cells, long = [], []
    for name, value in found.header.items():
        text, room = header_value(name, value), half - len(name) - 2
        if len(text) > room:
            if text not in found.title:
                long += _wrapped(f"{name}: {text}", width, 4)
            text = text[: room - 3] + "..."
        cells.append(f"{name}: {text:>{room}}")
    cells += [""] * (len(cells) % 2)
    return long + [f"{left:<{half}}   {right}".rstrip() for left, right in zip(cells[::2], cells[1::2], strict=True)]


def _wrapped(text: str, width: int, hanging: int = 0) -> list[str]:
    """Lines of text; words are kept whole unless they are longer than a line."""
    return textwrap.wrap(text, width, subsequent_indent=" " * hanging, break_on_hyphens=False)


def header_value(name: str, value: Any) -> str:
    """An entry of the header as text."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "-"
    if not is_number(value):
        return str(value)
    if name == "LLR p-value":
        return probability(value, 4)
    if name in ("Log-Likelihood", "LL-Null", "AIC", "BIC"):
        return f"{value:.5g}" if abs(value) < 1e4 else f"{value:.1f}" if abs(value) < 1e12 else f"{value:.6e}"
    if name == "Condition":
        return f"{value:.3g}"
    if name == "Digits":
        return f"{math.floor(value)}"
    return f"{value:.4f}" if name == "Pseudo R-squ." else f"{value:.10g}"


def _lines(row: Row, width: int) -> list[str]:
    name = row.label + " *" * row.flagged
    if not row.estimable:
        return _named_line(name, "not estimable".rjust(22), width)
    cells = [number(row.estimate, 4), number(row.se, 3), number(row.z, 3), probability(row.p)]
    cells += [number(row.low, 3), number(row.high, 3)]
    return _named_line(name, "".join(cell.rjust(11) for cell in cells), width)


def _named_line(name: str, cells: str, width: int) -> list[str]:
    """A name and its numbers; the name above them where it is long."""
    room = width - NUMBERS
    above = [] if len(name) <= room else _wrapped(name, width, 2)
    return [*above, (("" if above else name).ljust(room) + cells).rstrip()]


def _head(result: Result, block: str | None) -> str:
    return "" if block is None else f"{result.data.y_name}={block}"


def as_json(value: Any) -> Any:
    """Values of JSON: dictionaries, lists, text, numbers, None."""
    if isinstance(value, dict):
        return {str(name): as_json(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [as_json(entry) for entry in value]
    if value is None or isinstance(value, str | bool):
        return value
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, int | bool):
        return value
    if isinstance(value, float):
        return None if math.isnan(value) else value if math.isfinite(value) else "inf" if value > 0 else "-inf"
    return str(value)
