"""Weighted sums of values and gradients over the parts of a batch."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad.typing import Array, Gradients


class Sums:
    """Sums over parts, in units of the largest weight so far: sums of the weights themselves might overflow."""

    def __init__(self) -> None:
        self.value: Any = 0.0
        self.gradients: dict[str, Array] = {}
        self.dtypes: dict[str, Any] = {}
        self.weight, self.largest, self.count = 0.0, 0.0, 0.0

    def add(self, value: Any, gradients: Gradients, largest: float, divisor: float, weight: float) -> None:
        """Add a part whose cost was divided by largest * divisor, and whose weights sum to largest * weight."""
        if not largest:
            return  # all weights are 0, and nothing of it counts, whatever it is
        if not self.dtypes:
            self.dtypes = {name: array.dtype for name, array in gradients.items()} | {"": np.asarray(value).dtype}
        if largest > self.largest:
            self._scale(self.largest / largest)
            self.largest = largest
            self.count = self.count or divisor
        share = largest / self.largest * (divisor / self.count)
        self.weight += largest / self.largest * (weight / self.count)
        with np.errstate(over="ignore"):  # looked at in the end
            self.value += share * _wide(value)
            for name, array in gradients.items():
                if name in self.gradients:
                    self.gradients[name] += share * _wide(array)
                else:
                    self.gradients[name] = share * _wide(array)

    def result(self, mean: bool) -> tuple[Any, Gradients]:
        """The value and the gradients, of the types that they have in one batch."""
        if mean:
            self._scale(1 / self.weight)
        with np.errstate(over="ignore"):
            value = self.dtypes[""].type(self.value)
        if not math.isfinite(abs(value)):
            raise FloatingPointError(f"the sum of all parts is {value}, though that of each is finite: scale the data")
        return value, {name: array.astype(self.dtypes[name], copy=False) for name, array in self.gradients.items()}

    def _scale(self, factor: float) -> None:
        if factor == 1:
            return
        self.value, self.weight = self.value * factor, self.weight * factor
        for array in self.gradients.values():
            array *= factor


def _wide(number: Any) -> Any:
    """In float64 or wider, as a new array where it is one of another type."""
    array = np.asarray(number)
    return array.astype(np.result_type(array.dtype, np.float64), copy=False)
