"""check_layer: rules 2 and 3, each against the numeric derivative of rule 1."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from minigrad.checks import require_gradients
from minigrad.layer import Layer
from minigrad.testing.numeric import Derivative, finite_differences
from minigrad.typing import Array, Seed


class RuleCheck(NamedTuple):
    """One array's derivative by its rule, beside the numeric one."""

    rule: int
    array: str
    analytic: Array
    numeric: Derivative

    @property
    def difference(self) -> Array:
        """|analytic - numeric|, entry by entry."""
        return np.abs(self.analytic - self.numeric.value)

    @property
    def bound(self) -> Array:
        """The difference that the error of the numeric derivative and the rounding of the rule explain."""
        size = np.abs(self.analytic).max(initial=0.0)
        return 4 * self.numeric.error + 64 * np.finfo(float).eps * size

    @property
    def ok(self) -> bool:
        """No entry differs by more than its bound (a NaN does)."""
        return bool((self.difference <= self.bound).all())

    @property
    def relative_error(self) -> float:
        """The largest difference, relative to the largest entry."""
        size = max(np.abs(self.numeric.value).max(initial=0.0), np.finfo(float).tiny)
        return float(self.difference.max(initial=0.0) / size)

    def __str__(self) -> str:
        line = f"rule {self.rule}  d/d{self.array:<12} {'x'.join(map(str, self.analytic.shape)) or 'number':>9}"
        if self.ok:
            return f"{line}  agrees: relative error {self.relative_error:.1e}"
        over = np.where(np.isnan(self.difference), np.inf, self.difference) / self.bound
        worst = tuple(int(i) for i in np.unravel_index(int(np.argmax(over)), over.shape))
        wrong = int(np.count_nonzero(~(self.difference <= self.bound)))
        value, error = self.numeric.value[worst], self.numeric.error[worst]
        return (
            f"{line}  WRONG in {wrong} of {self.analytic.size} entries: at {list(worst)} "
            f"the rule gives {self.analytic[worst]:.6g}, differences {value:.6g} +- {error:.1e}"
        )


class Report(NamedTuple):
    """What `check_rules` found; as text, a line for each array."""

    layer: str
    checks: tuple[RuleCheck, ...]

    @property
    def ok(self) -> bool:
        """Every derivative agrees."""
        return all(check.ok for check in self.checks)

    def __str__(self) -> str:
        return "\n".join([self.layer, *(f"  {check}" for check in self.checks)])


def check_rules(layer: Layer, z: Array, *arguments: Any, rng: Seed = 0) -> Report:
    """Rules 2 and 3 of `layer` at z, each beside finite differences of rule 1, in float64.

    With s = sum(delta * forward(z)) for a random delta (of ones, errors could cancel), rule 2 must give ds/dz and
    rule 3 ds/dparameter.  `arguments` are what forward takes after z, such as a target.  ValueError where a gradient
    lacks a name or has another shape than its parameter.  z should lie away from kinks.
    """
    layer, z = layer.astype(np.float64), np.array(z, dtype=float)
    z_next, cache = layer.forward(z, *arguments)
    delta = np.random.default_rng(rng).normal(size=np.shape(z_next))[()]
    parameters = layer.parameters()

    checks = []
    dz = np.asarray(layer.backward(delta, cache))
    if dz.shape != z.shape:
        raise ValueError(f"rule 2 of {layer!r} must give the shape of z, {z.shape}, got {dz.shape}")
    checks.append(RuleCheck(2, "z", dz, finite_differences(lambda z: layer.forward(z, *arguments)[0], z, delta)))
    gradients = layer.parameter_gradients(delta, cache)
    require_gradients(layer, parameters, gradients)
    for name, array in parameters.items():

        def moved(value: Array, name: str = name) -> Any:
            return layer.with_parameters({name: value}).forward(z, *arguments)[0]

        checks.append(RuleCheck(3, name, np.asarray(gradients[name]), finite_differences(moved, array, delta)))
    return Report(" ".join(repr(layer).split()), tuple(checks))


def check_layer(layer: Layer, z: Array, *arguments: Any, rng: Seed = 0) -> Report:
    """`check_rules`, with an AssertionError that shows the report where a derivative is wrong."""
    report = check_rules(layer, z, *arguments, rng=rng)
    if not report.ok:
        raise AssertionError(f"wrong derivatives in {report}")
    return report
