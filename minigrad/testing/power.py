"""selfcheck: what the checks would find in a layer, shown by breaking its rules one at a time."""

from __future__ import annotations

import copy
import functools
import html
import math
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from minigrad.checks import label
from minigrad.layer import Layer
from minigrad.testing.cases import find_input
from minigrad.testing.check import check_layer, diagnose
from minigrad.testing.mutations import NAMES, SCALED, Key, Mutant, Mutation, mutations, scaled
from minigrad.testing.report import Agreement
from minigrad.testing.subject import copied
from minigrad.typing import Seed

FINEST = 15  # of the errors 10^-k, the last that is tried


def outcome(layer: Layer, z: Any, arguments: tuple[Any, ...]) -> Any:
    """All that two passes of a copy of `layer`, the one inside the other, give and leave behind.  Equal for equals."""
    layer, z, arguments = copy.deepcopy(layer), copied(z), copied(arguments)
    other: Any = tuple(np.roll(part, 1) for part in z) if type(z) is tuple else np.roll(z, 1)
    rng = np.random.default_rng(0)
    try:
        (z_next, cache), (_, inner) = layer.forward(z, *arguments), layer.forward(other, *arguments)
        deltas = [np.asarray(rng.normal(size=np.shape(z_next)))[()] for _ in range(2)]
        results = [layer.backpropagate(d, c) for c in (cache, inner) for d in deltas]
    except Exception as error:
        return type(error).__name__
    return [_frozen(value) for value in (z_next, z, other, deltas, results, layer.parameters())]


def _frozen(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return [_frozen(item) for item in value]
    if isinstance(value, dict):
        return {name: _frozen(item) for name, item in value.items()}
    array = np.asarray(value) + 0  # no sign of zeros
    return array.dtype.str, array.shape, array.tobytes()


class Trial(NamedTuple):
    """One mutant, and whether it was caught."""

    name: str
    rule: int
    array: str
    cause: str | None  # as the checks name it

    @property
    def caught(self) -> bool:
        return self.cause is not None

    def __str__(self) -> str:
        return self.cause or "MISSED"


@dataclass(frozen=True)
class SelfCheck:
    """What the checks find in the mutants of a layer.  True in a condition, if all are caught."""

    layer: str
    mutants: tuple[Trial, ...]
    equivalent: tuple[Key, ...]  # those of what changes nothing at this input
    smallest: dict[tuple[int, str], float]  # (rule, array): the smallest relative error seen, inf of none
    seconds: float

    @property
    def ok(self) -> bool:
        """Every mutant was caught, down to some error of each derivative."""
        return all(trial.caught for trial in self.mutants) and all(e < 1 for e in self.smallest.values())

    def __bool__(self) -> bool:
        return self.ok

    def headline(self) -> str:
        """The result in one line."""
        caught, said = sum(trial.caught for trial in self.mutants), f"{self.seconds:.2g} s"
        same = f"; {len(self.equivalent)} change nothing here (=)" if self.equivalent else ""
        return f"{self.layer}: {caught} of {len(self.mutants)} wrong rules are caught{same}; {said}"

    def rows(self) -> list[list[str]]:
        """The table: errors downwards, arrays across."""
        cells = {trial[:3]: str(trial) for trial in self.mutants} | dict.fromkeys(self.equivalent, "=")
        columns = list(dict.fromkeys((rule, array) for _, rule, array in sorted(cells, key=lambda key: key[1])))
        head = ["", *(f"rule {rule}, {array}" for rule, array in columns)]
        table = [[name, *(cells.get((name, *column), "") for column in columns)] for name in NAMES]
        smallest = [f"{self.smallest[c]:.0e}" if c in self.smallest else "" for c in columns]
        return [head, *(row for row in table if any(row[1:])), ["smallest error seen", *smallest]]

    def __str__(self) -> str:
        rows = self.rows()
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
        return "\n".join([self.headline(), *(f"  {line}".rstrip() for line in lines)])

    def _repr_html_(self) -> str:
        rows = ("".join(f"<td>{html.escape(cell)}</td>" for cell in row) for row in self.rows())
        return f"<p>{html.escape(self.headline())}</p><table>{''.join(f'<tr>{row}</tr>' for row in rows)}</table>"


def selfcheck(layer: Layer, z: Any = None, *arguments: Any, rng: Seed = 0) -> SelfCheck:
    """Breaks the rules of `layer` in every way of `mutations`, and shows that the checks catch each, and how small an
    error they see.  What changes nothing at this input is no error, and said.

    GradientContractError where the layer itself does not pass.
    """
    begin, generator = time.perf_counter(), np.random.default_rng(rng)
    if z is None:
        z, arguments = find_input(layer, generator)
    seed = int(generator.integers(2**32))
    right = check_layer(layer, z, *arguments, rng=seed)
    expected, same, wrong = outcome(layer, z, arguments), dict[Key, Mutation](), dict[Key, Mutation]()
    for mutation in mutations(layer, z):
        changes = outcome(Mutant(layer, mutation), z, arguments) != expected
        (wrong if changes else same)[mutation.key] = mutation

    def found(mutation: Mutation, cases: Iterable[str] = ("given", "all")) -> str | None:
        """The cause that the checks name at the input as given, or else at all; None where they find nothing."""
        for which in cases:
            diagnosis = diagnose(Mutant(layer, mutation), z, *arguments, rng=seed, cases=which)
            near = sorted(diagnosis.findings, key=lambda f: (f.rule != mutation.rule, f.array != mutation.array))
            if near:
                return near[0].cause
        return None

    def smallest(of: Agreement) -> float:
        """10^-k with the largest k for which 1 + 10^-k is caught, sought from the resolution that the checks claim."""

        @functools.cache
        def caught(k: int) -> bool:
            return found(Mutation("scaled", of.rule, of.array, scaled(1 + 10.0**-k)), ["given"]) is not None

        k = round(-math.log10(min(max(of.resolution, 10.0**-FINEST), 1.0)))
        while k < FINEST and caught(k + 1):
            k += 1
        while k > 0 and not caught(k):
            k -= 1
        return 10.0**-k if k else math.inf

    trials = tuple(Trial(*key, found(mutation)) for key, mutation in wrong.items())
    sizes = {(a.rule, a.array): smallest(a) for a in right.derivatives if (SCALED, a.rule, a.array) in wrong}
    return SelfCheck(label(layer), trials, tuple(same), sizes, time.perf_counter() - begin)
