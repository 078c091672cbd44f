"""Time full-batch solvers on the penalised softmax regression of the digits, beside scikit-learn's.

    python -m benchmarks.solvers            every solver, to a largest gradient entry of 1e-6
    python -m benchmarks.solvers --save     and write solvers.json and its table in README.md
    python -m benchmarks.solvers --smoke    a few rows and rounds, to see that it runs

The problem, and scikit-learn's part, are W10 of `python -m benchmarks`: see `workloads/fits.py`.  Here all solvers of
minigrad take part.  One thread of one processor, rounds that take turns, medians and medians of ratios.
"""

import argparse
from collections.abc import Callable
from functools import partial
from typing import Any

from benchmarks import one_thread  # noqa: F401 - before NumPy
from benchmarks.report import environment, save
from benchmarks.report import table as markdown
from benchmarks.run import Peer, installed, rounds
from benchmarks.workloads.fits import PEERS, Problem, of_digits, solved

# isort: split
import numpy as np

from minigrad.optim.solvers import LBFGS, GradientDescent, Newton, NewtonCG

FIRST = "NewtonCG"
MAKERS: dict[str, Callable[[Problem], Peer]] = {
    FIRST: partial(solved, NewtonCG),
    "Newton": partial(solved, Newton),
    "LBFGS": partial(solved, partial(LBFGS, max_iterations=10_000)),
    "GradientDescent": partial(solved, partial(GradientDescent, max_iterations=1000)),
    **{name: make for name, make in PEERS.items() if name != "minigrad"},
}


def main() -> None:
    """Parse the command line, time, report."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.solvers", description=__doc__.split("\n")[0])
    parser.add_argument("--save", action="store_true", help="write solvers.json and its table in README.md")
    parser.add_argument("--smoke", action="store_true", help="few rows and rounds; the figures mean nothing")
    options = parser.parse_args()
    if options.save and options.smoke:
        parser.error("--save replaces the published figures: it needs a run in full")
    report = {"environment": environment(), "results": run(of_digits(options.smoke), 1 if options.smoke else 7)}
    print(table(report))
    if options.save:
        save("solvers", report)


def run(problem: Problem, count: int) -> dict[str, Any]:
    """Iterations, value, seconds and ratio to NewtonCG, by solver; nothing of one that does not get there."""
    peers = installed(MAKERS, problem, required=FIRST)
    results: dict[str, Any] = dict.fromkeys(MAKERS)
    for name, peer in peers.items():
        found = peer.step()
        iterations = found[1].iterations if isinstance(found, tuple) else int(np.max(found.n_iter_))
        tolerance = {} if isinstance(found, tuple) else {"tolerance": found.tol}
        results[name] = {"iterations": iterations, "value": float(peer.read(found)[0]), **tolerance}
    times = rounds({name: peer.step for name, peer in peers.items()}, count, 0.0)
    for name, seconds in times.items():
        results[name]["seconds"] = float(np.median(seconds))
        results[name]["ratio"] = float(np.median(seconds / times[FIRST]))
    values = [results[name]["value"] for name in peers]
    assert np.allclose(values, values[0], rtol=1e-9), f"not the same minimum: {results}"
    return results


def table(report: dict[str, Any]) -> str:
    """Markdown."""
    rows = []
    for name, result in report["results"].items():
        if result is None:
            rows.append([name, "", "not reached, or not installed", ""])
        else:
            tolerance = f", tol={result['tolerance']:.0e}" if "tolerance" in result else ""
            cells = [str(result["iterations"]), f"{result['seconds']:.3f}", f"{result['ratio']:.2f}x"]
            rows.append([name + tolerance, *cells])
    return markdown(["solver", "iterations", "seconds", "ratio"], rows)


if __name__ == "__main__":
    main()
