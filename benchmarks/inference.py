"""Time maximum likelihood fits with their standard errors, beside statsmodels and scikit-learn.

    python -m benchmarks.inference            200 000 rows, 20 columns, yes or no
    python -m benchmarks.inference --save     and write inference.json
    python -m benchmarks.inference --smoke    a few rows and rounds, to see that it runs

`minigrad.mle.fit` looks at the data, finds out whether there is an estimate, finds it, and its standard errors.
statsmodels finds the estimate and its errors, scikit-learn the estimate alone: each of its solvers has the loosest of
its tolerances, powers of ten, whose answer is right to 1e-8.  `error` is the largest distance from a Newton solution
in standard errors, `memory` the most that Python's allocators held beyond the data.  One thread of one processor,
rounds that take turns, medians and medians of ratios: as in `python -m benchmarks`.
"""

import argparse
import json
import sys
import tracemalloc
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import one_thread  # noqa: F401 - before NumPy
from benchmarks.__main__ import environment, rounds

# isort: split
import numpy as np

from minigrad import BernoulliNLLLoss, Linear, Sequential, mle

HERE = Path(__file__).parent
ROWS, COLUMNS = 200_000, 20
ACCURACY = 1e-8  # standard errors
SOLVERS = ("lbfgs", "newton-cholesky", "newton-cg")
TOLERANCES = [10.0**-power for power in range(3, 13)]
OURS = "minigrad.mle.fit"


def main() -> None:
    """Parse the command line, time, report."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.inference", description=__doc__.split("\n")[0])
    parser.add_argument("--save", action="store_true", help="write inference.json")
    parser.add_argument("--smoke", action="store_true", help="few rows and rounds; the figures mean nothing")
    options = parser.parse_args()
    if options.save and options.smoke:
        parser.error("--save replaces the published figures: it needs a run in full")
    x, y = data(2000 if options.smoke else ROWS)
    report = {"environment": environment(), "results": run(x, y, 1 if options.smoke else 9)}
    print(table(report))
    if options.save:
        (HERE / "inference.json").write_text(json.dumps(report, indent=2) + "\n")


def data(rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Columns of different means and spreads, some correlated, and outcomes that depend on them."""
    rng = np.random.default_rng(0)
    common = rng.normal(size=(rows, 1))
    x = (rng.normal(size=(rows, COLUMNS)) + 0.5 * common) * rng.uniform(0.5, 2, COLUMNS) + rng.uniform(-2, 2, COLUMNS)
    z = (x - x.mean(axis=0)) / x.std(axis=0) @ rng.normal(size=COLUMNS) * 0.3 - 0.5
    return x, (rng.random(rows) < 1 / (1 + np.exp(-z))).astype(int)


def run(x: np.ndarray, y: np.ndarray, count: int) -> dict[str, Any]:
    """Seconds, ratio to ours, error and memory, by library; the time of a summary."""
    best = ours(x, y)
    steps: dict[str, Callable[[], Any]] = {OURS: partial(ours, x, y)}
    results: dict[str, Any] = {OURS: {"error": 0.0, "memory": memory(steps[OURS])}}
    for name, make in (("statsmodels", statsmodels), ("scikit-learn", scikit_learn)):
        try:
            found = make(x, y, best)
        except ImportError:
            print(f"   {name} is not installed", file=sys.stderr)
            continue
        for called, (step, error) in found.items():
            steps[called] = step
            results[called] = {"error": error, "memory": memory(step)}
    if "statsmodels" in steps:
        results[OURS]["error"] = results["statsmodels"]["error"]  # they are as far from each other
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


def ours(x: np.ndarray, y: np.ndarray) -> Any:
    """A fit from the start, with its standard errors."""
    result = mle.fit(Sequential(Linear(x.shape[1], 1, rng=0), BernoulliNLLLoss("sum")), x, y)
    assert np.isfinite(result.se).all()
    return result


def statsmodels(x: np.ndarray, y: np.ndarray, best: Any) -> dict[str, tuple[Callable[[], Any], float]]:
    """Logit.fit by its default, Newton's method, and standard errors."""
    import statsmodels.api as sm

    def step() -> Any:
        found = sm.Logit(y, sm.add_constant(x)).fit(disp=0)
        assert np.isfinite(found.bse).all()
        return found

    return {"statsmodels": (step, error_of(np.roll(step().params, -1), best))}


def scikit_learn(x: np.ndarray, y: np.ndarray, best: Any) -> dict[str, tuple[Callable[[], Any], float]]:
    """LogisticRegression without a penalty, by each solver that gets there."""
    from sklearn.linear_model import LogisticRegression

    found: dict[str, tuple[Callable[[], Any], float]] = {}
    for solver in SOLVERS:
        for tolerance in TOLERANCES:
            model = LogisticRegression(C=np.inf, solver=solver, tol=tolerance, max_iter=1000)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                model.fit(x, y)
            error = error_of(np.append(model.coef_[0], model.intercept_), best)
            if error <= ACCURACY:
                found[f"scikit-learn, {solver}, tol={tolerance:.0e}"] = (partial(model.fit, x, y), error)
                break
        else:
            print(f"   scikit-learn's {solver} does not get there", file=sys.stderr)
    return found


def error_of(params: np.ndarray, best: Any) -> float:
    """The largest distance from the estimate, in standard errors."""
    return float(np.max(np.abs(params - best.params) / best.se))


def memory(step: Callable[[], Any]) -> float:
    """The most that was held at a time, in megabytes."""
    tracemalloc.start()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        step()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak / 1e6


def table(report: dict[str, Any]) -> str:
    """Markdown."""
    lines = ["| fit | seconds | ratio | error, in standard errors | memory, MB |", "|---|---:|---:|---:|---:|"]
    for name, result in report["results"].items():
        if name != "summary()":
            cells = f"{result['seconds']:.3f} | {result['ratio']:.2f}x | {result['error']:.0e} | {result['memory']:.0f}"
            lines.append(f"| {name} | {cells} |")
    lines += ["", f"summary(): {report['results']['summary()']['seconds'] * 1e3:.2f} ms."]
    lines += ["", ", ".join(f"{name} {value}" for name, value in report["environment"].items()) + "."]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
