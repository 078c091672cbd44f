"""Rules 2 and 3 at one input beside the numeric derivatives of rule 1, entry by entry."""

from __future__ import annotations

from collections.abc import Callable, Container
from typing import Any

import numpy as np

from minigrad.testing.cases import batch_size
from minigrad.testing.comparison import Comparison
from minigrad.testing.numeric import (
    COMPLEX_STEP,
    EPS,
    Derivative,
    Line,
    direction,
    largest,
    line,
    noise_of,
    quick_slope,
    size_at,
    slope,
)
from minigrad.testing.protocol import rule_of
from minigrad.testing.second_look import forgive, random_directions, tied_directions
from minigrad.testing.subject import Subject
from minigrad.typing import Array

ALL_UP_TO = 64  # entries of an array that are all compared; of a larger one a sample
SAMPLE = 24
MOST = 2**18  # entries of a Jacobian that are kept


def analytic(subject: Subject, delta: Array) -> dict[str, Array]:
    """Rules 2 and 3, each right after a forward of its own."""
    return {
        **subject.backward(delta, subject.forward()[1]),
        **subject.parameter_gradients(delta, subject.forward()[1]),
    }


def compare(
    subject: Subject,
    case: str,
    rng: np.random.Generator,
    complex_safe: bool,
    most: int = ALL_UP_TO,
    leave_out: Container[str] = (),
) -> list[Comparison]:
    """Every derivative at this input, but of arrays to leave out.  RuleError where a rule raises."""
    z_next = np.asarray(subject.forward()[0])
    delta = np.asarray(rng.normal(size=z_next.shape))
    found = analytic(subject, delta[()])
    return [
        _Entries(subject, name, found[name], delta, most, rng).compared(case, z_next, complex_safe, rng)
        for name in subject.arrays
        if name in found and name not in leave_out and np.isfinite(z_next).all()
    ]


class _Entries:
    """The entries of one array: the numeric derivative of each is sought only as far as it takes to settle it."""

    def __init__(
        self, subject: Subject, name: str, found: Array, delta: Array, most: int, rng: np.random.Generator
    ) -> None:
        self.subject, self.name, self.found, self.delta = subject, name, found, delta
        self.array = subject.arrays[name]
        self.function, self.weights = subject.output_of(name), delta.ravel()
        # Rule 3 multiplies delta with z; and a rule subtracts numbers of the size of delta: of a saturated softmax, all
        # but their rounding.
        reach = 1.0 if name in subject.inputs else max(1.0, *map(largest, subject.inputs.values()), 0.0)
        self.scale = largest(delta) * reach
        self.shaped = found.shape == self.array.shape
        few = self.array.size <= most
        self.sample = list(np.ndindex(self.array.shape)) if few else _sample(self.array.shape, rng, min(SAMPLE, most))
        self.columns: dict[tuple[int, ...], Derivative] = {}  # of every output
        self.totals: dict[tuple[int, ...], Derivative] = {}  # of their sum with delta
        self.size = 0.0
        self.method = "differences"

    def compared(self, case: str, z_next: Array, complex_safe: bool, rng: np.random.Generator) -> Comparison:
        """Complex steps where they can be trusted; where they contradict the rule, differences, cheap ones first."""
        remaining = self._after_complex_steps(rng) if complex_safe else self.sample
        for index in [index for index in remaining if not self._quickly(index)]:
            self.method = "differences"
            along, size = self._line(index), size_at(self.array, index)
            self._look(index, slope(along, size, largest(self.array)))
            if self.shaped and self._off(index) > self._bound(index):
                self._look(index, slope(along, size, largest(self.array), noise_of(along, size)))
        result = self._gathered(case, z_next)
        if self.shaped:
            if result.wrong.any():
                forgive(result, rng)
            if self.array.size > len(self.sample):
                result.directions += random_directions(result, self.function, self.array, rng)
            if result.numeric.kink.any():
                result.directions += tied_directions(result, self.function, self.array, rng)
        return result

    def _after_complex_steps(self, rng: np.random.Generator) -> list[tuple[int, ...]]:
        """The entries that complex steps do not settle."""
        jacobian = _by_complex_steps(self.subject, self.name, self.array, self.sample)
        if jacobian is None or not _confirmed(self.function, self.array, self.sample, jacobian, self.weights, rng):
            return self.sample
        self.method = "complex steps"
        for index, value in zip(self.sample, jacobian.T, strict=True):
            self._look(index, Derivative(value, 4 * EPS * np.abs(value), value, value, np.zeros(value.shape, bool)))
        return [index for index in self.sample if not self._settled(index, np.inf)]

    def _quickly(self, index: tuple[int, ...]) -> bool:
        """Whether one coarse step settles it: the rule is right, or so wrong that nothing finer can excuse it."""
        by_steps = self.columns.get(index)
        quick = quick_slope(self._line(index), size_at(self.array, index), largest(self.array))
        self._look(index, quick)
        if self._settled(index, 1e-7):
            return True
        clearly = self._bound(index) <= 1e-6 * self._off(index)
        if by_steps is not None and clearly:
            exact = float(by_steps.weigh(self.weights).value)
            return abs(exact - float(self.totals[index].value)) <= self._bound(index)
        return self.subject.slow and clearly

    def _line(self, index: tuple[int, ...]) -> Line:
        return line(self.function, self.array, direction(self.array, index))

    def _look(self, index: tuple[int, ...], derivative: Derivative) -> None:
        self.columns[index], self.totals[index] = derivative, derivative.weigh(self.weights)
        value = abs(float(self.totals[index].value))
        self.size = max(self.size, value) if np.isfinite(value) else self.size

    def _bound(self, index: tuple[int, ...]) -> float:
        return 4 * float(self.totals[index].error) + 64 * EPS * max(self.size, self.scale)

    def _off(self, index: tuple[int, ...]) -> float:
        """The distance of what the rule gives from the slopes of both sides."""
        value, total = float(self.found[index]), self.totals[index]
        return max(value - float(total.high), float(total.low) - value, 0.0) if np.isfinite(value) else np.inf

    def _settled(self, index: tuple[int, ...], closely: float) -> bool:
        if not self.shaped:
            return True  # nothing to compare with
        size = max(abs(float(self.found[index])), 1e-3 * largest(self.found), 1e-6 * self.scale)
        return self._off(index) <= self._bound(index) <= closely * size

    def _coupled(self, z_next: Array) -> bool | None:
        """Whether a row of the input changes other rows of the output; None where there are no such rows."""
        n = batch_size(self.subject.z)
        if self.name not in self.subject.inputs or n is None or n < 2 or z_next.ndim == 0 or len(z_next) != n:
            return None
        within = across = 0.0
        for index in self.sample:
            rows = np.abs(np.nan_to_num(self.columns[index].value)).reshape(n, -1).max(axis=1)
            within, rows[index[0]] = max(within, float(rows[index[0]])), 0.0
            across = max(across, largest(rows))
        return across > 1e-6 * max(within, across) if max(within, across) else None

    def _gathered(self, case: str, z_next: Array) -> Comparison:
        shape = self.array.shape
        empty = np.full(shape, np.nan)
        numeric = Derivative(empty, empty.copy(), empty.copy(), empty.copy(), np.zeros(shape, bool))
        bound, wrong = np.full(shape, np.nan), np.zeros(shape, bool)
        whole_jacobian = len(self.sample) == self.array.size and self.delta.size * self.array.size <= MOST
        jacobian = np.full((self.delta.size, self.array.size) if whole_jacobian else (0, 0), np.nan)
        for index in self.sample:
            for whole, part in zip(numeric, self.totals[index], strict=True):
                whole[index] = part
            if whole_jacobian:
                jacobian[:, int(np.ravel_multi_index(index, shape)) if shape else 0] = self.columns[index].value
            bound[index] = self._bound(index)
            # Where no number is to be had, nothing is called wrong.
            told = self.shaped and bool(np.isfinite(self.totals[index].value))
            wrong[index] = told and not (self._off(index) <= bound[index])
        return Comparison(
            self.subject, case, rule_of(self.subject, self.name), self.name, self.delta, z_next, self.found, numeric,
            jacobian, bound, wrong, self.method, self.scale, self._coupled(z_next),
        )  # fmt: skip


