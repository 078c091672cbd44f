"""Time what `fit` adds to a step, beside the loop by hand that it stands for.

    python -m benchmarks.fitting             softmax regression, batches of 32 x 64
    python -m benchmarks.fitting --save      and write fitting.json and its line in README.md
    python -m benchmarks.fitting --smoke     a moment of it, to see that it runs

Both go through the same batches, gradients and steps, in turns, on one thread of one processor; `fit` also keeps the
history, the last good parameters, and an eye on the clock and on Ctrl-C.  Medians of the differences.
"""

import argparse
import time
from typing import Any

from benchmarks import one_thread  # noqa: F401 - before NumPy
from benchmarks.report import environment, save

# isort: split
import numpy as np

from minigrad import SGD, Linear, LogSoftmax, NLLLoss, Sequential, fit, minibatches, value_and_gradients

BATCH, STEPS = 32, 500


def main() -> None:
    """Parse the command line, time, report."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fitting", description=__doc__.split("\n")[0])
    parser.add_argument("--save", action="store_true", help="write fitting.json")
    parser.add_argument("--smoke", action="store_true", help="two rounds; the figures mean nothing")
    options = parser.parse_args()
    if options.save and options.smoke:
        parser.error("--save replaces the published figures: it needs a run in full")
    report = {"environment": environment(), **run(2 if options.smoke else 40)}
    print(table(report))
    if options.save:
        save("fitting", report)


def table(report: dict[str, Any]) -> str:
    """A sentence."""
    return f"A step by hand takes {report['by_hand']:.1f} us; `fit` adds {report['added']:.1f} us to it."


def run(rounds: int) -> dict[str, Any]:
    """Microseconds of a step by hand, and what `fit` adds."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(BATCH * STEPS, 64)).astype(np.float32)
    labels = rng.integers(0, 10, len(x))
    costs = [Sequential(Linear(64, 10, rng=0, dtype=np.float32), LogSoftmax(), NLLLoss()) for _ in range(2)]
    rules = [SGD(cost, 0.01) for cost in costs]
    by_hand, added = [], []
    for epoch in range(rounds):
        begin = time.perf_counter()
        for batch, target in minibatches(x, labels, batch_size=BATCH, rng=epoch):
            _, gradients = value_and_gradients(costs[0], batch, target)
            rules[0].step(gradients)
        middle = time.perf_counter()
        fit(costs[1], (x, labels), optimizer=rules[1], epochs=1, batch_size=BATCH, rng=epoch, progress=False)
        end = time.perf_counter()
        by_hand.append((middle - begin) / STEPS * 1e6)
        added.append((end - middle) / STEPS * 1e6 - by_hand[-1])
    assert np.array_equal(costs[0][0].parameters()["weight"], costs[1][0].parameters()["weight"]), "not the same steps"
    return {"by_hand": float(np.median(by_hand)), "added": float(np.median(added)), "steps": STEPS, "rounds": rounds}


if __name__ == "__main__":
    main()
