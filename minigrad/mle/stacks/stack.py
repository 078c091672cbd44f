"""Stack: the likelihood of any stack that ends in a negative log-likelihood, from the three rules of its layers."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from minigrad.checks import label
from minigrad.derivatives.curvature import require_deterministic
from minigrad.derivatives.reductions import require_independent_rows
from minigrad.layer import Layer
from minigrad.layers import Embedding, Linear, LogSoftmax
from minigrad.losses import HomoscedasticGaussianNLLLoss
from minigrad.mle.entry.data import Data
from minigrad.mle.entry.heads import built, layers_of, require_likelihood
from minigrad.mle.likelihood import Likelihood, Listing, Local
from minigrad.mle.stacks import losses
from minigrad.mle.stacks.penalties import Penalties
from minigrad.mle.stacks.rules import OUTSIDE, Rules, Slopes, column
from minigrad.mle.stacks.scoring import is_known, scoring
from minigrad.mle.stacks.trying import first, not_finite
from minigrad.mle.stacks.variables import Names, Variables
from minigrad.typing import Array

BY_TERMS, USUAL = ("weighted", "rows"), 20  # losses that give the terms of all rows at once; powers of two


class Stack(Likelihood):
    """J(u) = sum_n w_n l(f(x_n; theta(u)), y_n), for any layers f and any loss l, custom ones included.

    gradient        rules 2 and 3, once:  dJ/du = dJ/dphi . dphi/du
    Hessian         complex steps through the rules, one for each variable; differences where a rule is not analytic
    scores          complex steps through rule 1, or the rules row by row
    information     sum_n w_n J_n^T F_n J_n, J_n = dz_n/du, for losses whose expected curvature F_n by z is known

    `variables` are of usual size, see variables.py; `start` is where the cost's parameters are.  There may be several
    maxima: the one that a search finds is near its start.
    """

    def __init__(self, cost: Layer, data: Data, rules: Rules, variables: Variables, penalties: Penalties) -> None:
        self.cost, self.data, self.rules, self.variables, self.penalties = cost, data, rules, variables, penalties
        self.loss = rules.total.loss
        self.rows, self.count = len(first(data.x)), data.count
        self.size = variables.inward.shape[1]
        self.slopes = Slopes(rules.complex_safe)
        self._of_response: Slopes | None = None
        self.asymmetry = 0.0  # of the last Hessian, relative to its rows
        z = rules.output(rules.point, rules.x, rules.offset)
        self._left_out = losses.left_out(self.loss, z, rules.target)
        self._constant = math.fsum(np.broadcast_to(self._left_out, (self.rows,)) * self._w())
        self.start = variables.of_parameters(rules.point)

    # The likelihood.

    def evaluate(self, u: Array) -> Local:
        value, gradient = self.value_and_gradient(u)
        if not math.isfinite(value):
            return Local(value, gradient, np.full((self.size, self.size), np.nan))
        try:
            raw = self.slopes.along(self._gradient, u, np.eye(self.size)).reshape(self.size, self.size)
        except OUTSIDE:
            return Local(math.inf, np.full(self.size, np.nan), np.full((self.size, self.size), np.nan))
        sizes = np.sqrt(np.maximum(np.abs(raw).max(axis=1, initial=0.0), np.abs(raw).max(axis=0, initial=1e-300)))
        self.asymmetry = float((np.abs(raw - raw.T) / (sizes[:, np.newaxis] * sizes)).max(initial=0.0))
        return Local(value, gradient, raw / 2 + raw.T / 2)

    def value_and_gradient(self, u: Array) -> tuple[float, Array]:
        """J and dJ/du; infinity and NaN where u has gone too far."""
        with np.errstate(all="ignore"):
            try:
                value, gradient = self.rules.value_and_gradient(self.variables.phi(u))
            except OUTSIDE:
                value, gradient = math.inf, np.array([np.nan])
        if not (math.isfinite(value) and np.isfinite(gradient).all()):
            return math.inf, np.full(self.size, np.nan)
        return float(value) + self._constant, self.variables.by_variables(gradient)

    def value(self, u: Array) -> float:
        return self.rules.value(self.variables.phi(u)) + self._constant

    def terms(self, u: Array) -> Array:
        return -(self.rules.terms(self.variables.phi(u)).real + self._left_out)

    def scores(self, u: Array) -> Array:
        if self.rules.total.reduction in BY_TERMS:
            return -self.slopes.along(lambda v: self.rules.terms(self.variables.phi(v)), u, np.eye(self.size)).T
        phi = self.variables.phi(u)
        return -np.array([self.variables.by_variables(self.rules.of_row(phi, n)) for n in range(self.rows)])

    def verify(self, u: Array, v: Array) -> None:
        """Compare complex steps of the gradient along v, and of the terms, with differences."""
        try:
            self.slopes.verify(self._gradient, u, v)
            if self.rules.total.reduction in BY_TERMS:
                self.slopes.verify(lambda at: self.rules.terms(self.variables.phi(at)), u, v)
        except OUTSIDE:
            return

    def expected(self, u: Array) -> Array:
        return self.scoring(u)[0]

    def scoring(self, u: Array) -> tuple[Array, Callable[[Array], Array]]:
        return scoring(self, u)

    @property
    def has_expected(self) -> bool:
        """`expected` is known."""
        return is_known(self.loss)

    @property
    def weights(self) -> Array | None:
        return self.data.weights

    def profiled(self, u: Array) -> tuple[Array, bool]:
        """u with the trained variance of a normal distribution at its best, the mean of r^2; whether r is rounding."""
        loss = self.loss
        if not isinstance(loss, HomoscedasticGaussianNLLLoss) or not loss.parameters() or self.penalized:
            return u, False
        with np.errstate(all="ignore"):
            r = (self._output(u) - self.rules.target).reshape(self.rows, -1, loss.features)
            if not np.isfinite(r).all():
                return u, False
            w = self._w()
            square = np.einsum("n,nef->f", w, r * r) / (w.sum() * r.shape[1])
            size = np.abs(self.rules.target).reshape(-1, loss.features).max(axis=0)
            least = (4 * np.finfo(float).eps * size) ** 2 + np.finfo(float).tiny
        at = self._log_variance()
        psi = self.variables.inward @ u
        psi[at] = np.log(np.maximum(square, least)) / self.variables.size[at]
        return np.asarray(self.variables.inward.T @ psi), bool((square <= least).any())

    def loss_at(self, u: Array) -> Layer:
        return self.rules.total_at(self.variables.phi(u)).loss

    def settle(self, shallow: bool) -> None:
        """Choose where to start, and the sizes of the variables.

        A start is where the cost is, or, if that is better and the bottom Linear the only one, where it gives 0.
        """
        if shallow:
            other = self.variables.without_units(self.start)
            if not self.value(self.start) <= self.value(other):
                self.start = other
        self.start = self.profiled(self.start)[0]
        with np.errstate(all="ignore"):
            self.rules.value_and_gradient(self.variables.phi(self.start))  # not guarded: a layer may say what is wrong
        if not math.isfinite(self.value_and_gradient(self.start)[0]):
            if not math.isfinite(self.value(self.start)):
                z = self._output(self.start)
                raise not_finite(self.loss_at(self.start), z, self.rules.target)
            raise ValueError(
                f"fit expects a cost that is finite at the parameters it is passed with, got {label(self.cost)}, "
                "which is not: set them nearer to what the data say"
            )
        for _ in range(2):  # the second time differences, where there are any, have steps of the right size
            try:
                with np.errstate(all="ignore"):
                    curved = self.expected(self.start) if self.has_expected else self.evaluate(self.start).hessian
            except OUTSIDE:
                curved = np.full((self.size, self.size), np.nan)
            self.start = self.variables.resize(self.start, np.diagonal(curved))
        if shallow:
            self._resize_units(np.diagonal(curved))

    def _resize_units(self, curvature: Array) -> None:
        """Where y is very large or small, the variables of a bottom Linear are so too: all by one power of two."""
        assert self.variables.bottom is not None
        places = [self.variables.slices[place] for place in self.variables.bottom[:2] if place is not None]
        of_phi = self.variables.inward**2 @ np.maximum(curvature, 0.0)
        largest = max(float(of_phi[place].max()) for place in places)
        power = -round(math.log2(largest) / 2) if 0 < largest < math.inf else 0
        if abs(power) <= USUAL:
            return
        psi = self.variables.inward @ self.start
        for place in places:
            self.variables.size[place] *= 2.0**power
            psi[place] *= 2.0**-power
        self.start = np.asarray(self.variables.inward.T @ psi)

    # The penalty.

    def penalty(self, u: Array) -> Local:
        if not self.penalized:
            return super().penalty(u)
        by_u = (self.variables.unit * self.variables.size)[:, np.newaxis] * self.variables.theta
        value, gradient, hessian = self.penalties.at(self.variables.parameters(u), self.variables.slices)
        return Local(value, gradient @ by_u, by_u.T @ hessian @ by_u)

    @property
    def penalized(self) -> bool:
        return bool(self.penalties)

    @property
    def hint(self) -> str:
        """What may be amiss with y, where there is no estimate; else nothing."""
        return losses.hint_on(self.loss, self.rules.target)

    # Predictions.

    def response(self, u: Array, x: Any, offset: Any = None) -> Array:
        with np.errstate(over="ignore", under="ignore"):
            return losses.expected_of_y(self.loss_at(u), self._output(u, x, offset)).real

    def response_jacobian(self, u: Array, x: Any, offset: Any = None) -> Array:
        def mean(v: Array) -> Array:
            return losses.expected_of_y(self.loss_at(v), self._output(v, x, offset))

        if self._of_response is None:
            self._of_response = Slopes(self.slopes.complex_safe)
            self._of_response.verify(mean, u, np.random.default_rng(0).uniform(0.5, 1.5, u.size))
        return np.moveaxis(self._of_response.along(mean, u, np.eye(self.size)), 0, -1)

    def _output(self, u: Array, x: Any = None, offset: Any = None) -> Any:
        phi = self.variables.phi(u)
        if x is None:
            return self.rules.output(phi, self.rules.x, self.rules.offset)
        given = self.variables.inputs(as_taken(layers_of(self.cost), x))
        return self.rules.output(phi, given, None if offset is None else column(offset))

    # Parameters.

    def listing(self, identification: str, reference: int = 0) -> Listing:
        return self.variables.listing(identification, reference)

    def arrays(self, u: Array) -> Mapping[str, Array]:
        theta, own = self.variables.parameters(u), self.cost.parameters()
        named = dict(zip(self.variables.names.places, self.variables.slices, strict=True))
        return {name: theta[named[name]].reshape(array.shape).astype(array.dtype) for name, array in own.items()}

    def trained(self, u: Array) -> Layer:
        return self.cost.with_parameters(self.arrays(u))

    def without_inputs(self) -> Likelihood | None:
        from minigrad.mle.stacks.null import null_model  # on use: it makes stacks

        return null_model(self)

    def _gradient(self, u: Array) -> Array:
        return self.variables.by_variables(self.rules.value_and_gradient(self.variables.phi(u))[1])

    def _log_variance(self) -> slice:
        return dict(zip(self.rules.shapes, self.variables.slices, strict=True))["2.loss.log_variance"]

    def _w(self) -> Array:
        return np.ones(self.rows) if self.data.weights is None else self.data.weights


def stack(cost: Layer, data: Data, told: bool = True) -> Stack:
    """The likelihood that `cost` is on these data; the cost is not changed (ValueError where it is none).

    The offset is added to the last Linear, where that is the bottom layer or stands below the loss.  A bottom Linear
    that is not `told` of x has weights of 0.
    """
    cost = built(cost, data.x)
    twin = cost.astype(np.float64)
    *layers, loss = layers_of(twin)
    require_likelihood(loss, layers[-1] if layers else None)
    require_deterministic(stack, twin)
    require_independent_rows("fit", twin, training=True)
    places = [i for i, layer in enumerate(layers) if type(layer) is Linear and _stands_once(twin, layer)]
    last = places[-1] if places else None
    above = layers[last + 1 :] if last is not None else []
    if data.offset is not None and (last is None or (last > 0 and any(type(each) is not LogSoftmax for each in above))):
        raise ValueError(
            f"fit expects an offset for a stack whose bottom layer is a Linear, or the one below its loss, to whose "
            f"output it is added, got {label(cost)}"
        )
    cut = len(layers) if last is None else last + 1
    rules = Rules(layers[:cut], layers[cut:], loss)
    arrays = rules.arrays()
    if not arrays:
        raise ValueError(f"fit expects a cost with parameters, got {label(cost)}: there is nothing to estimate")
    x = as_taken(layers, data.x)
    bottom: Any = layers[0] if 0 in places and isinstance(x, np.ndarray) and x.dtype.kind == "f" and x.size else None
    own = {id(array): name for name, array in twin.parameters().items()}
    names = Names(data.names, data.classes, [own[id(array)] for array in arrays])
    linear: Any = None if last is None else layers[last]
    variables = Variables(arrays, names, x, bottom, linear, told=told)
    rules.start(variables.inputs(x), data.target, data.weights, data.offset)
    penalties = Penalties(twin, [id(array) for array in arrays])
    if linear is not None and penalties.squares and rules.shifts_freely(linear.out_features):
        variables = Variables(arrays, names, x, bottom, linear, mixed=True, told=told)
    found = Stack(cost, data, rules, variables, penalties)
    found.settle(variables.bottom is not None and variables.bottom == variables.last)
    return found


def as_taken(layers: list[Layer], x: Any) -> Any:
    """x, as whole numbers where the bottom layer takes those."""
    whole = bool(layers) and isinstance(layers[0], Embedding) and isinstance(x, np.ndarray) and x.dtype.kind == "f"
    return x.astype(np.intp) if whole and bool((x == np.floor(x)).all()) else x


def _stands_once(cost: Layer, linear: Layer) -> bool:
    """No other layer has the arrays of `linear`."""
    held = [id(getattr(owner, attribute)) for _, owner, attribute in cost.parameter_places()]
    return all(held.count(id(array)) == 1 for array in linear.parameters().values())
