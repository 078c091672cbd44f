"""Embeddings and encodings of the place in a sequence: plain loops, padding, what is trained."""

import math

import numpy as np
import pytest

from minigrad import build
from minigrad.initializers import constant
from minigrad.layers.embedding import Embedding, LearnedPositionalEncoding, PositionalEncoding, sum_by_index

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("dtype", ["f", "d", "D"])
def test_embedding_against_a_loop(dtype):
    layer = Embedding(4, 3, rng=0, dtype=dtype)
    z = np.array([[1, 1, 3], [0, 1, 3]], np.uint8)
    z_next, cache = layer.forward(z)
    delta = np.random.default_rng(1).normal(size=z_next.shape).astype(dtype)
    expected = np.zeros((4, 3), dtype)
    for index in np.ndindex(z.shape):
        assert np.array_equal(z_next[index], layer.weight[z[index]])
        expected[z[index]] += delta[index]
    gradient = layer.parameter_gradients(delta, cache)["weight"]
    assert gradient.dtype == expected.dtype
    assert np.array_equal(gradient, expected)
    dz = layer.backward(delta, cache)
    assert (dz.shape, dz.dtype.char, dz.any()) == (z.shape, dtype, False)


def test_rows_of_an_embedding_are_independent():
    layer = Embedding(5, 2, rng=0)
    z = RNG.integers(0, 5, (6, 3))
    z_next, cache = layer.forward(z)
    delta = RNG.normal(size=z_next.shape)
    by_row = [layer.forward(z[n : n + 1]) for n in range(6)]
    assert np.array_equal(np.concatenate([row for row, _ in by_row]), z_next)
    total = sum(layer.parameter_gradients(delta[n : n + 1], by_row[n][1])["weight"] for n in range(6))
    assert np.allclose(layer.parameter_gradients(delta, cache)["weight"], total, rtol=1e-14)


@pytest.mark.parametrize("padding_idx", [2, -2])
def test_padding_gives_zeros_and_learns_nothing(padding_idx):
    layer = Embedding(4, 3, padding_idx, rng=0)
    assert not layer.weight[2].any()
    assert layer.weight[[0, 1, 3]].all()
    layer = layer.with_parameters({"weight": np.ones((4, 3))})
    z_next, cache = layer.forward(np.array([[2, 1], [2, 2]]))
    assert z_next[..., 0].tolist() == [[0, 1], [0, 0]]
    gradient = layer.parameter_gradients(np.ones(z_next.shape), cache)["weight"]
    assert gradient[:, 0].tolist() == [0, 1, 0, 0]


def test_an_embedding_starts_normal_or_as_told():
    weight = Embedding(400, 50, rng=0).weight
    assert abs(weight.std() - 1) < 0.03
    assert abs(weight.mean()) < 0.03
    assert (Embedding(2, 3, weight_initializer=constant(0.5), dtype="f").weight == np.full((2, 3), 0.5, "f")).all()


def test_sums_by_index_of_no_rows_and_of_the_same_row():
    assert not sum_by_index(np.zeros((0, 2)), np.zeros(0, int), 3).any()
    assert sum_by_index(np.ones((50, 2)), np.full(50, 1), 3).tolist() == [[0, 0], [50, 50], [0, 0]]
    assert sum_by_index(np.ones((300, 2)), np.full(300, 255, np.uint8), 256)[255].tolist() == [300, 300]


@pytest.mark.parametrize("width", [1, 4, 5])
def test_positional_encoding_against_its_formula(width):
    z = RNG.normal(size=(2, 7, width))
    found = PositionalEncoding(base=100.0)(z) - z
    for t in range(7):
        for i in range(width):
            angle = t / 100.0 ** (2 * (i // 2) / width)
            assert found[0, t, i] == pytest.approx(math.cos(angle) if i % 2 else math.sin(angle), abs=1e-14)
    assert PositionalEncoding()(z.astype("f")).dtype == np.float32


def test_a_learned_position_trains_the_steps_that_were_there():
    layer = LearnedPositionalEncoding(5, 2, rng=0)
    z = RNG.normal(size=(4, 3, 2))
    z_next, cache = layer.forward(z)
    delta = RNG.normal(size=z.shape)
    gradient = layer.parameter_gradients(delta, cache)["weight"]
    for n, t, d in np.ndindex(z.shape):
        assert z_next[n, t, d] == z[n, t, d] + layer.weight[t, d]
    for t, d in np.ndindex(5, 2):
        assert gradient[t, d] == pytest.approx(sum(delta[n, t, d] for n in range(4)) if t < 3 else 0, abs=1e-15)
    assert build(LearnedPositionalEncoding(5), (3, 7)).weight.shape == (5, 7)
