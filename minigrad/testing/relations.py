"""Relations between what a rule gives, A, and what the numbers give, N: the tests that name simple causes."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import combinations, permutations

import numpy as np

from minigrad.testing.comparison import Comparison
from minigrad.testing.edits import ones_only, parameter_edited, wrong_point
from minigrad.testing.evidence import TOLERANCE, Evidence, all_hold
from minigrad.testing.guess import Guess

Test = Callable[[list[Evidence]], Guess | None]


def wrong_shape(evidence: list[Evidence]) -> Guess:
    """What the shape says, where it is not that of the array."""
    e = evidence[0]
    got, right = e.a.shape, e.n.shape
    said = f"its shape is {got}, that of {e.c.array} is {right}"
    if len(got) > len(right) and _squeezed(got) != _squeezed(right):
        axes = tuple(range(len(got) - len(right)))
        return Guess("missing_sum", f"{said}: sum over the axes {axes}, along which {e.c.array} was broadcast", 0.95)
    if len(got) > 1 and got == right[::-1] and got != right:
        return Guess("transposed", f"{said}: it is transposed", 0.97)
    if _squeezed(got) == _squeezed(right):
        return Guess("broadcast", f"{said}: axes of length 1 were kept, or dropped", 0.95)
    if e.a.size == e.n.size and len(got) != len(right):
        return Guess("shape", f"{said}: give it back its shape", 0.9)
    if len(got) == len(right) and all(a == b or b == 1 for a, b in zip(got, right, strict=True)):
        return Guess("broadcast", f"{said}: sum over the axes of length 1, along which it was broadcast", 0.95)
    if sorted(got) == sorted(right):
        return Guess("transposed", f"{said}: axes are exchanged", 0.9)
    for count in range(1, len(right) + 1):
        for axes in combinations(range(len(right)), count):
            for reduce in (np.sum, np.mean):
                for keep in (False, True):
                    reduced = reduce(e.n, axis=axes, keepdims=keep)
                    if reduced.shape == got and e.is_(e.a, reduced):
                        return Guess("extra_sum", f"{said}: it was summed over the axes {axes}", 0.95)
    if len(got) < len(right):
        return Guess("extra_sum", f"{said}: summed over too many axes", 0.8)
    if len(got) == len(right) and any(size in (*e.z.shape, *e.y.shape) for size in got):
        return Guess("axis", f"{said}: summed over the wrong axis", 0.8)
    return Guess("shape", said, 0.9)


def _squeezed(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(size for size in shape if size != 1)


def _not_finite(evidence: list[Evidence]) -> Guess | None:
    bad = [e for e in evidence if not np.isfinite(e.a[e.c.wrong]).all()]
    if len(bad) < len(evidence):
        return None
    e = bad[0]
    value = e.a[e.c.wrong][~np.isfinite(e.a[e.c.wrong])][0]
    if e.a.shape == e.x.shape and all((e.x[e.c.wrong & ~np.isfinite(e.a)] == 0).all() for e in bad):
        return Guess("zero", f"it gives {value} where {e.c.array} is 0: 0/0, or the logarithm of 0", 0.9)
    said = f"it gives {value}, where rule 1 has a finite derivative: overflow, or a division by 0"
    return Guess("unstable", said, 0.9)


def _small(evidence: list[Evidence]) -> Guess | None:
    def off(e: Evidence) -> float:
        with np.errstate(invalid="ignore"):
            return float(np.nanmax(np.abs(e.a - e.n)[e.c.wrong], initial=0.0)) / max(e.c.size, 1e-300)

    if not all(e.shaped and e.c.wrong.any() and off(e) < 1e-3 for e in evidence):
        return None
    e = evidence[0]
    if all((e.a.astype(np.float32) == e.a).all() and e.a.any() and off(e) < 1e-4 for e in evidence):
        return Guess("float32", "every entry is a float32 number: it is computed in single precision", 0.95)
    return Guess(
        "small_error", f"it is off by {off(e):.1e} of the largest entry: a constant or an eps that slipped", 0.9
    )


def _zeros(evidence: list[Evidence]) -> Guess | None:
    if all_hold(evidence, lambda e: e.shaped and not e.a.any()):
        return Guess("zeros", "it gives zeros, where rule 1 depends on the array", 0.95)
    return None


def _factor(evidence: list[Evidence]) -> Guess | None:
    if not all_hold(evidence, lambda e: e.factor is not None):
        return None
    factors = [e.factor for e in evidence if e.telling and e.factor is not None]
    c = factors[0]
    if all(abs(f - 1) <= TOLERANCE for f in factors):
        return None
    constant = all(abs(f - c) <= TOLERANCE * abs(c) for f in factors)
    if constant and abs(c + 1) < TOLERANCE:
        return Guess("sign", "it is minus the right one", 0.99)
    for inverse in (False, True):
        names = [
            {
                name: cause
                for name, value, cause in e.quantities()
                if value and _is(e.factor, 1 / value if inverse else value)
            }
            for e in evidence
            if e.telling
        ]
        # Names of sizes hold the number; compare what stands after it.
        common = set.intersection(*({_kind(name) for name in of} for of in names)) if names else set()
        best = [name for name in names[0] if _kind(name) in common] if names else []
        if constant and any(abs(c - k) < TOLERANCE for k in (2.0, 0.5)) and not any(n.startswith("N,") for n in best):
            break
        if best:
            cause = names[0][best[0]]
            said = f"it is the right one {'divided by' if inverse else 'times'} {best[0]}"
            if cause == "mean_for_sum":
                said += ": a mean for a sum" if inverse else ": a sum for a mean"
            return Guess(cause, said, 0.97 if len(set(map(_rounded, factors))) > 1 or cause == "factor" else 0.9)
    if constant:
        return Guess("factor", f"it is {c:.6g} times the right one", 0.95)
    return Guess(
        "factor", f"it is a multiple of the right one, {', '.join(f'{f:.4g}' for f in factors[:3])}, ...", 0.75
    )


def _rounded(value: float) -> float:
    return float(f"{value:.6g}")


def _is(a: float | None, b: float) -> bool:
    return a is not None and math.isfinite(b) and abs(a - b) <= TOLERANCE * abs(b)


def _kind(name: str) -> str:
    return name.split(", ")[-1] if ", the " in name else name


def _identity(evidence: list[Evidence]) -> Guess | None:
    def returns_delta(e: Evidence) -> bool:
        return e.delta.shape == e.a.shape and e.is_(e.a, e.delta)

    if evidence[0].c.rule == 2 and all_hold(evidence, returns_delta):
        return Guess("identity", "it returns delta: the local derivative was skipped", 0.96)
    return None


def _times(c: float) -> tuple[str, float]:
    """A factor besides, in words, and the confidence that it costs."""
    return ("", 0.0) if abs(c - 1) < TOLERANCE else (" with the other sign" if c == -1 else f", times {c:.4g}", 0.1)


def _transposed(evidence: list[Evidence]) -> Guess | None:
    def swapped(e: Evidence) -> float | None:
        for i, j in combinations(range(e.a.ndim), 2):
            if e.a.shape[i] == e.a.shape[j] > 1 and (c := e.multiple(e.a, np.swapaxes(e.n, i, j))):
                return c
        both = e.jacobians() if e.y.shape == e.x.shape else None
        return e.multiple(both[0], both[1].T) if both is not None else None

    square = [e for e in evidence if e.telling]
    found = [swapped(e) for e in square]
    if not square or None in found:
        return None
    words, less = _times(found[0] or 1.0)
    matrices = any(p.ndim == 2 and p.shape[0] == p.shape[1] for p in square[0].c.subject.parameters.values())
    if matrices or square[0].c.rule == 3:
        return Guess("transposed", f"it is the transpose of the right one{words}", 0.95 - less)
    return Guess("order", f"outputs and inputs are exchanged: the order is reversed, or not undone{words}", 0.93 - less)


def _order(evidence: list[Evidence]) -> Guess | None:
    """The entries of N in another order along one axis, the same in every slice."""

    def arrangement(e: Evidence) -> tuple[str, float] | None:
        for axis in range(e.a.ndim):
            length = e.a.shape[axis]
            orders = [(f"reversed along axis {axis}", np.arange(length)[::-1])]
            orders += [(f"shifted by {k} along axis {axis}", np.roll(np.arange(length), k)) for k in range(1, length)]
            if length <= 5:
                orders += [(f"permuted along axis {axis}", np.array(order)) for order in permutations(range(length))]
            for words, order in orders if length > 1 else ():
                if (order != np.arange(length)).any() and (c := e.multiple(e.a, np.take(e.n, order, axis))):
                    return words, c
        return None

    telling = [e for e in evidence if e.telling and e.n.size > 2]
    found = [arrangement(e) for e in telling]
    if not telling or None in found:
        return None
    words, c = found[0] or ("", 1.0)
    besides, less = _times(c)
    return Guess("order", f"it is the right one, {words}{besides}", 0.93 - less)


def _sums(evidence: list[Evidence]) -> Guess | None:
    """N summed or averaged over axes, and spread over them again."""

    def axes_of(e: Evidence) -> tuple[int, ...] | None:
        for count in range(1, e.n.ndim + 1):
            for axes in combinations(range(e.n.ndim), count):
                if math.prod(e.n.shape[axis] for axis in axes) < 2:
                    continue
                for reduce in (np.sum, np.mean):
                    if e.is_(e.a, np.broadcast_to(reduce(e.n, axis=axes, keepdims=True), e.n.shape)):
                        return axes
        return None

    shaped = [e for e in evidence if e.shaped and e.n.size > 1]
    found = [axes_of(e) for e in shaped]
    if shaped and all(axes is not None for axes in found):
        return Guess(
            "extra_sum", f"it is summed, or averaged, over the axes {found[0]}, over which it must not be", 0.93
        )
    return None


def _one_row(evidence: list[Evidence]) -> Guess | None:
    """The contribution of one row of the batch where all belong."""

    def row(e: Evidence) -> int | None:
        if e.c.rule != 3 or e.numeric_jacobian is None or not e.delta.ndim or e.rows < 2 or len(e.delta) != e.rows:
            return None
        for n in (0, e.rows - 1):
            part = np.zeros_like(e.delta)
            part[n] = e.delta[n]
            if e.is_(e.a, (part.ravel() @ e.numeric_jacobian).reshape(e.n.shape)):
                return n
        return None

    several = [e for e in evidence if e.shaped and e.rows > 1]
    found = [row(e) for e in several]
    if several and all(n is not None for n in found):
        which = "first" if found[0] == 0 else "last"
        return Guess(
            "missing_sum", f"only the {which} row of the batch contributes: the sum over the batch is missing", 0.95
        )
    return None


def exchanged(evidence: list[Evidence], others: list[Comparison]) -> Guess | None:
    """A is the derivative with respect to another array."""
    telling = [e for e in evidence if e.telling]
    for name in dict.fromkeys(other.array for other in others):
        same = {other.case: other.numeric.value for other in others if other.array == name}
        found = [e.multiple(e.a, same[e.c.case]) if e.c.case in same else None for e in telling]
        if found and None not in found:
            words, less = _times(found[0] or 1.0)
            return Guess("exchanged", f"it is the derivative with respect to {name}{words}", 0.96 - less)
    return None


TESTS: tuple[Test, ...] = (
    _not_finite,
    _zeros,
    _identity,
    _small,
    _factor,
    parameter_edited,
    _transposed,
    wrong_point,
    _order,
    _one_row,
    _sums,
    ones_only,
)
