"""check_fusion: what runs several layers as one gives what they give one after the other."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.checks import kind, label, require_finite, require_floating
from minigrad.fusions import Fusion
from minigrad.testing.check import check_layer
from minigrad.testing.report import Diagnosis
from minigrad.typing import Array, Seed

ROUNDINGS = 2.0**16  # of the largest number of an array: what products of another order may differ by


def check_fusion(fusion: Fusion, z: Array, *arguments: Any, rng: Seed = 0) -> Diagnosis:
    """`check_layer` of a fusion at z, and its rules and `value_and_gradients` beside those of the stack it stands for.

    In float64 and in float32, at z and at z times 1e-3 and 100, with a random delta.  Numbers may differ by rounding,
    1e-11 of the largest of their array in float64, and 1e-2 in float32.  AssertionError says which differ,
    GradientContractError where the rules are wrong in themselves; TypeError where `fusion` is no Fusion of layers.

    >>> from minigrad import Linear, ReLU
    >>> from minigrad.fusions import LinearReLU
    >>> check_fusion(LinearReLU(Linear(3, 4, rng=0), ReLU()), np.ones((2, 3))).ok
    True
    """
    if not isinstance(fusion, Fusion):
        raise TypeError(f"check_fusion expects a Fusion made of its layers, got {kind(fusion)}: MyFusion(Linear(3, 4))")
    require_floating(check_fusion, z)
    require_finite(check_fusion, z, "z")
    if not fusion.takes(*fusion.layers):
        raise AssertionError(f"{label(fusion)}: {type(fusion).__name__}.takes declines these layers")
    generator = np.random.default_rng(rng)
    in_one_pass = [
        _compare(fusion.astype(dtype), (size * z).astype(dtype), arguments, generator)
        for dtype in (np.float64, np.float32)
        for size in (1.0, 1e-3, 100.0)
    ]
    if fusion.one_pass and not any(in_one_pass):
        raise AssertionError(f"{type(fusion).__name__} says one_pass = True, but value_and_gradients gives None")
    return check_layer(fusion, z, *arguments, rng=rng, cases="given")


def _compare(fusion: Fusion, z: Array, arguments: tuple[Any, ...], rng: np.random.Generator) -> bool:
    """AssertionError where the two differ; whether there was a single pass to compare."""
    plain = fusion.plain
    value, cache = plain.forward(z, *arguments)
    delta = np.asarray(rng.normal(size=np.shape(value)), z.dtype)[()]
    expected = {"rule 1": value, "rule 2": plain.backward(delta, cache)}
    expected |= _rule_3(plain.parameter_gradients(delta, cache))
    value, cache = fusion.forward(z, *arguments)
    found = {"rule 1": value, "rule 2": fusion.backward(delta, cache)}
    found |= _rule_3(fusion.parameter_gradients(delta, cache))
    _require_equal(fusion, found, expected)
    in_one_pass = fusion.value_and_gradients(z, *arguments)
    if in_one_pass is None:
        return False
    value, cache = plain.forward(z, *arguments)
    expected = {"value_and_gradients": value, **_rule_3(plain.parameter_gradients(1.0, cache))}
    _require_equal(fusion, {"value_and_gradients": in_one_pass[0], **_rule_3(in_one_pass[1])}, expected)
    return True


def _rule_3(gradients: dict[str, Array]) -> dict[str, Any]:
    return {f"the gradient of {name}": gradient for name, gradient in gradients.items()}


def _require_equal(fusion: Fusion, found: dict[str, Any], expected: dict[str, Any]) -> None:
    who = type(fusion).__name__
    if list(found) != list(expected):
        raise AssertionError(f"{who} gives {', '.join(found)}, its layers {', '.join(expected)}, in this order")
    for name, right in expected.items():
        own, right = np.asarray(found[name]), np.asarray(right)
        if own.shape != right.shape or own.dtype != right.dtype:
            raise AssertionError(f"{name}: {who} gives {kind(own)}, its layers {kind(right)}")
        off = np.abs(own - right).max(initial=0.0)
        most = ROUNDINGS * np.finfo(right.dtype).eps * np.abs(right).max(initial=0.0)
        if not off <= most:
            raise AssertionError(f"{name}: {who} is off by {off:.3g} from its layers, by rounding it may be {most:.3g}")
