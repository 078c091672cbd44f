"""Optimisers and solvers: what to do with gradients."""

from minigrad.optim.adagrad import Adagrad
from minigrad.optim.adam import Adam, AdamW
from minigrad.optim.averages import EMA, SWA, Average
from minigrad.optim.gradient_descent import minimize_gradient_descent
from minigrad.optim.lbfgs import minimize_lbfgs
from minigrad.optim.lion import Lion
from minigrad.optim.minimum import Minimum
from minigrad.optim.newton import minimize_newton
from minigrad.optim.newton_cg import minimize_newton_cg
from minigrad.optim.one_cycle import OneCycleLR
from minigrad.optim.optimizer import Optimizer
from minigrad.optim.plateau import ReduceLROnPlateau
from minigrad.optim.rmsprop import RMSprop
from minigrad.optim.schedules import (
    CosineAnnealingLR,
    CosineAnnealingWarmRestarts,
    ExponentialLR,
    LinearLR,
    MultiStepLR,
    Schedule,
    SequentialLR,
    StepLR,
)
from minigrad.optim.sgd import SGD
from minigrad.optim.solvers import LBFGS, GradientDescent, Newton, NewtonCG, Solver

__all__ = [
    "EMA",
    "LBFGS",
    "SGD",
    "SWA",
    "Adagrad",
    "Adam",
    "AdamW",
    "Average",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "ExponentialLR",
    "GradientDescent",
    "LinearLR",
    "Lion",
    "Minimum",
    "MultiStepLR",
    "Newton",
    "NewtonCG",
    "OneCycleLR",
    "Optimizer",
    "RMSprop",
    "ReduceLROnPlateau",
    "Schedule",
    "SequentialLR",
    "Solver",
    "StepLR",
    "minimize_gradient_descent",
    "minimize_lbfgs",
    "minimize_newton",
    "minimize_newton_cg",
]
