"""Messages for bad input: who, expected, got, and what to do.

Checks on the way of every step look at types and shapes only.  Values are scanned once, where they enter.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from minigrad.typing import Array, Gradients


class ShapeError(ValueError):
    """An array does not fit where it goes."""


def kind(value: object) -> str:
    """What a value is, in a few words that fit an error message."""
    if isinstance(value, np.ndarray):
        return f"{type(value).__name__} of {value.dtype} and shape {value.shape}"
    if isinstance(value, type):
        return f"the class {value.__name__}"
    return "None" if value is None else type(value).__name__


def shape_of(value: object) -> str:
    """The shape of an array or number, or what else it is."""
    return str(np.shape(value)) if isinstance(value, np.ndarray | np.generic | float | int | complex) else kind(value)


def label(who: object) -> str:
    """Who speaks: a container by its outline, another layer by its repr, a function by its name."""
    if hasattr(who, "outline") and not isinstance(who, type):
        return str(who.outline())
    return getattr(who, "__name__", "") or repr(who)


def require_layer(who: object, layer: Any) -> None:
    """`layer` is a layer, by its rules (TypeError)."""
    if isinstance(layer, type) or not hasattr(layer, "parameter_gradients"):
        fix = f"make one, {layer.__name__}(...)" if isinstance(layer, type) else "pass the model or the cost itself"
        raise TypeError(f"{label(who)} expects a layer, got {kind(layer)}: {fix}")


def require_layers(who: object, layers: Sequence[Any]) -> None:
    """`layers` are layers, made and unpacked (TypeError)."""
    for i, layer in enumerate(layers):
        if isinstance(layer, type) or not hasattr(layer, "parameter_gradients"):
            if isinstance(layer, type) and hasattr(layer, "parameter_gradients"):
                fix = f"make one, {layer.__name__}(...)"
            elif isinstance(layer, list | tuple):
                fix = f"unpack it, {label(who)}(*layers)"
            else:
                fix = "a function becomes a layer as a subclass of Layer or Elementwise"
            raise TypeError(f"{label(who)} expects layers, got {kind(layer)} as layer {i}: {fix}")


def require_tuple(who: object, value: Any, count: int | None, what: str = "z") -> None:
    """`value` is a tuple of `count` parts, or of any number of them, one or more (TypeError, ValueError)."""
    if type(value) is not tuple:
        got = f"one array of shape {value.shape}" if isinstance(value, np.ndarray) else kind(value)
        raise no_tuple(who, got, count, what)
    if len(value) != count if count is not None else not value:
        expected = f"a tuple of {_arrays(count)}"
        raise ValueError(f"{label(who)} expects {what} to be {expected}, got {len(value)}: one for each branch")


def require_shape(who: object, shape: Any, name: str = "z") -> None:
    """`shape` is that of one array, and not of a tuple of them: in the words of `require_floating`."""
    if shape and isinstance(shape[0], tuple):
        raise not_one_array(who, shape, name)


def no_tuple(who: object, got: str, count: int | None, what: str) -> TypeError:
    """The error of something that ought to be a tuple of arrays."""
    return TypeError(f"{label(who)} expects {what} to be a tuple of {_arrays(count)}, got {got}: pass (a, b, ...)")


def not_one_array(who: object, parts: Any, name: str) -> TypeError:
    """The error of a tuple that ought to be an array."""
    return TypeError(
        f"{label(who)} expects {name} to be one array, got a tuple of {len(parts)}: Add or Concatenate joins them"
    )


def _arrays(count: int | None) -> str:
    return "arrays" if count is None else f"{count} arrays"


def require_floating(who: object, z: Any, name: str = "z") -> None:
    """`z` is a plain array of a floating or complex type (TypeError)."""
    # np.matrix and masked arrays redefine `*` and drop values: both would go wrong without a word.
    plain = type(z) is np.ndarray or (
        isinstance(z, np.ndarray | np.generic) and not isinstance(z, np.matrix | np.ma.MaskedArray)
    )
    if not plain:
        if type(z) is tuple:
            raise not_one_array(who, z, name)
        raise TypeError(
            f"{label(who)} expects {name} to be a NumPy array, got {kind(z)}: pass np.asarray({name}, dtype=float)"
        )
    if z.dtype.kind not in "fc":
        raise TypeError(
            f"{label(who)} expects {name} of a floating type, got {z.dtype}: "
            f"pass {name}.astype(float), or .astype(np.float32)"
        )


def is_floating(value: object) -> bool:
    """`value` is an array of a floating or complex type."""
    return isinstance(value, np.ndarray) and value.dtype.kind in "fc"


def require_delta(who: object, delta: Any, shape: tuple[int, ...]) -> None:
    """`delta` has the shape of the output (ValueError): another would broadcast to a wrong gradient."""
    if getattr(delta, "shape", ()) != shape:
        raise ShapeError(
            f"{label(who)} expects delta of the shape of its output, {shape}, got {shape_of(delta)}: "
            "rule 2 of the layer above returned it, or the caller passed it"
        )
    if shape and delta.dtype.kind not in "fc":  # of integers, some rules would give integers
        require_floating(who, delta, "delta")


def require_float_dtype(who: object, dtype: Any) -> np.dtype[Any]:
    """`dtype` is a floating or complex type (TypeError)."""
    if np.dtype(dtype).kind not in "fc":
        raise TypeError(f"{label(who)} expects a floating dtype, got {np.dtype(dtype)}: np.float64 or np.float32")
    return np.dtype(dtype)


def all_finite(array: Array) -> bool:
    """No NaN and no infinity.  The sum of squares says so without a temporary, unless it overflows itself."""
    return math.isfinite(abs(np.vdot(array, array))) or bool(np.isfinite(array).all())


def largest(array: Array) -> Any:
    """The largest entry, NaN where there is one; of small arrays in a quarter of the time that `max` takes."""
    return array.item(array.argmax())


def require_finite(who: object, array: Array, name: str) -> None:
    """No NaN and no infinity (ValueError names the first).  Scans the array."""
    if not all_finite(array):
        finite = np.isfinite(array)
        first = np.unravel_index(int(np.argmin(finite)), finite.shape)
        index = ", ".join(str(int(i)) for i in first)
        raise ValueError(
            f"{label(who)} expects finite numbers, got {array[first]} in {name}[{index}] "
            f"({finite.size - np.count_nonzero(finite)} of {finite.size} entries are not finite): "
            "clean or impute them first"
        )


def require_parameter(layer: object, name: str, array: Any) -> Array:
    """`array`: what the attribute `name` of a layer holds is an array of a floating type (TypeError)."""
    if array is None and not hasattr(layer, name):
        raise TypeError(
            f"{label(layer)} lists {name!r} in parameter_names, and self.{name} is not set: set it in __init__, "
            "np.array(..., dtype=float)"
        )
    if type(array) is not np.ndarray or array.dtype.kind not in "fc":
        raise TypeError(
            f"{label(layer)} lists {name!r} in parameter_names, so self.{name} must be an array of a floating type, "
            f"got {kind(array)}: set it in __init__, np.array(..., dtype=float)"
        )
    return array


def require_replacement(layer: object, own: Mapping[str, Array], arrays: Mapping[str, Array]) -> dict[str, Array]:
    """`arrays`, which can stand in for the parameters `own` of the same names (TypeError, ValueError)."""
    require_apart(layer, own)
    replacement: dict[str, Array] = {}
    for name, given in arrays.items():
        if name not in own:
            state = f"; it is state, model.state()[{name!r}][...] = array writes it"
            held = state if hasattr(layer, "state") and name in layer.state() else ""
            raise ValueError(f"{label(layer)} has no parameter {name!r}{held}: it has {', '.join(own) or 'none'}")
        require_floating(layer, given, name)
        if given.shape != own[name].shape:
            raise ValueError(f"{label(layer)} expects {name} of shape {own[name].shape}, got {given.shape}")
        require_finite(layer, given, name)
        array = np.asarray(given)
        # One array under two names would tie the two parameters.
        replacement[name] = array.copy() if any(array is other for other in replacement.values()) else array
    return replacement


def require_apart(layer: object, arrays: Mapping[str, Array]) -> None:
    """Parameters of different names do not overlap in memory (ValueError): W and W.T would come apart unnoticed."""
    for (name, array), (other, another) in combinations(arrays.items(), 2):
        if array is not another and np.may_share_memory(array, another) and np.shares_memory(array, another):
            raise ValueError(
                f"{label(layer)} has parameters {name} and {other} that overlap in memory, but are not one array: "
                "let both layers hold the same array, and transpose or slice it inside a rule"
            )


def require_held(layer: Any, arrays: Mapping[str, Array]) -> None:
    """`layer` now holds `arrays` (TypeError): a parameter that a property computes anew cannot be replaced."""
    held = layer.parameters() | layer.state()
    for name, array in arrays.items():
        if held.get(name) is not array:
            raise TypeError(f"{label(layer)} does not hold {name} as an attribute, so it cannot be replaced")


def require_gradients(who: object, arrays: Mapping[str, Array], gradients: Gradients) -> None:
    """One gradient for each parameter, of its shape (TypeError, ValueError)."""
    if not isinstance(gradients, dict):
        raise TypeError(f"{label(who)} expects gradients as a dictionary {{name: array}}, got {kind(gradients)}")
    if gradients.keys() != arrays.keys():
        lacking = [f"{name!r} is lacking" for name in arrays if name not in gradients]
        unknown = [f"{name!r} is not in parameter_names" for name in gradients if name not in arrays]
        raise ValueError(
            f"{label(who)} expects one gradient for each of {list(arrays)}, got {list(gradients)}: "
            f"{', '.join(lacking + unknown)}"
        )
    for name, array in arrays.items():
        if getattr(gradients[name], "shape", ()) != array.shape:
            raise ValueError(
                f"{label(who)} expects the gradient of {name} to have its shape {array.shape}, "
                f"got {shape_of(gradients[name])}: sum over the axes along which the parameter was broadcast"
            )


def require_pair(layer: object, result: object) -> None:
    """What `forward` returned is (z_next, cache) (TypeError): a bare array of two rows would unpack without a word."""
    if type(result) is not tuple or len(result) != 2:
        raise TypeError(f"{label(layer)} must return (z_next, cache) from forward, got {kind(result)}")


def require_caches(container: object, caches: Any, count: int) -> None:
    """`caches` is what forward of a container of `count` layers returned beside z_next (TypeError)."""
    if type(caches) is not tuple or len(caches) != count:
        raise TypeError(
            f"{label(container)} expects the cache of its forward, one entry for each of {count} layers, "
            f"got {kind(caches)}: value, cache = cost.forward(x, target)"
        )


def explain_arguments(
    error: Exception, layer: Any, arguments: tuple[Any, ...], options: dict[str, Any], on_top: bool
) -> None:
    """Have a TypeError say what the forward of `layer` takes, where it cannot take these arguments."""
    if not isinstance(error, TypeError):
        return
    import inspect  # on use: it is slow to import

    signature = inspect.signature(layer.forward)
    try:
        signature.bind(*arguments, **options)
    except TypeError as mismatch:
        parameters = signature.parameters.values()
        names = ", ".join(p.name if p.default is p.empty else f"{p.name}={p.default}" for p in parameters)
        given = len(arguments) + len(options)
        if given < sum(p.default is p.empty for p in parameters):
            fix = "a target is missing" if on_top else "a layer that takes a target must stand on top"
        elif len(parameters) == 1:
            fix = "only a loss, on top of the stack, takes a target"
        else:
            fix = str(mismatch)
        error.args = (f"{label(layer)} expects forward({names}), got {given} argument{'s' * (given != 1)}: {fix}",)


def require_count(who: object, name: str, value: Any) -> int:
    """`value` as a whole number of 1 or more (ValueError)."""
    if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{label(who)} expects {name} to be a positive integer, got {value!r}")
    return int(value)


def require_axis(who: object, axis: Any) -> int:
    """`axis` as a whole number, and not 0, the batch (ValueError)."""
    if not isinstance(axis, int | np.integer) or isinstance(axis, bool) or axis == 0:
        raise ValueError(f"{label(who)} expects axis to be an integer other than 0, the batch, got {axis!r}")
    return int(axis)


def require_flag(who: object, name: str, value: Any, fix: str = "") -> bool:
    """`value` as True or False (TypeError): a number or an array here is a misplaced argument."""
    if not isinstance(value, bool | np.bool):
        raise TypeError(f"{label(who)} expects {name} to be True or False, got {kind(value)}{fix and f': {fix}'}")
    return bool(value)


def require_number(who: object, name: str, value: Any, *, least: float = -math.inf, above: float = -math.inf) -> float:
    """`value` as a finite real number, of `least` or more and above `above` (TypeError, ValueError)."""
    if not isinstance(value, int | float | np.integer | np.floating) or isinstance(value, bool):
        raise TypeError(f"{label(who)} expects {name} to be a number, got {kind(value)}")
    if not (math.isfinite(value) and value >= least and value > above):
        limit = f" of {least:g} or more" if least > -math.inf else f" above {above:g}" if above > -math.inf else ""
        raise ValueError(f"{label(who)} expects {name} to be a finite number{limit}, got {value!r}")
    return float(value)
