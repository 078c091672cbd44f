"""Train on an array that lies on disk, and say how much memory that takes (on Linux).

    python -m benchmarks.mapped [--gibibytes 4] [--folder FOLDER]
    python -m benchmarks.mapped --smoke

Writes an array of random numbers, float32, and trains softmax regression on it for one epoch, by batches of rows in
random order.  The peak of the resident memory counts pages of the file too; a process of its own is measured.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import one_thread  # noqa: F401 - before NumPy

# isort: split
import numpy as np

FEATURES, CLASSES, BATCH = 1024, 10, 1024


def main() -> None:
    """Write the array, train in another process, report."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mapped", description=__doc__.split("\n")[0])
    parser.add_argument("--gibibytes", type=float, default=4.0, help="size of the array")
    parser.add_argument("--folder", type=Path, default=None, help="where to write it; a temporary one by default")
    parser.add_argument("--smoke", action="store_true", help="an array of 64 MiB")
    parser.add_argument("--train", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.train:
        train(options.train)
        return
    size = 1 / 16 if options.smoke else options.gibibytes
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        path = Path(folder) / "x.npy"
        write(path, int(size * 2**30) // (4 * FEATURES))
        print(f"an array of {path.stat().st_size / 2**30:.3f} GiB", flush=True)
        subprocess.run([sys.executable, "-m", "benchmarks.mapped", "--train", str(path)], check=True)


def write(path: Path, rows: int) -> None:
    """Random numbers, a block at a time, and which of the first ten of a row is the largest: the labels."""
    rng = np.random.default_rng(0)
    labels = []
    x = np.lib.format.open_memmap(path, "w+", np.float32, (rows, FEATURES))
    for start in range(0, rows, 16384):
        block = x[start : start + 16384]
        block[...] = rng.random(block.shape, np.float32)
        labels.append(block[:, :CLASSES].argmax(axis=1))
    x.flush()
    np.save(path.with_name("labels.npy"), np.concatenate(labels))


def train(path: Path) -> None:
    """One epoch; prints the peak of the memory beyond what Python and minigrad take."""
    from minigrad import SGD, CrossEntropyLoss, Linear, Sequential, fit

    x = np.load(path, mmap_mode="r")
    labels = np.load(path.with_name("labels.npy"))
    cost = Sequential(Linear(FEATURES, CLASSES, rng=0, dtype=np.float32), CrossEntropyLoss())
    begin = time.perf_counter()
    history = fit(cost, (x, labels), optimizer=SGD(cost, 0.05), batch_size=BATCH, epochs=1, rng=0, progress=False)
    peak = peak_of_memory()
    print(
        f"one epoch of {len(history.step_cost)} batches in {time.perf_counter() - begin:.1f} s, cost from "
        f"{history.step_cost[0]:.3f} to {history.step_cost[-1]:.3f}; peak of the resident memory {peak / 2**30:.3f} GiB"
    )
    assert peak < 2**30, peak


def peak_of_memory() -> int:
    """Bytes; of this process alone, where getrusage counts what its parent had when it was started."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


if __name__ == "__main__":
    main()
