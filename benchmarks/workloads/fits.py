"""W10: penalised softmax regression from its start to the same gradient, on the digits and on 60000 x 784.

The cost is sum-NLL + strength |weight|^2 / 2, the bias not penalised.  Each of scikit-learn's solvers has the loosest
of its tolerances, powers of ten, whose answer has no larger gradient entry than was asked for.
"""

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from benchmarks.run import LeftOut, Peer, Workload
from benchmarks.workloads.digits import digits

TOLERANCES = [10.0**-power for power in range(3, 15)]


class Problem(NamedTuple):
    """Data, the strength of the penalty, and the largest gradient entry that is good enough."""

    x: np.ndarray
    labels: np.ndarray
    strength: float
    gradient: float

    def cost(self) -> Any:
        """The cost, with the weights that Linear starts with."""
        from minigrad import L2Penalty, Linear, LogSoftmax, NLLLoss, Penalized, Sequential

        stack = Sequential(Linear(self.x.shape[1], 10, rng=0), LogSoftmax(), NLLLoss("sum"))
        return Penalized(stack, L2Penalty(self.strength, "*.weight"))

    def read(self, cost: Any) -> list[Any]:
        """The value that a fit has found: its gradient was looked at before, and is as good as 0."""
        return [cost(self.x, self.labels)]

    def steepest(self, cost: Any) -> float:
        """The largest gradient entry."""
        from minigrad import value_and_gradients

        _, gradients = value_and_gradients(cost, self.x, self.labels)
        return max(float(np.abs(array).max()) for array in gradients.values())


def of_digits(smoke: bool) -> Problem:
    """The 1797 digits, pixels 0 .. 16 as they are."""
    return Problem(*digits(smoke), strength=1.0, gradient=1e-6)


def of_many(smoke: bool) -> Problem:
    """60 000 images of 28 x 28 made here: smooth blobs of a class, moved and dimmed, and noise; pixels in [0, 1]."""
    rng = np.random.default_rng(0)
    rows, size = (200, 8) if smoke else (60_000, 28)
    labels = rng.integers(0, 10, rows)
    places = np.linspace(0, 27, size)
    centres, shifts = rng.uniform(6, 22, (10, 4, 2)), rng.normal(0, 1.5, (rows, 1, 2))
    at = centres[labels] + shifts  # four blobs in each image
    columns, lines = (np.exp(-(((places - at[..., i, np.newaxis]) / 3) ** 2)) for i in range(2))
    images = np.einsum("nbi,nbj->nij", columns * rng.uniform(0.4, 1, (rows, 4, 1)), lines)
    images += rng.normal(0, 0.2, images.shape)
    return Problem(np.clip(images, 0, 1).reshape(rows, -1), labels, strength=rows / 100, gradient=rows * 1e-5)


def solved(solver: Callable[[Any], Any], problem: Problem) -> Peer:
    """A solver of minigrad; each step starts anew.  It returns the cost at its minimum, and what the solver says."""

    def step() -> Any:
        cost = problem.cost()
        return cost, solver(cost).solve(problem.x, problem.labels)

    cost, minimum = step()
    if not problem.steepest(cost) <= problem.gradient:
        raise LeftOut(f"a gradient of {problem.steepest(cost):.1e} after {minimum.iterations} iterations")
    return Peer(step, lambda found: problem.read(found[0]))


def minigrad(problem: Problem) -> Peer:
    """The public API."""
    from minigrad.optim.solvers import NewtonCG

    return solved(partial(NewtonCG, tolerance=problem.gradient), problem)


def scikit_learn(solver: str, problem: Problem) -> Peer:
    """LogisticRegression, at the loosest tolerance that gets there."""
    from sklearn.linear_model import LogisticRegression

    found: list[float] = []
    for tolerance in TOLERANCES:
        model = LogisticRegression(C=1 / problem.strength, solver=solver, tol=tolerance, max_iter=5000)

        def step(model: Any = model) -> Any:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # that it did not converge: the gradient says so
                return model.fit(problem.x, problem.labels)

        found.append(problem.steepest(_cost_of(problem, step())))
        if found[-1] <= problem.gradient:
            return Peer(step, lambda model: problem.read(_cost_of(problem, model)))
        if len(found) > 4 and len(set(found[-4:])) == 1:
            break  # no tolerance makes a difference any more
    raise LeftOut(f"no tolerance takes the gradient below {min(found):.1e}")


def _cost_of(problem: Problem, model: Any) -> Any:
    return problem.cost().with_parameters({"0.weight": model.coef_, "0.bias": model.intercept_})


PEERS: dict[str, Callable[[Problem], Peer]] = {
    "minigrad": minigrad,
    **{
        f"scikit-learn, {solver}": partial(scikit_learn, solver) for solver in ("newton-cholesky", "newton-cg", "lbfgs")
    },
}

WORKLOADS = [
    Workload("W10 digits", "penalised fit, 1797 x 64 -> 10", "float64", of_digits, PEERS),
    Workload(
        "W10 large",
        "penalised fit, 60000 x 784 -> 10",
        "float64",
        of_many,
        # Its Hessian alone would take a hundred times as long as a fit.
        {name: make for name, make in PEERS.items() if "cholesky" not in name},
        slack=1e3,
        fewest=3,
        memory=False,  # its fits take long enough
        on_demand=True,
    ),
]
