"""The types that signatures name."""

from collections.abc import Mapping
from typing import Any, NamedTuple, TypeAlias

import numpy as np

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]
"""An array of a floating type: float32, float64, complex128, ..."""

Input: TypeAlias = Any
"""z: an array whose first axis is the batch; a tuple of them for a layer of several inputs."""

Shape: TypeAlias = tuple[int, ...]
"""The shape of an array, the batch first."""

Shapes: TypeAlias = Any
"""A Shape, or a tuple of them for a layer of several inputs or outputs."""

Delta: TypeAlias = Any
"""dC/dz_next: an array of the shape of the output, a number where that is one, a tuple where that is a tuple."""

Gradients: TypeAlias = dict[str, Array]
"""{parameter name: derivative of the cost, of the parameter's shape}."""

# A string, so that importing minigrad does not import numpy.random.
Seed: TypeAlias = "int | np.random.Generator | None"
"""What `rng=` takes: a generator, the seed of a new one, or None for a new one that nobody can repeat."""


class Formulas(NamedTuple):
    r"""The three rules of a layer in LaTeX, where \z, \y and \d stand for z, z_next and delta = dC/dz_next.

    `symbols` are those of the parameters, such as {"weight": "W"}; `where` says in words what other symbols mean, and
    ",\quad s = ..." after a formula defines one.  In a container f(\z) is the layer inside, f_0, f_1 are several, and
    \d \cdot \frac{\partial f}{\partial \z} is rule 2 of f.  Where they depend on what rule 1 is given, a layer also has
    `formulas_at(z, *arguments)`.
    """

    forward: str
    backward: str
    gradients: Mapping[str, str] = {}
    symbols: Mapping[str, str] = {}
    where: str = ""
