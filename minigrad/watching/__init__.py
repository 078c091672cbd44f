"""Watching a cost at work: where NaN comes from, what is not trained, how numbers and deltas flow."""

from minigrad.watching.flows import Flow as Flow
from minigrad.watching.flows import flow
from minigrad.watching.nonfinite import find_nonfinite
from minigrad.watching.unused import unused_parameters
from minigrad.watching.watched import Event as Event
from minigrad.watching.watched import watched as watched

__all__ = ["find_nonfinite", "flow", "unused_parameters"]
