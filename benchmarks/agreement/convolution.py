"""Convolution and pooling, beside PyTorch's: `TWINS`."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.agreement.twin import Pair, Twin
from minigrad import Layer
from minigrad.layers.convolution import Conv1d, Conv2d, ConvTranspose2d
from minigrad.layers.global_pooling import GlobalAveragePool, GlobalMaxPool
from minigrad.layers.pooling import (
    AdaptiveAvgPool1d,
    AdaptiveAvgPool2d,
    AvgPool1d,
    AvgPool2d,
    MaxPool1d,
    MaxPool2d,
)

RANK = {Conv1d: 1, MaxPool1d: 1, AvgPool1d: 1, AdaptiveAvgPool1d: 1}


def convolution(layer: Any) -> Twin:
    """A Conv1d or Conv2d of any options; padding sometimes in words."""

    def draw(rng: np.random.Generator) -> Pair:
        rank = RANK.get(layer, 2)
        options = _window(rng, rank, most_padding=3)
        if rng.random() < 0.2:
            options |= {"padding": str(rng.choice(["same", "valid"])), "stride": 1}
        groups, c, o = rng.integers(1, 4, 3).tolist()
        options |= {"groups": groups, "bias": bool(rng.random() < 0.7)}
        lengths = [_least(options, i) + int(rng.integers(0, 7)) for i in range(rank)]
        return _pair(layer, (c * groups, o * groups), options, _images(rng, c * groups, lengths))

    return Twin(layer.__name__, draw)


def transposed(rng: np.random.Generator) -> Pair:
    """A ConvTranspose2d of any options whose output has some size."""
    while True:
        options = _window(rng, 2, most_padding=2)
        strides, dilations = options["stride"], options["dilation"]
        most = [max(s, d) for s, d in zip(strides, dilations, strict=True)]
        options["output_padding"] = tuple(int(rng.integers(0, m)) for m in most)
        groups, c, o = rng.integers(1, 4, 3).tolist()
        options |= {"groups": groups, "bias": bool(rng.random() < 0.7)}
        lengths = rng.integers(1, 6, 2).tolist()
        if all(_grown(options, i, length) > 0 for i, length in enumerate(lengths)):
            return _pair(ConvTranspose2d, (c * groups, o * groups), options, _images(rng, c * groups, lengths))


def pool(layer: Any) -> Twin:
    """A pool of any options, on numbers that are sometimes whole, so that some are equal."""

    def draw(rng: np.random.Generator) -> Pair:
        rank = RANK.get(layer, 2)
        options = _window(rng, rank)
        if layer in (AvgPool1d, AvgPool2d):
            del options["dilation"]
            options["count_include_pad"] = bool(rng.random() < 0.5)
        dilations = options.get("dilation", (1,) * rank)
        spans = [d * (k - 1) + 1 for k, d in zip(options["kernel_size"], dilations, strict=True)]
        options["padding"] = tuple(int(rng.integers(0, size // 2 + 1)) for size in options["kernel_size"])
        options["ceil_mode"] = bool(rng.random() < 0.3)
        z = _images(rng, int(rng.integers(1, 4)), [span + int(rng.integers(0, 7)) for span in spans])
        return _pair(layer, (), options, np.round(z) if rng.random() < 0.3 else z)

    return Twin(layer.__name__, draw)


def adaptive(layer: Any) -> Twin:
    """An adaptive pool to fewer, as many, or more entries than there are."""

    def draw(rng: np.random.Generator) -> Pair:
        rank = RANK.get(layer, 2)
        size = tuple(rng.integers(1, 7, rank).tolist())
        z = _images(rng, int(rng.integers(1, 4)), rng.integers(1, 12, rank).tolist())
        return _pair(layer, (), {"output_size": size if rank == 2 else size[0]}, z)

    return Twin(layer.__name__, draw)


def over_all(layer: Layer, reduction: str) -> Twin:
    """A pool over all spatial axes, beside a reduction of torch tensors."""

    def draw(rng: np.random.Generator) -> Pair:
        axes = tuple(range(2, 2 + int(rng.integers(1, 4))))
        # Not of mean 0: a mean that cancels to 1e-5 of its terms has 1e-5 of their digits left, here as there.
        z = 1 + _images(rng, int(rng.integers(1, 4)), rng.integers(1, 6, len(axes)).tolist())

        def theirs(tensor: Any) -> Any:
            return tensor.mean(axes) if reduction == "mean" else tensor.flatten(2).max(2).values

        return Pair(layer, theirs, z)

    return Twin(type(layer).__name__, draw)


TWINS = [
    convolution(Conv1d),
    convolution(Conv2d),
    Twin("ConvTranspose2d", transposed),
    pool(MaxPool1d),
    pool(MaxPool2d),
    pool(AvgPool1d),
    pool(AvgPool2d),
    adaptive(AdaptiveAvgPool1d),
    adaptive(AdaptiveAvgPool2d),
    over_all(GlobalAveragePool(), "mean"),
    over_all(GlobalMaxPool(), "max"),
]


def _pair(layer: Any, sizes: tuple[int, ...], options: dict[str, Any], z: np.ndarray[Any, Any]) -> Pair:
    import torch

    return Pair(layer(*sizes, **options), getattr(torch.nn, layer.__name__)(*sizes, **options), z)


def _window(rng: np.random.Generator, rank: int, most_padding: int = 0) -> dict[str, Any]:
    def some(least: int, most: int) -> tuple[int, ...]:
        return tuple(rng.integers(least, most + 1, rank).tolist())

    return {
        "kernel_size": some(1, 4),
        "stride": some(1, 4),
        "padding": some(0, most_padding),
        "dilation": some(1, 3),
    }


def _least(options: dict[str, Any], i: int) -> int:
    padding = 0 if isinstance(options["padding"], str) else options["padding"][i]
    return int(max(1, options["dilation"][i] * (options["kernel_size"][i] - 1) + 1 - 2 * padding))


def _grown(options: dict[str, Any], i: int, length: int) -> int:
    stride, padding, dilation, kernel, extra = (
        options[name][i] for name in ("stride", "padding", "dilation", "kernel_size", "output_padding")
    )
    return int((length - 1) * stride - 2 * padding + dilation * (kernel - 1) + extra + 1)


def _images(rng: np.random.Generator, channels: int, lengths: list[int]) -> np.ndarray[Any, Any]:
    z = rng.normal(size=(*lengths, int(rng.integers(1, 5)), channels))
    # Any order in memory: here the channels innermost, or the batch.
    z = np.moveaxis(z, (-2, -1), (0, 1))
    return z if rng.random() < 0.5 else np.ascontiguousarray(z)
