"""Normalisation against torch.nn, in training: outputs and gradients of one batch."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.agreement.twin import Pair, Twin
from minigrad import Layer
from minigrad.layers.batch_normalization import BatchNorm1d, BatchNorm2d
from minigrad.layers.normalization import GroupNorm, LayerNorm, RMSNorm


def _sizes(rng: np.random.Generator, count: int, least: int = 1, most: int = 6) -> tuple[int, ...]:
    return tuple(int(size) for size in rng.integers(least, most + 1, count))


def _numbers(rng: np.random.Generator, shape: tuple[int, ...]) -> Any:
    """Of any mean and scale, about 1."""
    return rng.normal(rng.normal(), rng.uniform(0.5, 3), shape)


def _moved(layer: Any, rng: np.random.Generator) -> Any:
    """The layer with other parameters than ones and zeros."""
    return layer.with_parameters({name: rng.normal(size=a.shape) for name, a in layer.parameters().items()})


def _eps(rng: np.random.Generator) -> float:
    return float(rng.choice([1e-5, 1e-3, 0.1]))


def layer_norm(rng: np.random.Generator) -> Pair:
    """Rows of one axis or two."""
    from torch import nn

    shape = (*_sizes(rng, int(rng.integers(0, 2))), int(rng.integers(3, 9)))
    z = _numbers(rng, (*_sizes(rng, int(rng.integers(1, 4 - len(shape) + 1))), *shape))
    eps, affine, bias = _eps(rng), bool(rng.integers(2)), bool(rng.integers(2))
    return Pair(_moved(LayerNorm(shape, eps, affine, bias), rng), nn.LayerNorm(shape, eps, affine, bias), z)


def rms_norm(rng: np.random.Generator) -> Pair:
    """Rows of one axis or two, with the eps of PyTorch or another."""
    from torch import nn

    shape = (*_sizes(rng, int(rng.integers(0, 2))), int(rng.integers(3, 9)))
    z = _numbers(rng, (*_sizes(rng, int(rng.integers(1, 4 - len(shape) + 1))), *shape))
    eps, affine = None if rng.integers(2) else _eps(rng), bool(rng.integers(2))
    return Pair(_moved(RMSNorm(shape, eps, affine), rng), nn.RMSNorm(shape, eps, affine), z)


def group_norm(rng: np.random.Generator) -> Pair:
    """Groups of three numbers or more: of two, dz is what cancels between numbers 1 / eps as large, in both."""
    from torch import nn

    groups, each = _sizes(rng, 2, 1, 4)
    pixels = _sizes(rng, int(rng.integers(0, 3)), 3)
    each = each if pixels else each + 2
    z = _numbers(rng, (*_sizes(rng, 1), groups * each, *pixels))
    eps, affine = _eps(rng), bool(rng.integers(2))
    ours = _moved(GroupNorm(groups, groups * each, eps, affine), rng)
    return Pair(ours, nn.GroupNorm(groups, groups * each, eps, affine), z)


def batch_norm_1d(rng: np.random.Generator) -> Pair:
    """Features and sequences."""
    from torch import nn

    rows, channels, *length = _sizes(rng, int(rng.integers(2, 4)), 3, 8)
    z = _numbers(rng, (rows, channels, *length))
    options = (_eps(rng), None if rng.integers(2) else 0.3, bool(rng.integers(2)), bool(rng.integers(2)))
    return Pair(_moved(BatchNorm1d(channels, *options), rng), nn.BatchNorm1d(channels, *options), z)


def batch_norm_2d(rng: np.random.Generator) -> Pair:
    """Images, with the batch innermost in memory."""
    from torch import nn

    shape = (*_sizes(rng, 1), *_sizes(rng, 3, 2))
    z = np.transpose(_numbers(rng, shape[1:] + shape[:1]), (3, 0, 1, 2))  # as images come from a convolution
    options = (_eps(rng), None if rng.integers(2) else 0.3, bool(rng.integers(2)), bool(rng.integers(2)))
    return Pair(_moved(BatchNorm2d(shape[1], *options), rng), nn.BatchNorm2d(shape[1], *options), z)


class AtInference(Layer):
    """What a batch norm gives at inference, and its running statistics, after training on some batches."""

    def __init__(self, inner: Layer, batches: list[Any]) -> None:
        self.inner, self.batches = inner, batches

    def forward(self, z: Any) -> Any:
        trained = self.inner.astype(z.dtype)
        for batch in self.batches:
            trained.forward(batch.astype(z.dtype))
        numbers = [trained(z), *trained.state().values()]
        slope = trained(np.ones_like(z)) - trained(np.zeros_like(z))
        return np.concatenate([number.ravel() for number in numbers], dtype=z.dtype), slope

    def backward(self, delta: Any, slope: Any) -> Any:
        return delta[: slope.size].reshape(slope.shape) * slope


def running(rng: np.random.Generator) -> Pair:
    """Three batches of training, then inference."""
    import torch
    from torch import nn

    images = bool(rng.integers(2))
    channels, shape = int(rng.integers(1, 5)), _sizes(rng, 2 if images else int(rng.integers(0, 2)), 2)
    options = (_eps(rng), None if rng.integers(2) else float(rng.uniform()), bool(rng.integers(2)))
    ours = _moved((BatchNorm2d if images else BatchNorm1d)(channels, *options), rng)
    batches = [_numbers(rng, (int(rng.integers(2, 5)), channels, *shape)) for _ in range(3)]

    def theirs(z: Any) -> Any:
        module = (nn.BatchNorm2d if images else nn.BatchNorm1d)(channels, *options).to(z.dtype)
        for name, array in ours.parameters().items():
            getattr(module, name).data = torch.tensor(array).to(z.dtype)
        for batch in batches:
            module(torch.tensor(batch).to(z.dtype))
        module.eval()
        return torch.cat([module(z).reshape(-1), *(buffer.reshape(-1).to(z.dtype) for buffer in module.buffers())])

    return Pair(AtInference(ours, batches), theirs, _numbers(rng, (int(rng.integers(1, 4)), channels, *shape)))


TWINS = [
    Twin("LayerNorm", layer_norm),
    Twin("RMSNorm", rms_norm),
    Twin("GroupNorm", group_norm),
    Twin("BatchNorm1d", batch_norm_1d),
    Twin("BatchNorm2d", batch_norm_2d),
    Twin("BatchNorm at inference", running),
]
