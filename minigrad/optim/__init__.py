"""Optimisers: what to do with gradients."""

from minigrad.optim.lbfgs import Minimum, minimize_lbfgs
from minigrad.optim.sgd import SGD

__all__ = ["SGD", "Minimum", "minimize_lbfgs"]
