"""build: the widths that were left out, from the shape of the input."""

from __future__ import annotations

import copy
from typing import Any, TypeVar

import numpy as np

from minigrad.checks import require_layer
from minigrad.containers import Sequential
from minigrad.layer import Layer
from minigrad.losses import Loss, Penalized
from minigrad.shapes import batch_of

Model = TypeVar("Model", bound=Layer)


def build(model: Model, shape: Any) -> Model:
    """The same model, whose layers now have their arrays: one row of zeros is run through it, at inference.

    `shape` is that of one row of the input, without the batch; a tuple of such shapes where the model takes several
    arrays; or a batch, where its numbers matter, as indices do.  A loss on top is left out.

    >>> from minigrad import Linear, Sequential, Tanh
    >>> build(Sequential(Linear(None, 5), Tanh(), Linear(None, 2)), (3,))
    Sequential(
      0: Linear(3 -> 5)
      1: Tanh()
      2: Linear(5 -> 2)
    )
    """
    require_layer(build, model)
    batch = batch_of(build, shape)
    with np.errstate(all="ignore"):  # zeros need not be in the domain of every layer
        _below(copy.deepcopy(model))(batch)  # all or nothing: a width that fits below may fail above
        _below(model)(batch)
    return model


def _below(model: Layer) -> Layer:
    """The model without its penalties, and without the loss on top."""
    if isinstance(model, Penalized):
        return _below(model.cost)
    if isinstance(model, Sequential) and len(model):
        top = model[-1]
        if isinstance(top, Loss):
            return model[:-1]
        below = _below(top)
        return model if below is top else Sequential(*model[:-1], below)
    return model
