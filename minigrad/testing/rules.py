"""check_layer: the rules of a layer, held to the contract and to the numeric derivatives of rule 1."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from minigrad.checks import (
    kind,
    label,
    require_finite,
    require_floating,
    require_gradients,
    require_layer,
    require_pair,
)
from minigrad.containers import Container
from minigrad.layer import Layer
from minigrad.testing.numeric import Derivative, finite_differences
from minigrad.typing import Array, Gradients, Seed


class RuleCheck(NamedTuple):
    """The derivative with respect to one array by its rule, beside the numeric one."""

    rule: int
    array: str
    analytic: Array
    numeric: Derivative
    scale: float  # the size of delta, times that of z where it is larger than 1 and enters rule 3

    @property
    def size(self) -> float:
        """The largest finite entry of the numeric derivative."""
        return float(np.abs(self.numeric.value).max(initial=0.0, where=np.isfinite(self.numeric.value)))

    @property
    def bound(self) -> Array:
        """The difference that the error of the numeric derivative and the rounding of the rule explain."""
        # A rule subtracts numbers of the size of delta: of a saturated softmax, all but their rounding.
        return 4 * self.numeric.error + 64 * np.finfo(float).eps * max(self.size, self.scale)

    @property
    def wrong(self) -> Array:
        """Entries that differ by more than that, or are not finite."""
        outside = np.abs(self.analytic - self.numeric.value) > self.bound
        return outside | ~np.isfinite(self.analytic)

    @property
    def undecided(self) -> Array:
        """Entries whose numeric derivative is too rough to say much, other than at a kink."""
        rough = ~(self.bound <= 1e-3 * max(self.size, 1e-3 * self.scale)) | ~np.isfinite(self.numeric.value)
        return rough & ~self.wrong & ~self.numeric.kink

    @property
    def ok(self) -> bool:
        """No entry is wrong, and not all are undecided."""
        return not self.wrong.any() and not (self.undecided.any() and self.undecided.all())

    @property
    def relative_error(self) -> float:
        """The largest difference, relative to the largest entry; kinks and undecided entries left out."""
        told = ~(self.numeric.kink | self.undecided)
        difference = np.abs(self.analytic[told] - self.numeric.value[told]).max(initial=0.0)
        return float(difference / max(self.size, 1e-3 * self.scale))

    def __str__(self) -> str:
        shape = "x".join(map(str, self.analytic.shape)) or "number"
        line = f"rule {self.rule}  d/d{self.array:<12} {shape:>9}"
        if self.wrong.any():
            return f"{line}  WRONG in {np.count_nonzero(self.wrong)} of {self.wrong.size} entries: {self._worst()}"
        if not self.ok:
            return f"{line}  CANNOT BE TOLD: differences have no digits here; try z of ordinary size, inside the domain"
        line += f"  agrees: relative error {self.relative_error:.1e}"
        if kinks := np.count_nonzero(self.numeric.kink):
            line += f"; {kinks} at a kink, where any slope between those of both sides is right"
        if undecided := np.count_nonzero(self.undecided):
            line += f"; {undecided} too rough to tell"
        return line

    def _worst(self) -> str:
        with np.errstate(invalid="ignore", divide="ignore"):
            excess = np.where(self.wrong, np.abs(self.analytic - self.numeric.value) / self.bound, -1.0)
        worst = tuple(int(i) for i in np.unravel_index(int(np.argmax(excess)), excess.shape))
        value, error = self.numeric.value[worst], self.numeric.error[worst]
        return f"at {list(worst)} the rule gives {self.analytic[worst]:.10g}, differences {value:.10g} +- {error:.0e}"


class Report(NamedTuple):
    """What `check_rules` found; as text, a line for each array and each finding."""

    layer: str
    checks: tuple[RuleCheck, ...]
    findings: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Every derivative agrees, and no law was broken."""
        return not self.findings and all(check.ok for check in self.checks)

    def __str__(self) -> str:
        return "\n  ".join([self.layer, *self.findings, *map(str, self.checks)])


