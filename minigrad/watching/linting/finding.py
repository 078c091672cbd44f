"""Findings: what `lint` says, and the rules that say it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeAlias

from minigrad.watching.linting.runs import Run

Places: TypeAlias = Iterator[tuple[str, str]]
"""(where, what) of each place where something is wrong."""

WIDTH = 100  # letters of a line


class Finding(NamedTuple):
    """What is wrong at one place: the numbers measured there, why training does not show it, and what to do."""

    code: str
    where: str
    what: str
    why: str
    fix: str

    def __str__(self) -> str:
        from textwrap import fill  # on use: importing minigrad loads little beyond NumPy

        text = f"{self.what} {self.why} {self.fix}"
        return f"{self.code}: {self.where}\n" + fill(text, WIDTH, initial_indent="  ", subsequent_indent="  ")


class Rule(NamedTuple):
    """What to look for: `look(run)` yields (where, what) for each place, `why` and `fix` are the same for all."""

    code: str
    look: Callable[[Run], Places]
    why: str
    fix: str
    explains: bool = False  # the error, of a cost that raises one

    def findings(self, run: Run) -> list[Finding]:
        return [Finding(self.code, where, what, self.why, self.fix) for where, what in self.look(run)]


class Lint(tuple[Finding, ...]):
    """What `lint` found: a tuple of findings, which prints as paragraphs.  It is true where there are any."""

    __slots__ = ()

    @property
    def codes(self) -> tuple[str, ...]:
        """The name of each finding, in order."""
        return tuple(finding.code for finding in self)

    def __str__(self) -> str:
        return "\n\n".join(map(str, self)) or "No findings."

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        from html import escape

        paragraphs = (
            f"<p><b>{escape(f.code)}</b>: {escape(f.where)}<br>{escape(f'{f.what} {f.why} {f.fix}')}</p>" for f in self
        )
        return "".join(paragraphs) or "<p>No findings.</p>"
