"""Losses: layers that take a target, and end a stack with a number to make small."""

from minigrad.losses.base import REDUCTIONS, Loss
from minigrad.losses.classification import BernoulliNLLLoss, LikelihoodLoss, NLLLoss

__all__ = ["REDUCTIONS", "BernoulliNLLLoss", "LikelihoodLoss", "Loss", "NLLLoss"]
