"""Tables: numbers in columns of text."""

from __future__ import annotations

import math
from collections.abc import Sequence

SHOWN = 20  # rows of a long table


def table(header: Sequence[str], rows: Sequence[Sequence[str]], title: str = "") -> str:
    """Lines of cells, the first column to the left, the others to the right, with rules around."""
    columns = list(zip(header, *rows, strict=True))
    widths = [max(map(len, column)) for column in columns]
    lines = [
        "  ".join([row[0].ljust(widths[0])] + [c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True)])
        for row in (header, *rows)
    ]
    rule = max(len(title), *map(len, lines))
    head = [title.center(rule).rstrip()] if title else []
    return "\n".join(
        [*head, "=" * rule, lines[0].rstrip(), "-" * rule, *(line.rstrip() for line in lines[1:]), "=" * rule]
    )


def number(value: float, places: int = 4) -> str:
    """A number for a table: 0.1234, and 1.234e-07 where that would be 0."""
    if math.isnan(value):
        return "-"
    if value and not 10.0**-places * 5 <= abs(value) < 1e6:
        return f"{value:.3e}" if math.isfinite(value) else str(value)
    return f"{value:.{places}f}"


def plain(value: float) -> float | None:
    """A number as JSON has it: None for what is not finite."""
    return float(value) if math.isfinite(value) else None
