"""Time maximum likelihood fits with their standard errors, beside statsmodels and scikit-learn.

    python -m benchmarks.inference            200 000 rows, 20 columns, yes or no
    python -m benchmarks.inference --save     and write inference.json and its table in README.md
    python -m benchmarks.inference --smoke    a few rows and rounds, to see that it runs

`minigrad.mle.fit` looks at the data, finds out whether there is an estimate, finds it, and its standard errors.
statsmodels finds the estimate and its errors, scikit-learn the estimate alone: each of its solvers has the loosest of
its tolerances, powers of ten, whose answer is right to 1e-8.  `error` is the largest distance, in standard errors, from
the solution of Newton's steps written here in NumPy; `memory` the most that Python's allocators held beyond the data.
One thread of one processor, rounds that take turns, medians and medians of ratios: as in `python -m benchmarks`.
"""

import argparse
import sys
import tracemalloc
import warnings
from collections.abc import Callable
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import Any, NamedTuple

from benchmarks import one_thread  # noqa: F401 - before NumPy
from benchmarks.report import duration, environment, ratio, save
from benchmarks.report import table as markdown
from benchmarks.run import LeftOut, rounds

# isort: split
import numpy as np

from minigrad import BernoulliNLLLoss, Linear, Sequential, mle

ROWS, COLUMNS = 200_000, 20
ACCURACY = 1e-8  # standard errors
SOLVERS = ("lbfgs", "newton-cholesky", "newton-cg")
TOLERANCES = [10.0**-power for power in range(3, 13)]
OURS = "minigrad.mle.fit"
Found = dict[str, tuple[Callable[[], Any], float]]  # a step and its error, by name


class Reference(NamedTuple):
    """The estimate, columns first and the constant last, and its standard errors."""

    params: np.ndarray
    se: np.ndarray

    def error(self, params: np.ndarray) -> float:
        """The largest distance from the estimate, in standard errors."""
        return float(np.max(np.abs(params - self.params) / self.se))


def main() -> None:
    """Parse the command line, time, report."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.inference", description=__doc__.split("\n")[0])
    parser.add_argument("--save", action="store_true", help="write inference.json")
    parser.add_argument("--smoke", action="store_true", help="few rows and rounds; the figures mean nothing")
    options = parser.parse_args()
    if options.save and options.smoke:
        parser.error("--save replaces the published figures: it needs a run in full")
    x, y = data(2000 if options.smoke else ROWS)
    report = {
        "environment": environment() | {"statsmodels": installed_version()},
        "results": run(x, y, 1 if options.smoke else 9),
    }
    print(table(report))
    if options.save:
        save("inference", report)


def data(rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Columns of different means and spreads, some correlated, and outcomes that depend on them."""
    rng = np.random.default_rng(0)
    common = rng.normal(size=(rows, 1))
    x = (rng.normal(size=(rows, COLUMNS)) + 0.5 * common) * rng.uniform(0.5, 2, COLUMNS) + rng.uniform(-2, 2, COLUMNS)
    z = (x - x.mean(axis=0)) / x.std(axis=0) @ rng.normal(size=COLUMNS) * 0.3 - 0.5
    return x, (rng.random(rows) < 1 / (1 + np.exp(-z))).astype(int)


