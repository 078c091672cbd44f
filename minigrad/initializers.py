"""Initialisers: (shape, rng) -> array.

Each function here returns one: `Linear(64, 10, weight_initializer=normal(0.01))`.  Any function of a shape and a
generator will do in its place.  `reinitialize` draws a whole model anew, by the names of its parameters.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np

from minigrad.checks import (
    kind,
    label,
    require_apart,
    require_finite,
    require_float_dtype,
    require_layer,
    require_number,
)
from minigrad.kernels import normal_cdf, normal_quantile
from minigrad.layer import Layer
from minigrad.typing import Array, Seed

Initializer: TypeAlias = "Callable[[tuple[int, ...], np.random.Generator], Array]"


def constant(value: float) -> Initializer:
    """Every entry is `value`."""
    number = require_number(constant, "value", value)
    return lambda shape, rng: np.full(shape, number)


def zeros() -> Initializer:
    """Every entry is 0: right for a convex cost, wrong below a hidden layer, whose units would stay alike."""
    return constant(0.0)


def uniform(bound: float) -> Initializer:
    """Independent uniform numbers on [-bound, bound)."""
    require_number(uniform, "bound", bound, least=0.0)
    return lambda shape, rng: rng.uniform(-bound, bound, shape)


def normal(std: float) -> Initializer:
    """Independent normal numbers of mean 0 and standard deviation `std`."""
    require_number(normal, "std", std, least=0.0)
    return lambda shape, rng: rng.normal(0.0, std, shape)


# Bounds and deviations that keep the size of signals from layer to layer.


def fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """(fan_in, fan_out) of a weight (out, in, *kernel): how many inputs make one output, and the other way round."""
    if len(shape) < 2:
        raise ValueError(
            f"fans expects the shape of a weight, (out, in, ...), got {tuple(shape)}: scales and biases have one axis, "
            "take constant(1.0) and zeros() for them, by a pattern of their own"
        )
    field = math.prod(shape[2:])
    return shape[1] * field, shape[0] * field


def gain(nonlinearity: str, param: float | None = None) -> float:
    """The factor that makes up for what a nonlinearity takes from the size of a signal; that of PyTorch.

    `param` is the slope of "leaky_relu", 0.01 where it is left out.  ValueError for a name that is not known.
    """
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else require_number(gain, "param", param)
        return math.sqrt(2 / (1 + slope * slope))
    if nonlinearity not in GAINS:
        known = ", ".join(["leaky_relu", *GAINS])
        raise ValueError(f"gain expects nonlinearity to be one of {known}, got {nonlinearity!r}")
    return GAINS[nonlinearity]


GAINS = {
    "linear": 1.0,
    "conv1d": 1.0,
    "conv2d": 1.0,
    "conv3d": 1.0,
    "conv_transpose1d": 1.0,
    "conv_transpose2d": 1.0,
    "conv_transpose3d": 1.0,
    "sigmoid": 1.0,
    "tanh": 5 / 3,
    "relu": math.sqrt(2),
    "selu": 3 / 4,
}


def xavier_uniform(gain: float = 1.0) -> Initializer:
    """Uniform on +-gain sqrt(6 / (fan_in + fan_out)); Glorot and Bengio, 2010."""
    factor = require_number(xavier_uniform, "gain", gain, above=0.0)
    return lambda shape, rng: uniform(factor * math.sqrt(6 / max(sum(fans(shape)), 1)))(shape, rng)


def xavier_normal(gain: float = 1.0) -> Initializer:
    """Normal of standard deviation gain sqrt(2 / (fan_in + fan_out)); Glorot and Bengio, 2010."""
    factor = require_number(xavier_normal, "gain", gain, above=0.0)
    return lambda shape, rng: normal(factor * math.sqrt(2 / max(sum(fans(shape)), 1)))(shape, rng)


def kaiming_uniform(a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu") -> Initializer:
    """Uniform on +-gain sqrt(3 / fan), gain = gain(nonlinearity, a), fan by `mode`; He, Zhang, Ren and Sun, 2015."""
    std = _kaiming(kaiming_uniform, a, mode, nonlinearity)
    return lambda shape, rng: uniform(math.sqrt(3) * std(shape))(shape, rng)


def kaiming_normal(a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu") -> Initializer:
    """Normal of standard deviation gain / sqrt(fan), as in kaiming_uniform; He, Zhang, Ren and Sun, 2015."""
    std = _kaiming(kaiming_normal, a, mode, nonlinearity)
    return lambda shape, rng: normal(std(shape))(shape, rng)


def _kaiming(who: object, a: float, mode: str, nonlinearity: str) -> Callable[[tuple[int, ...]], float]:
    """shape -> standard deviation."""
    require_number(who, "a", a)
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"{label(who)} expects mode to be 'fan_in' or 'fan_out', got {mode!r}")
    factor = gain(nonlinearity, a)
    return lambda shape: factor / math.sqrt(max(fans(shape)[mode == "fan_out"], 1))


def orthogonal(gain: float = 1.0) -> Initializer:
    """gain Q, where Q, as a matrix (out, everything else), has orthonormal rows or columns, whichever are fewer.

    Q is uniform over all such matrices: that of a QR decomposition of normal numbers, with the diagonal of R made
    positive.  Saxe, McClelland and Ganguli, 2014.
    """
    factor = require_number(orthogonal, "gain", gain)

    def initializer(shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        fans(shape)
        rows, columns = shape[0], math.prod(shape[1:])
        q, r = np.linalg.qr(rng.normal(size=(max(rows, columns), min(rows, columns))))
        q *= np.where(np.diagonal(r) < 0, -1, 1)
        return factor * (q if rows >= columns else q.T).reshape(shape)

    return initializer


def truncated_normal(
    std: float = 1.0, lower: float | None = None, upper: float | None = None, mean: float = 0.0
) -> Initializer:
    """Normal numbers that lie between `lower` and `upper`, left out: two standard deviations from the mean.

    The bounds are those of the numbers, as PyTorch's a and b, whose own -2 and 2 cut nothing off where std is small.
    Drawn by the inverse of the distribution function, so that no number is drawn in vain.  ValueError where the normal
    distribution has less than 1e-300 between the bounds' side and its tail, more than 37 deviations out.
    """
    mean, std = require_number(truncated_normal, "mean", mean), require_number(truncated_normal, "std", std, above=0.0)
    low = mean - 2 * std if lower is None else float(lower)
    high = mean + 2 * std if upper is None else float(upper)
    if not low < high:
        raise ValueError(f"truncated_normal expects lower < upper, got {low!r} and {high!r}")
    # Where most lies in the upper tail, its mirror image is drawn: probabilities near 0 have digits, those near 1 none.
    sign = -1.0 if low + high > 2 * mean else 1.0
    ends = sorted((sign * (low - mean) / std, sign * (high - mean) / std))
    p_low, p_high = (float(p) for p in normal_cdf(np.array(ends)))
    if p_high < 1e-300:
        raise ValueError(
            f"truncated_normal expects bounds within 37 deviations of the mean {mean:g}, got {low:g} and {high:g}"
        )

    def initializer(shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        return np.clip(mean + sign * std * normal_quantile(rng.uniform(p_low, p_high, shape)), low, high)

    return initializer


def sparse(sparsity: float, std: float = 0.01) -> Initializer:
    """Normal numbers, of which in each column ceil(sparsity * rows) are 0; Martens, 2010.  For two axes."""
    std = require_number(sparse, "std", std, above=0.0)
    if not 0 <= require_number(sparse, "sparsity", sparsity) <= 1:
        raise ValueError(f"sparse expects sparsity, the part that is 0, to lie between 0 and 1, got {sparsity!r}")

    def initializer(shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        if len(shape) != 2:
            raise ValueError(f"sparse expects a weight of two axes, (out, in), got the shape {shape}")
        ranks = np.broadcast_to(np.arange(shape[0])[:, np.newaxis], shape)
        kept = rng.permuted(ranks, axis=0) >= math.ceil(sparsity * shape[0])
        return kept * rng.normal(0.0, std, shape)

    return initializer


def initialize(initializer: Initializer, shape: tuple[int, ...], rng: np.random.Generator, dtype: Any) -> Array:
    """A new parameter of `shape` and floating type `dtype` (TypeError, ValueError unless the initialiser makes one)."""
    who = getattr(initializer, "__name__", type(initializer).__name__)
    try:
        array = initializer(shape, rng)
    except TypeError as error:
        raise ValueError(
            f"initialiser {who} was called with a shape and a generator and raised {error}: "
            "an initialiser is a function (shape, rng) -> array, such as normal(0.01) with its argument given"
        ) from error
    if not isinstance(array, np.ndarray) or array.shape != shape:
        raise ValueError(f"initialiser {who} was asked for an array of shape {shape}, got {kind(array)}")
    array = np.array(array, dtype=require_float_dtype(initializer, dtype))
    require_finite(initializer, array, "the initial array")
    return array


def reinitialize(model: Layer, rules: Mapping[str, Initializer], *, rng: Seed = None) -> None:
    """Write new numbers into the parameters of `model`, by their names; the last pattern that fits a name decides.

        reinitialize(model, {"*.weight": kaiming_normal(), "*.bias": zeros(), "4.weight": orthogonal()}, rng=0)

    In a pattern * stands for anything, ? for one letter, [01] for one of these.  A parameter that fits none is left as
    it is; one that several places share is drawn once, and fits by any of its names.  The arrays stay the same
    objects, so that whatever holds them, such as FlatParameters, sees the new numbers.

    All is drawn before anything is written.  ValueError for a pattern without a parameter, for numbers that are not
    finite or of another shape, and for an array that is read-only.

    >>> from minigrad import Linear, Sequential, Tanh
    >>> model = Sequential(Linear(2, 2), Tanh(), Linear(2, 1))
    >>> reinitialize(model, {"*": zeros(), "2.weight": constant(0.5)})
    >>> model.layers[2].weight
    array([[0.5, 0.5]])
    """
    require_layer(reinitialize, model)
    arrays = model.parameters()
    require_apart(model, arrays)
    generator = np.random.default_rng(rng)
    drawn = []
    for name, initializer in _chosen(model, arrays, rules).items():
        array = arrays[name]
        try:
            if not array.flags.writeable:
                raise ValueError(f"reinitialize writes into the arrays of {label(model)}, but {name} is read-only")
            drawn.append((array, initialize(initializer, array.shape, generator, array.dtype)))
        except Exception as error:
            error.add_note(f"in the new numbers for {name}; nothing was changed")
            raise
    for array, numbers in drawn:
        array[...] = numbers


def _chosen(model: Layer, arrays: Mapping[str, Array], rules: Mapping[str, Initializer]) -> dict[str, Initializer]:
    """{name: initialiser} for the parameters that a pattern fits, in the order of `arrays`."""
    from fnmatch import fnmatchcase  # on use: importing minigrad loads little beyond NumPy

    aliases: dict[int, list[str]] = {id(array): [name] for name, array in arrays.items()}
    for name, owner, attribute in model.parameter_places():
        if id(getattr(owner, attribute)) in aliases:  # a frozen place holds no parameter
            aliases[id(getattr(owner, attribute))].append(name)
    chosen = {}
    for pattern, initializer in rules.items():
        fitting = [
            name for name, array in arrays.items() if any(fnmatchcase(alias, pattern) for alias in aliases[id(array)])
        ]
        if not fitting:
            names = ", ".join(arrays) or "none"
            raise ValueError(f"reinitialize finds no parameter {pattern!r} in {label(model)}: it has {names}")
        chosen.update(dict.fromkeys(fitting, initializer))
    return {name: chosen[name] for name in arrays if name in chosen}
