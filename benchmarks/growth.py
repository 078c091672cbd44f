"""How the time and the memory of a training step grow with batch, width, depth and classes.

    python -m benchmarks.growth            all points
    python -m benchmarks.growth --save     and write growth.json and, with matplotlib, growth.svg
    python -m benchmarks.growth --draw     growth.svg from growth.json
    python -m benchmarks.growth --smoke    the two smallest points of each, to see that it runs

A perceptron 256 -> 256 -> 256 -> 10 with ReLU, batches of 128, plain SGD, float32, of which one size at a time is
varied.  Times as in `python -m benchmarks`; memory is how far a step raises the peak of resident memory, see
`memory.py`.
"""

import argparse
import json
import sys
from dataclasses import replace
from typing import Any

from benchmarks import one_thread  # noqa: F401 - before NumPy
from benchmarks.memory import resident
from benchmarks.report import HERE, duration, environment, megabytes, stored
from benchmarks.report import table as markdown
from benchmarks.run import Workload, measure
from benchmarks.workloads import perceptron

# isort: split
import numpy as np

WIDTH, DEPTH, CLASSES, BATCH = 256, 2, 10, 128
SIZES = {
    "batch": (8, 32, 128, 512, 2048, 8192),
    "width": (32, 64, 128, 256, 512, 1024, 2048),
    "depth": (1, 2, 4, 8, 16, 32),
    "classes": (10, 100, 1000, 10_000, 50_000),
}
PEERS = ("minigrad", "PyTorch", "JAX")
BUDGET = 2.0  # seconds for the rounds of one point


USUAL = {"batch": BATCH, "width": WIDTH, "depth": DEPTH, "classes": CLASSES}


def point(axis: str, size: int) -> Workload:
    """The perceptron with one size of its own."""
    sizes = {**USUAL, axis: size}
    widths = (WIDTH, *[sizes["width"]] * sizes["depth"], sizes["classes"])
    workload = perceptron.workload(f"{axis} {size}", sizes["batch"], widths, "SGD")
    peers = {name: workload.peers[name] for name in PEERS}
    # One step is compared: of many layers, rounding soon sends each library its own way.
    return replace(workload, peers=peers, budget=BUDGET, steps=1, slack=10)


POINTS = {(axis, size): point(axis, size) for axis, sizes in SIZES.items() for size in sizes}


def main() -> None:
    """Parse the command line, measure, report, draw."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=__doc__.split("\n")[0])
    parser.add_argument("--save", action="store_true", help="write growth.json and growth.svg")
    parser.add_argument("--draw", action="store_true", help="draw growth.svg anew from growth.json, measure nothing")
    parser.add_argument("--smoke", action="store_true", help="few points; the figures mean nothing")
    options = parser.parse_args()
    if options.save and options.smoke:
        parser.error("--save replaces the published figures: it needs all points")
    if options.draw:
        report = stored("growth")
        if report is None:
            parser.error("growth.json is not there: --save makes it")
        draw(report)
        return
    results: list[dict[str, Any]] = []
    usual: dict[str, Any] | None = None  # what all axes share is measured once
    for (axis, size), workload in POINTS.items():
        if not options.smoke or size in SIZES[axis][:2]:
            print(f"{axis} {size} ...", file=sys.stderr, flush=True)
            found = usual if usual and size == USUAL[axis] else measured(workload, options.smoke)
            usual = found if size == USUAL[axis] else usual
            results.append({"axis": axis, "size": size, **found})
    report = {"environment": environment(), "results": results}
    print(table(report))
    if options.save:
        (HERE / "growth.json").write_text(json.dumps(report, indent=2) + "\n")
        draw(report)


def measured(workload: Workload, smoke: bool) -> dict[str, Any]:
    """Seconds of a step and bytes, by peer."""
    seconds = measure(workload, smoke, PEERS).seconds
    return {
        "seconds": {name: float(np.median(times)) for name, times in seconds.items()},
        "bytes": {name: None if smoke else resident(workload, name) for name in seconds},
    }


def table(report: dict[str, Any]) -> str:
    """Markdown."""
    rows = []
    for result in report["results"]:
        row = [f"{result['axis']} {result['size']}"]
        row += [duration(result["seconds"][name]) if name in result["seconds"] else "" for name in PEERS]
        row += [megabytes(result["bytes"].get(name)) for name in PEERS]
        rows.append(row)
    return markdown(["", *PEERS, *(f"{name}, MB" for name in PEERS)], rows)


def draw(report: dict[str, Any]) -> None:
    """growth.svg, where matplotlib is installed."""
    try:
        from benchmarks.picture import growth
    except ImportError as error:
        print(f"   no picture: {error}", file=sys.stderr)
        return
    growth(report).savefig(HERE / "growth.svg", metadata={"Date": None})


if __name__ == "__main__":
    main()
