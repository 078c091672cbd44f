"""Batch normalisation: every channel brought to mean 0 and variance 1 over the batch, at inference as in training."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from minigrad.checks import ShapeError, require_count, require_delta, require_flag, require_floating, require_number
from minigrad.containers import Container
from minigrad.initializers import Initializer, constant, zeros
from minigrad.layer import Layer
from minigrad.layers.lazy import Make
from minigrad.layers.moments import Plan, into, written
from minigrad.layers.normalization import Kept, Normalization
from minigrad.typing import Array, Formulas, Gradients, Seed, Shape


class _BatchNorm(Normalization):
    """What BatchNorm1d and BatchNorm2d have in common.  Rules 2 and 3 stand in `Normalization`.

    Ioffe and Szegedy, "Batch normalization", 2015.
    """

    rows_independent = False
    output_shape = Normalization.output_shape
    formulas = Normalization.formulas
    means = "the batch, and all places p in a channel"
    pixels: tuple[tuple[str, ...], ...] = ()  # the axes that may come after the channels
    running_mean: Array | None = None
    running_var: Array | None = None
    num_batches_tracked: Array | None = None

    def __init__(
        self,
        num_features: int | None,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        *,
        weight_initializer: Initializer | None = None,
        bias_initializer: Initializer | None = None,
        rng: Seed = None,
        dtype: Any = np.float64,
    ) -> None:
        name = type(self).__name__
        self.num_features = None if num_features is None else require_count(type(self), "num_features", num_features)
        if momentum is not None and not 0 <= require_number(type(self), "momentum", momentum) <= 1:
            raise ValueError(f"{name} expects momentum from 0 to 1, or None for a plain average, got {momentum!r}")
        require_flag(type(self), "track_running_stats", track_running_stats)
        self.momentum = None if momentum is None else float(momentum)
        self.state_names = ("running_mean", "running_var", "num_batches_tracked") if track_running_stats else ()
        self.prepare(
            require_number(type(self), "eps", eps, least=0.0), affine, True, (weight_initializer, bias_initializer)
        )
        self.start(self.num_features, rng, dtype)

    def create(self, width: int, make: Make) -> None:
        self.num_features = width
        self.make_parameters((width,), make)
        if self.state_names:
            self.running_mean, self.running_var = make(zeros(), (width,)), make(constant(1.0), (width,))
            self.num_batches_tracked = np.array(0)

    def plan(self, shape: Shape) -> Plan:
        fits = len(shape) - 2 in map(len, self.pixels)
        if not fits or shape[1] != (self.num_features or shape[1]):
            channels, name = str(self.num_features or "num_features"), type(self).__name__
            shapes = " or ".join(f"({', '.join(('batch', channels, *names))})" for names in self.pixels)
            fix = "the second axis is the channels" + (f", and {name}({shape[1]}) takes {shape[1]}" if fits else "")
            raise ShapeError(f"{self!r} expects z of shape {shapes}, got {shape}: {fix}")
        if 0 in shape[2:]:
            raise ShapeError(f"{self!r} expects axes of one entry or more, got z of shape {shape}: crop less")
        return Plan(shape, (0, *range(2, len(shape))), (shape[1], *(1 for _ in shape[2:])))

    def forward(self, z: Array) -> tuple[Array, Kept]:
        require_floating(self, z)
        count = _values_per_channel(self.plan(z.shape))
        if count < 2:
            raise ValueError(
                f"{self!r} expects two values or more for each channel in training, got {count} "
                f"in z of shape {z.shape}: train on larger batches, or take LayerNorm or GroupNorm"
            )
        return super().forward(z)

    def __call__(self, z: Array) -> Array:
        require_floating(self, z)
        plan = self.plan(z.shape)
        self.see(z.shape[1])
        if self.running_mean is None or self.running_var is None:
            return self.forward(z)[0]
        mean, scale = self.running_mean.reshape(plan.of_parameters), self.scale(plan)
        if self.weight is None:  # then z alone decides the precision, as in training
            mean, scale = mean.astype(z.dtype), scale.astype(z.dtype)
        z_next = into(np.multiply, z - mean, scale)
        return z_next if self.bias is None else into(np.add, z_next, self.bias.reshape(plan.of_parameters))

    def at_inference(self) -> Layer:
        return BatchNormAtInference(self) if self.state_names else self

    def scale(self, plan: Plan) -> Array:
        """By what each channel is multiplied at inference: weight / sqrt(running_var + eps)."""
        assert self.running_var is not None
        scale = 1 / np.sqrt(self.running_var + self.eps)
        if self.weight is not None:
            scale = scale * self.weight
        return scale.reshape(plan.of_parameters)

    def observe(self, mean: Array | None, variance: Array, plan: Plan) -> None:
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None or mean is None:
            return
        rate = 1 / (int(self.num_batches_tracked) + 1) if self.momentum is None else self.momentum
        count = _values_per_channel(plan)
        _move(self.running_mean, mean.reshape(-1), rate)
        _move(self.running_var, variance.reshape(-1) * (count / (count - 1)), rate)
        self.num_batches_tracked += 1

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.num_features or '?'})"


class BatchNorm1d(_BatchNorm):
    """Every channel of z (N, C) or (N, C, L) brought to mean 0 and variance 1 over the batch, then scaled and shifted.

        training    z_next  =  (z - mean z) / sqrt(var z + eps) weight + bias,    moments over all axes but the channels
        inference   the same with `running_mean` and `running_var`

    forward moves these towards the moments of its batch, by `momentum`, the variance unbiased; momentum=None averages
    over all batches so far; track_running_stats=False keeps none.  weight and bias have shape (num_features,).
    ValueError unless z has the axes and the channels, and forward two values or more for each channel.
    """

    pixels = ((), ("length",))


class BatchNorm2d(_BatchNorm):
    """Every channel of images z (N, C, H, W) brought to mean 0 and variance 1 over the batch, then scaled and shifted.

        training    z_next  =  (z - mean z) / sqrt(var z + eps) weight + bias,    moments over all axes but the channels
        inference   the same with `running_mean` and `running_var`

    forward moves these towards the moments of its batch, by `momentum`, the variance unbiased; momentum=None averages
    over all batches so far; track_running_stats=False keeps none.  weight and bias have shape (num_features,).
    ValueError unless z has the axes and the channels, and forward two values or more for each channel.
    """

    pixels = (("height", "width"),)


class BatchNormAtInference(Container):
    """What batch normalisation is at inference: each channel times a number, plus another.

    z_next  =  (z - running_mean) s weight + bias,    s = 1 / sqrt(running_var + eps)
    dz = delta s weight,    dweight = sum delta (z - running_mean) s,    dbias = sum delta
    """

    rows_independent = True

    def __init__(self, norm: _BatchNorm) -> None:
        self.norm = norm

    def children(self) -> Sequence[tuple[str, Layer]]:
        return (("norm", self.norm),)

    @property
    def formulas(self) -> Formulas:  # type: ignore[override]
        """With the parameters that there are."""
        names = self.norm.parameter_names
        of_training = written(True, names, True, "")
        weighted = r" \odot w" * ("weight" in names)
        z_hat = r", \quad \hat{\z} = \frac{\z - \mu}{\sqrt{v + \epsilon}}"
        return Formulas(
            forward=r"\frac{\z - \mu}{\sqrt{v + \epsilon}}" + weighted + " + b" * ("bias" in names),
            backward=r"\d" + weighted + r" \odot \frac{1}{\sqrt{v + \epsilon}}",
            gradients={
                f"norm.{name}": formula.partition(r", \quad")[0] + z_hat * (name == "weight")
                for name, formula in of_training.gradients.items()
            },
            symbols={f"norm.{name}": symbol for name, symbol in of_training.symbols.items()},
            where=f"mu and v are the running mean and variance of each channel; {of_training.where}".removesuffix("; "),
        )

    def output_shape(self, shape: Shape) -> Shape:
        return self.norm.output_shape(shape)

    def forward(self, z: Array) -> tuple[Array, Array]:
        return self.norm(z), z

    def backward(self, delta: Array, z: Array) -> Array:
        require_delta(self.norm, delta, z.shape)
        return delta * self.norm.scale(self.norm.plan(z.shape))

    def parameter_gradients(self, delta: Array, z: Array) -> Gradients:
        require_delta(self.norm, delta, z.shape)
        plan = self.norm.plan(z.shape)
        statistics = self.norm.state()
        z_hat = (z - statistics["running_mean"].reshape(plan.of_parameters)) / np.sqrt(
            statistics["running_var"].reshape(plan.of_parameters) + self.norm.eps
        )
        gradients = {"weight": (delta * z_hat).sum(axis=plan.axes), "bias": delta.sum(axis=plan.axes)}
        return self.gather([{name: gradients[name] for name in self.norm.parameter_names}])

    def at_inference(self) -> Layer:
        return self


def _values_per_channel(plan: Plan) -> int:
    return math.prod(plan.shape[axis] for axis in plan.axes)


def _move(running: Array, statistic: Array, rate: float) -> None:
    """running <- (1 - rate) running + rate statistic, in place; of a complex step, the real part."""
    running *= 1 - rate
    running += rate * (statistic if running.dtype.kind == "c" else statistic.real)
