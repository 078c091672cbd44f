"""What a layer has to keep: parameters, arrays of state, and random generators, each once, by dotted name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.lib.array_utils import byte_bounds

from minigrad.checks import kind, label, require_apart, require_finite
from minigrad.layer import Layer
from minigrad.saving.generators import generator_state
from minigrad.typing import Array

PUT_BACK = "put back parameters and state that were good"


def state_arrays(layer: Layer) -> dict[str, Array]:
    """{name: array} of the parameters and then of the state: the arrays themselves, one of several places once."""
    named = dict(layer.parameters())
    seen = {id(array) for array in named.values()}
    for name, value in layer.state().items():
        if isinstance(value, np.ndarray):
            if id(value) not in seen:
                seen.add(id(value))
                named[name] = value
        elif value is not None and not isinstance(value, np.random.Generator):
            raise TypeError(
                f"{label(layer)} has {kind(value)} as its state {name}, which cannot be saved: let it be an array, of "
                "no axes where it is one number, np.array(0), or a np.random.Generator"
            )
    for name in named:
        if "/" in name:
            raise ValueError(f"{label(layer)} has an array {name!r}: names in a file have no /, give it another")
    return named


def state_generators(layer: Layer) -> dict[str, np.random.Generator]:
    """{name: generator}: the generators themselves, one of several places once."""
    named: dict[str, np.random.Generator] = {}
    seen: set[int] = set()
    for name, value in layer.state().items():
        if isinstance(value, np.random.Generator) and id(value.bit_generator) not in seen:
            seen.add(id(value.bit_generator))
            named[name] = value
    return named


def snapshot(layer: Layer) -> tuple[dict[str, Array], dict[str, Any]]:
    """(arrays, generators) by name: the arrays themselves, and records of the states of the generators.

    ValueError where a parameter is not finite or an array of state is NaN: a file that would not load is not written.
    """
    arrays = state_arrays(layer)
    require_all_apart(layer, arrays)
    parameters = layer.parameters()
    for name, array in arrays.items():
        if name in parameters:
            try:
                require_finite(layer, array, name)
            except ValueError as error:  # which advises what to do with data
                raise ValueError(f"{error.args[0].removesuffix(': clean or impute them first')}: {PUT_BACK}") from None
        elif has_nan(array):
            raise ValueError(f"{label(layer)} has NaN in its state {name}: {PUT_BACK}")
    return arrays, {name: generator_state(name, rng) for name, rng in state_generators(layer).items()}


def require_all_apart(layer: Layer, arrays: Mapping[str, Array]) -> None:
    """Arrays of different names do not overlap in memory (ValueError); soon seen, of thousands of them too."""
    spans = sorted((*byte_bounds(array), name) for name, array in arrays.items() if array.size)
    group: dict[str, Array] = {}
    end = 0
    for start, stop, name in spans:
        group = group if start < end else {}  # pairs need looking at only where their spans in memory meet
        group[name] = arrays[name]
        end = max(end, stop)
        if len(group) > 1:
            require_apart(layer, group)


def has_nan(array: Array) -> bool:
    """A number of a floating type is NaN."""
    return array.dtype.kind in "fc" and bool(np.isnan(array).any())
