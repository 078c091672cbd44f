"""Layers that move numbers about, dropout, embeddings and positions, against torch."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.agreement.twin import Pair, Twin
from minigrad.layers.dropout import Dropout
from minigrad.layers.embedding import Embedding, LearnedPositionalEncoding, PositionalEncoding
from minigrad.layers.structure import Flatten, Pad, Reshape, Slice, Transpose


def _images(rng: np.random.Generator) -> Any:
    return rng.normal(size=tuple(rng.integers(1, 6, int(rng.integers(3, 5)))))


def flatten(rng: np.random.Generator) -> Pair:
    """Any run of axes."""
    from torch import nn

    z = _images(rng)
    first, last = np.sort(rng.integers(1, z.ndim, 2))
    last = last - z.ndim if rng.integers(2) else last
    return Pair(Flatten(first, last), nn.Flatten(int(first), int(last)), z)


def reshape(rng: np.random.Generator) -> Pair:
    """The sizes of a row in another order, one perhaps as -1."""
    z = _images(rng)
    shape = tuple(int(size) for size in rng.permutation(z.shape[1:]))
    if rng.integers(2):
        shape = (-1, *shape[1:])
    return Pair(Reshape(*shape), lambda t: t.reshape(len(t), *shape), z)


def transpose(rng: np.random.Generator) -> Pair:
    """Any two axes."""
    z = _images(rng)
    axis1, axis2 = (int(axis) for axis in rng.integers(1, z.ndim, 2))
    return Pair(Transpose(axis1, axis2), lambda t: t.transpose(axis1, axis2), z)


def slice_(rng: np.random.Generator) -> Pair:
    """Steps forward, which are all that PyTorch has."""
    z = _images(rng)
    axis = int(rng.integers(1, z.ndim))
    start = int(rng.integers(0, z.shape[axis]))
    stop, step = int(rng.integers(start + 1, z.shape[axis] + 2)), int(rng.integers(1, 4))
    index = (slice(None),) * axis + (slice(start, stop, step),)
    return Pair(Slice(start, stop, step, axis), lambda t: t[index], z)


def pad(rng: np.random.Generator) -> Pair:
    """One axis or two, whose pairs PyTorch takes in the opposite order."""
    from torch import nn

    z = rng.normal(size=tuple(rng.integers(1, 6, 4)))
    top, bottom, left, right = (int(size) for size in rng.integers(0, 4, 4))
    value = float(rng.choice([0.0, -1.5]))
    if rng.integers(2):
        return Pair(Pad(((left, right),), value), nn.ConstantPad1d((left, right), value), z[:, 0])
    theirs = nn.ConstantPad2d((left, right, top, bottom), value)
    return Pair(Pad(((top, bottom), (left, right)), value), theirs, z)


def dropout(rng: np.random.Generator) -> Pair:
    """PyTorch draws other numbers: of the same places kept, the same must come out of both."""
    import torch

    z, p, seed = _images(rng), float(rng.choice([0.0, 0.1, 0.5, 1.0])), int(rng.integers(2**31))
    kept = torch.tensor(Dropout(p, rng=seed).forward(np.ones(z.shape))[0] != 0)
    return Pair(Dropout(p, rng=seed), lambda t: t * kept / (1 - p) if p < 1 else 0 * t, z)


def embedding(rng: np.random.Generator) -> Pair:
    """Indices of one axis to three, with padding or without."""
    from torch import nn

    count, width = (int(size) for size in rng.integers(1, 9, 2))
    padding = None if rng.integers(2) else int(rng.integers(-count, count))
    z = rng.integers(0, count, tuple(rng.integers(1, 6, int(rng.integers(1, 4)))))
    return Pair(Embedding(count, width, padding, rng=rng), nn.Embedding(count, width, padding), z)


def positional_encoding(rng: np.random.Generator) -> Pair:
    """The encoding as the tutorial of PyTorch writes it, at an odd width with one cosine less."""
    import torch

    z = rng.normal(size=tuple(rng.integers(1, 9, 3)))
    length, width = z.shape[1:]
    place = torch.arange(length, dtype=torch.float64)[:, None]
    factor = torch.exp(torch.arange(0, width, 2, dtype=torch.float64) * (-np.log(10000.0) / width))
    encoding = torch.zeros(length, width, dtype=torch.float64)
    encoding[:, 0::2] = torch.sin(place * factor)
    encoding[:, 1::2] = torch.cos(place * factor)[:, : width // 2]
    return Pair(PositionalEncoding(), lambda t: t + encoding.to(t.dtype), z)


def learned_positional_encoding(rng: np.random.Generator) -> Pair:
    """PyTorch has none: the sum as a module."""
    import torch

    class Learned(torch.nn.Module):  # type: ignore[misc]  # torch is not looked at
        def __init__(self, count: int, width: int) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(count, width))

        def forward(self, z: Any) -> Any:
            return z + self.weight[: z.shape[1]]

    z = rng.normal(size=tuple(rng.integers(1, 9, 3)))
    count = int(z.shape[1] + rng.integers(0, 3))
    return Pair(LearnedPositionalEncoding(count, z.shape[2], rng=rng), Learned(count, z.shape[2]), z)


TWINS = [
    Twin("Flatten", flatten),
    Twin("Reshape", reshape),
    Twin("Transpose", transpose),
    Twin("Slice", slice_),
    Twin("Pad", pad),
    Twin("Dropout", dropout),
    Twin("Embedding", embedding),
    Twin("PositionalEncoding", positional_encoding),
    Twin("LearnedPositionalEncoding", learned_positional_encoding),
]
