"""python -m minigrad.testing package.module [...]: check every layer class of modules, packages or .py files.

The exit status is 0 where all rules agree, 1 where some do not or could not be checked, 2 where the call is wrong.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from typing import NamedTuple

from minigrad.layer import Layer
from minigrad.testing.check import diagnose
from minigrad.testing.discovery import NotCheckedError, found_input, layers_of, make
from minigrad.testing.report import Diagnosis


class Row(NamedTuple):
    """What is known of one class."""

    name: str
    result: str
    diagnosis: Diagnosis | None
    seconds: float
    said: str  # the findings, where there are any

    def line(self, width: int) -> str:
        """The class, the result, digits of agreement, the relative error that would have been seen, seconds."""
        digits = resolution = "-"
        if self.diagnosis is not None and (told := [a for a in self.diagnosis.derivatives if a.checked]):
            digits = f"{min(0.0 if a.wrong else a.digits for a in told):.0f}"
            resolution = f"{self.diagnosis.resolution:.0e}"
        return f"{self.name:{width}}  {self.result:11}  {digits:>6}  {resolution:>10}  {self.seconds:>7.2f}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Check, print, and return the exit status."""
    parser = argparse.ArgumentParser("python -m minigrad.testing", description="Check the rules of layers.")
    parser.add_argument("package", nargs="+", help="a module or package, package.module, or a path to a .py file")
    parser.add_argument("--rng", type=int, default=0, metavar="N", help="the seed (default: 0)")
    options = parser.parse_args(arguments)
    classes: dict[str, type[Layer] | Exception] = {}
    for package in options.package:
        try:
            found = layers_of(package)
        except Exception as error:
            parser.error(f"{package} cannot be imported, {type(error).__name__}: {error}")
        if not found.classes and not found.broken:
            parser.error(f"no layer class is defined in {package}")
        classes |= {**found.classes, **found.broken}
    width = max(len("class"), *map(len, classes))
    print(f"{'class':{width}}  {'result':11}  digits  resolution  seconds")
    rows = []
    for name, subject in classes.items():
        rows.append(_row(name, subject, options.rng))
        print(rows[-1].line(width), flush=True)
    wrong = [row for row in rows if row.result != "agrees"]
    for row in wrong:
        print(f"\n{row.name}: {row.said}")
    print(f"\n{len(rows)} classes, {len(rows) - len(wrong)} agree, {len(wrong)} do not or were not checked")
    return 1 if wrong else 0


def _row(name: str, subject: type[Layer] | Exception, rng: int) -> Row:
    begin = time.perf_counter()
    diagnosis = None
    try:
        if isinstance(subject, Exception):
            said = f"not checked: the module cannot be imported, {type(subject).__name__}: {subject}"
            raise NotCheckedError(said)
        layer, _ = make(subject)
        z, arguments = found_input(layer, rng)
        diagnosis = diagnose(layer, z, *arguments, rng=rng)
        result, said = ("agrees", "") if diagnosis.ok else ("WRONG" if diagnosis.findings else "UNTOLD", str(diagnosis))
    except NotCheckedError as problem:
        result, said = "NOT CHECKED", str(problem)
    return Row(name, result, diagnosis, time.perf_counter() - begin, said)


if __name__ == "__main__":
    sys.exit(main())
