"""Losses: layers that take a target, and end a stack with a number to make small."""

from minigrad.losses.base import Loss
from minigrad.losses.binary import BCELoss, BCEWithLogitsLoss, HingeLoss
from minigrad.losses.classification import BernoulliNLLLoss, CrossEntropyLoss, NLLLoss
from minigrad.losses.distributions import GaussianNLLLoss, HomoscedasticGaussianNLLLoss, KLDivLoss, PoissonNLLLoss
from minigrad.losses.elementwise import ElementwiseLoss, HuberLoss, L1Loss, MSELoss, QuantileLoss, SmoothL1Loss
from minigrad.losses.margins import MultiMarginLoss
from minigrad.losses.penalties import L1Penalty, L2Penalty, Penalized, Penalty

__all__ = [
    "BCELoss",
    "BCEWithLogitsLoss",
    "BernoulliNLLLoss",
    "CrossEntropyLoss",
    "ElementwiseLoss",
    "GaussianNLLLoss",
    "HingeLoss",
    "HomoscedasticGaussianNLLLoss",
    "HuberLoss",
    "KLDivLoss",
    "L1Loss",
    "L1Penalty",
    "L2Penalty",
    "Loss",
    "MSELoss",
    "MultiMarginLoss",
    "NLLLoss",
    "Penalized",
    "Penalty",
    "PoissonNLLLoss",
    "QuantileLoss",
    "SmoothL1Loss",
]
