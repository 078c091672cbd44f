"""Confidence intervals: Wald's, and those of the profile likelihood."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from minigrad.checks import require_number
from minigrad.mle.identification import complement
from minigrad.mle.inference.covariance import of_variables
from minigrad.mle.inference.distributions import two_sided_quantile
from minigrad.mle.inference.hypotheses import ROUNDING, require_likelihood
from minigrad.mle.inference.planes import best_on, curvature_at
from minigrad.mle.search.inverses import inverse
from minigrad.mle.search.objective import Point, point_at
from minigrad.mle.verdict import EstimateError
from minigrad.typing import Array

if TYPE_CHECKING:
    from minigrad.mle.result import Result

KINDS = ("wald", "profile")
FURTHEST = 2.0**40  # standard errors from the estimate, beyond which an end is infinite
ENOUGH = 1e-10  # of the root of 2 (log L - log L_profile), relative
NEAR = 1e-6  # the same, from which one step more leaves its square
STEPS = 40  # of the quick way, which as a rule needs five
LOOKS = 200  # at a profile, for one end


def confidence(result: Result, level: float = 0.95, kind: str = "wald") -> Array:
    """Intervals (m, 2) that hold the parameters with probability `level`, where N is large; NaN where not estimable.

        wald      params +- z se,    P(|Z| <= z) = level
        profile   {theta: 2 (log L(estimate) - max {log L: params_j = theta}) <= z^2}

    Those of the profile do not depend on how the model is parameterised, and hold for smaller N.  Where the likelihood
    never falls so far, an end is infinite.  Of Firth's penalised likelihood, the profile is that of the penalised
    likelihood.  Cox and Hinkley, Theoretical Statistics (1974) section 9.3; Heinze and Schemper, Statistics in Medicine
    21 (2002) 2409-2419.
    """
    if kind not in KINDS:
        raise ValueError(f"ci expects a kind of {', '.join(KINDS)}, got {kind!r}")
    if require_number("ci", "level", level, above=0.0) >= 1:
        raise ValueError(f"ci expects a level between 0 and 1, such as 0.95, got {level!r}")
    result.require_estimate("intervals")
    if kind == "wald":
        reach = two_sided_quantile(level) * result.se
        return np.column_stack([result.params - reach, result.params + reach])
    require_likelihood(result, "profile likelihood", "ci(kind='wald')")
    covariance = of_variables(result, "observed")
    found = np.full((len(result.names), 2), np.nan)
    for j in np.flatnonzero(result.estimable):
        found[j] = _ends(result, int(j), two_sided_quantile(level), covariance)
    return found


def _ends(result: Result, j: int, z: float, covariance: Array) -> Array:
    """Both ends of parameter j: those of a u, a of norm 1, and then its scale."""
    row = result.listing.matrix[j]
    size = float(np.linalg.norm(row))
    a = row / size
    error = math.sqrt(a @ covariance @ a)
    ends = np.empty(2)
    for i, sign in enumerate((-1.0, 1.0)):
        quick = _at_once(result, a, sign * error, z, covariance)
        ends[i] = _followed(result, a, sign * error, z, covariance) if quick is None else quick
    return np.asarray(result.listing.scale[j] * (size * ends))


def _at_once(result: Result, a: Array, step: float, z: float, covariance: Array) -> float | None:
    """The end by Newton's method for u and the multiplier together; None where that does not come to an end.

        g = lambda a,  J = J^ + z^2 / 2:    u' = u - V (g - lambda' a),  lambda'^2 a^T V a = 2 (J^ - J) + z^2 + g^T V g

    V is H^-1.  Venzon and Moolgavkar, Applied Statistics 37 (1988) 87-94.  Where J is convex, such a point is the end.
    """
    likelihood, basis, u = result.likelihood, complement(result.null), result.maximum.u
    u = u + (z / step) * (covariance @ a) if step else u
    for _ in range(STEPS):
        try:
            point = point_at(likelihood, u)
            v = inverse(point.objective.hessian, basis, "the information along the profile")
        except ValueError:
            return None
        g, toward = point.objective.gradient, v @ a
        lacking = z * z - 2 * (point.objective.value - result.maximum.objective.value)
        square = (lacking + float(g @ v @ g)) / float(a @ toward)
        if not square > 0:
            return None
        residual = g - math.copysign(math.sqrt(square), step) * a
        if float(residual @ v @ residual) <= (NEAR * z) ** 2 and abs(lacking) <= NEAR * z * z:
            return float(a @ (u - v @ residual))
        u = u - v @ residual
    return None


def _followed(result: Result, a: Array, step: float, z: float, covariance: Array) -> float:
    """The b at which r(b) = sqrt(2 (J_profile(b) - J^)) is z: Newton's method between bounds.

    b = a u^ + t step, t standard errors away: r = t where J is quadratic, and r' = J_profile' / r, where J_profile' is
    the multiplier of the constraint, g^T a.
    """
    at = float(a @ result.maximum.u)
    inside, outside, barred, t = 0.0, math.inf, math.inf, z
    u, curvature = result.maximum.u, covariance
    for _ in range(LOOKS):
        point = _profile(result, a, at + t * step, u, curvature)
        if point is None:  # not to be reached from u in one go
            barred, t = t, (inside + t) / 2
            if barred - inside <= 1e-6 * barred:
                break
            continue
        if point.objective.value < result.maximum.objective.value - ROUNDING * (1 + abs(point.objective.value)):
            raise EstimateError(
                "there is no interval of the profile likelihood: away from the estimate it rises above what it is "
                "there, so that the estimate is one of several maxima; ci(kind='wald') is of this one",
                result.verdict,
            )
        r = math.sqrt(max(0.0, 2 * (point.objective.value - result.maximum.objective.value)))
        if abs(r - z) <= ENOUGH * z:
            return at + t * step
        if r < z:
            inside, u = t, point.u
            curvature = curvature_at(result, point, curvature)
            if t > FURTHEST:
                return math.copysign(math.inf, step)
        else:
            outside = t
        if outside < math.inf and outside - inside <= 1e-14 * outside:
            return at + t * step
        slope = float(point.objective.gradient @ a) * step / max(r, 1e-300)
        t = _kept(t + (z - r) / slope if slope > 0 else math.inf, inside, min(outside, barred))
    raise EstimateError(
        "an end of the profile likelihood's interval was not found: ci(kind='wald') needs none", result.verdict
    )


def _kept(t: float, inside: float, outside: float) -> float:
    """t, between the bounds, and no more than four times as far as is known."""
    if outside < math.inf:
        return t if inside < t < outside else (inside + outside) / 2
    return min(max(t, inside * (1 + 1e-9)), 4 * max(inside, 1e-3))


def _profile(result: Result, a: Array, b: float, u: Array, covariance: Array) -> Point | None:
    try:
        return best_on(result, a[np.newaxis], np.array([b]), u, covariance)
    except ValueError:  # an EstimateError too
        return None
