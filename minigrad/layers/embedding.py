"""Embedding: a trained vector for each integer; and encodings of the place in a sequence."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from minigrad.checks import (
    ShapeError,
    kind,
    not_one_array,
    require_count,
    require_delta,
    require_float_dtype,
    require_floating,
    require_shape,
)
from minigrad.initializers import Initializer, initialize, normal
from minigrad.layer import Layer
from minigrad.layers.lazy import LazyLayer, Make
from minigrad.layers.many_rows import with_rows
from minigrad.typing import Array, Formulas, Gradients, Seed, Shape


class Embedding(Layer):
    """Row z of `weight` (num_embeddings, embedding_dim) for every integer z, (...) -> (..., embedding_dim).

        z_next  =  W[z],    dz = 0,    dW_k = sum of the delta_n with z_n = k

    The weights start normal with standard deviation 1.  `padding_idx` is an index that stands for nothing: it gives
    zeros, its row starts at 0 and has no gradient.

    TypeError unless z is an array of integers, ValueError where one is not from 0 to num_embeddings - 1.
    """

    parameter_names = ("weight",)
    formulas = Formulas(
        forward=r"W_{\z}",
        backward="0",
        gradients={"weight": r"\sum_n [\z_n = k] \d_n"},
        symbols={"weight": "W"},
        where="k is a row of W; that of padding_idx stays 0",
    )

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        *,
        weight_initializer: Initializer | None = None,
        rng: Seed = None,
        dtype: Any = np.float64,
    ) -> None:
        self.num_embeddings = require_count(Embedding, "num_embeddings", num_embeddings)
        self.embedding_dim = require_count(Embedding, "embedding_dim", embedding_dim)
        if padding_idx is not None and not (
            isinstance(padding_idx, int | np.integer)
            and not isinstance(padding_idx, bool)
            and -num_embeddings <= padding_idx < num_embeddings
        ):
            raise ValueError(f"Embedding expects padding_idx to be one of {num_embeddings} rows, got {padding_idx!r}")
        self.padding_idx = None if padding_idx is None else int(padding_idx) % self.num_embeddings
        shape = (self.num_embeddings, self.embedding_dim)
        generator, dtype = np.random.default_rng(rng), require_float_dtype(Embedding, dtype)
        self.weight = initialize(weight_initializer or normal(1.0), shape, generator, dtype)
        if self.padding_idx is not None:
            self.weight[self.padding_idx] = 0

    def formulas_at(self, z: Any) -> Formulas | None:
        """With what its rows are."""
        return with_rows(self.formulas, z, 0)

    def output_shape(self, shape: Shape) -> Shape:
        require_shape(self, shape)
        self._require_shape(shape)
        return (*shape, self.embedding_dim)

    def forward(self, z: Array) -> tuple[Array, Array]:
        self._require_indices(z)
        z_next = self.weight.take(z, axis=0)
        if self.padding_idx is not None:
            z_next[z == self.padding_idx] = 0
        return z_next, z

    def backward(self, delta: Array, z: Array) -> Array:
        require_delta(self, delta, (*z.shape, self.embedding_dim))
        return np.zeros(z.shape, delta.dtype)

    def parameter_gradients(self, delta: Array, z: Array) -> Gradients:
        require_delta(self, delta, (*z.shape, self.embedding_dim))
        gradient = sum_by_index(delta.reshape(-1, self.embedding_dim), z.reshape(-1), self.num_embeddings)
        if self.padding_idx is not None:
            gradient[self.padding_idx] = 0
        return {"weight": gradient}

    def _require_indices(self, z: Any) -> None:
        if type(z) is tuple:
            raise not_one_array(self, z, "z")
        # np.matrix and masked arrays would lose their shape, or their mask, without a word.
        if not isinstance(z, np.ndarray) or isinstance(z, np.matrix | np.ma.MaskedArray) or z.dtype.kind not in "iu":
            fix = "pass z.astype(int)" if isinstance(z, np.ndarray) else "pass np.asarray(z)"
            raise TypeError(f"{self!r} expects z to be an array of integers, got {kind(z)}: {fix}")
        self._require_shape(z.shape)
        if z.size and (z.min() < 0 or z.max() >= self.num_embeddings):
            wrong = (z < 0) | (z >= self.num_embeddings)
            first = np.unravel_index(int(np.argmax(wrong)), z.shape)
            place = ", ".join(str(int(i)) for i in first)
            raise ValueError(
                f"{self!r} expects integers from 0 to {self.num_embeddings - 1}, got {z[first]} in z[{place}] "
                f"({np.count_nonzero(wrong)} of {z.size}): give num_embeddings the size of the vocabulary"
            )

    def _require_shape(self, shape: Shape) -> None:
        if not shape:
            raise ShapeError(f"{self!r} expects z of shape (batch, ...), got (): z[np.newaxis] is a batch of one")

    def __repr__(self) -> str:
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"Embedding({self.num_embeddings} -> {self.embedding_dim}{padding})"


class PositionalEncoding(Layer):
    """z + P for sequences z (N, T, D), with waves of different lengths along T, and nothing to train.

        P[t, 2i] = sin(t / base^(2i / D)),    P[t, 2i + 1] = cos(t / base^(2i / D)),    dz = delta

    Vaswani et al., "Attention is all you need", 2017, section 3.5.  ValueError unless z has three axes.
    """

    formulas = Formulas(
        forward=r"\z + P",
        backward=r"\d",
        where="P_(t, 2i) = sin(t / base^(2i / D)), P_(t, 2i + 1) = cos(t / base^(2i / D)) at step t",
    )

    def formulas_at(self, z: Any) -> Formulas:
        """With base, and the width D."""
        return self.formulas._replace(where=f"{self.formulas.where}; base = {self.base:g}, D = {np.shape(z)[-1]}")

    def __init__(self, base: float = 10000.0) -> None:
        if not isinstance(base, int | float | np.integer | np.floating) or not 1 < base < float("inf"):
            raise ValueError(f"PositionalEncoding expects base to be a number above 1, got {base!r}")
        self.base = float(base)

    def output_shape(self, shape: Shape) -> Shape:
        require_shape(self, shape)
        _require_sequences(self, shape)
        return shape

    def forward(self, z: Array) -> tuple[Array, Shape]:
        require_floating(self, z)
        _require_sequences(self, z.shape)
        return z + waves(*z.shape[1:], self.base, z.real.dtype), z.shape

    def backward(self, delta: Array, shape: Shape) -> Array:
        require_delta(self, delta, shape)
        return delta

    def __repr__(self) -> str:
        return "PositionalEncoding()" if self.base == 10000 else f"PositionalEncoding(base={self.base:g})"


class LearnedPositionalEncoding(LazyLayer):
    """z + W[:T] for sequences z (N, T, D) of up to `max_length` steps, with W = `weight` (max_length, embedding_dim).

        dz = delta,    dW_t = sum_n delta_nt, and 0 from T on

    The weights start normal with standard deviation 0.02, as in BERT and GPT-2; embedding_dim=None leaves the width to
    the first batch.  ValueError unless z has three axes, of at most max_length steps.
    """

    parameter_names = ("weight",)
    formulas = Formulas(
        forward=r"\z + W",
        backward=r"\d",
        gradients={"weight": r"\sum_n \d_n"},
        symbols={"weight": "W"},
        where="of W, as many rows as there are steps; the gradient of the others is 0",
    )

    def __init__(
        self,
        max_length: int,
        embedding_dim: int | None = None,
        *,
        weight_initializer: Initializer | None = None,
        rng: Seed = None,
        dtype: Any = np.float64,
    ) -> None:
        who = LearnedPositionalEncoding
        self.max_length = require_count(who, "max_length", max_length)
        self.embedding_dim = None if embedding_dim is None else require_count(who, "embedding_dim", embedding_dim)
        self._initializers = (weight_initializer,)
        self.start(self.embedding_dim, rng, dtype)

    def create(self, width: int, make: Make) -> None:
        self.embedding_dim = width
        self.weight = make(self._initializers[0] or normal(0.02), (self.max_length, width))

    def output_shape(self, shape: Shape) -> Shape:
        require_shape(self, shape)
        self._require_shape(shape)
        self.require_width(shape[2])
        return shape

    def forward(self, z: Array) -> tuple[Array, Shape]:
        require_floating(self, z)
        self._require_shape(z.shape)
        self.see(z.shape[2])
        return z + self.weight[: z.shape[1]], z.shape

    def backward(self, delta: Array, shape: Shape) -> Array:
        require_delta(self, delta, shape)
        return delta

    def parameter_gradients(self, delta: Array, shape: Shape) -> Gradients:
        require_delta(self, delta, shape)
        gradient = np.zeros(self.weight.shape, delta.dtype)
        np.add.reduce(delta, axis=0, out=gradient[: shape[1]])
        return {"weight": gradient}

    def _require_shape(self, shape: Shape) -> None:
        _require_sequences(self, shape)
        if shape[1] > self.max_length:
            raise ShapeError(
                f"{self!r} expects sequences of at most {self.max_length} steps, got {shape[1]} in z of shape "
                f"{shape}: raise max_length, or cut the sequences"
            )
        if shape[2] != (self.embedding_dim or shape[2]):
            raise ShapeError(
                f"{self!r} expects z of shape (batch, time, {self.embedding_dim}), got {shape}: "
                "the last axis holds the features"
            )

    def __repr__(self) -> str:
        return f"LearnedPositionalEncoding({self.max_length}, {self.embedding_dim or '?'})"


def sum_by_index(rows: Array, index: Array, count: int) -> Array:
    """total[k] = sum of the rows n with index[n] = k: (N, D), (N,) -> (count, D).

    np.add.at is fast for a flat index alone: here 2 to 5 times as fast as for rows, or as sorting them.
    """
    width = rows.shape[1]
    total = np.zeros(count * width, rows.dtype)
    places = index.astype(np.intp)[:, np.newaxis] * width + np.arange(width)
    np.add.at(total, places.reshape(-1), rows.reshape(-1))
    return total.reshape(count, width)


@lru_cache(maxsize=16)
def waves(length: int, width: int, base: float, dtype: Any) -> Array:
    """The sinusoidal encoding (length, width), read-only: sines in the even columns, cosines in the odd ones."""
    even = np.arange(0, width, 2)
    angle = np.arange(length)[:, np.newaxis] / base ** (even / width)
    encoding = np.empty((length, width))
    encoding[:, 0::2] = np.sin(angle)
    encoding[:, 1::2] = np.cos(angle[:, : width // 2])
    encoding = encoding.astype(dtype)
    encoding.flags.writeable = False
    return encoding


def _require_sequences(layer: Layer, shape: Shape) -> None:
    if len(shape) != 3:
        fix = "z[np.newaxis] is a batch of one" if len(shape) == 2 else "Flatten or Reshape brings it to three axes"
        raise ShapeError(f"{layer!r} expects z of shape (batch, time, features), got {shape}: {fix}")
