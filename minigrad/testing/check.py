"""check_layer, check_loss and diagnose: what a user calls."""

from __future__ import annotations

import warnings
from contextlib import suppress
from typing import Any

import numpy as np

from minigrad.checks import kind, label, require_finite, require_floating, require_layer
from minigrad.containers import Container
from minigrad.layer import Layer
from minigrad.testing.cases import find_input
from minigrad.testing.examination import Examination
from minigrad.testing.models import examine_model
from minigrad.testing.report import Diagnosis, GradientContractError
from minigrad.testing.subject import clone, copied
from minigrad.testing.watch import TookTooLong, Watch, watching
from minigrad.typing import Seed


def diagnose(
    layer: Layer, z: Any = None, *arguments: Any, rng: Seed = 0, cases: str = "all", patience: float = 5.0
) -> Diagnosis:
    """Everything that is found wrong with the rules of `layer`, as data; nothing is raised for it.

        diagnose(MyLayer())                  an input is found by trying
        diagnose(MyLayer(), z)               at this z, and at others made from it
        diagnose(cost, x, target)            a whole model: each layer at its own input, then all together

    With s = sum(delta * forward(z)) for a random delta, rule 2 must give ds/dz and rule 3 ds/dparameter.  The numbers
    beside them are complex steps of rule 1, where these are confirmed by differences, else extrapolated differences;
    both estimate their own error, and no tolerance is asked for.  At a kink any slope between those of both sides is
    right.  The other laws: no argument is written to, nothing is kept of a call, no result shares memory that changes,
    rules 2 and 3 are linear in delta and repeat, any layout in memory gives the same numbers, float32 stays float32,
    complex steps go through unless `complex_safe = False`, rows are independent unless `rows_independent = False`.

    z: an array of floating numbers whose first axis is the batch, or its shape; a tuple of such arrays for a layer of
    several inputs; or integers, which have no derivative.  `arguments`: what forward takes after z.  `cases="given"`
    looks at this z alone; "all" also at other batch sizes, none, zeros, ties, and numbers of other sizes and signs.
    A random layer is held fixed by its generators.  `patience`: seconds that one call of a rule may take.

    TypeError, ValueError where `layer` is no layer, or z no array of finite numbers.
    """
    return _diagnosed(diagnose, layer, z, arguments, rng, cases, patience)


def _diagnosed(
    who: object, layer: Layer, z: Any, arguments: tuple[Any, ...], rng: Seed, cases: str, patience: float
) -> Diagnosis:
    require_layer(who, layer)
    if cases not in ("all", "given"):
        raise ValueError(f"{label(who)} expects cases to be 'all' or 'given', got {cases!r}")
    if not 0 < patience < float("inf"):
        raise ValueError(f"{label(who)} expects patience to be a number of seconds, more than 0, got {patience!r}")
    generator = np.random.default_rng(rng)
    with watching(patience) as watch, warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of means over nothing, and the like: NaN is looked for
        if z is None:
            z, arguments = find_input(layer, generator, arguments, watch)
        if type(z) is tuple and z and all(type(size) is int for size in z):
            z = generator.normal(size=z)
        require_real(who, z)
        z, arguments = _doubles(z), tuple(_doubles(argument) for argument in arguments)
        layer = created(layer, z, arguments, watch)
        if isinstance(layer, Container):
            return examine_model(layer, z, arguments, generator, watch, cases == "all")
        return Examination(layer, z, arguments, generator, watch, cases == "all").run()


def created(layer: Layer, z: Any, arguments: tuple[Any, ...], watch: Watch) -> Layer:
    """`layer`, or where it waits for a batch to make its arrays, a copy that has seen z."""
    try:
        watch.call(layer.parameters)
    except ValueError:
        with suppress(Exception), np.errstate(all="ignore"):
            twin = clone(layer)
            watch.call(twin.forward, copied(z), *copied(arguments))
            return twin
    except (Exception, TookTooLong):
        pass  # the examination will say so
    return layer


def require_real(who: object, z: Any) -> None:
    """z is an array, or a tuple of arrays, of finite real numbers or of whole ones (TypeError, ValueError)."""
    for part in z if type(z) is tuple and z else (z,):
        if isinstance(part, np.ndarray) and part.dtype.kind in "iu":
            continue
        require_floating(who, part)
        require_finite(who, part, "z")
        if part.dtype.kind == "c" or not part.size:
            raise ValueError(
                f"{label(who)} expects z to hold real numbers, at least one, got {part.dtype} of shape {part.shape}"
            )


def check_layer(
    layer: Layer, z: Any = None, *arguments: Any, rng: Seed = 0, cases: str = "all", patience: float = 5.0
) -> Diagnosis:
    """`diagnose`, and GradientContractError with all that was found where anything is wrong.

    >>> from minigrad import Tanh
    >>> check_layer(Tanh()).ok
    True
    """
    diagnosis = _diagnosed(check_layer, layer, z, arguments, rng, cases, patience)
    if not diagnosis.ok:
        raise GradientContractError(diagnosis)
    return diagnosis


def check_loss(
    loss: Layer, z: Any = None, *target: Any, rng: Seed = 0, cases: str = "all", patience: float = 5.0
) -> Diagnosis:
    """`check_layer` for a layer on top of a stack: rule 1 must give one number, or one for each row (ValueError).

    >>> from minigrad import NLLLoss
    >>> check_loss(NLLLoss()).ok
    True
    """
    require_layer(check_loss, loss)
    with watching(patience) as watch:
        if z is None:
            z, target = find_input(loss, np.random.default_rng(rng), target, watch)
    diagnosis = check_layer(loss, z, *target, rng=rng, cases=cases, patience=patience)
    value = clone(loss).forward(copied(z), *copied(target))[0]
    rows = np.shape(z[0] if type(z) is tuple else z)[:1]
    if np.shape(value) not in ((), rows):
        raise ValueError(
            f"check_loss expects {label(loss)} to give one number, or one for each of the {rows[0]} rows, "
            f"got {kind(value)}: reduce over the other axes, or use check_layer"
        )
    return diagnosis


def _doubles(value: Any) -> Any:
    """Real floating arrays in float64, in which the mathematics is judged."""
    if type(value) is tuple:
        return tuple(_doubles(part) for part in value)
    if isinstance(value, np.ndarray) and value.dtype.kind == "f":
        return np.asarray(value, dtype=float)
    return value
