"""One derivative at one input: what the rule gives beside what the numbers of rule 1 give."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from minigrad.testing.numeric import Derivative
from minigrad.testing.subject import Subject
from minigrad.typing import Array

JUDGED = 1e-10  # the relative error that differences see, where the function is an ordinary one


@dataclass
class Comparison:
    """The derivative with respect to one array, by its rule and by numbers."""

    subject: Subject
    case: str
    rule: int
    array: str
    delta: Array
    z_next: Array
    analytic: Array  # of any shape, if the rule is wrong
    numeric: Derivative  # NaN where an entry was not looked at
    jacobian: Array  # (outputs, entries): the numeric derivative of each output; of no size where it is too large
    bound: Array  # the difference that errors and rounding explain
    wrong: Array
    method: str
    scale: float  # the size of delta, times that of z where it enters rule 3
    coupled: bool | None  # rows of the batch influence each other
    directions: list[tuple[Array, float, float, float]] = field(default_factory=list)  # (v, rule, numbers, bound)

    @property
    def misshapen(self) -> bool:
        """The rule gives another shape than that of the array."""
        return self.analytic.shape != self.numeric.value.shape

    @property
    def seen(self) -> Array:
        """The entries that were looked at."""
        return ~np.isnan(self.bound)

    @property
    def size(self) -> float:
        """The largest finite entry of the numeric derivative."""
        value = self.numeric.value
        return float(np.abs(value).max(initial=0.0, where=np.isfinite(value)))

    @property
    def undecided(self) -> Array:
        """Entries whose numeric derivative is too rough to say much, other than at a kink."""
        fine = self.bound <= 1e-3 * max(self.size, 1e-3 * self.scale)
        rough = ~fine | ~np.isfinite(self.numeric.value)
        return rough & self.seen & ~self.wrong & ~self.numeric.kink

    @property
    def failed(self) -> bool:
        """Something here is wrong."""
        return self.misshapen or bool(self.wrong.any()) or bool(self.broken_directions)

    @property
    def broken_directions(self) -> list[tuple[Array, float, float, float]]:
        """The directions along which rule and numbers differ."""
        return [d for d in self.directions if not abs(d[1] - d[2]) <= d[3]]

    @property
    def difference(self) -> float:
        """The largest difference of a right entry, relative to the largest entry."""
        told = self.seen & ~self.numeric.kink & ~self.undecided & ~self.wrong
        if self.misshapen or not told.any():
            return 0.0
        off = np.abs(self.analytic[told] - self.numeric.value[told]).max(initial=0.0)
        return float(off / max(self.size, 1e-3 * self.scale))

    @property
    def resolution(self) -> float:
        """The smallest error, relative to the largest entry, that would have been seen in every entry told."""
        told = self.seen & ~self.numeric.kink & ~self.undecided
        relative = float(np.max(self.bound[told], initial=0.0) / max(self.size, 1e-3 * self.scale))
        # What contradicts a complex step is judged by differences.
        return max(relative, JUDGED) if self.method == "complex steps" else relative

    def worst(self) -> tuple[int, ...]:
        """The entry that is wrong by most, in units of what could be explained."""
        with np.errstate(all="ignore"):
            off = np.abs(self.analytic - self.numeric.value)
            excess = np.where(self.wrong, np.where(np.isfinite(off), off / self.bound, np.inf), -1.0)
        return tuple(int(i) for i in np.unravel_index(int(np.argmax(excess)), excess.shape))
