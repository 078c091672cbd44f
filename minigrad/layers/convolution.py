"""Convolutions: every output is a weighted sum over a window of the input, the same weights at every place."""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import numpy as np

from minigrad.checks import ShapeError, label, require_count, require_delta, require_flag, require_floating
from minigrad.initializers import Initializer, uniform
from minigrad.layers.lazy import LazyLayer, Make
from minigrad.layers.patches import correlate, outer, spread, written
from minigrad.layers.spatial import by, describe, letters, require_counts, require_image_shape, require_sizes
from minigrad.layers.windows import Window
from minigrad.typing import Array, Formulas, Gradients, Seed, Shape

Sizes: TypeAlias = int | tuple[int, ...]
"""One number for all spatial axes, or one for each."""


class _Convolution(LazyLayer):
    """What convolutions have in common: arguments, arrays, and a sequence (N, C, L) as an image of one row.

    Subclasses set `rank`, 1 or 2, and write the rules and the shape of the weight.
    """

    rank: int
    bias: Array | None

    def __init__(
        self,
        in_channels: int | None,
        out_channels: int,
        kernel_size: Sizes,
        stride: Sizes = 1,
        padding: Sizes | str = 0,
        dilation: Sizes = 1,
        groups: int = 1,
        bias: bool = True,
        *,
        weight_initializer: Initializer | None = None,
        bias_initializer: Initializer | None = None,
        rng: Seed = None,
        dtype: Any = np.float64,
    ) -> None:
        who, rank = type(self), self.rank
        self.in_channels = None if in_channels is None else require_count(who, "in_channels", in_channels)
        self.out_channels = require_count(who, "out_channels", out_channels)
        self.kernel_size = require_sizes(who, "kernel_size", kernel_size, rank)
        self.stride = require_sizes(who, "stride", stride, rank)
        self.dilation = require_sizes(who, "dilation", dilation, rank)
        self.groups = require_count(who, "groups", groups)
        _require_groups(self, "out_channels", self.out_channels)
        require_flag(who, "bias", bias, "see bias_initializer")
        self.padding = padding if isinstance(padding, str) else require_sizes(who, "padding", padding, rank, 0)
        axes = zip(self.kernel_size, self.stride, self._paddings(), self.dilation, strict=True)
        self.windows = tuple(Window(size, stride, *padding, dilation) for size, stride, padding, dilation in axes)
        self.parameter_names = ("weight", "bias") if bias else ("weight",)
        self._initializers = (weight_initializer, bias_initializer)
        self.start(self.in_channels, rng, dtype)

    def create(self, width: int, make: Make) -> None:
        _require_groups(self, "in_channels", width)
        self.in_channels = width
        shape = self.weight_shape(width)
        default = uniform(math.prod(shape[1:]) ** -0.5)
        for_weight, for_bias = self._initializers
        self.weight = make(for_weight or default, shape)
        self.bias = make(for_bias or default, (self.out_channels,)) if "bias" in self.parameter_names else None

    def weight_shape(self, width: int) -> tuple[int, ...]:
        """The shape of the weight for an input of `width` channels."""
        raise NotImplementedError(f"{type(self).__name__} lacks weight_shape(self, width)")

    def _paddings(self) -> list[tuple[int, int]]:
        """(before, after) for each axis."""
        if not isinstance(self.padding, str):
            return [(p, p) for p in self.padding]
        who = label(type(self))
        if self.padding not in ("same", "valid"):
            raise ValueError(f"{who} expects padding to be integers, 'same' or 'valid', got {self.padding!r}")
        if self.padding == "valid":
            return [(0, 0)] * self.rank
        if set(self.stride) != {1}:
            raise ValueError(
                f"{who} expects stride 1 with padding='same', got {by(self.stride)}: give padding as numbers"
            )
        totals = [d * (size - 1) for d, size in zip(self.dilation, self.kernel_size, strict=True)]
        return [(total // 2, total - total // 2) for total in totals]

    def _plus_bias(self, y: Array) -> Array:
        """y, which is ours to write to, and the bias."""
        if self.bias is None:
            return y
        bias = self.bias.reshape(-1, *(1,) * self.rank)
        return np.add(y, bias, out=y) if np.can_cast(bias.dtype, y.dtype) else y + bias

    def _formulas(self, forward: str, backward: str, of_weight: str, letter: str, places: str) -> Formulas:
        """With the bias, if there is one, of output channel `letter`."""
        has_bias = "bias" in self.parameter_names
        of_bias = rf"\sum_{{n, {places}}} \d_{{n, {letter}, {places}}}"
        o, own, other = ("o", "O", "C") if letter == "o" else ("c", "C", "O")
        start = f"g_{o} = ({other}/G) floor({o} G / {own}) is the first channel of the group of {o}"
        group = "" if self.groups == 1 else f"; {start}, of G = {self.groups} groups of C channels in and O out"
        return Formulas(
            forward=f"{forward} + b_{letter}" if has_bias else forward,
            backward=backward,
            gradients={"weight": of_weight, "bias": of_bias} if has_bias else {"weight": of_weight},
            symbols={"weight": "W", "bias": "b"} if has_bias else {"weight": "W"},
            where=f"what lies outside of an image is 0{group}",
        )

    def _require_channels(self, shape: Shape) -> None:
        require_image_shape(self, shape, self.rank, self.in_channels)
        if self.in_channels is None:
            self.require_width(shape[1])
            _require_groups(self, "in_channels", shape[1])

    def _gradients(self, delta: Array, of_weight: Array) -> Gradients:
        gradients = {"weight": of_weight}
        if self.bias is not None:
            gradients["bias"] = np.add.reduce(delta, axis=(0, *range(2, delta.ndim)))
        return gradients

    def __repr__(self) -> str:
        options = describe(
            ("stride", self.stride, 1),
            ("padding", self.padding, 0),
            ("output_padding", getattr(self, "output_padding", 0), 0),
            ("dilation", self.dilation, 1),
            ("groups", self.groups, 1),
        )
        bias = "" if "bias" in self.parameter_names else ", bias=False"
        channels = f"{self.in_channels or '?'} -> {self.out_channels}"
        return f"{type(self).__name__}({channels}, kernel {by(self.kernel_size)}{options}{bias})"


class _Correlation(_Convolution):
    """The rules of Conv1d and Conv2d."""

    def weight_shape(self, width: int) -> tuple[int, ...]:
        return (self.out_channels, width // self.groups, *self.kernel_size)

    @property
    def formulas(self) -> Formulas:  # type: ignore[override]
        """With the places that these windows see."""
        rules = written(self.windows, self.groups, "oc", r"\d", r"\z")
        return self._formulas(rules.correlate, rules.spread, rules.outer, "o", letters(self.windows).windows)

    def output_shape(self, shape: Shape) -> Shape:
        self._require_channels(shape)
        return (shape[0], self.out_channels, *require_counts(self, shape, self.windows))

    def multiply_adds(self, shape: Shape) -> int:
        counts = self.output_shape(shape)[2:]
        return shape[0] * math.prod(counts) * math.prod(self.weight_shape(shape[1]))

    def forward(self, z: Array) -> tuple[Array, Array]:
        require_floating(self, z)
        self.output_shape(z.shape)
        self.see(z.shape[1])
        return self._plus_bias(correlate(z, self.weight, self.windows, self.groups)), z

    def backward(self, delta: Array, z: Array) -> Array:
        self._require_delta(delta, z)
        return spread(delta, self.weight, self.windows, self.groups, z.shape)

    def parameter_gradients(self, delta: Array, z: Array) -> Gradients:
        self._require_delta(delta, z)
        return self._gradients(delta, outer(delta, z, self.windows, self.groups, self.weight.shape))

    def _require_delta(self, delta: Array, z: Array) -> None:
        counts = (w.count(length) for w, length in zip(self.windows, z.shape[2:], strict=True))
        require_delta(self, delta, (len(z), self.out_channels, *counts))


class Conv2d(_Correlation):
    """Images (N, C, H, W) to images (N, O, H', W'), by W = `weight` (O, C / groups, kh, kw) and b = `bias` (O,).

        z_next_o  =  b_o + sum_c W_oc * z_c
        dz_c      =  sum_o of W_oc delta_o, added to where its z was read
        dW_oc     =  sum_n delta_o * z_c, summed over r and s, not i and j;    db_o = sum_{n, r, s} delta_o

        (W * z)[r, s]  =  sum_{i, j} W[i, j] z[r stride + i dilation - padding, s stride + j dilation - padding]
        H'             =  floor((H + 2 padding - dilation (kh - 1) - 1) / stride) + 1, and so W'

    z is 0 outside of the image.  Sizes are numbers or pairs (height, width).  padding="same" keeps H and W, for stride
    1; "valid" is 0.  With `groups`, each part of the output channels sees its part of the input channels alone.  Both
    arrays start uniform on +-1/sqrt(C kh kw / groups), as in PyTorch, or as their initialisers say; in_channels=None
    leaves C to the first batch.  The output lies in memory with the batch innermost: see layers/patches.py.

    TypeError unless z is a floating array, ValueError unless it has four axes, C channels, and room for the kernel.
    """

    rank = 2


class Conv1d(_Correlation):
    """Sequences (N, C, L) to sequences (N, O, L'), by W = `weight` (O, C / groups, k) and b = `bias` (O,).

        z_next_o  =  b_o + sum_c W_oc * z_c,    (W * z)[r]  =  sum_i W[i] z[r stride + i dilation - padding]

    All else is as in Conv2d.
    """

    rank = 1


class ConvTranspose2d(_Convolution):
    """Images (N, C, H, W) to larger ones (N, O, H', W'), by W = `weight` (C, O / groups, kh, kw) and b = `bias` (O,).

    The transpose of the linear map Conv2d: rule 1 is rule 2 of Conv2d, and rule 2 its rule 1, with the same W.

        z_next_o  =  b_o + sum_c of W_co z_c, added at [r stride + i dilation - padding, ...] for entry [r, s]
        dz_c      =  sum_o W_co * delta_o,    dW_co = sum_n z_c * delta_o,    db_o = sum_{n, h, w} delta_o
        H'        =  (H - 1) stride - 2 padding + dilation (kh - 1) + output_padding + 1, and so W'

    `output_padding` chooses among the sizes that Conv2d would bring to H: it is less than stride or dilation.  Both
    arrays start uniform on +-1/sqrt(O kh kw / groups), as in PyTorch.

    TypeError unless z is a floating array, ValueError unless it has four axes, C channels, and an output of some size.
    """

    rank = 2

    def __init__(
        self,
        in_channels: int | None,
        out_channels: int,
        kernel_size: Sizes,
        stride: Sizes = 1,
        padding: Sizes = 0,
        output_padding: Sizes = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Sizes = 1,
        **options: Any,
    ) -> None:
        self.output_padding = require_sizes(type(self), "output_padding", output_padding, self.rank, 0)
        if isinstance(padding, str):
            raise ValueError(f"{label(type(self))} expects padding to be integers, got {padding!r}")
        super().__init__(in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, **options)
        for extra, w in zip(self.output_padding, self.windows, strict=True):
            if extra >= max(w.stride, w.dilation):
                raise ValueError(
                    f"{self!r} expects output_padding to be less than stride or dilation: what it adds at the end is "
                    "what a stride of Conv2d leaves out"
                )

    def weight_shape(self, width: int) -> tuple[int, ...]:
        return (width, self.out_channels // self.groups, *self.kernel_size)

    @property
    def formulas(self) -> Formulas:  # type: ignore[override]
        """Those of Conv2d, rules 1 and 2 in each other's place."""
        rules = written(self.windows, self.groups, "co", r"\z", r"\d")
        letter = "o" if self.groups == 1 else "m"
        return self._formulas(rules.spread, rules.correlate, rules.outer, letter, letters(self.windows).axes)

    def output_shape(self, shape: Shape) -> Shape:
        self._require_channels(shape)
        shape_next = self._shape_next(shape)
        if min(shape_next[2:]) < 1:
            raise ShapeError(
                f"{self!r} expects an input that gives an output of some size, got {by(shape_next[2:])} from z of "
                f"shape {shape}: padding takes away from the output"
            )
        return shape_next

    def multiply_adds(self, shape: Shape) -> int:
        self.output_shape(shape)
        return shape[0] * math.prod(shape[2:]) * math.prod(self.weight_shape(shape[1]))

    def forward(self, z: Array) -> tuple[Array, Array]:
        require_floating(self, z)
        shape = self.output_shape(z.shape)
        self.see(z.shape[1])
        return self._plus_bias(spread(z, self.weight, self.windows, self.groups, shape)), z

    def backward(self, delta: Array, z: Array) -> Array:
        require_delta(self, delta, self._shape_next(z.shape))
        return correlate(delta, self.weight, self.windows, self.groups, z.shape[2:])

    def parameter_gradients(self, delta: Array, z: Array) -> Gradients:
        require_delta(self, delta, self._shape_next(z.shape))
        return self._gradients(delta, outer(z, delta, self.windows, self.groups, self.weight.shape))

    def _shape_next(self, shape: Shape) -> Shape:
        axes = zip(shape[2:], self.windows, self.output_padding, strict=True)
        lengths = ((n - 1) * w.stride - w.before - w.after + w.span + extra for n, w, extra in axes)
        return (shape[0], self.out_channels, *lengths)


def _require_groups(layer: _Convolution, name: str, channels: int) -> None:
    if channels % layer.groups:
        raise ValueError(
            f"{label(type(layer))} expects {name} to divide into {layer.groups} groups, got {channels}: "
            "groups divides both in_channels and out_channels"
        )
