"""Fusions: layers that stand one on top of the other, run as one.  Faster, with the numbers of the plain rules.

A table says which layers are run as one, and by what.  `value_and_gradients`, and with it `fit`, the solvers and the
functions of chunks, run a cost as its `plan` says; where that raises, the plain rules run, whose errors name the layers
that the caller wrote.  `explain(cost)` shows the plan, `off()` does without, and `fuses` adds to the table.
"""

from minigrad.fusions.base import Fusion
from minigrad.fusions.bernoulli import LinearBernoulliNLLLoss, SigmoidBCELoss
from minigrad.fusions.plan import FusionPlan
from minigrad.fusions.rectified import LinearReLU
from minigrad.fusions.softmax_regression import LinearLogSoftmaxNLLLoss, LogSoftmaxNLLLoss
from minigrad.fusions.table import FUSIONS, explain, fuses, off, plan

__all__ = [
    "FUSIONS",
    "Fusion",
    "FusionPlan",
    "LinearBernoulliNLLLoss",
    "LinearLogSoftmaxNLLLoss",
    "LinearReLU",
    "LogSoftmaxNLLLoss",
    "SigmoidBCELoss",
    "explain",
    "fuses",
    "off",
    "plan",
]
