"""Time full-batch solvers on the penalised softmax regression of the digits, beside scikit-learn's.

    python -m benchmarks.solvers            every solver, to a largest gradient entry of 1e-6
    python -m benchmarks.solvers --save     and write solvers.json
    python -m benchmarks.solvers --smoke    a few rows and rounds, to see that it runs

The cost is sum-NLL + |weight|^2 / 2 on the 1797 digits, pixels 0 .. 16 as they are, the bias not penalised; the
gradient is that by weight and bias.  Each of scikit-learn's solvers has the loosest of its tolerances, powers of ten,
whose answer has no gradient entry above 1e-6.  One thread of one processor, rounds that take turns, medians and medians
of ratios: as in `python -m benchmarks`.
"""

import argparse
import json
import sys
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import one_thread  # noqa: F401 - before NumPy
from benchmarks.__main__ import environment, rounds

# isort: split
import numpy as np

from minigrad import L2Penalty, Linear, LogSoftmax, NLLLoss, Penalized, Sequential, value_and_gradients
from minigrad.optim.solvers import LBFGS, GradientDescent, Newton, NewtonCG

HERE = Path(__file__).parent
DIGITS = HERE.parent / "examples" / "data" / "digits.npz"
GRADIENT = 1e-6
OURS: dict[str, Callable[[Any], Any]] = {
    "NewtonCG": NewtonCG,
    "Newton": Newton,
    "LBFGS": lambda cost: LBFGS(cost, max_iterations=10_000),
    "GradientDescent": lambda cost: GradientDescent(cost, max_iterations=1000),
}
# Of those that take this cost; sag and saga pass over the data thousands of times.
PEERS = ("newton-cholesky", "newton-cg", "lbfgs")
TOLERANCES = [10.0**-power for power in range(3, 15)]


def main() -> None:
    """Parse the command line, time, report."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.solvers", description=__doc__.split("\n")[0])
    parser.add_argument("--save", action="store_true", help="write solvers.json")
    parser.add_argument("--smoke", action="store_true", help="few rows and rounds; the figures mean nothing")
    options = parser.parse_args()
    if options.save and options.smoke:
        parser.error("--save replaces the published figures: it needs a run in full")
    with np.load(DIGITS) as data:
        labels = data["labels"].astype(int)
        x = data["images"].astype(float).reshape(len(labels), -1)
    if options.smoke:
        x, labels = x[:200], labels[:200]
    report = {"environment": environment(), "results": run(x, labels, 1 if options.smoke else 7)}
    print(table(report))
    if options.save:
        (HERE / "solvers.json").write_text(json.dumps(report, indent=2) + "\n")


def run(x: np.ndarray, labels: np.ndarray, count: int) -> dict[str, Any]:
    """Iterations, gradient, seconds and ratio to NewtonCG, by solver; no time for one that does not get there."""
    steps: dict[str, Callable[[], Any]] = {}
    results: dict[str, Any] = {}
    for name, solver in OURS.items():
        step = ours(solver, x, labels)
        cost, minimum = step()
        results[name] = {"iterations": minimum.iterations, "gradient": gradient_of(cost, x, labels)}
        if minimum.converged:
            steps[name] = step
    for kind in PEERS:
        name = f"scikit-learn, {kind}"
        try:
            found = peer(kind, x, labels)
        except ImportError:
            print("   scikit-learn is not installed", file=sys.stderr)
            break
        if found is not None:
            steps[name], results[name] = found
    times = rounds(steps, count, 0.0)
    for name, seconds in times.items():
        results[name]["seconds"] = float(np.median(seconds))
        results[name]["ratio"] = float(np.median(seconds / times["NewtonCG"]))
    return results


def new_cost(classes: int = 10) -> Penalized:
    """The cost, with the weights that Linear starts with."""
    return Penalized(Sequential(Linear(64, classes, rng=0), LogSoftmax(), NLLLoss("sum")), L2Penalty(1.0, "*.weight"))


def gradient_of(cost: Any, x: np.ndarray, labels: np.ndarray) -> float:
    """The largest entry."""
    _, gradients = value_and_gradients(cost, x, labels)
    return max(float(np.abs(array).max()) for array in gradients.values())


def ours(solver: Callable[[Any], Any], x: np.ndarray, labels: np.ndarray) -> Callable[[], Any]:
    """One solution, from the start."""

    def step() -> Any:
        cost = new_cost()
        return cost, solver(cost).solve(x, labels)

    return step


def peer(solver: str, x: np.ndarray, labels: np.ndarray) -> tuple[Callable[[], Any], dict[str, Any]] | None:
    """The same by scikit-learn, with the loosest tolerance that gets there; None where none does."""
    from sklearn.linear_model import LogisticRegression

    gradients: list[float] = []
    for tolerance in TOLERANCES:
        model = LogisticRegression(C=1.0, solver=solver, tol=tolerance, max_iter=5000)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that it did not converge: the gradient says so
            model.fit(x, labels)
        cost = new_cost().with_parameters({"0.weight": model.coef_, "0.bias": model.intercept_})
        gradient = gradient_of(cost, x, labels)
        if gradient <= GRADIENT:
            result = {"iterations": int(np.max(model.n_iter_)), "gradient": gradient, "tolerance": tolerance}
            return partial(model.fit, x, labels), result
        gradients.append(gradient)
        if len(gradients) > 4 and len(set(gradients[-4:])) == 1:
            break  # no tolerance makes a difference any more
    print(f"   scikit-learn's {solver} does not get there", file=sys.stderr)
    return None


def table(report: dict[str, Any]) -> str:
    """Markdown."""
    lines = ["| solver | iterations | largest gradient entry | seconds | ratio |", "|---|---:|---:|---:|---:|"]
    for name, result in report["results"].items():
        tolerance = f", tol={result['tolerance']:.0e}" if "tolerance" in result else ""
        timed = f"{result['seconds']:.3f} | {result['ratio']:.2f}x" if "seconds" in result else "not reached | -"
        lines.append(f"| {name}{tolerance} | {result['iterations']} | {result['gradient']:.1e} | {timed} |")
    lines += ["", ", ".join(f"{name} {value}" for name, value in report["environment"].items()) + "."]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