def _sample(shape: tuple[int, ...], rng: np.random.Generator, count: int) -> list[tuple[int, ...]]:
    """Entries at random, with the first and the last: the ends are where paddings and offsets go wrong."""
    size = int(np.prod(shape))
    chosen = {0, size - 1, *rng.choice(size, min(size, count), replace=False).tolist()}
    return [tuple(int(i) for i in np.unravel_index(k, shape)) for k in sorted(chosen)]


def _by_complex_steps(subject: Subject, name: str, array: Array, sample: list[tuple[int, ...]]) -> Array | None:
    """The derivative of each output with respect to each entry of the sample, or None where rule 1 does not give it."""
    columns = []
    try:
        function = subject.output_of(name, complex)
        x = array.astype(complex)
        for index in sample:
            x.imag[index] = COMPLEX_STEP
            columns.append(np.ravel(np.imag(function(x.copy()))) / COMPLEX_STEP)
            x.imag[index] = 0
        jacobian = np.stack(columns, axis=1)
    except Exception:
        return None
    return jacobian if np.isfinite(jacobian).all() else None


def _confirmed(
    function: Callable[[Array], Any],
    array: Array,
    sample: list[tuple[int, ...]],
    jacobian: Array,
    weights: Array,
    rng: np.random.Generator,
) -> bool:
    """Differences along a random direction confirm the complex steps: abs and its like pass through them silently."""
    v = np.zeros(array.shape)
    chosen = rng.normal(size=len(sample))
    for index, amount in zip(sample, chosen, strict=True):
        v[index] = amount
    size = max(largest(array), 1.0)
    total = quick_slope(line(function, array, v), size, size).weigh(weights)
    by_steps = float(weights @ (jacobian @ chosen))
    terms = float(np.abs(weights) @ (np.abs(jacobian) @ np.abs(chosen)))
    error = 4 * float(total.error) + 64 * EPS * terms
    return abs(by_steps - float(total.value)) <= error and error <= 1e-4 * terms
