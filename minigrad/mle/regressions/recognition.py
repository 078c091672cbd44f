"""Recognition: which costs are regressions whose formulas are known."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from minigrad.derivatives.likelihoods import IDENTITY, LIKELIHOODS, Mean, flattened
from minigrad.layer import Layer
from minigrad.layers import Linear
from minigrad.losses import L2Penalty, NLLLoss, Penalized
from minigrad.mle.entry.data import Data


class Recognized(NamedTuple):
    """The linear units of a cost, the mean on them, and the strengths of L2 penalties on weights and biases."""

    linear: Linear
    mean: Mean
    ridge: tuple[float, float]


def recognized(cost: Layer, data: Data) -> Recognized | None:
    """What a regression is made of; None for other costs.  Only exact types count, as for fusions."""
    from fnmatch import fnmatchcase  # on use: importing minigrad loads little beyond NumPy

    penalties: list[Any] = []
    inner = cost
    while type(inner) is Penalized:
        penalties += inner.penalties
        inner = inner.cost
    linear, *head = flattened(inner)
    mean = LIKELIHOODS.get(tuple(map(type, head)))
    if type(linear) is not Linear or mean is None or mean is IDENTITY or not _plain(head[-1], data):
        return None
    names = {id(array): name for name, array in cost.parameters().items()}
    if any(type(penalty) is not L2Penalty for penalty in penalties) or len(names) != len(linear.parameters()):
        return None
    if type(data.x) is not np.ndarray or data.x.ndim != 2 or data.x.dtype.kind not in "fiub":
        return None
    ridge = [
        math.fsum(penalty.strength for penalty in penalties if fnmatchcase(names[id(array)], penalty.pattern))
        for array in linear.parameters().values()
    ]
    return Recognized(linear, mean, (ridge[0], ridge[1] if len(ridge) > 1 else 0.0))


def _plain(loss: Any, data: Data) -> bool:
    """The loss is the log-likelihood and nothing else: no weights of its own, no labels left out or smoothed."""
    if any(getattr(loss, name, None) is not None for name in ("class_weights", "weight", "pos_weight")):
        return False
    if getattr(loss, "label_smoothing", 0.0) or not getattr(loss, "log_input", True):
        return False
    target = np.asarray(data.target)
    if isinstance(loss, NLLLoss):
        return target.dtype.kind in "iub" and target.ndim == 1 and not (target == loss.ignore_index).any()
    return target.dtype.kind in "fiub"
