"""The types that signatures name."""

from typing import Any, TypeAlias

import numpy as np

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]
"""An array of a floating type: float32, float64, complex128, ..."""

Delta: TypeAlias = Any
"""dC/dz_next: an array of the shape of the output, or a number where the output is one."""

Gradients: TypeAlias = dict[str, Array]
"""{parameter name: derivative of the cost, of the parameter's shape}."""

# A string, so that importing minigrad does not import numpy.random.
Seed: TypeAlias = "int | np.random.Generator | None"
"""What `rng=` takes: a generator, the seed of a new one, or None for a new one that nobody can repeat."""
