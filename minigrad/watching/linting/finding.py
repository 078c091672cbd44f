"""Findings: what `lint` says, and the rules that say it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeAlias

from minigrad.watching.linting.runs import Run

Places: TypeAlias = Iterator[tuple[str, str]]
"""(where, what) of each place where something is wrong."""

WIDTH = 100  # letters of a line
NET: tuple[type[Exception], ...] = (Exception,)  # what a rule may raise on odd layers; none in the tests


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
        """One for each thing that is said, with all places of which it is."""
        places: dict[str, list[str]] = {}
        try:
            for where, what in self.look(run):
                places.setdefault(what, []).append(where)
        except NET as error:
            return [Finding("error", f"the rule {self.code}", f"{type(error).__name__}: {error}.", *FAILED)]
        return [Finding(self.code, _together(where), what, self.why, self.fix) for what, where in places.items()]


FAILED = ("This rule of lint failed on a layer that it does not expect; the others ran.", "Training is not concerned.")


def _together(places: list[str]) -> str:
    """The first, and where the others stand."""
    first, *others = dict.fromkeys(places)
    stand = ", ".join(where.partition(", ")[0].removeprefix("layer ") for where in others)
    return f"{first}, and likewise layer{'s' * (len(others) > 1)} {stand}" if others else first


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
