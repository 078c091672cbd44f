"""The rules of each layer, by family."""

from minigrad.layers.activations import Elementwise, LogSigmoid, ReLU, Sigmoid, Tanh
from minigrad.layers.linear import Linear
from minigrad.layers.softmax import LogSoftmax, Softmax

__all__ = ["Elementwise", "Linear", "LogSigmoid", "LogSoftmax", "ReLU", "Sigmoid", "Softmax", "Tanh"]
