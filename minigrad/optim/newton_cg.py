"""Newton's method by conjugate gradients: products of the Hessian with vectors, and no Hessian."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from minigrad.optim.damping import Damping
from minigrad.optim.descent import Method, Step, descend
from minigrad.optim.minimum import Callback, Evaluation, Function, Minimum, Point, require_limits, require_start
from minigrad.typing import Array

Operator: TypeAlias = Callable[[Array], Array]

LOOSE = 0.3  # how small, relative to the gradient, what Newton's equations leave has to be at first
SURE = 1e-3  # the same, of the step that tells a minimum from its absence: along weak curvatures it is found last
PROOF = 1e-9  # the same, where the step is to be proof and an exact preconditioner makes it cheap
NEGLIGIBLE = 1e-14  # a curvature, relative to the largest that was met
PROBES = 30  # products that look for negative curvature where the gradient has vanished


def minimize_newton_cg(
    function: Function,
    start: Array,
    product: Callable[[Array], Operator],
    *,
    tolerance: float = 1e-6,
    max_iterations: int = 200,
    callback: Callback | None = None,
    preconditioner: Callable[[Array, float], Operator] | None = None,
    convex: bool = False,
) -> Minimum:
    """Minimise `function`, x -> (value, gradient), by Newton's steps, which conjugate gradients find from products.

    `product(x)` gives the map v -> H v at x, and `preconditioner(x, a)` a map v -> M^-1 v, M positive definite and
    near H + a I.  Newton's equations are solved the better the faster the gradients fall.  Where a direction of
    negative curvature is met, it is followed as if it were positive; where the gradient has vanished, such directions
    are looked for, unless the function is said to be `convex`, so that a saddle point is seldom taken for a minimum.
    Otherwise as `minimize_newton`.

    Nocedal and Wright, Numerical Optimization, 2nd ed. (2006), algorithm 7.1; how well the equations are solved:
    Eisenstat and Walker, SIAM Journal on Scientific Computing 17 (1996) 16-32, choice 2.
    """
    start = require_start(minimize_newton_cg, start)
    require_limits(minimize_newton_cg, tolerance, max_iterations)
    evaluate = Evaluation(minimize_newton_cg, function)
    method = ConjugateGradients(product, preconditioner, convex)
    return descend(evaluate, start, method, tolerance, max_iterations, callback)


class ConjugateGradients(Method):
    """About -H^-1 gradient."""

    sees_curvature = True
    patience = 3

    def __init__(
        self,
        product: Callable[[Array], Operator],
        preconditioner: Callable[[Array, float], Operator] | None = None,
        convex: bool = False,
        exact: Callable[[Array, float], Operator] | None = None,
    ) -> None:
        super().__init__()
        self.product, self.preconditioner, self.convex = product, preconditioner, convex
        self.exact = exact or preconditioner  # that of the steps that tell a minimum from its absence
        self.last: float | None = None  # the size of the gradient one step ago
        self.forcing = LOOSE
        self.damping = Damping()

    def learn(self, origin: Point, found: Point, step: Step) -> None:
        self.damping.learn(origin, found, step)

    def step(self, point: Point, close: bool, enough: Callable[[Array], bool]) -> Step:
        damping = 0.0 if close else self.damping(point.gradient)
        product = self._counted(self.product(point.x), damping)
        preconditioner = self.exact if close else self.preconditioner
        precondition = _same if preconditioner is None else preconditioner(point.x, damping)
        if close and not self.convex:
            saddle, flat = self._negative_curvature(product, point.x.size)
            if saddle is not None or flat:
                return saddle or Step(np.zeros_like(point.x), flat=True)
        unit = float(np.abs(point.gradient).max())
        if unit == 0:
            return Step(np.zeros_like(point.x), decrement=0.0, flat=_is_zero(product, point.x.size))
        with np.errstate(over="ignore", invalid="ignore"):  # of a Hessian that is hardly there
            return self._solved(product, precondition, point.gradient / unit, unit, close, enough)

    def _solved(
        self,
        product: Operator,
        precondition: Operator,
        gradient: Array,
        unit: float,
        close: bool,
        enough: Callable[[Array], bool],
    ) -> Step:
        """x with H x = -gradient, both in the `unit` of the largest gradient entry, so that nothing underflows."""
        x = np.zeros_like(gradient)
        r = -gradient  # what is left of the equations
        z = precondition(r)
        rz = float(r @ z)
        if not 0 < rz < math.inf:  # not positive definite, at least to rounding
            precondition, z, rz = _same, r, float(r @ r)
        d, size, first = z, rz, rz  # size: of d, in the norm in which the preconditioner is the unit matrix
        largest = 1.0 if close and self.exact is not self.preconditioner else 0.0  # by an exact M, all are of order 1
        whole = True
        goal = first * self._forcing(unit * math.sqrt(first), close) ** 2
        for i in range(max(200, 10 * x.size)):
            hd = product(d)
            bend = float(d @ hd)
            curvature = bend / size
            if not curvature > NEGLIGIBLE * largest:
                if i == 0 and largest > 0:
                    return Step(x, decrement=0.0, whole=False)  # it has no curvature: it is what rounding left
                if i == 0:
                    # Down, as far as the curvature reaches; or where there is none, as far as the line search goes.
                    x, length = d, abs(rz / bend) if bend else 1 / float(np.abs(d * unit).max())
                    return Step(x * unit, length, flat=close and not hd.any() and _is_zero(product, x.size))
                if curvature < -NEGLIGIBLE * largest:
                    x = x + abs(rz / bend) * d  # down as well, and as far as its curvature reaches
                whole = False
                break
            largest = max(largest, curvature)
            a = rz / bend
            x = x + a * d
            r = r - a * hd
            z = precondition(r)
            rz, before = float(r @ z), rz
            if abs(rz) <= goal or (not close and enough(r * (4 * unit))):
                break
            if not 0 < rz < math.inf:
                precondition, z, rz, before = _same, r, float(r @ r), math.inf
                goal, largest = goal / first * float(gradient @ gradient), 0.0
            d = z + (rz / before) * d
            size = rz + (rz / before) ** 2 * size
        return Step(x * unit, decrement=unit * math.sqrt(max(0.0, -float(gradient @ x))), whole=whole)

    def _forcing(self, size: float, close: bool) -> float:
        """How small what is left must be, relative to the gradient: the square of how fast gradients fall."""
        last, self.last = self.last, size
        if close:
            return SURE if self.exact is self.preconditioner else PROOF
        if last is None or last == 0:
            return self.forcing
        if size > 0.7 * last:
            self.forcing = max(0.3 * self.forcing, 1e-6)  # steps along the gradient alone do not get on
        else:
            self.forcing = min(LOOSE, max(0.9 * (size / last) ** 2, 1e-10))
        return self.forcing

    def _counted(self, product: Operator, damping: float) -> Operator:
        def counted(v: Array) -> Array:
            self.products += 1
            return np.asarray(product(v)) + damping * v

        return counted

    def _negative_curvature(self, product: Operator, size: int) -> tuple[Step | None, bool]:
        """(a direction along which the function falls to both sides, if a random start finds one; whether H is 0)."""
        d = r = np.random.default_rng(0).normal(size=size)
        largest, first = 0.0, float(r @ r)
        for i in range(min(size + 2, PROBES)):
            hd = product(d)
            if i == 0 and not hd.any():
                return None, True
            curvature = float(d @ hd) / float(d @ d)
            if curvature < -1e-8 * max(largest, abs(curvature) * (i == 0)):
                return Step(d / np.linalg.norm(d), curvature=curvature), False
            largest = max(largest, curvature)
            if curvature <= NEGLIGIBLE * largest:
                break
            rr = float(r @ r)
            r = r - rr / float(d @ hd) * hd
            if float(r @ r) <= 1e-20 * first:
                break
            d = r + float(r @ r) / rr * d
        return None, False


def _is_zero(product: Operator, size: int) -> bool:
    """H is 0, as far as a random direction can tell."""
    return not product(np.random.default_rng(0).normal(size=size)).any()


def _same(v: Array) -> Array:
    return v
