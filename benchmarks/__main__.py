"""Time minigrad beside its peers on the same data, and beside the limit of the processor.

    python -m benchmarks                 all workloads but "W10 large", which takes minutes
    python -m benchmarks W1 W3s          some of them
    python -m benchmarks --save          and write results.json and the tables of README.md
    python -m benchmarks --threads 2     and compare with PyTorch on two threads too
    python -m benchmarks --no-memory     the times alone
    python -m benchmarks --smoke         a moment of each, to see that it runs

Everything runs on one thread of one processor.  A round times every peer once, by a burst of steps; rounds repeat, so
that a machine that slows down slows all of them.  Reported are medians over rounds, and medians of the ratios.
"""

import argparse
import json
import os
import subprocess
import sys
from typing import Any

from benchmarks import one_thread
from benchmarks.memory import IN_PROCESSES, OF_NUMPY, resident, traced
from benchmarks.report import HERE, environment, save, stored, text, times
from benchmarks.run import BURST, Workload, measure, rounds
from benchmarks.workloads import WORKLOADS

# isort: split
import numpy as np

__all__ = ["BURST", "HERE", "environment", "main", "rounds"]
NAMES = list(dict.fromkeys(workload.name for workload in WORKLOADS))
PAIR = ("minigrad", "PyTorch")  # what is timed on several threads


def main() -> None:
    """Parse the command line, measure, report."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.split("\n")[0])
    parser.add_argument("workloads", nargs="*", help=f"of {', '.join(NAMES)}; all by default")
    parser.add_argument("--save", action="store_true", help="write results.json and the tables of README.md")
    parser.add_argument("--smoke", action="store_true", help="a moment of each; the figures mean nothing")
    parser.add_argument("--no-memory", action="store_true", help="the times alone")
    parser.add_argument("--threads", type=int, default=1, metavar="2", help="beside PyTorch on so many threads too")
    parser.add_argument("--ratios", action="store_true", help=argparse.SUPPRESS)  # of the process with more threads
    options = parser.parse_args()
    wanted = {given: named(given) for given in options.workloads or [""]}
    if unknown := [given for given, found in wanted.items() if not found]:
        parser.error(f"no workload {', '.join(unknown)}: there are {', '.join(NAMES)}")
    if options.save and (options.smoke or options.no_memory):
        parser.error("--save replaces published figures: it needs a run in full, without --smoke and --no-memory")
    if options.threads > (processors := len(one_thread.PROCESSORS)) or options.threads < 1:
        parser.error(f"--threads {options.threads} needs as many processors, this process may use {processors}")
    chosen = [w for w in WORKLOADS if any(w.name in found for found in wanted.values())]
    if options.ratios:
        print(json.dumps(ratios(chosen, options.smoke)))
        return
    previous = stored("results") if options.save and options.workloads else None
    if previous and previous["environment"] != environment():
        parser.error("results.json holds figures of another environment: save all workloads together")
    results = []
    for workload in chosen:
        print(f"{workload.key}: {workload.title} ...", file=sys.stderr, flush=True)
        results.append(result_of(workload, options.smoke, not options.no_memory))
    if options.threads > 1:
        for key, found in on_threads(options.threads, options.workloads, options.smoke).items():
            next(result for result in results if result["workload"] == key)["threads"] = found
    report = {"environment": environment(), "results": results}
    print(times(report) if options.smoke else text(report))
    if options.save:
        save("results", merged(previous, report))


def named(given: str) -> list[str]:
    """The workload of that name, or those whose names begin so, W6a to W6d of W6, but not those on demand."""
    return [given] if given in NAMES else [w.name for w in WORKLOADS if w.name.startswith(given) and not w.on_demand]


def result_of(workload: Workload, smoke: bool, with_memory: bool) -> dict[str, Any]:
    """Times, ratios and memory, as data."""
    found = measure(workload, smoke)
    ours = found.seconds["minigrad"]
    limit = found.seconds.pop("limit", None)
    result: dict[str, Any] = {
        "workload": workload.key,
        "title": workload.title,
        "rounds": len(ours),
        "seconds": {name: float(np.median(times)) for name, times in found.seconds.items()},
        "ratio": {name: float(np.median(times / ours)) for name, times in found.seconds.items()},
    }
    if found.left_out:
        result["left_out"] = found.left_out
    if limit is not None:
        result["limit"] = {"seconds": float(np.median(limit)), "arrangement": found.arrangement}
        result["of_limit"] = float(np.median(ours / limit))
    if workload.allowance is not None:
        result["allowance"] = workload.allowance(workload.data(smoke))
    if workload.memory and with_memory:
        result["memory"] = {
            name: traced(workload, name, smoke)._asdict() for name in found.seconds if name.split(",")[0] in OF_NUMPY
        }
        # A process each: not for a moment.
        result["resident"] = {
            name: resident(workload, name) for name in found.seconds if name in IN_PROCESSES and not smoke
        }
    return result


def on_threads(count: int, names: list[str], smoke: bool) -> dict[str, Any]:
    """PyTorch's ratio to minigrad by workload, from a process with so many threads and processors."""
    print(f"on {count} threads ...", file=sys.stderr, flush=True)
    command = [sys.executable, "-m", "benchmarks", *names, "--ratios", *(["--smoke"] if smoke else [])]
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, one_thread.PROCESSORS)
    surroundings = {**os.environ, "BENCHMARK_THREADS": str(count)}
    run = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=surroundings)
    return {key: {"count": count, "ratio": found} for key, found in json.loads(run.stdout).items()}


def ratios(chosen: list[Workload], smoke: bool) -> dict[str, dict[str, float]]:
    """PyTorch's times by minigrad's, on as many threads as this process has."""
    found = {}
    for workload in (w for w in chosen if "PyTorch" in w.peers):
        times = measure(workload, smoke, PAIR).seconds
        found[workload.key] = {name: float(np.median(times[name] / times["minigrad"])) for name in times}
    return found


def merged(previous: dict[str, Any] | None, report: dict[str, Any]) -> dict[str, Any]:
    """The stored figures with the new ones in their places, in the order of the workloads."""
    found = {result["workload"]: result for old in (previous, report) if old for result in old["results"]}
    return {**report, "results": [found[w.key] for w in WORKLOADS if w.key in found]}


if __name__ == "__main__":
    main()
