"""Once: what follows from a result is computed when it is first asked for, and kept with it."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from minigrad.mle.result import Result

T = TypeVar("T")


def once(function: Callable[[Result], T]) -> Callable[[Result], T]:
    """`function` of a result, which is kept with the result."""
    name = f"_{function.__module__.rpartition('.')[2]}_{function.__name__}"

    @wraps(function)
    def kept(result: Result) -> T:
        known = vars(result)
        if name not in known:
            known[name] = function(result)
        found: T = known[name]
        return found

    return kept
