"""What a planted bug is: a layer with one mistake (or two), and what a checker should say of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from right.inputs import rows

from minigrad import Layer


class Bug(NamedTuple):
    """One planted bug."""

    make: Callable[[], Layer]  # a fresh wrong layer
    causes: tuple[str, ...]  # codes of the causes that would be right to name first, the best one in front
    rules: tuple[int, ...]  # the rule at fault; several where the mistake can be read either way
    sample: Callable[[np.random.Generator], tuple[Any, ...]] = rows(5, 3)  # (z, *arguments of forward)
    name: str = ""  # that of the class where empty