def check_layer(layer: Layer, z: Array, *arguments: Any, rng: Seed = 0) -> Report:
    """Hold the rules of `layer` to the contract at z, and raise AssertionError with the report where they break it.

        check_layer(MyLayer(), z)
        check_layer(cost, x, target)

    `arguments` are what forward takes after z, such as a target.  Everything runs in float64, at parameters moved off
    their initial values, where a forgotten factor of 1 would not show.  With s = sum(delta * forward(z)) for a random
    delta (of ones, errors could cancel), rule 2 must give ds/dz and rule 3 ds/dparameter: each entry is compared with
    finite differences, within the error that these estimate of themselves.  The relative error in the report is the
    largest difference, relative to the largest entry.

    The layer must also be a function of z, keep nothing of a call, and be linear in delta, and its `backpropagate` must
    give what rules 2 and 3 give.  A rule that writes into its arguments raises ValueError: they are read-only here.
    TypeError, ValueError where z is not an array of finite numbers, or a gradient lacks a name or has another shape.
    """
    report = check_rules(layer, z, *arguments, rng=rng)
    if not report.ok:
        told = report.findings or any(check.wrong.any() for check in report.checks)
        raise AssertionError(f"{'broken rules in' if told else 'could not confirm the rules of'} {report}")
    return report


def check_rules(layer: Layer, z: Array, *arguments: Any, rng: Seed = 0) -> Report:
    """What `check_layer` finds, as a report, raising no AssertionError."""
    require_layer(check_layer, layer)
    require_floating(check_layer, z)
    require_finite(check_layer, z, "z")
    if z.dtype.kind == "c" or not z.size:
        raise ValueError(f"check_layer expects z to hold real numbers, at least one, got {z.dtype} of shape {z.shape}")
    generator = np.random.default_rng(rng)
    z = read_only(z.astype(float))
    layer = _moved_off(layer.astype(np.float64), generator)
    arguments = tuple(read_only(argument) for argument in arguments)
    pass_ = _Pass(layer, z, arguments, generator)
    dz, gradients = pass_.sweep(1.0)
    if dz.shape != z.shape:
        raise ValueError(f"rule 2 of {label(layer)} must give the shape of z, {z.shape}, got {dz.shape}")
    parameters = layer.parameters()
    require_gradients(layer, parameters, gradients)
    findings = (*pass_.broken_laws(dz, gradients), *_forgotten_layers(layer))

    size = float(np.abs(pass_.delta).max(initial=0.0))
    rule_3_size = size * max(1.0, float(np.abs(z).max()))
    numeric = finite_differences(lambda z: layer.forward(z, *arguments)[0], z, pass_.delta, expected=dz)
    checks = [RuleCheck(2, "z", dz, numeric, size)]
    for name, array in parameters.items():
        moving = array.copy()
        twin = layer.with_parameters({name: moving})

        def moved(value: Array, moving: Array = moving, twin: Layer = twin) -> Any:
            moving[...] = value
            return twin.forward(z, *arguments)[0]

        gradient = np.asarray(gradients[name])
        numeric = finite_differences(moved, array, pass_.delta, expected=gradient)
        checks.append(RuleCheck(3, name, gradient, numeric, rule_3_size))
    return Report(label(layer), tuple(checks), findings)


