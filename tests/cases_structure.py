"""Layers that move numbers about, dropout, embeddings and positions."""

import numpy as np
from case import Case, HeldFixed, OfIndices, Sizes

from minigrad.initializers import normal
from minigrad.layers.dropout import Dropout
from minigrad.layers.embedding import Embedding, LearnedPositionalEncoding, PositionalEncoding
from minigrad.layers.structure import Flatten, Pad, Reshape, Slice, Transpose


class HeldFixedByPlace(HeldFixed):
    """The same noise for each place of a batch: a row that comes alone gets that of the first."""

    rows_independent = False


def images(s: Sizes) -> tuple[int, ...]:
    return (s.n, 2, s.d, s.k)


def sequences(s: Sizes) -> tuple[int, ...]:
    return (s.n, 3, s.d)


def indices(s: Sizes, rng: np.random.Generator) -> tuple:
    return (rng.integers(0, s.k, s.n),)


def sequences_of_indices(s: Sizes, rng: np.random.Generator) -> tuple:
    return (rng.integers(0, s.k, (s.n, 3)).astype(np.int32),)


CASES = [
    Case("Flatten", lambda s, rng: Flatten(), images),
    Case("Flatten of two axes", lambda s, rng: Flatten(1, 2), images),
    Case("Flatten of rows", lambda s, rng: Flatten()),
    Case("Reshape", lambda s, rng: Reshape(s.k, 2 * s.d), images),
    Case("Reshape to what is left", lambda s, rng: Reshape(2, -1, 1), images),
    Case("Transpose", lambda s, rng: Transpose(1, 2), sequences),
    Case("Transpose of images", lambda s, rng: Transpose(-1, 1), images),
    Case("Slice", lambda s, rng: Slice(1, None), sequences, domain=lambda z: np.concatenate([z, z], axis=-1)),
    Case("Slice of time", lambda s, rng: Slice(-1, None, axis=1), sequences),
    Case("Slice backwards", lambda s, rng: Slice(None, None, -2, axis=1), sequences),
    Case("Pad", lambda s, rng: Pad(((1, 2),), 0.5)),
    Case("Pad of images", lambda s, rng: Pad(((0, 1), (2, 0))), images),
    Case("Dropout", lambda s, rng: HeldFixedByPlace(Dropout(0.4, rng=rng)), sequences),
    Case("Dropout of nothing", lambda s, rng: HeldFixed(Dropout(0.0, rng=rng))),
    Case("Dropout of everything", lambda s, rng: HeldFixed(Dropout(1.0, rng=rng))),
    Case("Embedding", lambda s, rng: OfIndices(Embedding(s.k, s.d, rng=rng)), lambda s: (s.n, 1), indices),
    Case(
        "Embedding of sequences",
        lambda s, rng: OfIndices(Embedding(s.k, s.d, padding_idx=0, rng=rng)),
        lambda s: (s.n, 1),
        sequences_of_indices,
    ),
    Case("PositionalEncoding", lambda s, rng: PositionalEncoding(), sequences),
    Case("LearnedPositionalEncoding", lambda s, rng: LearnedPositionalEncoding(4, s.d, rng=rng), sequences),
    Case(
        "LearnedPositionalEncoding, full",
        lambda s, rng: LearnedPositionalEncoding(3, s.d, weight_initializer=normal(1.0), rng=rng),
        sequences,
    ),
]
