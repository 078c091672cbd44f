"""The types that signatures name."""

from typing import Any, TypeAlias

import numpy as np

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]
"""An array of a floating type: float32, float64, complex128, ..."""

Input: TypeAlias = Any
"""z: an array whose first axis is the batch; a tuple of them for a layer of several inputs."""

Delta: TypeAlias = Any
"""dC/dz_next: an array of the shape of the output, a number where that is one, a tuple where that is a tuple."""

Gradients: TypeAlias = dict[str, Array]
"""{parameter name: derivative of the cost, of the parameter's shape}."""

# A string, so that importing minigrad does not import numpy.random.
Seed: TypeAlias = "int | np.random.Generator | None"
"""What `rng=` takes: a generator, the seed of a new one, or None for a new one that nobody can repeat."""
