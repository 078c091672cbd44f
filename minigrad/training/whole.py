"""fit with a solver: all rows at once, an iteration for an epoch."""

from __future__ import annotations

import time

from minigrad.checks import label
from minigrad.optim import Solver
from minigrad.training.data import Arrays, Source
from minigrad.training.history import History
from minigrad.training.progress import Silent
from minigrad.training.stopping import Interrupt


class _Asked(Exception):  # noqa: N818
    """Ctrl-C was pressed."""


def fit_whole(solver: Solver, data: Source, progress: Silent) -> History:
    """Solve for the minimum over all rows; the history has one entry an iteration, and `minimum`, the certificate.

    After Ctrl-C the best parameters met are in the cost, and there is no certificate.
    """
    if not isinstance(data, Arrays):
        raise TypeError(
            f"fit expects data as arrays (x, target) for {label(type(solver))}, which looks at all rows at once, got "
            "batches: Adam(cost) trains by batches"
        )
    history = History()
    begin = time.perf_counter()
    try:
        progress.begin(solver.max_iterations, 0, 1, "iteration")
        with Interrupt() as interrupt:

            def note(iteration: int, value: float, gradient_norm: float) -> None:
                entries = {"cost": value, "gradient_norm": gradient_norm, "seconds": time.perf_counter() - begin}
                history.add_epoch(entries)
                progress.epoch(iteration, 1, entries)
                if interrupt.asked:
                    raise _Asked

            history.minimum = solver.solve(*data.table.arguments(), callback=note)
        history.stopped = str(history.minimum)
    except _Asked:
        history.stopped = (
            f"stopped by Ctrl-C after {max(history.epochs - 1, 0)} iterations; the parameters are the best so far"
        )
    finally:
        progress.close()
    progress.end(history.stopped)
    return history