def run(x: np.ndarray, y: np.ndarray, count: int) -> dict[str, Any]:
    """Seconds, ratio to ours, error and memory, by library; the time of a summary."""
    best, right = ours(x, y), reference(x, y)
    if (error := right.error(best.params)) > ACCURACY or not np.allclose(best.se, right.se, rtol=1e-6, atol=0):
        raise SystemExit(f"{OURS} is {error:.1e} standard errors from the maximum, or these are not right")
    steps: dict[str, Callable[[], Any]] = {OURS: partial(ours, x, y)}
    results: dict[str, Any] = {OURS: {"error": error, "memory": memory(steps[OURS])}}
    for make in (statsmodels, scikit_learn):
        try:
            found = make(x, y, right)
        except (ImportError, LeftOut) as reason:
            print(f"   {make.__name__} is left out: {reason}", file=sys.stderr)
            continue
        for called, (step, error) in found.items():
            steps[called] = step
            results[called] = {"error": error, "memory": memory(step)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        times = rounds(steps, count, 0.0)
    for name, seconds in times.items():
        results[name]["seconds"] = float(np.median(seconds))
        results[name]["ratio"] = float(np.median(seconds / times[OURS]))
    best.summary()
    summary = rounds({"summary": best.summary}, 5 * count, 0.0)["summary"]
    results["summary()"] = {"seconds": float(np.median(summary))}
    return results


def reference(x: np.ndarray, y: np.ndarray) -> Reference:
    """By Newton's steps from zero: H = X^T diag(p (1 - p)) X, theta <- theta + H^-1 X^T (y - p)."""
    design = np.column_stack([x, np.ones(len(x))])
    theta = np.zeros(design.shape[1])
    for _ in range(30):
        p = 1 / (1 + np.exp(-design @ theta))
        covariance = np.linalg.inv(design.T @ (design * (p * (1 - p))[:, np.newaxis]))
        move = covariance @ (design.T @ (y - p))
        theta += move
        se = np.sqrt(np.diag(covariance))
        if np.all(np.abs(move) <= 1e-12 * se):
            return Reference(theta, se)
    raise SystemExit("Newton's steps do not end: these data have no estimate to compare with")


def ours(x: np.ndarray, y: np.ndarray) -> Any:
    """A fit from the start, with its standard errors."""
    result = mle.fit(Sequential(Linear(x.shape[1], 1, rng=0), BernoulliNLLLoss("sum")), x, y)
    assert np.isfinite(result.se).all()
    return result


def statsmodels(x: np.ndarray, y: np.ndarray, right: Reference) -> Found:
    """Logit.fit by its default, Newton's method, and standard errors."""
    import statsmodels.api as sm

    def step() -> Any:
        found = sm.Logit(y, sm.add_constant(x)).fit(disp=0)
        assert np.isfinite(found.bse).all()
        return found

    if (error := right.error(np.roll(step().params, -1))) > ACCURACY:
        raise LeftOut(f"it stops {error:.1e} standard errors from the maximum")
    return {"statsmodels": (step, error)}


def scikit_learn(x: np.ndarray, y: np.ndarray, right: Reference) -> Found:
    """LogisticRegression without a penalty, by each solver that gets there."""
    from sklearn.linear_model import LogisticRegression

    found: Found = {}
    for solver in SOLVERS:
        for tolerance in TOLERANCES:
            model = LogisticRegression(C=np.inf, solver=solver, tol=tolerance, max_iter=1000)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                model.fit(x, y)
            error = right.error(np.append(model.coef_[0], model.intercept_))
            if error <= ACCURACY:
                found[f"scikit-learn, {solver}, tol={tolerance:.0e}"] = (partial(model.fit, x, y), error)
                break
        else:
            print(f"   scikit-learn's {solver} does not get there", file=sys.stderr)
    return found


def memory(step: Callable[[], Any]) -> float:
    """The most that was held at a time, in megabytes."""
    tracemalloc.start()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        step()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak / 1e6


def installed_version() -> str:
    """Of statsmodels, which only this command uses."""
    try:
        return version("statsmodels")
    except PackageNotFoundError:
        return "not installed"


def table(report: dict[str, Any]) -> str:
    """Markdown."""
    results = report["results"]
    rows = [
        [
            name,
            duration(result["seconds"]),
            ratio(result["ratio"]),
            f"{result['error']:.0e}",
            f"{result['memory']:.0f}",
        ]
        for name, result in results.items()
        if name != "summary()"
    ]
    shown = markdown(["fit", "time", "ratio", "error, in standard errors", "memory, MB"], rows)
    seconds = duration(results["summary()"]["seconds"])
    known = report["environment"].get("statsmodels")
    return f"{shown}\n\n`summary()` takes {seconds}, once the null model and the Hauck-Donner flags are known." + (
        f" statsmodels is {known}." if known else ""
    )


if __name__ == "__main__":
    main()
