"""Peak memory of a step, beyond the data and what is kept between steps.

Gradients are a step's, also where a library keeps them until the next step makes them anew.

Of peers whose arrays are NumPy's: by tracemalloc.  Of all that a fresh process can show: how far the peak of its
resident memory rises above what is resident after a first step, which has loaded and compiled what there is.
"""

import ctypes
import gc
import json
import resource
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import NamedTuple

from benchmarks.run import Peer, Workload

OF_NUMPY = ("minigrad", "NumPy by hand", "scikit-learn", "autograd", "MyGrad", "a loop")
IN_PROCESSES = ("minigrad", "PyTorch", "JAX", "ONNX Runtime")
STATUS = Path("/proc/self/status")


class Traced(NamedTuple):
    """Bytes: kept between steps (parameters, moments, scratch), and at the peak of a step beyond that."""

    kept: int
    peak: int


def traced(workload: Workload, name: str, smoke: bool = False) -> Traced:
    """By tracemalloc; the data are there before."""
    data = workload.data(smoke)
    workload.peers[name](workload.data(True)).step()  # loads code, which is not to be counted
    gc.collect()
    tracemalloc.start()
    try:
        peer = workload.peers[name](data)
        for _ in range(2):
            peer.step()
        peer.free()
        gc.collect()
        kept, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        peer.step()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return Traced(kept, peak - kept)


def resident(workload: Workload, name: str, smoke: bool = False) -> int | None:
    """Bytes by which the peak of resident memory grows by a step, in a process of its own; None if that fails."""
    command = [sys.executable, "-m", "benchmarks.memory", workload.key, name, *(["--smoke"] if smoke else [])]
    run = subprocess.run(command, capture_output=True, text=True)
    if run.returncode:
        print(f"   no memory of {name}: {run.stderr.strip().splitlines()[-1]}", file=sys.stderr)
        return None
    return int(json.loads(run.stdout))


def growth(peer: Peer) -> int:
    """Bytes by which the peak of this process's resident memory grows in three steps, after a first one."""
    peer.step()
    peer.free()
    gc.collect()
    _return_what_is_free()
    before = _reset_peak()
    for _ in range(3):
        peer.step()
    return max(0, _peak() - before)


def _return_what_is_free() -> None:
    """To the system, where the C library can: else a step would reuse unseen what was free before."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)


def _reset_peak() -> int:
    """Bytes that are resident now, to which the peak is set back where the system can do that."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return _peak()
    return _status("VmRSS")


def _peak() -> int:
    if STATUS.exists():  # getrusage would count what the parent had when it started this process
        return _status("VmHWM")
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _status(key: str) -> int:
    return next(int(line.split()[1]) * 1024 for line in STATUS.read_text().splitlines() if line.startswith(key))


def main(arguments: list[str]) -> None:
    """Of the process: the workload, the peer; prints one number."""
    from benchmarks import one_thread  # noqa: F401 - before NumPy has threads
    from benchmarks.growth import POINTS
    from benchmarks.workloads import WORKLOADS

    key, name, *options = arguments
    workload = next(workload for workload in (*WORKLOADS, *POINTS.values()) if workload.key == key)
    print(growth(workload.peers[name](workload.data("--smoke" in options))))


if __name__ == "__main__":
    main(sys.argv[1:])
