"""Time a training step through the public API beside peers on the same data.

    python -m benchmarks                 all workloads
    python -m benchmarks W1 W3s          some of them
    python -m benchmarks --save          all, and write results.json and the table of README.md
    python -m benchmarks --smoke         a moment of each, to see that it runs

Everything runs on one thread of one processor.  A round times every peer once, by a burst of steps; rounds repeat, so
that a machine that slows down slows all of them.  Reported are medians over rounds, and medians of the ratios.
"""

import argparse
import json
import platform
import sys
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from benchmarks import one_thread  # noqa: F401 - before NumPy
from benchmarks.peers import PEERS, products
from benchmarks.workloads import WORKLOADS, Workload, data_for

# isort: split
import numpy as np

HERE = Path(__file__).parent
BURST = 0.004  # seconds of steps of one peer in one round


def main() -> None:
    """Parse the command line, time, report."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.split("\n")[0])
    parser.add_argument("workloads", nargs="*", help=f"of {', '.join(w.name for w in WORKLOADS)}; all by default")
    parser.add_argument("--save", action="store_true", help="write results.json and the table of README.md")
    parser.add_argument("--smoke", action="store_true", help="two rounds of small bursts; the figures mean nothing")
    options = parser.parse_args()
    if options.save and (options.smoke or options.workloads):
        parser.error("--save replaces the published table: it needs all workloads, in full")
    unknown = set(options.workloads) - {w.name for w in WORKLOADS}
    if unknown:
        known = ", ".join(w.name for w in WORKLOADS)
        parser.error(f"no workload {', '.join(sorted(unknown))}: there are {known}")
    chosen = [w for w in WORKLOADS if not options.workloads or w.name in options.workloads]
    if options.smoke:
        chosen = [w._replace(rounds=2, rows=min(w.rows, 2000)) for w in chosen]
    results = []
    for workload in chosen:
        print(f"{workload.name}: {workload.title} ...", file=sys.stderr, flush=True)
        results.append(run(workload, BURST / 40 if options.smoke else BURST))
    report = {"environment": environment(), "results": results}
    print(table(report))
    if options.save:
        save(report)


def run(workload: Workload, burst: float) -> dict[str, Any]:
    """Times of every peer, as medians and as ratios to minigrad."""
    data = data_for(workload)
    steps: dict[str, Callable[[], Any]] = {}
    for name, make in PEERS.items():
        try:
            steps[name] = make(workload, data)
        except ImportError:
            print(f"   {name} is not installed", file=sys.stderr)
    values = {name: float(step()) for name, step in steps.items()}
    assert np.allclose(list(values.values()), values["minigrad"], rtol=1e-5), f"not the same cost: {values}"
    limits = products(workload, data)
    times = rounds({**steps, **limits}, workload.rounds, burst)
    limit = min(limits, key=lambda name: float(np.median(times[name])))
    return {
        "workload": workload.name,
        "title": workload.title,
        "microseconds": {name: float(np.median(times[name]) * 1e6) for name in [*steps, limit]},
        "ratio": {name: float(np.median(times[name] / times["minigrad"])) for name in steps},
        "of_limit": float(np.median(times["minigrad"] / times[limit])),
        "limit": limit,
    }


def rounds(steps: dict[str, Callable[[], Any]], count: int, burst: float) -> dict[str, np.ndarray]:
    """Seconds of one step, by peer and round."""
    repeats = {}
    for name, step in steps.items():
        step()
        start = time.perf_counter()
        step()
        repeats[name] = max(1, int(burst / (time.perf_counter() - start)))
    times: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(count):
        for name, step in steps.items():
            step()  # caches and branch predictors as in a loop of its own
            start = time.perf_counter()
            for _ in range(repeats[name]):
                step()
            times[name].append((time.perf_counter() - start) / repeats[name])
    return {name: np.array(values) for name, values in times.items()}


def environment() -> dict[str, str]:
    """What was measured, on what."""
    versions = {}
    for name in ("numpy", "torch", "jax", "scikit-learn", "autograd"):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "not installed"
    cpu = Path("/proc/cpuinfo")
    models = (
        [line.split(":")[1].strip() for line in cpu.read_text().splitlines() if "model name" in line]
        if cpu.exists()
        else []
    )
    processor = models[0] if models else platform.processor()
    return {"processor": processor, "system": platform.system(), "python": platform.python_version(), **versions}


def table(report: dict[str, Any]) -> str:
    """Markdown: microseconds of minigrad, times as long for each peer, and the limit."""
    names = [name for name in PEERS if name != "minigrad"]
    lines = [
        f"| workload | minigrad, us | {' | '.join(names)} | products alone, us | minigrad / products |",
        "|---|---:|" + "---:|" * (len(names) + 2),
    ]
    for result in report["results"]:
        ratio, microseconds = result["ratio"], result["microseconds"]
        cells = [f"{ratio[name]:.2f}x" if name in ratio else "-" for name in names]
        lines.append(
            f"| {result['workload']}: {result['title']} | {microseconds['minigrad']:,.1f} | {' | '.join(cells)} "
            f"| {microseconds[result['limit']]:,.1f} | {result['of_limit']:.2f} |"
        )
    lines += ["", ", ".join(f"{name} {value}" for name, value in report["environment"].items()) + "."]
    return "\n".join(lines)


def save(report: dict[str, Any]) -> None:
    """results.json, and the table between its markers in README.md."""
    (HERE / "results.json").write_text(json.dumps(report, indent=2) + "\n")
    readme = HERE / "README.md"
    text = readme.read_text()
    begin, end = "<!-- table -->\n", "<!-- end of table -->"
    head, rest = text.split(begin)
    tail = rest.split(end)[1]
    readme.write_text(f"{head}{begin}\n{table(report)}\n\n{end}{tail}")


if __name__ == "__main__":
    main()
