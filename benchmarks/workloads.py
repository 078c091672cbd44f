"""What is timed: softmax regression, by a training step or by its value and gradients, on data of four sizes."""

from typing import NamedTuple

import numpy as np

LEARNING_RATE = 0.01


class Workload(NamedTuple):
    """A batch of `rows`, `features` -> `classes`, in `dtype`; with or without the update of the parameters."""

    name: str
    rows: int
    features: int
    classes: int
    dtype: str
    update: bool
    rounds: int

    @property
    def title(self) -> str:
        """What stands in the table."""
        what = "training step" if self.update else "value and gradients"
        return f"{self.rows} x {self.features} -> {self.classes}, {self.dtype}, {what}"


class Data(NamedTuple):
    """The same numbers for every peer."""

    x: np.ndarray
    labels: np.ndarray
    weight: np.ndarray
    bias: np.ndarray


WORKLOADS = [
    Workload("W1", 32, 64, 10, "float32", update=True, rounds=60),
    Workload("W2", 256, 784, 10, "float32", update=True, rounds=60),
    Workload("W3s", 1797, 64, 10, "float64", update=False, rounds=60),
    Workload("W3", 60000, 784, 10, "float32", update=False, rounds=9),
]


def data_for(workload: Workload) -> Data:
    """Pixels in [0, 1), labels, and small random parameters."""
    rng = np.random.default_rng(0)
    return Data(
        rng.random((workload.rows, workload.features), dtype=np.dtype(workload.dtype)),
        rng.integers(0, workload.classes, workload.rows),
        rng.normal(scale=0.05, size=(workload.classes, workload.features)).astype(workload.dtype),
        rng.normal(scale=0.05, size=workload.classes).astype(workload.dtype),
    )
