"""The null model of a stack: the same likelihood, told nothing of x."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad.containers import Sequential
from minigrad.layers import Linear
from minigrad.mle.entry.heads import layers_of

if TYPE_CHECKING:
    from minigrad.mle.stacks.stack import Stack


def null_model(whole: Stack) -> Stack | None:
    """The bias of the last Linear, the offset, and what stands on it; None where the stack begins with no Linear.

    The parameters of what stands on it are estimated too.  A stack that is penalised has none either.
    """
    from minigrad.mle.stacks.stack import stack

    layers = layers_of(whole.cost)
    last = next((i for i in reversed(range(len(layers))) if type(layers[i]) is Linear), None)
    if last is None or whole.variables.bottom is None or whole.penalized:
        return None
    linear: Any = layers[last]
    nothing = Linear(1, linear.out_features, bias=linear.bias is not None, rng=0)
    if linear.bias is not None:
        nothing.bias = linear.bias.astype(float)
    x = np.zeros((whole.rows, 1))
    data = dataclasses.replace(whole.data, x=x, names=["nothing"], target=whole.rules.target)
    return stack(Sequential(nothing, *layers[last + 1 :]), data, told=False)
