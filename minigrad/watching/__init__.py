"""Watching a model: what it is made of, its pass as data, and what is wrong with it, silently or with NaN."""

from minigrad.watching.flows import Flow as Flow
from minigrad.watching.flows import flow
from minigrad.watching.linting import Finding as Finding
from minigrad.watching.linting import Lint as Lint
from minigrad.watching.linting import lint
from minigrad.watching.nonfinite import find_nonfinite
from minigrad.watching.rows import SummaryRow as SummaryRow
from minigrad.watching.statistics import Statistics as Statistics
from minigrad.watching.summary import Summary as Summary
from minigrad.watching.summary import summary
from minigrad.watching.trace import LayerTrace as LayerTrace
from minigrad.watching.trace import ParameterTrace as ParameterTrace
from minigrad.watching.trace import Trace as Trace
from minigrad.watching.trace import trace
from minigrad.watching.unused import unused_parameters
from minigrad.watching.watched import Event as Event
from minigrad.watching.watched import watched as watched

__all__ = ["find_nonfinite", "flow", "lint", "summary", "trace", "unused_parameters"]
