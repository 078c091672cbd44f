"""Solvers: a cost of all data, trained in place to its minimum, with a certificate."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from minigrad.checks import require_count, require_layer
from minigrad.containers import Container
from minigrad.derivatives.curvature import require_deterministic
from minigrad.layer import Layer
from minigrad.losses import L1Penalty, Penalized
from minigrad.optim.descent import Measures, Method, descend
from minigrad.optim.gradient_descent import SteepestDescent
from minigrad.optim.lbfgs import CurvaturePairs
from minigrad.optim.minimum import Callback, Evaluation, Minimum, require_limits
from minigrad.optim.newton import WholeHessian
from minigrad.optim.newton_cg import ConjugateGradients
from minigrad.optim.problem import Problem
from minigrad.typing import Array


class Solver:
    """Bring a cost of all data to its minimum: `Solver(cost).solve(x, target)` trains it in place.

    The largest entry of the gradient, by the parameters as they are and by the variables of `Columns`, is brought to
    `tolerance`, 1e-6 unless told otherwise, of a cost that is a sum or a mean alike.  Where the bottom layer is
    Linear, the solver works in variables in which its input columns are centred and of unit spread: units of
    measurement cost no iterations; and a regression, which has but one minimum, begins at weights of 0 where the cost
    is lower there.  The value never rises beyond its rounding, from whatever start.

    The cost is that of all rows at once; with `chunk_size`, its value and gradient are computed so many rows at a time.
    When it ends, the cost holds the parameters found; where it is interrupted, or a callback raises, the best met.
    ValueError for a cost that draws at random, as by Dropout: there is no line along which it falls; and for one with
    an L1Penalty, whose minima lie at corners, where no gradient vanishes.  The running
    statistics of batch normalisation move with every evaluation, as in training.
    """

    default_iterations = 1000
    own_settings: tuple[str, ...] = ()

    def __init__(
        self,
        cost: Layer,
        *,
        tolerance: float = 1e-6,
        max_iterations: int | None = None,
        chunk_size: int | None = None,
        **unknown: Any,
    ) -> None:
        who = type(self)
        if unknown:
            known = ["tolerance", "max_iterations", *who.own_settings, "chunk_size"]
            raise TypeError(f"{who.__name__} takes no {', '.join(unknown)}: it has {', '.join(known)}")
        require_layer(who, cost)
        _require_smooth(who, cost)
        self.cost = cost
        self.max_iterations = who.default_iterations if max_iterations is None else max_iterations
        require_limits(who, tolerance, self.max_iterations)
        self.tolerance = float(tolerance)
        self.chunk_size = None if chunk_size is None else require_count(who, "chunk_size", chunk_size)

    def solve(self, x: Any, *arguments: Any, callback: Callback | None = None) -> Minimum:
        """Train the cost on all of x; `arguments` are what its loss takes.  `print` of the result says how it went.

        `callback(iteration, value, gradient_norm)` is called at every iteration.  The result's `x` are the parameters
        found, in the order of `FlatParameters`.
        """
        require_deterministic(type(self), self.cost)
        problem = Problem(self.cost, x, arguments, self.chunk_size)
        evaluate = Evaluation(type(self), problem, float(np.finfo(problem.start.dtype).eps))
        method = self.method(problem)
        try:
            start = _start(evaluate, problem)
            minimum = self._descend(evaluate, start, method, problem, self.max_iterations, callback)
            if problem.units is not None:
                minimum = self._certified(minimum, evaluate, problem, isinstance(method, ConjugateGradients), callback)
        except BaseException:
            problem.theta.vector[:] = problem.best[1]
            raise
        problem.write(minimum.x)
        if minimum.x is start and np.array_equal(start, problem.columns.from_parameters(problem.start.astype(float))):
            problem.theta.vector[:] = problem.start  # and not what rounding makes of it there and back
        return minimum._replace(x=problem.theta.vector.copy())

    def _descend(
        self,
        evaluate: Evaluation,
        start: Array,
        method: Method,
        problem: Problem,
        max_iterations: int,
        callback: Callback | None,
    ) -> Minimum:
        columns = problem.columns
        verdict = None if problem.units is None else problem.verdict
        measures = Measures(columns.norm, columns.parameter_norm, verdict)
        return descend(evaluate, start, method, self.tolerance, max_iterations, callback, measures)

    def _certified(
        self, minimum: Minimum, evaluate: Evaluation, problem: Problem, by_products: bool, callback: Callback | None
    ) -> Minimum:
        """`minimum`, if there is one and Newton's step agrees; else where such steps lead, from there or from 0."""
        if problem.separated(minimum.x):
            message = "stopped: along some direction the cost falls for ever, so that there is no minimum"
            return minimum._replace(reason="no_minimum", converged=False, message=message)
        if minimum.reason == "max_iterations":
            return minimum
        starts = [np.zeros_like(minimum.x)] if by_products else [minimum.x, np.zeros_like(minimum.x)]
        for start in starts:
            if minimum.converged and start is not minimum.x:
                break
            done = minimum.iterations

            def further(iteration: int, value: float, gradient_norm: float, done: int = done) -> None:
                if callback is not None and iteration:
                    callback(done + iteration, value, gradient_norm)

            left = self.max_iterations - done
            found = self._descend(evaluate, start, _for_regressions(problem), problem, left, further)
            if start is minimum.x or found.converged:
                products = minimum.products + found.products
                minimum = found._replace(
                    iterations=done + found.iterations, products=products, hessians=minimum.hessians
                )
        if minimum.reason == "no_minimum":  # as it seemed
            return minimum._replace(reason="no_progress", message="stopped: no step lowers the value any more")
        return minimum

    def method(self, problem: Problem) -> Method:
        """How directions are chosen."""
        raise NotImplementedError(f"{type(self).__name__} lacks method(self, problem) -> Method")

    def __repr__(self) -> str:
        return f"{type(self).__name__}(tolerance={self.tolerance:g}, max_iterations={self.max_iterations})"


