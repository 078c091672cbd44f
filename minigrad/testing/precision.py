"""The layer in other precisions: what overflows, what loses digits, and which floating types come out."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from minigrad.layer import Layer
from minigrad.testing.numeric import EPS, largest
from minigrad.testing.report import Finding, Float32, digits
from minigrad.testing.subject import RuleError, Subject
from minigrad.typing import Array

EPS32 = float(np.finfo(np.float32).eps)
TINY32 = float(np.finfo(np.float32).tiny)
HAS_LONG_DOUBLE = float(np.log10(np.finfo(np.longdouble).max)) > 4000
TIMES = 64  # the roundings that a rule may lose beyond its own conditioning


class SinglePrecision(NamedTuple):
    """What the layer does in float32."""

    agreement: Float32 | None
    finding: Finding | None


def cast(value: Any, dtype: Any) -> Any:
    """`value` with its floating arrays in another precision."""
    if type(value) is tuple:
        return tuple(cast(part, dtype) for part in value)
    floating = isinstance(value, np.ndarray | np.floating) and value.dtype.kind == "f"
    return np.asarray(value).astype(dtype) if floating else value


def in_float32(subject: Subject, case: str, rng: np.random.Generator) -> SinglePrecision:
    """All rules in float32 beside float64: types kept, finite, and rule 1 to the digits that it can show."""
    subject.rewind()
    single = subject.layer.astype(np.float32)
    z = cast(subject.z, np.float32)
    z_next, _ = subject.forward()
    delta = rng.normal(size=np.shape(z_next)).astype(np.float32)
    low = _all_rules(single, z, cast(subject.arguments, np.float32), delta, subject)
    for name, array in low.items():
        rule = 1 if name == "z_next" else 2 if name in subject.inputs else 3
        if array.dtype != np.float32:
            said = (
                f"float32 comes in and {array.dtype} goes out of rule {rule}: an np.float64, as np.sqrt(2) is, or an "
                "array of the layer's own widens it"
            )
            return SinglePrecision(None, Finding(rule, "dtype", said, array=None if rule == 1 else name, case=case))
    double = single.astype(np.float64)
    wide_z, wide_arguments = cast(z, np.float64), cast(cast(subject.arguments, np.float32), np.float64)
    high = _all_rules(double, wide_z, wide_arguments, delta.astype(float), subject)
    spread = _conditioning(double, wide_z, wide_arguments, delta.astype(float), subject, high, rng)
    worst, limit, judged = 16.0, 16.0, False
    for name, array in low.items():
        expected, size = high[name], largest(high[name])
        if not np.isfinite(array).all() and np.isfinite(expected).all() and size < 1e37:
            rule = 1 if name == "z_next" else 2 if name in subject.inputs else 3
            said = f"in float32 rule {rule} is not finite, where float64 gives numbers of size {size:.1g}"
            return SinglePrecision(None, Finding(rule, "unstable", said, array=None if rule == 1 else name, case=case))
        if not np.isfinite(array).all():
            continue
        if not np.isfinite(expected).all() or not np.isfinite(spread[name]).all() or size == 0:
            continue
        if float(spread[name].max(initial=0.0)) > 0.02 * size:
            continue  # so badly conditioned that float32 has nothing to say
        if name != "z_next":
            continue  # rules 2 and 3 multiply differences of nearly equal numbers that the input alone does not explain
        off = np.abs(array.astype(float) - expected)
        bound = TIMES * (spread[name] + EPS32 * (np.abs(expected) + 0.05 * size) + TINY32)
        if (off > bound).any():
            index = tuple(int(i) for i in np.unravel_index(int(np.argmax(off - bound)), off.shape))
            times = float((off / np.maximum(bound / TIMES, 1e-300)).max())
            said = (
                f"in float32 rule 1 loses digits: its error is {times:.0f} times what the rounding of its input "
                "explains. Large numbers cancel inside, or something overflows: rewrite the formula"
            )
            return SinglePrecision(
                None,
                Finding(
                    1, "unstable", said, array=None if rule == 1 else name, index=index,
                    analytic=float(array[index]), numeric=float(expected[index]), error=float(bound[index]),
                    wrong=int((off > bound).sum()), entries=off.size, case=case,
                ),
            )  # fmt: skip
        worst, judged = min(worst, digits(largest(off), size)), True
        limit = min(limit, digits(float((bound / TIMES).max(initial=0.0)), size))
    return SinglePrecision(Float32(min(worst, 7.2), min(limit, 7.2)) if judged else None, None)


def _all_rules(layer: Layer, z: Any, arguments: tuple[Any, ...], delta: Array, like: Subject) -> dict[str, Array]:
    subject = Subject(layer, z, arguments, like.watch)
    subject.stochastic, subject.protected = like.stochastic, like.protected
    z_next, cache = subject.forward()
    results = {"z_next": np.asarray(z_next), **subject.backward(delta[()], cache)}
    cache = subject.forward()[1]
    results |= subject.parameter_gradients(delta[()], cache)
    subject.rewind()  # whoever copies the layer next begins where this began
    return results


def _conditioning(
    layer: Layer,
    z: Any,
    arguments: tuple[Any, ...],
    delta: Array,
    like: Subject,
    expected: dict[str, Array],
    rng: np.random.Generator,
) -> dict[str, Array]:
    """How far each result moves when everything that goes in is rounded to float32."""

    def shaken(value: Any) -> Any:
        if type(value) is tuple:
            return tuple(shaken(part) for part in value)
        floating = isinstance(value, np.ndarray) and value.dtype.kind == "f"
        return value * (1 + EPS32 * rng.uniform(-1, 1, value.shape)) if floating else value

    spread = {name: np.zeros(array.shape) for name, array in expected.items()}
    for _ in range(4):
        parameters = {name: np.asarray(shaken(array)) for name, array in layer.parameters().items()}
        other = layer.with_parameters(parameters) if parameters else layer
        moved = _all_rules(other, shaken(z), shaken(arguments), np.asarray(shaken(delta)), like)
        for name in spread:
            with np.errstate(invalid="ignore"):
                spread[name] = np.maximum(spread[name], np.abs(moved[name] - expected[name]))
    return spread


def single_inside(subject: Subject, rng: np.random.Generator) -> Finding | None:
    """A result that is not float64, or of which every entry is a float32 number, though what came in was not."""

    def filled(array: Array) -> Array:
        return array * (1 + 1e-6 * rng.random(array.shape)) if array.dtype.kind == "f" else array

    z = tuple(filled(part) for part in subject.z) if type(subject.z) is tuple else filled(subject.z)
    full = subject.at(z, subject.arguments)
    try:
        z_next = np.asarray(full.forward()[0])
        results = {"z_next": z_next, **full.rules(rng.normal(size=z_next.shape)[()], full.forward()[1])}
    except RuleError:
        return None
    for name, array in results.items():
        rule = 1 if name == "z_next" else 2 if name in subject.inputs else 3
        if array.dtype != np.float64:
            said = f"float64 comes in and {array.dtype} goes out: rule {rule} must keep the type"
            return Finding(rule, "dtype", said, array=None if rule == 1 else name)
        if array.size < 2 or not np.isfinite(array).all():
            continue
        with np.errstate(over="ignore", under="ignore"):
            as_single = array.astype(np.float32).astype(np.float64) == array
        mantissas = np.frexp(array)[0] * 2**14
        if as_single.all() and np.count_nonzero(np.rint(mantissas) != mantissas) >= max(2, array.size // 2):
            said = f"every entry of {name} is a float32 number, though float64 came in: single precision inside"
            return Finding(rule, "float32", said, array=None if rule == 1 else name)
    return None


def staircase(subject: Subject, rng: np.random.Generator) -> Finding | None:
    """Rule 1 moves in steps far coarser than float64: its numbers are rounded to single precision inside."""
    here = np.ravel(subject.forward()[0])
    for name, array in subject.arrays.items():
        function, v = subject.output_of(name), rng.normal(size=array.shape)
        try:
            near, below = (np.ravel(function(array + t * v)) for t in (2.0**-30, -(2.0**-30)))
            half, far = (
                np.ravel(function(array + t * v)) - np.ravel(function(array - t * v)) for t in (2.0**-17, 2.0**-16)
            )
        except (RuleError, ValueError, ArithmeticError):
            continue
        # Of a function that is a line from afar, a share is due close by; of one that jumps, nothing.
        even = np.abs(far - 2 * half) <= 0.2 * np.abs(far)
        due = even & (np.abs(far) * 2.0**-14 > 128 * EPS * np.abs(here))
        stuck = due & (near == here) & (below == here)
        if due.any() and np.count_nonzero(stuck) > 0.6 * np.count_nonzero(due):
            said = (
                f"z_next does not change at all where {name} changes by {2.0**-30:.0e} of itself: numbers are rounded "
                "to single precision inside. Keep the floating type of what comes in"
            )
            return Finding(1, "float32", said)
    return None


def overflow(subject: Subject, z_next: Array, case: str, rng: np.random.Generator) -> Finding | None:
    """Why rule 1 is not finite at a finite input, where that is its own fault."""
    bad = ~np.isfinite(z_next)
    nan = np.isnan(z_next)
    if nan.any():
        neighbours = []
        for _ in range(6):
            z = subject.z if type(subject.z) is tuple else (subject.z,)
            moved = tuple(
                p + 1e-6 * (largest(p) or 1.0) * rng.normal(size=p.shape) if p.dtype.kind == "f" else p for p in z
            )
            try:
                near = subject.at(moved if type(subject.z) is tuple else moved[0], subject.arguments)
                neighbours.append(np.asarray(near.forward()[0]))
            except RuleError:
                return None
        fine = np.all([np.isfinite(n) for n in neighbours], axis=0) if neighbours else np.zeros(bad.shape, bool)
        if (nan & fine).any():
            zero = any((part == 0).any() for part in subject.inputs.values())
            said = (
                "rule 1 gives nan, and finite numbers at all points close by: 0/0? Give the limit there, or raise "
                "ValueError where z is not in the domain"
            )
            return Finding(1, "zero" if zero else "ties", said, case=case)
    if not HAS_LONG_DOUBLE:
        return None
    try:
        wide = Subject(
            subject.layer.astype(np.longdouble), cast(subject.z, np.longdouble), subject.arguments, subject.watch
        )
        wide.stochastic = subject.stochastic
        reference = np.asarray(wide.forward()[0])
    except Exception:  # whatever the author's code raises in a precision it was not written for
        return None
    with np.errstate(invalid="ignore"):
        representable = np.isfinite(reference) & (np.abs(reference) < 1e300)
    if reference.dtype == np.longdouble and (bad & representable).any():
        index = tuple(int(i) for i in np.argwhere(bad & representable)[0])
        said = (
            f"rule 1 gives {z_next[index]} where the value is {float(reference[index]):.6g}: something overflows "
            "inside. Subtract the largest number before the exponential, or rewrite the formula"
        )
        return Finding(1, "unstable", said, index=index, case=case)
    return None
