"""minigrad: a layer is three rules.

Write forward, backward and parameter_gradients in NumPy; composition and training follow from them.
"""

from minigrad.building import build
from minigrad.containers import (
    Add,
    Branch,
    Concatenate,
    Container,
    Frozen,
    Parallel,
    Repeat,
    Residual,
    Sequential,
    Split,
)
from minigrad.derivatives import value_and_gradients
from minigrad.layer import Layer
from minigrad.layers import Elementwise, Linear, LogSigmoid, LogSoftmax, ReLU, Sigmoid, Softmax, Tanh
from minigrad.losses import BernoulliNLLLoss, NLLLoss
from minigrad.optim import SGD, minimize_lbfgs
from minigrad.parameters import FlatParameters
from minigrad.training import minibatches

__version__ = "0.1.0"

__all__ = [
    "SGD",
    "Add",
    "BernoulliNLLLoss",
    "Branch",
    "Concatenate",
    "Container",
    "Elementwise",
    "FlatParameters",
    "Frozen",
    "Layer",
    "Linear",
    "LogSigmoid",
    "LogSoftmax",
    "NLLLoss",
    "Parallel",
    "ReLU",
    "Repeat",
    "Residual",
    "Sequential",
    "Sigmoid",
    "Softmax",
    "Split",
    "Tanh",
    "build",
    "minibatches",
    "minimize_lbfgs",
    "value_and_gradients",
]