class GradientDescent(Solver):
    """Full-batch gradient descent with a line search: see `minimize_gradient_descent`, and `Solver` for the rest."""

    default_iterations = 10_000

    def method(self, problem: Problem) -> Method:
        return SteepestDescent()


class LBFGS(Solver):
    """Limited-memory BFGS with the last `memory` steps: see `minimize_lbfgs`, and `Solver` for the rest."""

    own_settings = ("memory",)

    def __init__(
        self,
        cost: Layer,
        *,
        tolerance: float = 1e-6,
        max_iterations: int | None = None,
        memory: int = 20,
        chunk_size: int | None = None,
        **unknown: Any,
    ) -> None:
        super().__init__(cost, tolerance=tolerance, max_iterations=max_iterations, chunk_size=chunk_size, **unknown)
        self.memory = require_count(LBFGS, "memory", memory)

    def method(self, problem: Problem) -> Method:
        return CurvaturePairs(self.memory)


class Newton(Solver):
    """Newton's method with the whole Hessian: see `minimize_newton`, and `Solver` for the rest.

    The Hessian of linear units under a softmax, sigmoid or squared error is computed by its formula; that of another
    cost by one product for each parameter, see `hessian`.  For up to some hundred parameters.
    """

    default_iterations = 200

    def method(self, problem: Problem) -> Method:
        return WholeHessian(problem.hessian)


class NewtonCG(Solver):
    """Newton's method by Hessian products: see `minimize_newton_cg`, and `Solver` for the rest.

    The products of linear units under a softmax, sigmoid or squared error are computed by their formula, and
    preconditioned by the blocks of the Hessian that belong to one unit each; those of another cost by complex steps
    through its rules, or by differences where a layer is not analytic.

    >>> from minigrad import L2Penalty, Linear, LogSoftmax, NLLLoss, Penalized, Sequential
    >>> rng = np.random.default_rng(0)
    >>> x, labels = rng.normal(size=(100, 3)), rng.integers(0, 2, 100)
    >>> cost = Penalized(Sequential(Linear(3, 2, rng=0), LogSoftmax(), NLLLoss("sum")), L2Penalty(1.0, "*.weight"))
    >>> minimum = NewtonCG(cost).solve(x, labels)
    >>> minimum.converged, minimum.reason
    (True, 'gradient')
    """

    default_iterations = 200

    def method(self, problem: Problem) -> Method:
        return ConjugateGradients(problem.product) if problem.units is None else _for_regressions(problem)


def _require_smooth(who: Any, cost: Any) -> None:
    """No L1Penalty is part of the cost (ValueError)."""
    for penalty in cost.penalties if isinstance(cost, Penalized) else ():
        if isinstance(penalty, L1Penalty) and penalty.strength:
            raise ValueError(
                f"{who.__name__} expects a cost that is smooth, got one with {penalty!r}, whose minima lie at corners, "
                "where no gradient vanishes: take L2Penalty, or train it by an optimiser such as SGD or Adam"
            )
    for _, part in cost.children() if isinstance(cost, Container) else ():
        _require_smooth(who, part)


def _for_regressions(problem: Problem) -> ConjugateGradients:
    exact = partial(problem.preconditioner, exact=True)
    return ConjugateGradients(problem.product, problem.preconditioner, convex=True, exact=exact)


def _start(evaluate: Evaluation, problem: Problem) -> Array:
    """Where the cost stands; of a regression 0, if that is lower: far out a cost of one minimum is nearly linear."""
    with np.errstate(over="ignore", invalid="ignore"):
        start = problem.columns.from_parameters(problem.start.astype(float))
    if problem.units is None:
        return start
    first, origin = evaluate(start), evaluate(np.zeros_like(start))
    return origin.x if origin.value < first.value else start
