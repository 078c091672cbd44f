"""What a class says of itself beside what is seen: complex_safe, output_shape, parameter_names, children."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import numpy as np

from minigrad.checks import label
from minigrad.containers import Container
from minigrad.layer import Layer
from minigrad.shapes import N, for_any_batch, is_shape, shapes_of
from minigrad.testing.cases import REGIMES, batch_size, chosen_rows, redrawn
from minigrad.testing.failures import deliberate, source_of
from minigrad.testing.numeric import EPS, largest
from minigrad.testing.protocol import rule_of
from minigrad.testing.report import Finding
from minigrad.testing.subject import RuleError, Subject, clone
from minigrad.typing import Array, Shapes

STEPS = (2.0**-10, 2.0**-16, 2.0**-21)


def complex_unsafe(subject: Subject, rng: np.random.Generator) -> tuple[int, str] | None:
    """(the rule, why complex steps through it do not give its derivatives), or None where they do.

    Near a kink numbers mislead: what is wrong with complex steps shows at any input.
    """
    others = ("ordinary numbers", "positive numbers")
    problem = None
    for z in [subject.z, *(redrawn(subject.z, REGIMES[name], rng) for name in others)]:
        try:
            found = _complex_problem(subject.at(z, subject.arguments), rng)
        except RuleError as failure:
            if not deliberate(failure.error):
                return None
            continue  # outside the domain
        if found is None:
            return None
        problem = problem or found
    return problem


def _complex_problem(subject: Subject, rng: np.random.Generator) -> tuple[int, str] | None:
    """The same at one input.

    Everything moves at once along a random direction; Im/h of each result must be its real directional derivative.
    """
    real_next, _ = subject.forward()
    along = {name: rng.normal(size=array.shape) for name, array in subject.arrays.items()}
    delta, delta_along = (rng.normal(size=np.shape(real_next))[()] for _ in range(2))

    def results(t: complex) -> dict[str, Array]:
        moved = {name: array + t * along[name] for name, array in subject.arrays.items()}
        subject.rewind()
        layer = clone(subject.layer)
        if subject.parameters:
            layer = layer.with_parameters({name: moved[name] for name in subject.parameters})
        z = subject.z
        for name in subject.inputs:
            z = moved[name] if type(z) is not tuple else subject.at(z, ()).with_input(name, moved[name])
        twin = Subject(layer, z, subject.arguments, subject.watch)
        twin.stochastic, twin.protected = subject.stochastic, subject.protected
        z_next, cache = twin.forward()
        return {"z_next": np.asarray(z_next)} | twin_rules(twin, delta + t * delta_along, cache)

    def twin_rules(twin: Subject, delta: Any, cache: Any) -> dict[str, Array]:
        twin.inputs = dict.fromkeys(subject.inputs, twin.z)
        return twin.rules(delta, cache)

    step = 1e-30
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", np.exceptions.ComplexWarning)
            imaginary = results(1j * step)
    except RuleError as error:
        return error.rule, f"rule {error.rule} raises for complex input ({type(error.error).__name__})"
    try:
        real = results(0.0)
        sides = [(results(s), results(-s)) for h in STEPS for s in (h, h / 2, h / 4)]
    except RuleError:
        return None  # at the edge of the domain
    for name, array in imaginary.items():
        rule = 1 if name == "z_next" else rule_of(subject, name)
        if array.dtype.kind != "c" and np.size(array):
            return rule, f"rule {rule} returns real numbers for complex input"
        # A kink close by spoils large steps, and rounding small ones: an entry that is wrong is off from all of them.
        off = np.ones(np.shape(real[name]), bool)
        for i, h in enumerate(STEPS):
            of_step = [(up[name], down[name]) for up, down in sides[3 * i : 3 * i + 3]]
            off &= _is_off(array.imag / step, of_step, real[name], h)
        if off.any():
            return rule, f"the imaginary part of rule {rule} is not its derivative (abs, max, a float buffer, .real?)"
    return None


def _is_off(found: Array, sides: list[tuple[Array, Array]], real: Array, h: float) -> Array:
    """Where `found` is not the derivative by steps of h, h/2 and h/4; nowhere, where there is a kink between."""
    coarse, middle, fine = ((up - down) / (2 * h / 2**k) for k, (up, down) in enumerate(sides))
    once = (4 * fine - middle) / 3
    value = (16 * once - (4 * middle - coarse) / 3) / 15
    size = max(largest(value), largest(real), 1e-3)
    up, down = sides[2]
    # A kink at the input, or close by: the slopes on the two sides differ.
    gap = np.abs(up + down - 2 * real) / (h / 4)
    smooth = np.isfinite(value).all() and largest(fine - coarse) <= 0.1 * size and largest(gap) <= 0.05 * size
    rounding = 64 * EPS * size / h
    return np.asarray(smooth & (np.abs(found - value) > 4 * np.abs(value - once) + 1e-6 * size + rounding))


def wrong_names(subject: Subject) -> Finding | None:
    """Rule 3 gives a gradient for each parameter, and for nothing else."""
    z_next, cache = subject.forward()
    gradients = subject.parameter_gradients(np.ones(np.shape(z_next))[()], cache)
    lacking = [name for name in subject.parameters if name not in gradients]
    unknown = [name for name in gradients if name not in subject.parameters]
    if not lacking and not unknown:
        return None
    source = source_of(subject.layer, 3)
    if unknown and not lacking and all(isinstance(getattr(subject.layer, n, None), np.ndarray) for n in unknown):
        said = f"rule 3 gives a gradient for {', '.join(unknown)}, not in parameter_names: list it there"
        return Finding(3, "unlisted_parameter", said, array=unknown[0], source=source)
    said = "rule 3 " + " and ".join(
        [f"gives none for {', '.join(lacking)}"] * bool(lacking)
        + [f"names {', '.join(unknown)}, which is in no parameter_names"] * bool(unknown)
    )
    return Finding(3, "names", said, array=(lacking or unknown)[0], source=source)


def odd_shape(subject: Subject) -> Finding | None:
    """A loss whose value has the shape (1,), which is neither one number nor one for each row."""
    if not subject.arguments or np.shape(subject.forward()[0]) != (1,) or batch_size(subject.z) == 1:
        return None
    said = "a loss gives a number, of shape (), or one for each row; this one has the shape (1,)"
    return Finding(1, "shape", said, source=source_of(subject.layer, 1))


def misdeclared_shape(subject: Subject) -> Finding | None:
    """A declared `output_shape` that is not what rule 1 gives, for this batch or any, or is one where rule 1 raises."""
    if type(subject.layer).output_shape is Layer.output_shape:
        return None
    found = shapes_of(subject.forward()[0])
    said = _unlike(subject.layer, shapes_of(subject.z), found) or _of_one_batch(subject, found) or _unrefused(subject)
    return Finding(1, "declared_shape", said) if said else None


def _unlike(layer: Layer, given: Shapes, found: Shapes) -> str:
    """What is wrong with the shape that a layer declares where rule 1 gives `found`; nothing where it is not known."""
    try:
        declared: Any = layer.output_shape(given)
    except Exception as error:
        declared = f"{type(error).__name__}: {error}"
    if declared is None or declared == found:
        return ""
    return f"output_shape({given}) is {declared}, but rule 1 gives {found}: check and summary would be wrong"


def _of_one_batch(subject: Subject, found: Shapes) -> str:
    """The same for a batch of a row more, and for a batch of N."""
    n = batch_size(subject.z)
    if not n:
        return ""
    more = subject.at(*chosen_rows(subject.z, subject.arguments, n, np.arange(n + 1) % n))
    try:
        of_more = shapes_of(more.forward()[0])
        for_any = for_any_batch(found, of_more, (n, n + 1))
    except (RuleError, ValueError):  # it takes batches of this size alone, or gives what has no first axis for them
        return ""
    given = shapes_of(subject.z)
    of_n = (N, *given[1:]) if is_shape(given) else tuple((N, *part[1:]) for part in given)
    return _unlike(subject.layer, shapes_of(more.z), of_more) or _unlike(subject.layer, of_n, for_any)


def _unrefused(subject: Subject) -> str:
    """What is wrong with a layer that declares a shape for a width of one more, which rule 1 refuses."""
    for wide in [] if subject.arguments else _widened(subject.z):
        of_wide = [_raised(subject, z) for z in (wide, _ones(wide))]  # not of the numbers: the same for others
        if not of_wide[0] or of_wide[0] != of_wide[1]:
            continue
        with suppress(Exception):
            declared = subject.layer.output_shape(shapes_of(wide))
            if declared is not None:
                return (
                    f"output_shape({shapes_of(wide)}) is {declared}, but rule 1 raises {of_wide[0]}: raise there too, "
                    "so that check finds what does not fit"
                )
    return ""


def _raised(subject: Subject, z: Any) -> str:
    try:
        subject.at(z, ()).forward()
    except RuleError as failure:
        return f"{type(failure.error).__name__}: {failure.error}"
    return ""


def _widened(z: Any) -> Iterator[Any]:
    """z with an entry more along one axis, the last one again."""
    if type(z) is tuple:
        for i, part in enumerate(z):
            yield from ((*z[:i], wide, *z[i + 1 :]) for wide in _widened(part))
        return
    for axis in range(1, z.ndim):
        if z.shape[axis]:
            yield np.concatenate([z, z.take([-1], axis)], axis)


def _ones(z: Any) -> Any:
    return tuple(map(_ones, z)) if type(z) is tuple else np.ones_like(z)


def forgotten(layer: Layer) -> list[Finding]:
    """Layers and arrays that stand on an attribute, but are not trained."""
    known = {id(array) for array in (layer.parameters() | layer.state()).values()}
    children = [child for _, child in layer.children()] if isinstance(layer, Container) else []
    findings = [finding.at(name) for name, child in _children(layer) for finding in forgotten(child)]
    own_rule_3 = type(layer).parameter_gradients is not Layer.parameter_gradients
    for name, value in vars(layer).items():
        for held in value if isinstance(value, list | tuple) else [value]:
            if isinstance(held, Layer) and not known >= {id(array) for array in held.parameters().values()}:
                fix = "name it in children" if children or isinstance(layer, Container) else "make it a Container"
                said = f"{label(layer)} holds the layer self.{name}, but lists none of its parameters: {fix}"
                findings.append(Finding(0, "unlisted_parameter", said))
        trained = name.lower() in TRAINED and isinstance(value, np.ndarray) and value.dtype.kind == "f"
        if trained and own_rule_3 and known and id(value) not in known:
            said = (
                f"self.{name} is an array that is not in parameter_names, so it is never trained: list it there, or "
                f"call it self._{name} if it is a constant"
            )
            findings.append(Finding(3, "unlisted_parameter", said, array=name))
    return findings


TRAINED = {
    *("weight", "weights", "bias", "w", "b", "gamma", "beta", "alpha"),
    *("scale", "shift", "offset", "kernel", "gain", "slope"),
}


def _children(layer: Layer) -> list[tuple[str, Layer]]:
    return list(layer.children()) if isinstance(layer, Container) else []
