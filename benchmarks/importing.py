"""Time `import minigrad` beyond `import numpy`: `python -m benchmarks.importing [--most MILLISECONDS]`.

Each import runs in a new process, the two in turn; the figure is the difference of the medians.
"""

import argparse
import statistics
import subprocess
import sys

TRIES = 3  # a busy machine is asked again
CODE = "import time; start = time.perf_counter(); import {}; print(time.perf_counter() - start)"


def main() -> None:
    """Measure, print, and fail where the difference exceeds the limit that was asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.importing", description=__doc__.split("\n")[0])
    parser.add_argument(
        "--most", type=float, default=float("inf"), help="exit with status 1 above so many milliseconds"
    )
    most = parser.parse_args().most
    for _ in range(TRIES):
        if milliseconds() <= most:
            return
    sys.exit(1)


def milliseconds() -> float:
    """What minigrad adds to the import of NumPy."""
    seconds: dict[str, list[float]] = {"numpy": [], "numpy, minigrad": []}
    for _ in range(21):
        for modules, times in seconds.items():
            command = [sys.executable, "-c", CODE.format(modules)]
            times.append(float(subprocess.run(command, capture_output=True, text=True, check=True).stdout))
    numpy, both = (1e3 * statistics.median(times) for times in seconds.values())
    print(f"import numpy {numpy:.1f} ms, import minigrad {both - numpy:.1f} ms more")
    return both - numpy


if __name__ == "__main__":
    main()
