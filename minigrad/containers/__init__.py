"""How the three rules compose: stacks, branches, and layers used several times."""

from minigrad.containers import operators as operators  # >> and +
from minigrad.containers.base import Container
from minigrad.containers.branches import Branch, Parallel, Residual
from minigrad.containers.joints import Add, Concatenate, Split
from minigrad.containers.reuse import Frozen, Repeat
from minigrad.containers.sequential import Sequential

__all__ = [
    "Add",
    "Branch",
    "Concatenate",
    "Container",
    "Frozen",
    "Parallel",
    "Repeat",
    "Residual",
    "Sequential",
    "Split",
]
