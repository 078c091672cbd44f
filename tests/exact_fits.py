"""Maximum likelihood estimates to 40 digits or more, by Newton's method from the formula of each likelihood.

    python tests/exact_fits.py --save       solves exact_problems.py and writes exact/*.json, to 25 digits

The data enter as the rational numbers that their floats are; exact_rows.py has the likelihoods.  Needs mpmath; nothing
of minigrad is used here.
"""

import json
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from exact_problems import PROBLEMS, SOLUTIONS, Problem
from exact_rows import Row, gaussian_row, logit_row, poisson_row, probit_row, softmax_row, weibull_row
from mpmath import mp, mpf

DIGITS, TOLERANCE = 60, mpf("1e-45")  # what is computed with; the largest scaled gradient of a solution

Matrix = Any  # of mpmath


@dataclass(frozen=True)
class Fit:
    """The estimate and what inference takes from it; matrices of mpmath, parameters unit after unit, bias last."""

    parameters: list[mpf]
    loglik: mpf
    gradient: mpf  # the largest, in units of the root of the information
    observed: Matrix  # information
    expected: Matrix
    meat: Matrix  # sum w s s', of HC0 where weights are counts of rows
    meat_sampling: Matrix  # sum w^2 s s', where they are not
    steps: int

    @property
    def covariance(self) -> Matrix:
        return inverse(self.observed)

    @property
    def standard_errors(self) -> list[mpf]:
        with mp.workdps(DIGITS):
            return roots(self.covariance)


def roots(matrix: Matrix) -> list[mpf]:
    """The roots of the diagonal."""
    return [mp.sqrt(matrix[i, i]) for i in range(matrix.rows)]


def equilibrated(matrix: Matrix) -> tuple[Matrix, list[mpf]]:
    """The matrix with a unit diagonal, and the roots of its own."""
    d = roots(matrix)
    return mp.matrix([[matrix[i, j] / (d[i] * d[j]) for j in range(len(d))] for i in range(len(d))]), d


def condition(matrix: Matrix) -> mpf:
    """The condition number of the matrix with a unit diagonal."""
    with mp.workdps(DIGITS):
        eigenvalues = list(mp.eigsy(equilibrated(matrix)[0], eigvals_only=True))
        return max(eigenvalues) / min(eigenvalues)


def inverse(matrix: Matrix) -> Matrix:
    with mp.workdps(DIGITS):
        scaled, d = equilibrated(matrix)
        inner = mp.inverse(scaled)
        inner = (inner + inner.T) / 2
        return mp.matrix([[inner[i, j] / (d[i] * d[j]) for j in range(len(d))] for i in range(len(d))])


def sums(
    row: Callable[[Sequence[mpf], mpf], Row],
    designs: list[list[list[mpf]]],
    target: list[mpf],
    weights: list[mpf],
    offset: list[mpf],
    theta: Sequence[mpf],
) -> tuple[mpf, list[mpf], Matrix, Matrix, Matrix, Matrix]:
    """Log-likelihood, gradient, observed and expected information and the two sums of s s', at theta."""
    count = len(theta)
    places = [(unit, j) for unit, design in enumerate(designs) for j in range(len(design[0]))]
    value, gradient = mpf(0), [mpf(0)] * count
    matrices = [mp.zeros(count) for _ in range(4)]
    observed, expected, meat, meat_sampling = matrices
    for n, t in enumerate(target):
        eta = [mpf(0)] * len(designs)
        for (unit, j), b in zip(places, theta, strict=True):
            eta[unit] += designs[unit][n][j] * b
        eta[0] += offset[n]
        term, g, h, e = row(eta, t)
        w, x = weights[n], [designs[unit][n][j] for unit, j in places]
        score = [g[unit] * x[i] for i, (unit, _) in enumerate(places)]
        value += w * term
        for i, (unit, _) in enumerate(places):
            gradient[i] += w * score[i]
            for j, (other, _) in enumerate(places[: i + 1]):
                observed[i, j] += w * h[unit][other] * x[i] * x[j]
                expected[i, j] += w * e[unit][other] * x[i] * x[j]
                meat[i, j] += w * score[i] * score[j]
                meat_sampling[i, j] += w**2 * score[i] * score[j]
    for matrix in matrices:
        for i in range(count):
            for j in range(i):
                matrix[j, i] = matrix[i, j]
    return value, gradient, *matrices


def newton_step(observed: Matrix, expected: Matrix, gradient: list[mpf]) -> tuple[list[mpf], list[mpf]]:
    """The step of Newton, or of Fisher's scoring where the curvature is not positive definite; the scaled gradient."""
    for information in (observed, expected):
        if all(information[i, i] > 0 for i in range(len(gradient))):
            scaled, d = equilibrated(information)
            if min(mp.eigsy(scaled, eigvals_only=True)) > 0:
                right = [g / s for g, s in zip(gradient, d, strict=True)]
                step = mp.cholesky_solve(scaled, mp.matrix(right))
                return [step[i] / d[i] for i in range(len(d))], right
    raise ArithmeticError("neither information is positive definite: the problem is not identified")


