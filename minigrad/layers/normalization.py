"""Normalisation: numbers brought to mean 0 and variance 1, over the axes that a layer names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from minigrad.checks import ShapeError, require_count, require_delta, require_flag, require_floating, require_number
from minigrad.initializers import Initializer, constant, zeros
from minigrad.layers.lazy import LazyLayer, Make
from minigrad.layers.moments import (
    Plan,
    centre,
    in_order,
    into,
    is_constant_over,
    mean_of_products,
    mean_over,
    sum_of_products_to,
    sum_to,
    written,
)
from minigrad.shapes import require_shape
from minigrad.typing import Array, Formulas, Gradients, Seed, Shape


class Kept(NamedTuple):
    """What rules 2 and 3 need: z - m, and s, in the shape of the plan."""

    centred: Array
    s: Array
    plan: Plan
    of_z: Shape


class Normalization(LazyLayer):
    """z_hat = (z - m) s with s = 1 / sqrt(v + eps), m and v the mean and variance over the axes of `plan`.

        z_next   =  z_hat weight + bias
        dz       =  s (d - mean d - z_hat mean(d z_hat)),    d = delta weight
        dweight  =  sum delta z_hat,    dbias = sum delta

    A subclass gives `plan(shape)`, and says in `parameter_names` whether there are a weight, which starts at 1, and a
    bias, which starts at 0.  With `centring = False` m is 0, and the term mean d falls away.
    """

    centring: bool = True
    of_channels: bool = True  # weight and bias have a number for each channel, not for each entry of a row
    means: str = ""  # over what they are taken
    weight: Array | None = None
    bias: Array | None = None
    eps: float | None

    def plan(self, shape: Shape) -> Plan:
        """Look at the shape of z, which may be refused, and say what is normalised."""
        raise NotImplementedError(f"{type(self).__name__} lacks plan(self, shape) -> Plan")

    def width(self, shape: Shape) -> Any:
        """What `create` makes the parameters for: the channels."""
        return shape[1]

    @property
    def formulas(self) -> Formulas:  # type: ignore[override]
        """With the parameters that there are."""
        eps = "the rounding of the type of z" if self.eps is None else f"{self.eps:g}"
        means = f"mean and var are taken over {self.means}; epsilon is {eps}"
        return written(self.centring, self.parameter_names, self.of_channels, means)

    def output_shape(self, shape: Shape) -> Shape:
        require_shape(self, shape)
        self.plan(shape)
        self.require_width(self.width(shape))
        return shape

    def prepare(
        self,
        eps: float | None,
        weight: bool,
        bias: bool,
        initializers: tuple[Initializer | None, Initializer | None],
    ) -> None:
        """Set what every normalisation has; `start` comes after it."""
        require_flag(type(self), "(elementwise_)affine", weight)
        require_flag(type(self), "bias", bias)
        self.eps = None if eps is None else require_number(type(self), "eps", eps, least=0.0)
        self.parameter_names = ("weight",) * bool(weight) + ("bias",) * bool(weight and bias)
        self._initializers = initializers

    def make_parameters(self, shape: Shape, make: Make) -> None:
        """The arrays that `parameter_names` lists, of `shape`."""
        for_weight, for_bias = self._initializers
        if "weight" in self.parameter_names:
            self.weight = make(for_weight or constant(1.0), shape)
        if "bias" in self.parameter_names:
            self.bias = make(for_bias or zeros(), shape)

    def forward(self, z: Array) -> tuple[Array, Kept]:
        require_floating(self, z)
        plan = self.plan(z.shape)
        self.see(self.width(z.shape))
        centred, mean = centre(z.reshape(plan.shape), plan.axes) if self.centring else (z.reshape(plan.shape), None)
        variance = mean_of_products(centred, centred, plan.axes)
        self.observe(mean, variance, plan)
        s = 1 / np.sqrt(variance + (np.finfo(z.dtype).eps if self.eps is None else self.eps))
        return self.scaled(centred, s, plan).reshape(z.shape), Kept(centred, s, plan, z.shape)

    def backward(self, delta: Array, kept: Kept) -> Array:
        require_delta(self, delta, kept.of_z)
        centred, s, plan, of_z = kept
        d, scale = delta.reshape(plan.shape), s
        if self.weight is not None:
            weight = self.weight.reshape(plan.of_parameters)
            # A weight that is constant over the axes of the means goes with s, so that no array is made for it.
            d, scale = (
                (d, s * weight)
                if is_constant_over(plan.axes, plan.of_parameters, d.ndim)
                else (in_order(np.multiply, d, weight), s)
            )
        dz = in_order(np.multiply, centred, -s * s * mean_of_products(d, centred, plan.axes))
        dz = into(np.add, dz, d)
        if self.centring:
            dz = into(np.subtract, dz, mean_over(d, plan.axes))
        return into(np.multiply, dz, scale).reshape(of_z)

    def parameter_gradients(self, delta: Array, kept: Kept) -> Gradients:
        require_delta(self, delta, kept.of_z)
        centred, s, plan, _ = kept
        delta = delta.reshape(plan.shape)
        gradients: Gradients = {}
        if self.weight is not None:
            gradients["weight"] = sum_of_products_to(plan.of_parameters, delta, centred, s).reshape(self.weight.shape)
        if self.bias is not None:
            gradients["bias"] = sum_to(plan.of_parameters, delta).reshape(self.bias.shape)
        return gradients

    def observe(self, mean: Array | None, variance: Array, plan: Plan) -> None:
        """Called by rule 1 with the statistics of the batch: a layer may keep a running mean of them."""

    def scaled(self, centred: Array, s: Array, plan: Plan) -> Array:
        """centred s weight + bias, as a new array."""
        if self.weight is None:
            return in_order(np.multiply, centred, s)
        weight = self.weight.reshape(plan.of_parameters)
        if is_constant_over(plan.axes, plan.of_parameters, centred.ndim):
            z_next = in_order(np.multiply, centred, s * weight)
        else:
            z_next = into(np.multiply, in_order(np.multiply, centred, s), weight)
        return z_next if self.bias is None else into(np.add, z_next, self.bias.reshape(plan.of_parameters))


class LayerNorm(Normalization):
    """Every row brought to mean 0 and variance 1 over its last axes, those of `normalized_shape`.

        z_next  =  (z - mean z) / sqrt(var z + eps) weight + bias

    `normalized_shape` is an integer for the last axis alone; None leaves its width to the first batch.  Rules 2 and 3
    stand in `Normalization`.  Ba, Kiros and Hinton, "Layer normalization", 2016.

    ValueError unless z has a batch axis before axes of that shape.
    """

    of_channels = False
    means = "the axes of normalized_shape, and n counts the rows along all axes before these"
    normalized_shape: Shape | None

    def __init__(
        self,
        normalized_shape: int | Sequence[int] | None,
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        *,
        weight_initializer: Initializer | None = None,
        bias_initializer: Initializer | None = None,
        rng: Seed = None,
        dtype: Any = np.float64,
    ) -> None:
        self.normalized_shape = _shape_of_row(type(self), normalized_shape)
        self.prepare(eps, elementwise_affine, bias, (weight_initializer, bias_initializer))
        self.start(self.normalized_shape, rng, dtype)

    def create(self, width: Shape, make: Make) -> None:
        self.normalized_shape = width
        self.make_parameters(width, make)

    def width(self, shape: Shape) -> Shape:
        return self.normalized_shape or shape[-1:]

    def plan(self, shape: Shape) -> Plan:
        row, ndim = self.width(shape), len(shape)
        given = shape[max(0, ndim - len(row)) :]
        if ndim <= len(row) or given != row or 0 in row:
            fix = "these are the axes of normalized_shape"
            if shape == row:
                fix = "z[np.newaxis] is a batch of one"
            elif ndim > len(row) and 0 not in given:
                fix += f", and {type(self).__name__}({given[0] if len(given) == 1 else given}) takes these"
            raise ShapeError(f"{self!r} expects z of shape (batch, ..., {_listed(row)}), got {shape}: {fix}")
        return Plan(shape, tuple(range(ndim - len(row), ndim)), row)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({_listed(self.normalized_shape) if self.normalized_shape else '?'})"


class RMSNorm(LayerNorm):
    """Every row divided by its root mean square over its last axes, those of `normalized_shape`.

        z_next  =  z / sqrt(mean z^2 + eps) weight

    With eps=None eps is the rounding of the type of z.  Rules 2 and 3 stand in `Normalization`.
    Zhang and Sennrich, "Root mean square layer normalization", 2019.
    """

    centring = False

    def __init__(
        self,
        normalized_shape: int | Sequence[int] | None,
        eps: float | None = None,
        elementwise_affine: bool = True,
        *,
        weight_initializer: Initializer | None = None,
        rng: Seed = None,
        dtype: Any = np.float64,
    ) -> None:
        self.normalized_shape = _shape_of_row(type(self), normalized_shape)
        self.prepare(eps, elementwise_affine, False, (weight_initializer, None))
        self.start(self.normalized_shape, rng, dtype)


class GroupNorm(Normalization):
    """Channels in `num_groups` groups; every row brought to mean 0 and variance 1 within each of its groups.

        z_next  =  (z - mean z) / sqrt(var z + eps) weight + bias,    means over the channels of a group, and pixels

    for z (N, C, ...), weight and bias (num_channels,).  num_channels=None leaves C to the first batch.  Rules 2 and 3
    stand in `Normalization`.  Wu and He, "Group normalization", 2018.

    ValueError unless z has num_channels in its second axis, and these divide into the groups.
    """

    means = "the channels of a group, and all places p in them"

    def __init__(
        self,
        num_groups: int,
        num_channels: int | None,
        eps: float = 1e-5,
        affine: bool = True,
        *,
        weight_initializer: Initializer | None = None,
        bias_initializer: Initializer | None = None,
        rng: Seed = None,
        dtype: Any = np.float64,
    ) -> None:
        self.num_groups = require_count(GroupNorm, "num_groups", num_groups)
        self.num_channels = None if num_channels is None else require_count(GroupNorm, "num_channels", num_channels)
        if self.num_channels is not None:
            self._require_groups(self.num_channels)
        self.prepare(eps, affine, True, (weight_initializer, bias_initializer))
        self.start(self.num_channels, rng, dtype)

    def create(self, width: int, make: Make) -> None:
        self.num_channels = width
        self.make_parameters((width,), make)

    def plan(self, shape: Shape) -> Plan:
        if len(shape) < 2 or shape[1] != (self.num_channels or shape[1]) or 0 in shape[1:]:
            expected, fix = f"(batch, {self.num_channels or 'num_channels'}, ...)", "the second axis is the channels"
            if len(shape) > 1 and 0 not in shape[1:] and shape[1] % self.num_groups == 0:
                fix += f", and GroupNorm({self.num_groups}, {shape[1]}) takes {shape[1]}"
            raise ShapeError(f"{self!r} expects z of shape {expected}, got {shape}: {fix}")
        self._require_groups(shape[1])
        groups, pixels = (self.num_groups, shape[1] // self.num_groups), shape[2:]
        return Plan((shape[0], *groups, *pixels), tuple(range(2, len(shape) + 1)), (*groups, *(1 for _ in pixels)))

    def _require_groups(self, channels: int) -> None:
        if channels % self.num_groups:
            fits = ", ".join(str(i) for i in range(1, channels + 1) if channels % i == 0)
            raise ShapeError(
                f"GroupNorm expects channels that divide into {self.num_groups} groups, got {channels}: {fits} do"
            )

    def __repr__(self) -> str:
        return f"GroupNorm({self.num_channels or '?'} channels in {self.num_groups} groups)"


def _shape_of_row(who: type, shape: int | Sequence[int] | None) -> Shape | None:
    if shape is None:
        return None
    sizes = tuple(shape) if isinstance(shape, tuple | list) else (shape,)
    if not sizes:
        raise ValueError(f"{who.__name__} expects normalized_shape to name an axis or more, got {shape!r}")
    return tuple(require_count(who, "normalized_shape", size) for size in sizes)


def _listed(shape: Shape) -> str:
    return ", ".join(map(str, shape))
