"""A failed comparison looked at from all sides: what the guesses at its cause are tested on."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any

import numpy as np

from minigrad.testing.comparison import Comparison
from minigrad.testing.numeric import direction, largest, line, size_at, slope
from minigrad.testing.subject import Subject
from minigrad.typing import Array

TOLERANCE = 1e-6  # relative: a guess that explains an error does so to many digits
MOST = 4096  # entries of a Jacobian that are worth computing


class Evidence:
    """One comparison that failed: A is what the rule gives, N what the numbers of rule 1 give."""

    def __init__(self, comparison: Comparison) -> None:
        self.c = comparison
        self.a = comparison.analytic
        self.n = np.where(comparison.wrong | comparison.misshapen | comparison.seen, comparison.numeric.value, np.nan)
        self.x = comparison.subject.arrays[comparison.array]
        self.y = comparison.z_next
        self.delta = comparison.delta
        first = next(iter(comparison.subject.inputs.values()), self.x)
        self.z = first
        self.rows = len(first) if first.ndim else 1

    def is_(self, found: Any, expected: Any) -> bool:
        """Equal to what the numbers can show, where they could be told; and not all of it zero."""
        found, expected = np.asarray(found), np.asarray(expected)
        if found.shape != expected.shape or not found.size:
            return False
        told = ~np.isnan(expected) & ~np.isnan(found)
        if not told.any():
            return False
        bound = self.c.bound if self.c.bound.shape == expected.shape else 4 * np.nanmax(self.c.bound, initial=0.0)
        size = np.max(np.abs(expected), initial=0.0, where=told & np.isfinite(expected))
        with np.errstate(invalid="ignore"):
            close = np.abs(found - expected) <= TOLERANCE * max(size, largest(self.delta) * 1e-3) + np.nan_to_num(bound)
        return bool(close[told].all())

    def multiple(self, found: Array, expected: Array) -> float | None:
        """c where found = c expected."""
        if np.shape(found) != np.shape(expected):
            return None
        told = np.isfinite(found) & np.isfinite(expected)
        strength = float(expected[told] @ expected[told])
        if strength == 0 or not np.isfinite(strength):
            return None
        c = float(found[told] @ expected[told]) / strength
        c = round(c) if abs(c - round(c)) < TOLERANCE else c
        return c if c != 0 and self.is_(found, c * np.where(told, expected, np.nan)) else None

    @property
    def shaped(self) -> bool:
        """A has the shape of N."""
        return self.a.shape == self.n.shape

    @cached_property
    def factor(self) -> float | None:
        """c where A = c N, from two entries or more that differ."""
        if not self.shaped:
            return None
        told = np.isfinite(self.n) & np.isfinite(self.a) & ~self.c.numeric.kink & ~self.c.undecided
        a, n = self.a[told], self.n[told]
        strength = float(n @ n)
        if strength == 0 or not np.isfinite(strength):
            return None
        c = float(a @ n) / strength
        return c if c != 0 and self.is_(self.a, np.where(told, c * self.n, np.nan)) else None

    @property
    def telling(self) -> bool:
        """It has enough entries for a relation to mean something."""
        return int(np.count_nonzero(np.abs(self.n) > 1e-6 * max(self.c.size, 1e-12))) >= 2

    @cached_property
    def numeric_jacobian(self) -> Array | None:
        """d z_next / d x, (outputs, entries), by numbers."""
        if not 0 < self.c.jacobian.size <= MOST:
            return None
        jacobian = self.c.jacobian.copy()
        function = self.c.subject.output_of(self.c.array)
        for k, index in enumerate(np.ndindex(self.x.shape)):
            if np.isnan(jacobian[:, k]).any():
                along = line(function, self.x, direction(self.x, index))
                jacobian[:, k] = slope(along, size_at(self.x, index), largest(self.x)).value
        return jacobian

    @cached_property
    def analytic_jacobian(self) -> Array | None:
        """The same by the rule, one output at a time."""
        if not 0 < self.c.jacobian.size <= MOST or not self.shaped:
            return None
        rows = []
        for k in range(self.delta.size):
            one = np.zeros(self.delta.size)
            one[k] = 1.0
            answer = self.rule(one.reshape(self.delta.shape))
            if answer is None or answer.shape != self.x.shape:
                return None
            rows.append(answer.ravel())
        return np.stack(rows) if rows else None

    def jacobians(self) -> tuple[Array, Array] | None:
        """(by the rule, by numbers), where both are known."""
        if self.numeric_jacobian is None or self.analytic_jacobian is None:
            return None
        return self.analytic_jacobian, self.numeric_jacobian

    def rule(self, delta: Array, cache: Any = None) -> Array | None:
        """What the rule gives for another delta, or another cache; None where it raises."""
        subject = self.c.subject
        try:
            if cache is None:
                cache = subject.forward()[1]
            given = np.asarray(delta)[()]
            results = subject.backward(given, cache) if self.c.rule == 2 else subject.parameter_gradients(given, cache)
            return results[self.c.array]
        except Exception:
            return None

    def rule_with(self, name: str, array: Array) -> Array | None:
        """What the rule gives with another array for one parameter, on the cache of the right one."""
        subject = self.c.subject
        try:
            cache = subject.forward()[1]
            twin = Subject(subject.layer.with_parameters({name: array}), subject.z, subject.arguments, subject.watch)
            given = self.delta[()]
            results = twin.backward(given, cache) if self.c.rule == 2 else twin.parameter_gradients(given, cache)
            return results[self.c.array]
        except Exception:
            return None

    def quantities(self) -> Iterator[tuple[str, float, str]]:
        """(name, value, cause) for numbers that a factor may be: sizes, and attributes of the layer."""
        sizes: dict[str, float] = {"N, the size of the batch": self.rows}
        for axis, size in enumerate(self.z.shape[1:], 1):
            sizes[f"{size}, the length of axis {axis} of z"] = size
        for axis, size in enumerate(self.y.shape[1:], 1):
            sizes[f"{size}, the length of axis {axis} of z_next"] = size
        sizes[f"{self.z.size}, the number of entries of z"] = self.z.size
        for name, value in sizes.items():
            if value > 1:
                cause = "mean_for_sum" if name.startswith("N,") else "factor"
                yield name, float(value), cause
                yield f"the square root of {name}", math.sqrt(value), "factor"
        for name, value in numbers_of(self.c.subject.layer):
            yield name, value, "factor"
            yield f"the square of {name}", value * value, "factor"
            yield f"1 - {name}", 1 - value, "factor"
            yield f"1 + {name}", 1 + value, "factor"
            if value > 0:
                yield f"the square root of {name}", math.sqrt(value), "factor"

    def arrays(self) -> Iterator[tuple[str, Array]]:
        """(name, array) for what a forgotten factor may be: parameters, attributes, z, z_next and functions of them."""
        held = {name: array for name, array in self.c.subject.parameters.items() if name != self.c.array}
        attributes = {
            f"self.{name}": value
            for name, value in vars(self.c.subject.layer).items()
            if isinstance(value, np.ndarray) and value.dtype.kind == "f" and name not in held
        }
        own = {} if self.c.rule == 2 else {self.c.array: self.x}
        for name, array in {**held, **attributes, **own}.items():
            yield name, array
            yield f"the square of {name}", array**2
            yield f"e^{name}", np.exp(np.minimum(array, 700))
        if self.z.shape == self.y.shape:
            yield "z / z_next", self.z / self.y
            yield "the square of z / z_next", (self.z / self.y) ** 2
        for name, u in {"z": self.z, "z_next": self.y}.items():
            yield name, u
            yield f"the square of {name}", u**2
            yield f"1 - {name}", 1 - u
            yield f"1 - the square of {name}", 1 - u**2
            yield f"{name} (1 - {name})", u * (1 - u)
            yield f"e^{name}", np.exp(np.minimum(u, 700))
            yield f"cos {name}", np.cos(u)
            yield f"sin {name}", np.sin(u)
            yield f"1 + the square of {name}", 1 + u**2


def numbers_of(layer: Any) -> Iterator[tuple[str, float]]:
    """(name, value) of the numbers that a layer holds, other than 0 and 1."""
    for name, value in vars(layer).items():
        number = isinstance(value, int | float | np.floating) and not isinstance(value, bool)
        single = isinstance(value, np.ndarray) and value.size == 1 and value.dtype.kind == "f"
        if number or single:
            plain = float(np.asarray(value, dtype=float).ravel()[0]) if abs(value) < 1e300 else math.inf
            if plain not in (0.0, 1.0, -1.0) and math.isfinite(plain) and abs(plain) > 1e-300:
                yield f"self.{name} = {plain:.4g}", plain


def all_hold(evidence: list[Evidence], holds: Callable[[Evidence], bool]) -> bool:
    """It holds in every comparison, and one of them can tell."""
    return any(e.telling for e in evidence) and all(holds(e) for e in evidence)
