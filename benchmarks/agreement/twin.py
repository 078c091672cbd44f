"""A layer of minigrad and the same of PyTorch, and how far their numbers are apart."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from minigrad import Layer

TOLERANCE = {"float64": 1e-12, "float32": 1e-5}


class Pair(NamedTuple):
    """Two layers for one input.

    `theirs` is a torch.nn.Module, or a function of torch tensors: of the parts of z, then of the arguments.
    Parameters of the same names are given the same numbers; `names` maps ours to theirs where they differ, and `None`
    says that theirs has none of that name.  `result` takes from what theirs returns the tensor to compare.
    """

    ours: Layer
    theirs: Any
    z: Any  # an array, or a tuple of arrays
    arguments: tuple[Any, ...] = ()  # what comes after z, for both: targets, masks
    names: Mapping[str, str] = {}
    result: Callable[[Any], Any] = lambda result: result


class Twin(NamedTuple):
    """What is compared: `draw(rng)` makes a pair at random shapes, options and numbers."""

    name: str
    draw: Callable[[np.random.Generator], Pair]


def differences(pair: Pair, dtype: str, rng: np.random.Generator) -> dict[str, float]:
    """{array: largest difference, relative to the largest entry of PyTorch's}, for the output and each gradient.

    Both are given the same numbers in `dtype`, and the same random delta at the output.
    """
    import torch

    ours = pair.ours.astype(dtype)
    z = tuple(_cast(part, dtype) for part in (pair.z if type(pair.z) is tuple else (pair.z,)))
    arguments = tuple(_cast(argument, dtype) for argument in pair.arguments)
    theirs, of_theirs = pair.theirs, {}
    if isinstance(theirs, torch.nn.Module):
        theirs = theirs.to(getattr(torch, dtype)).train()
        named = dict(theirs.named_parameters())
        for name, array in ours.parameters().items():
            of_theirs[name] = named[pair.names.get(name, name)]
            of_theirs[name].data = torch.tensor(array).reshape(of_theirs[name].shape)
    given: Any = z if type(pair.z) is tuple else z[0]
    z_next, cache = ours.forward(given, *arguments)
    delta = np.asarray(rng.normal(size=np.shape(z_next)).astype(dtype))
    dz, gradients = ours.backpropagate(delta[()], cache)

    tensors = [torch.tensor(part, requires_grad=part.dtype.kind == "f") for part in z]
    result = pair.result(theirs(*tensors, *(_tensor(argument) for argument in arguments)))
    if result.shape != delta.shape:
        return {"output": math.inf}
    result.backward(torch.tensor(delta))

    found = {"output": _apart(z_next, result)}
    for i, (part, tensor) in enumerate(zip(dz if type(dz) is tuple else (dz,), tensors, strict=True)):
        if tensor.grad is not None:
            found[f"dz[{i}]" if len(tensors) > 1 else "dz"] = _apart(part, tensor.grad)
    for name, parameter in of_theirs.items():
        found[f"d{name}"] = _apart(gradients[name], parameter.grad)
    return found


def _cast(value: Any, dtype: str) -> Any:
    return value.astype(dtype) if isinstance(value, np.ndarray) and value.dtype.kind == "f" else value


def _tensor(value: Any) -> Any:
    import torch

    return torch.tensor(value) if isinstance(value, np.ndarray) else value


def _apart(ours: Any, theirs: Any) -> float:
    """The largest difference, relative; infinity where one is not a number, or types or shapes differ."""
    expected, found = theirs.detach().numpy(), np.asarray(ours)
    if found.dtype != expected.dtype or found.shape != expected.shape:
        return math.inf
    if not expected.size:
        return 0.0
    apart = float(np.abs(found - expected).max() / max(np.abs(expected).max(), 1e-30))
    return apart if math.isfinite(apart) else math.inf
