"""Has the likelihood of a stack a maximum, and is it one?  Found by evaluating it far out, and along what is flat."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.mle.identification import by_name, estimable, in_words
from minigrad.mle.search.maximize import Maximum
from minigrad.mle.stacks.far import rays
from minigrad.mle.stacks.search import objective_at
from minigrad.mle.stacks.stack import Stack
from minigrad.mle.stacks.trust_region import Quadratic, equilibrated
from minigrad.typing import Array

FLAT = 1e-10  # a curvature of this, in variables in which most are 1, is taken for 0, if the likelihood says so too
AWAY = 0.1  # so far along a flat direction it is tried
SAME = 1e-10  # of two values of J that are alike, relative


def unbounded(stack: Stack, maximum: Maximum) -> dict[str, Any] | None:
    """What is to be said of a maximum that does not exist, or is not one: fields of a Verdict, and `null`; else None.

    boundary        a perfect fit, or parameters other than those of linear units that go off without end
    separated       the weights of linear units do
    not_identified  directions `null` (k, M) along which the likelihood stays as it is
    """
    if maximum.reason == "converged":
        return None if maximum.digits > 1 and maximum.condition < 1 / FLAT else _flat(stack, maximum)
    return _perfect(stack, maximum) or _rising(stack, maximum)


def _perfect(stack: Stack, maximum: Maximum) -> dict[str, Any] | None:
    if not stack.profiled(maximum.u)[1]:
        return None
    listing = stack.listing("reference")
    names = [name for name in listing.names if name.split("[")[0].endswith("log_variance")]
    return {
        "status": "boundary",
        "message": "the fit is perfect: all residuals are rounding, and the likelihood rises without end as the "
        "variance falls to 0. There are more parameters than the rows can tell from noise, or y is a function of x: "
        "fit fewer parameters, or look for y among the columns",
        "direction": dict.fromkeys(names, -1.0),
    }


def _rising(stack: Stack, maximum: Maximum) -> dict[str, Any] | None:
    """A direction from where the search ended, along which J falls, or at last stays, as far as numbers go."""
    for ray in rays(lambda u: objective_at(stack, u), maximum):
        if ray.for_ever(maximum.reason == "diverges"):
            return _of_direction(stack, ray.direction, ray.gain)
    return None


def _of_direction(stack: Stack, direction: Array, gain: float) -> dict[str, Any]:
    listing = stack.listing("reference")
    moved = listing.values(direction)
    named = by_name(listing.names, _cleaned(moved, 1e-5))
    linear = stack.variables.of_units(direction)
    what = (
        "a combination of columns tells apart what y is, or all but some rows of it"
        if linear
        else "its parameters go off to infinity, or to the edge of what they may be"
    )
    return {
        "status": "separated" if linear else "boundary",
        "message": f"the likelihood rises without end along {in_words(named)}: {what}, and no estimate exists. "
        "A penalty makes it finite, as Penalized(cost, L2Penalty(1.0)) does, and so do more data or fewer parameters",
        "direction": named,
        "details": {"gain": gain},
    }


def _flat(stack: Stack, maximum: Maximum) -> dict[str, Any] | None:
    """Null vectors of the Hessian along which J does stay as it is, other variables following."""
    hessian = maximum.objective.hessian
    quadratic = Quadratic(maximum.objective.gradient, hessian, equilibrated(hessian))
    weak = quadratic.vectors[:, np.abs(quadratic.values) < FLAT]
    kept = [v for v in weak.T if _stays(stack, maximum, quadratic, v)]
    if not kept:
        return None if maximum.digits > 0 else _slow()
    null = np.linalg.qr(np.array(kept).T / quadratic.units[:, np.newaxis])[0]
    listing = stack.listing("reference")
    known = estimable(listing, null)
    vectors = [by_name(listing.names, _cleaned(listing.values(v))) for v in null.T]
    return {
        "status": "not_identified",
        "message": f"{len(kept)} direction{'s' * (len(kept) > 1)} in the parameters change nothing of the likelihood: "
        f"{'; '.join(in_words(vector) for vector in vectors)}. Fix a parameter of each, leave it out, or add a penalty",
        "null_vectors": vectors,
        "estimable": known,
        "null": null,
    }


def _slow() -> dict[str, Any]:
    return {
        "status": "not_converged",
        "message": "the information is singular, to rounding, where the search came to rest, but the likelihood is not "
        "flat there: standard errors do not exist, or have no digits. Other parameters may have them, such as the "
        "square of one that enters as a square, or fewer that are nearly tied",
    }


def _stays(stack: Stack, maximum: Maximum, quadratic: Quadratic, v: Array) -> bool:
    """J is the same AWAY along v, when the other variables are at their best for that."""
    along = v / quadratic.units
    u = maximum.u + AWAY * along
    for _ in range(8):
        local = stack.evaluate(u)
        penalty = stack.penalty(u)
        hessian, gradient = local.hessian + penalty.hessian, local.gradient + penalty.gradient
        if not np.isfinite(hessian).all():
            return False
        others = np.eye(v.size) - np.outer(v, v)  # in scaled variables
        inner = others @ (hessian / quadratic.units[:, np.newaxis] / quadratic.units) @ others + np.outer(v, v)
        step = np.linalg.lstsq(inner, others @ (gradient / quadratic.units), rcond=FLAT)[0]
        u = u - (others @ step) / quadratic.units
        if float(np.abs(step).max()) < 1e-9:
            break
    return objective_at(stack, u) - maximum.objective.value <= SAME * (1 + abs(maximum.objective.value))


def _cleaned(vector: Array, rounding: float = 1e-9) -> Array:
    """Of a largest entry of 1, without what is rounding."""
    largest = np.abs(vector).max(initial=0.0) or 1.0
    return np.where(np.abs(vector) > rounding * largest, vector / largest, 0.0)
