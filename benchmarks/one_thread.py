"""Hold every library to one thread on one processor, or to as many as BENCHMARK_THREADS says.

To be imported before any of them.
"""

import os

THREADS = int(os.environ.get("BENCHMARK_THREADS", "1"))
PROCESSORS = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count() or 1))

for variable in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"):
    os.environ[variable] = str(THREADS)
os.environ.pop("XLA_FLAGS", None)
if THREADS == 1:
    os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
os.environ["JAX_PLATFORMS"] = "cpu"
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, sorted(PROCESSORS)[-THREADS:])
