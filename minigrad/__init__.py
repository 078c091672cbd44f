"""minigrad: a layer is three rules.

Write forward, backward and parameter_gradients in NumPy; composition and training follow from them.
"""

from minigrad.containers import Container, Sequential
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
    "BernoulliNLLLoss",
    "Container",
    "Elementwise",
    "FlatParameters",
    "Layer",
    "Linear",
    "LogSigmoid",
    "LogSoftmax",
    "NLLLoss",
    "ReLU",
    "Sequential",
    "Sigmoid",
    "Softmax",
    "Tanh",
    "minibatches",
    "minimize_lbfgs",
    "value_and_gradients",
]
