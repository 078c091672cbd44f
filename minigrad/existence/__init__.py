"""Does the maximum of a likelihood exist, and what is identified: with certificates that are checked exactly."""

from minigrad.existence.certificate import Existence, Multipliers
from minigrad.existence.existence import existence
from minigrad.existence.null import Columns, NullSpace, Table, null_space

__all__ = ["Columns", "Existence", "Multipliers", "NullSpace", "Table", "existence", "null_space"]
