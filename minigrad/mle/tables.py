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
    """A number of so many places, and of as many digits where it is small or very large."""
    if value != value:
        return "-"
    if not value or not math.isfinite(value):
        return f"{value:.{places}f}"
    return f"{value:.{places}f}" if 0.1 <= abs(value) < 1e6 else f"{value:#.{places}g}"


def probability(p: float, places: int = 3) -> str:
    """P(|Z| >= |z|), which is never 0."""
    return "< 1e-300" if p < 1e-300 else number(p, places)


def plain(value: float) -> float | None:
    """A number as JSON has it: None for what is not finite."""
    return float(value) if math.isfinite(value) else None
