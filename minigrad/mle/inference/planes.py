"""Planes: linear constraints on the parameters as constraints on the variables, and the maximum under them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from minigrad.mle.identification import complement
from minigrad.mle.inference.constraints import described, parse
from minigrad.mle.likelihood import Restricted
from minigrad.mle.regressions.firth import Firth, firth
from minigrad.mle.regressions.regression import Regression
from minigrad.mle.search.inverses import inverse
from minigrad.mle.search.maximize import maximize
from minigrad.mle.search.objective import Point, point_at
from minigrad.mle.verdict import EstimateError
from minigrad.typing import Array

if TYPE_CHECKING:
    from minigrad.mle.result import Result

BESIDE = 1e-9  # the part of a unit vector along a null direction that is rounding
DEPENDS = 1e-12  # the part of a unit vector that others do not span, where it is rounding
STILL = 1e-7  # standard errors from the maximum, relative to sqrt(J): what J does not tell any more
ATTEMPTS, FEWER = 200, 12  # to get to a plane, of regressions and of other models, which need not have a maximum there
SMALLEST = 2.0**-30  # share of the way to a plane that is tried


class Plane(NamedTuple):
    """A u = b for the variables u: q independent constraints, the rows of A of norm 1."""

    matrix: Array  # A (q, k)
    value: Array  # b (q,)
    hypothesis: str  # as it was written


def plane_of(result: Result, constraints: Any) -> Plane:
    """The plane of constraints on the parameters (ValueError: not estimable, redundant or contradictory)."""
    matrix, value = parse(constraints, result.names)
    a, b = _of_variables(result, matrix, value)
    each = [described(matrix[i : i + 1], value[i : i + 1], result.names) for i in range(len(matrix))]
    for i, text in enumerate(each):
        if np.linalg.norm(a[i] @ result.null) > BESIDE:
            raise ValueError(f"{text} is not estimable, so that it cannot be tested: {result.verdict.message}")
        before, rest = a[:i], a[i]
        share = np.linalg.lstsq(before.T, rest, rcond=None)[0] if i else np.zeros(0)
        if np.linalg.norm(rest - share @ before) <= DEPENDS:
            held = abs(b[i] - share @ b[:i]) <= 1e-9 * (abs(b[i]) + np.abs(share) @ np.abs(b[:i]))
            how = "follows from" if held else "contradicts"
            others = ", ".join(each[:i]) or f"the identification, {result.identification!r}"
            raise ValueError(f"{text} {how} {others}: leave it out")
    if isinstance(constraints, str):
        return Plane(a, b, constraints)
    return Plane(a, b, ", ".join(constraints if all(isinstance(c, str) for c in constraints) else each))


def best_on(result: Result, a: Array, b: Array, start: Array, covariance: Array) -> Point:
    """The maximum of the likelihood, and of its penalty, on a u = b; EstimateError where none is found.

    From `start`, where the curvature has the inverse `covariance`, by half the way where the whole is too far.
    """
    share, u = 1.0, start
    convex = isinstance(result.likelihood, Regression)
    for _ in range(ATTEMPTS if convex else FEWER):
        if share <= SMALLEST:
            break
        aim = a @ u + share * (b - a @ u)
        found = _attempt(result, a, aim, u, covariance)
        if found is None:
            share /= 2
        elif share == 1:
            return found
        else:
            u, share = found.u, min(1.0, 2 * share)
            covariance = curvature_at(result, found, covariance)
    raise EstimateError("the likelihood has no maximum under the constraints, or none was found", result.verdict)


def curvature_at(result: Result, point: Point, otherwise: Array) -> Array:
    """The inverse of the Hessian at a point; `otherwise` where that is not positive definite, as far from a maximum."""
    try:
        return inverse(point.objective.hessian, complement(result.null), "the information")
    except ValueError:
        return otherwise


def _of_variables(result: Result, matrix: Array, value: Array) -> tuple[Array, Array]:
    """A, b of R params = r: A = R S M, its rows scaled to norm 1 without an overflow on the way."""
    listing = result.listing
    (sizes, powers), (scales, more) = np.frexp(matrix), np.frexp(listing.scale)
    powers = np.where(matrix != 0, powers + more, -10_000)
    most = powers.max(axis=1)
    unscaled = np.ldexp(sizes * scales, powers - most[:, np.newaxis])
    a = unscaled @ listing.matrix
    norm = np.linalg.norm(a, axis=1)
    # What cancels, as the sum over classes of a parameter that sums to zero, is left at 0.
    counts = norm > 1e-13 * (np.abs(unscaled) @ np.linalg.norm(listing.matrix, axis=1))
    value = np.ldexp(value, -most) / np.where(counts, norm, 1.0)
    return np.where(counts[:, np.newaxis], a, 0.0) / np.where(counts, norm, 1.0)[:, np.newaxis], value


def _attempt(result: Result, a: Array, b: Array, start: Array, covariance: Array) -> Point | None:
    toward = covariance @ a.T
    origin = start + toward @ np.linalg.solve(a @ toward, b - a @ start)
    likelihood = result.likelihood
    basis = complement(np.linalg.qr(np.column_stack([result.null, a.T]))[0])
    with np.errstate(all="ignore"):
        if not np.isfinite(likelihood.value(origin)):
            return None
        if basis.shape[1]:
            plane = Restricted(likelihood, origin, basis)
            search = firth if isinstance(likelihood, Firth) else maximize
            found = search(plane, plane.start, 500 if isinstance(likelihood, Regression) else 50)
            if found.reason != "converged":
                return None
            origin = plane.at(found.u)
    point = point_at(likelihood, origin)
    return point if _rests(point, basis) else None


def _rests(point: Point, basis: Array) -> bool:
    """The objective rises from the point along all of the basis, as far as rounding tells."""
    along = basis.T @ point.objective.gradient
    try:
        within = inverse(basis.T @ point.objective.hessian @ basis, np.eye(len(along)), "the information")
    except ValueError:
        return False
    return float(along @ within @ along) <= STILL * STILL * (1 + abs(point.objective.value))
