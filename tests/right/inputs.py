"""Inputs of a fixed shape."""

from collections.abc import Callable
from typing import Any

import numpy as np


def rows(*shape: int) -> Callable[[np.random.Generator], tuple[Any, ...]]:
    """Draws (z,) of standard normal numbers."""
    return lambda rng: (rng.normal(size=shape),)
