"""What a diagnosis says: findings, the agreement of each derivative, and notes; as data, text and HTML."""

from __future__ import annotations

import html
import math
import textwrap
from dataclasses import dataclass, replace
from typing import NamedTuple

RULES = {
    0: "the layer",
    1: "rule 1, forward",
    2: "rule 2, backward",
    3: "rule 3, parameter_gradients",
}


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong: where, what was seen, and what it probably is."""

    rule: int  # 1, 2, 3; 0 for the layer as a whole
    cause: str  # a code of CAUSES
    message: str  # what was seen, and the probable cause, in words
    array: str | None = None
    index: tuple[int, ...] | None = None  # of the worst entry
    analytic: float | None = None  # what the rule gives there
    numeric: float | None = None  # what the numbers of rule 1 give
    error: float | None = None  # the estimated error of `numeric`
    wrong: int = 0  # entries that are wrong, of `entries`
    entries: int = 0
    confidence: float = 1.0  # in the cause; that something is wrong is certain
    case: str = ""  # the input at which it shows
    also: tuple[str, ...] = ()  # other causes that explain it, less well
    source: str = ""  # file:line of the rule
    place: str = ""  # of the layer in a model

    @property
    def digits(self) -> float | None:
        """The digits in which the two values agree."""
        if self.analytic is None or self.numeric is None:
            return None
        return digits(abs(self.analytic - self.numeric), abs(self.numeric))

    def at(self, place: str) -> Finding:
        """The same finding on a layer that stands in a model."""
        return replace(self, place=f"{place}.{self.place}" if self.place else place)

    def __str__(self) -> str:
        where = f"layer {self.place}, " if self.place else ""
        lines = [f"{where}{RULES[self.rule]}{'' if self.array is None else f', d/d{self.array}'}: {self.message}"]
        if self.analytic is not None and self.numeric is not None and self.index is not None:
            at = f"at [{', '.join(map(str, self.index))}] " if self.index else ""
            lines.append(
                f"{at}the rule gives {self.analytic:.10g}, numerically it is {self.numeric:.10g} "
                f"+- {self.error or 0:.0e}; {self.wrong} of {self.entries} derivatives, over all cases, are wrong"
            )
        details = [f"cause: {self.cause}"]
        if self.confidence < 0.995:
            details.append(f"confidence {self.confidence:.0%}")
        if self.also:
            details.append(f"or {', '.join(self.also)}")
        lines.append(", ".join(details) + (f"; seen with {self.case}" if self.case else ""))
        if self.source:
            lines.append(f"written in {self.source}")
        return "\n    ".join(textwrap.fill(line, 116, subsequent_indent="    ") for line in lines)


@dataclass
class Agreement:
    """How closely a rule and the numbers of rule 1 agree for one array, over all cases."""

    rule: int
    array: str
    shape: tuple[int, ...]
    checked: int = 0  # derivatives compared
    wrong: int = 0
    undecided: int = 0  # for which the numbers of rule 1 are too rough to tell
    kinks: int = 0
    difference: float = 0.0  # the largest of a right entry, relative to the largest entry
    resolution: float = 0.0  # the smallest relative error that would have been seen in the case as given

    @property
    def digits(self) -> float:
        """Digits of agreement."""
        return digits(self.difference, 1.0)

    def remarks(self) -> str:
        """What is to be known beside the digits."""
        if not self.checked:
            return "not checked"
        said = []
        if self.wrong:
            said.append(f"WRONG in {self.wrong} of {self.checked}")
        else:
            if self.checked == self.undecided:
                return f"cannot be told: all {self.undecided} are too rough"
            said.append(f"agrees to {self.digits:.0f} digits")
            limit = digits(self.resolution, 1.0)
            if limit < 7:
                said[-1] += f"; the numbers cannot show more than {limit:.0f}"
        if self.kinks:
            said.append(f"{self.kinks} at a kink, where any slope between those of both sides is right")
        if self.undecided:
            said.append(f"{self.undecided} too rough to tell")
        return "; ".join(said)


class Float32(NamedTuple):
    """The layer in single precision beside double."""

    digits: float
    limit: float  # what its rounding allows

    def __str__(self) -> str:
        said = f"agrees to {self.digits:.0f} digits with float64"
        return said if self.digits >= 6.5 else f"{said}; float32 cannot show more than {self.limit:.0f} here"


@dataclass
class Diagnosis:
    """All that is known of a layer after its checks."""

    layer: str
    findings: tuple[Finding, ...] = ()
    derivatives: tuple[Agreement, ...] = ()
    notes: tuple[str, ...] = ()
    cases: int = 0
    float32: Float32 | None = None
    rows_independent: bool | None = None  # as the numbers show it; None where the output has no batch axis
    stochastic: bool = False
    complex_safe: bool | None = None
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Nothing is wrong, and something could be told."""
        return not self.findings and not self.untold and any(a.checked for a in self.derivatives)

    @property
    def untold(self) -> tuple[str, ...]:
        """Arrays of which no derivative could be told."""
        return tuple(a.array for a in self.derivatives if a.checked and a.undecided == a.checked)

    @property
    def resolution(self) -> float:
        """The relative error that would have been seen in every array, in the case as given."""
        return max((a.resolution for a in self.derivatives), default=0.0)

    def headline(self) -> str:
        """The result in one line."""
        if self.findings:
            places = {f.place for f in self.findings}
            rules = sorted({f.rule for f in self.findings})
            if places != {""}:
                named = " and ".join(f"layer {place}" for place in sorted(places) if place) or "the stack"
                return f"broken rules in {self.layer}: {named}"
            said = [f"rule {rule}" for rule in rules if rule] or ["the layer"]
            return f"broken rules in {self.layer}: {' and '.join(said)}"
        if not any(a.checked for a in self.derivatives):
            return f"could not confirm the rules of {self.layer}: no derivative was compared"
        if self.untold:
            return f"could not confirm the rules of {self.layer}: nothing can be told of {', '.join(self.untold)}"
        return f"{self.layer}: the rules agree"

    def rows(self) -> list[tuple[str, str, str, str, str]]:
        """The table: rule, array, shape, derivatives compared, remarks."""
        return [
            (
                f"rule {a.rule}",
                f"d/d{a.array}",
                "x".join(map(str, a.shape)) or "number",
                f"{a.checked} compared",
                a.remarks(),
            )
            for a in self.derivatives
        ]

    def footer(self) -> str:
        """What was done, in one line."""
        total = sum(a.checked for a in self.derivatives)
        seen = (
            f"; a relative error of {self.resolution:.0e} would have been seen" if self.ok and self.resolution else ""
        )
        return f"{self.cases} cases, {total} derivatives in {self.seconds:.2g} s{seen}"

    def __str__(self) -> str:
        lines = [self.headline()]
        lines += [f"  {finding}" for finding in self.findings]
        rows = self.rows()
        widths = [max((len(row[i]) for row in rows), default=0) for i in range(4)]
        for rule, array, shape, count, remark in rows:
            cells = rule.ljust(widths[0]), array.ljust(widths[1]), shape.rjust(widths[2]), count.rjust(widths[3])
            lines.append("  " + "  ".join([*cells, remark]))
        if self.float32 is not None:
            lines.append(f"  float32  {self.float32}")
        lines += [f"  note     {note}" for note in self.notes]
        return "\n".join([*lines, f"  {self.footer()}"])

    def _repr_html_(self) -> str:
        def row(cells: tuple[str, ...], tag: str = "td") -> str:
            return "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells) + "</tr>"

        mark = "&#10003;" if self.ok else "&#10007;"
        findings = "".join(f"<li><pre>{html.escape(str(finding))}</pre></li>" for finding in self.findings)
        table = "".join(row(cells) for cells in self.rows())
        remarks = [*([f"float32: {self.float32}"] if self.float32 else []), *self.notes, self.footer()]
        return (
            f"<p>{mark} <b>{html.escape(self.headline())}</b></p>"
            f"{f'<ol>{findings}</ol>' if findings else ''}"
            f"<table>{row(('rule', 'derivative', 'shape', 'compared', 'result'), 'th')}{table}</table>"
            f"<ul>{''.join(f'<li>{html.escape(remark)}</li>' for remark in remarks)}</ul>"
        )


class GradientContractError(AssertionError):
    """A layer breaks the contract.  `diagnosis` says all that was found."""

    def __init__(self, diagnosis: Diagnosis) -> None:
        super().__init__(str(diagnosis))
        self.diagnosis = diagnosis


def digits(difference: float, size: float) -> float:
    """Decimal digits in which two numbers agree that differ by `difference`; 0 for none, at most 16."""
    if not math.isfinite(difference) or difference >= size:
        return 0.0
    return min(16.0, -math.log10(difference / size)) if difference > 0 else 16.0