class _Pass:
    """One input, one delta, and the rules run on them."""

    def __init__(self, layer: Layer, z: Array, arguments: tuple[Any, ...], rng: np.random.Generator) -> None:
        self.layer, self.z, self.arguments = layer, z, arguments
        self.z_next, self.cache = self.forward(z)
        self.delta = rng.normal(size=np.shape(self.z_next))[()]

    def forward(self, z: Array) -> tuple[Array, Any]:
        """Rule 1, whose cache may not be written to."""
        try:
            result = self.layer.forward(z, *self.arguments)
        except ValueError as error:
            self.note_writing(error, 1)
            raise
        require_pair(self.layer, result)
        return result[0], read_only(result[1])

    def sweep(self, factor: float) -> tuple[Array, Gradients]:
        """Rules 2 and 3 on `factor` times delta."""
        delta = read_only(factor * self.delta)
        rule = 2
        try:
            dz = self.layer.backward(delta, self.cache)
            rule = 3
            gradients = self.layer.parameter_gradients(delta, self.cache)
        except ValueError as error:
            self.note_writing(error, rule)
            raise
        if not isinstance(dz, np.ndarray | np.generic):
            raise TypeError(f"rule 2 of {label(self.layer)} must return dC/dz, an array, got {kind(dz)}")
        return np.asarray(dz), gradients

    def note_writing(self, error: ValueError, rule: int) -> None:
        """Say of NumPy's error that a rule wrote where it may not."""
        if "read-only" in str(error):
            error.args = (
                f"rule {rule} of {label(self.layer)} writes into z, delta or the cache ({error}): "
                "rules are pure, work on a copy",
            )

    def broken_laws(self, dz: Array, gradients: Gradients) -> list[str]:
        """Laws other than the derivatives, that this pass breaks."""
        findings = []
        expected = {"": dz, **gradients}
        if not np.array_equal(self.forward(self.z)[0], self.z_next, equal_nan=True):
            findings.append("rule 1 gives two outputs for one z: its randomness must be held fixed to check it")
        other = np.roll(self.z, 1)  # other numbers, of which each is in the domain
        self.forward(read_only(other if (other != self.z).any() else 1.25 * self.z))
        if not _close(self.sweep(1.0), expected, 1.0, tolerance=0.0):
            findings.append(
                "rules 2 and 3 give another answer after another forward, or the second time: return what they need "
                "of rule 1 in the cache, and keep nothing of a call on the layer"
            )
        elif not all(_close(self.sweep(factor), expected, factor) for factor in (-(2.0**20), 2.0**-20)):
            findings.append("rules 2 and 3 are not linear in delta: -2^20 times delta must give -2^20 times the result")
        elif not _close(self.layer.backpropagate(read_only(self.delta), self.cache), expected, 1.0):
            findings.append("backpropagate gives something else than rules 2 and 3")
        return findings


def read_only(value: Any) -> Any:
    """`value` with its arrays, and those in tuples, lists and dictionaries, as views that cannot be written to."""
    if isinstance(value, np.ndarray):
        view = value.view()
        view.flags.writeable = False
        return view
    if type(value) in (tuple, list):
        return type(value)(read_only(item) for item in value)
    if type(value) is dict:
        return {key: read_only(item) for key, item in value.items()}
    return value


def _moved_off(layer: Layer, rng: np.random.Generator) -> Layer:
    """The layer at parameters away from their initial values, of the same signs."""
    moved = {}
    for name, array in layer.parameters().items():
        factor, start = rng.uniform(0.5, 1.5, array.shape), rng.uniform(0.1, 0.5, array.shape)
        moved[name] = np.asarray(np.where(array == 0, start, factor * array))
    return layer.with_parameters(moved)


def _forgotten_layers(layer: Layer) -> list[str]:
    """Layers that stand on an attribute, but whose parameters would not be trained."""
    known = {id(array) for array in layer.parameters().values()}
    children = [child for _, child in layer.children()] if isinstance(layer, Container) else []
    findings = [finding for child in children for finding in _forgotten_layers(child)]
    own_rule_3 = type(layer).parameter_gradients is not Layer.parameter_gradients
    if own_rule_3 and not known and not isinstance(layer, Container):
        findings.append(f"{label(layer)} has a rule 3, but no parameters: list their attributes in parameter_names")
    for name, value in vars(layer).items():
        for held in value if isinstance(value, list | tuple) else [value]:
            if isinstance(held, Layer) and not known >= {id(array) for array in held.parameters().values()}:
                fix = "name it in children" if isinstance(layer, Container) else "make it a Container"
                findings.append(f"{label(layer)} holds the layer self.{name}, but lists none of its parameters: {fix}")
    return findings


def _close(sweep: tuple[Any, Gradients], expected: Gradients, factor: float, tolerance: float = 1e-10) -> bool:
    """Each array of a sweep is `factor` times the expected one, to `tolerance` of its largest entry."""
    found = {"": sweep[0], **sweep[1]}
    if found.keys() != expected.keys():
        return False
    for name, array in expected.items():
        if np.shape(found[name]) != np.shape(array):
            return False
        if not np.array_equal(found[name], factor * array, equal_nan=True):
            bound = abs(factor) * tolerance * np.abs(array).max(initial=0.0)
            if not (np.abs(found[name] - factor * array) <= bound).all():
                return False
    return True