def solve(
    row: Callable[[Sequence[mpf], mpf], Row],
    designs: list[Any],
    target: Any,
    weights: Any = None,
    offset: Any = None,
    level: float = 0.0,
) -> Fit:
    """The maximum, by steps that are halved until the likelihood rises.

    From 0, but for `level` in the last column of the first unit, the constant.
    """
    with mp.workdps(DIGITS):
        designs = [[[mpf(float(entry)) for entry in line] for line in design] for design in designs]
        t = [mpf(float(entry)) for entry in target]
        w = [mpf(1)] * len(t) if weights is None else [mpf(float(entry)) for entry in weights]
        o = [mpf(0)] * len(t) if offset is None else [mpf(float(entry)) for entry in offset]
        theta = [mpf(0)] * sum(len(design[0]) for design in designs)
        theta[len(designs[0][0]) - 1] = mpf(level)
        value, gradient, *matrices = sums(row, designs, t, w, o, theta)
        for steps in range(400):  # noqa: B007
            step, right = newton_step(matrices[0], matrices[1], gradient)
            slope = mp.fsum(g * s for g, s in zip(gradient, step, strict=True))
            size = max(abs(g) for g in right)
            if size < TOLERANCE:
                break
            length = mpf(1)
            while True:
                trial = [b + length * s for b, s in zip(theta, step, strict=True)]
                new = sums(row, designs, t, w, o, trial)
                # Next to the maximum the rise is lost in rounding, and the whole step is right.
                if new[0] >= value + slope * length / 10000 or slope < abs(value) * mpf("1e-50"):
                    break
                length /= 2
            theta, (value, gradient, *matrices) = trial, new
        else:
            raise ArithmeticError(f"no maximum after {steps} steps: the scaled gradient is {mp.nstr(size, 3)}")
        return Fit(theta, value, size, *matrices, steps)


def ones(target: Any) -> list[list[float]]:
    return [[1.0]] * len(target)


def logit(design: Any, t: Any, weights: Any = None, offset: Any = None) -> Fit:
    return solve(logit_row, [design], t, weights, offset)


def probit(design: Any, t: Any, weights: Any = None, offset: Any = None) -> Fit:
    return solve(probit_row, [design], t, weights, offset)


def poisson(design: Any, t: Any, weights: Any = None, offset: Any = None) -> Fit:
    return solve(poisson_row, [design], t, weights, offset)


def softmax(design: Any, labels: Any, classes: int, weights: Any = None) -> Fit:
    """Class 0 is the reference; the parameters of class 1 come first."""
    return solve(softmax_row, [design] * (classes - 1), labels, weights)


def gaussian(design: Any, t: Any, weights: Any = None, offset: Any = None) -> Fit:
    """The last parameter is the logarithm of the variance."""
    return solve(gaussian_row, [design, ones(t)], t, weights, offset, level=sum(t) / len(t))


def weibull(design: Any, t: Any, weights: Any = None, offset: Any = None) -> Fit:
    """The last parameter is the logarithm of the shape."""
    return solve(weibull_row, [design, ones(t)], t, weights, offset, level=sum(math.log(time) for time in t) / len(t))


LIKELIHOODS = {
    "logit": logit,
    "softmax": softmax,
    "probit": probit,
    "poisson": poisson,
    "gaussian": gaussian,
    "weibull": weibull,
}


def fit(problem: Problem, design: Any = None) -> Fit:
    """The maximum of a problem, with other columns where they are given."""
    design = problem.design() if design is None else design
    if problem.likelihood == "softmax":
        return softmax(design, problem.target, problem.classes, problem.weights)
    return LIKELIHOODS[problem.likelihood](design, problem.target, problem.weights, problem.offset)


def written(problem: Problem) -> dict[str, Any]:
    """What the file of a problem holds: numbers as strings of 25 digits."""
    found, null = fit(problem), fit(problem, ones(problem.target))
    with mp.workdps(DIGITS):

        def text(number: mpf) -> str:
            return mp.nstr(number, 25, strip_zeros=False, min_fixed=-3, max_fixed=3)

        def rows(matrix: Matrix) -> list[list[str]]:
            d = roots(matrix)  # what is 0, but for rounding, is written as 0
            matrix = [
                [matrix[i, j] if abs(matrix[i, j]) > d[i] * d[j] * 1e-35 else mpf(0) for j in range(len(d))]
                for i in range(len(d))
            ]
            return [[text(entry) for entry in line] for line in matrix]

        bread = found.covariance
        result = {
            "likelihood": problem.likelihood,
            "parameters": [text(b) for b in found.parameters],
            "standard_errors": [text(s) for s in found.standard_errors],
            "loglik": text(found.loglik),
            "loglik_null": text(null.loglik),
            "condition": mp.nstr(condition(found.observed), 5),
            "condition_opg": mp.nstr(condition(found.meat), 5),
            "covariance": rows(bread),
            "covariance_expected": rows(inverse(found.expected)),
            "covariance_opg": rows(inverse(found.meat)),
            "covariance_HC0": rows(bread * found.meat * bread),
        }
        if problem.weights is not None:
            result["covariance_HC0_sampling"] = rows(bread * found.meat_sampling * bread)
        return result


def laid_out(result: dict[str, Any]) -> str:
    """As JSON, a line for each number, vector, or row of a matrix."""
    lines = [f'"{key}": {json.dumps(entry)}'.replace("], [", "],\n  [") for key, entry in result.items()]
    return "{\n " + ",\n ".join(lines) + "\n}\n"


if __name__ == "__main__":
    for name, problem in PROBLEMS.items():
        result = written(problem)
        print(f"{name:22} condition {result['condition']:>10}  {' '.join(b[:12] for b in result['parameters'])}")
        if "--save" in sys.argv:
            SOLUTIONS.mkdir(exist_ok=True)
            (SOLUTIONS / f"{name}.json").write_text(laid_out(result))
