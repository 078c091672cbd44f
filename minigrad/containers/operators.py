"""Operators: f >> g and f + g.  Layer cannot know the containers that they make, so they are given to it here."""

from __future__ import annotations

from typing import Any

from minigrad.checks import require_layers
from minigrad.containers.branches import Branch
from minigrad.containers.joints import Add
from minigrad.containers.sequential import Sequential
from minigrad.layer import Layer


def stack(below: Layer, above: Any) -> Sequential:
    """f >> g: g on top of f.  Stacks are joined into one, so that `model >> loss` is as `Sequential(*model, loss)`."""
    require_layers(stack, (above,))
    return Sequential(*_layers(below), *_layers(above))


def add(first: Layer, second: Any) -> Sequential:
    """f + g: z goes into both, and their outputs are added."""
    require_layers(add, (second,))
    return Sequential(Branch(first, second), Add())


def _layers(layer: Layer) -> tuple[Layer, ...]:
    return layer.layers if type(layer) is Sequential else (layer,)


Layer.__rshift__ = stack
Layer.__add__ = add
