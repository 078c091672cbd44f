"""Layers that move numbers about and dropout: plain loops, edge cases; and the messages of these and embeddings."""

import math
import pickle

import numpy as np
import pytest

from minigrad import Linear, Sequential
from minigrad.layers.dropout import Dropout
from minigrad.layers.embedding import (
    Embedding,
    LearnedPositionalEncoding,
    PositionalEncoding,
)
from minigrad.layers.structure import Flatten, Pad, Reshape, Slice, Transpose

RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=(5, 2, 3, 4))
ROWS = RNG.normal(size=(5, 12))
SEQUENCES = RNG.normal(size=(5, 6, 4))


def there_and_back(layer, z):
    """(z_next, where each number came from), the latter from rule 2 at one-hot deltas."""
    z_next, cache = layer.forward(z)
    sources = np.full(z_next.shape, -1)
    for index in np.ndindex(z_next.shape):
        delta = np.zeros(z_next.shape)
        delta[index] = 1
        dz = layer.backward(delta, cache)
        if dz.any():
            sources[index] = np.flatnonzero(dz)[0]
    return z_next, sources


@pytest.mark.parametrize(
    ("layer", "z", "shape"),
    [
        (Flatten(), IMAGES, (5, 24)),
        (Flatten(1, 2), IMAGES, (5, 6, 4)),
        (Flatten(-2), IMAGES, (5, 2, 12)),
        (Flatten(), ROWS, (5, 12)),
        (Reshape(3, 4), ROWS, (5, 3, 4)),
        (Reshape(2, -1, 3), ROWS, (5, 2, 2, 3)),
        (Reshape((-1,)), IMAGES, (5, 24)),
    ],
    ids=repr,
)
def test_a_new_shape_keeps_the_order_of_the_numbers(layer, z, shape):
    z_next, sources = there_and_back(layer, z)
    assert z_next.shape == shape
    assert z_next.ravel().tolist() == z.ravel().tolist()
    assert sources.ravel().tolist() == list(range(z.size))


def test_transpose_against_a_loop():
    z_next, sources = there_and_back(Transpose(1, -1), IMAGES)
    assert z_next.shape == (5, 4, 3, 2)
    for n, i, j, k in np.ndindex(IMAGES.shape):
        assert z_next[n, k, j, i] == IMAGES[n, i, j, k]
        assert sources[n, k, j, i] == np.ravel_multi_index((n, i, j, k), IMAGES.shape)


@pytest.mark.parametrize(
    ("layer", "kept"),
    [
        (Slice(1, 4, axis=1), [1, 2, 3]),
        (Slice(None, None, 2, axis=1), [0, 2, 4]),
        (Slice(-1, None, axis=1), [5]),
        (Slice(None, 1, -2, axis=-2), [5, 3]),
        (Slice(4, 100, axis=1), [4, 5]),
    ],
    ids=repr,
)
def test_slice_against_a_list(layer, kept):
    z_next, sources = there_and_back(layer, SEQUENCES)
    assert z_next.tolist() == [[row.tolist()[t] for t in kept] for row in SEQUENCES]
    assert sources.tolist() == [[[(n * 6 + t) * 4 + d for d in range(4)] for t in kept] for n in range(5)]


def test_pad_against_a_loop():
    z_next, sources = there_and_back(Pad(((1, 2), (0, 3)), 0.25), IMAGES)
    assert z_next.shape == (5, 2, 6, 7)
    for n, c, i, j in np.ndindex(z_next.shape):
        inside = 1 <= i < 4 and j < 4
        assert z_next[n, c, i, j] == (IMAGES[n, c, i - 1, j] if inside else 0.25)
        assert sources[n, c, i, j] == (np.ravel_multi_index((n, c, i - 1, j), IMAGES.shape) if inside else -1)


def test_pad_takes_infinity_for_a_maximum():
    assert Pad(((1, 0),), -np.inf)(np.ones((1, 1), np.float32)).tolist() == [[-np.inf, 1.0]]


@pytest.mark.parametrize(
    ("layer", "shape", "of_next"),
    [
        (Flatten(), (0, 2, 3), (0, 6)),
        (Reshape(-1, 3), (0, 6), (0, 2, 3)),
        (Transpose(1, 2), (0, 2, 3), (0, 3, 2)),
        (Slice(1, None), (0, 3), (0, 2)),
        (Pad(((1, 1),)), (0, 3), (0, 5)),
        (Dropout(0.5), (0, 3), (0, 3)),
        (PositionalEncoding(), (0, 2, 3), (0, 2, 3)),
        (LearnedPositionalEncoding(4, 3), (0, 2, 3), (0, 2, 3)),
    ],
    ids=repr,
)
def test_an_empty_batch_has_the_right_shape(layer, shape, of_next):
    z_next, cache = layer.forward(np.zeros(shape, np.float32))
    assert z_next.shape == of_next
    dz, gradients = layer.backpropagate(np.zeros(of_next), cache)
    assert dz.shape == shape
    assert not any(array.any() for array in gradients.values())


def test_dropout_drops_with_its_probability_and_keeps_the_mean():
    p, count = 0.3, 200_000
    z = np.full((2, count // 2), 2.0)
    z_next, m = Dropout(p, rng=0).forward(z)
    dropped = z_next == 0
    assert set(np.unique(z_next)) == {0.0, 2 / (1 - p)}
    # Five standard deviations of a binomial share.
    assert abs(dropped.mean() - p) < 5 * math.sqrt(p * (1 - p) / count)
    assert abs((dropped[:, 1:] & dropped[:, :-1]).mean() - p * p) < 0.01  # neighbours are independent
    assert np.array_equal(Dropout(p).backward(z, m), z_next)  # dz = m delta


def test_dropout_draws_anew_in_each_pass_and_is_off_at_inference():
    layer = Dropout(0.5, rng=1)
    z = np.ones((4, 50))
    first, second = layer.forward(z)[0], layer.forward(z)[0]
    assert not np.array_equal(first, second)
    assert np.array_equal(Dropout(0.5, rng=1).forward(z)[0], first)
    assert np.array_equal(layer(z), z)
    assert np.array_equal(Sequential(Dropout(0.5), Linear(50, 2, rng=0))(z), Linear(50, 2, rng=0)(z))


def test_dropout_drops_the_same_numbers_in_every_precision():
    of_each = [Dropout(0.4, rng=2).forward(np.ones((3, 40), dtype))[0] for dtype in "fdFD"]
    assert all(np.array_equal(z_next != 0, of_each[0] != 0) for z_next in of_each)
    assert [z_next.dtype.char for z_next in of_each] == list("fdFD")


def test_dropout_of_nothing_and_of_everything():
    z = RNG.normal(size=(3, 4))
    assert np.array_equal(Dropout(0).forward(z)[0], z)
    assert not Dropout(1).forward(z)[0].any()


def test_the_generator_of_dropout_is_state():
    layer = Dropout(0.5, rng=3)
    layer.forward(np.ones((2, 5)))
    restored = Dropout(0.5)
    restored.rng = pickle.loads(pickle.dumps(layer.state()["rng"]))
    assert np.array_equal(restored.forward(np.ones((2, 30)))[0], layer.forward(np.ones((2, 30)))[0])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Flatten(0), "Flatten expects axis to be an integer other than 0, the batch"),
        (lambda: Flatten(2, 1)(IMAGES), r"start_axis to stand before end_axis, got axes 2 and 1 .*swap them"),
        (lambda: Flatten()(np.ones(3)), r"expects z with an axis 1 beside the batch, got shape \(3,\)"),
        (lambda: Reshape(2, 0), r"Reshape expects positive integers, and -1 .*got \(2, 0\)"),
        (lambda: Reshape(-1, -1), r"at most one -1, got \(-1, -1\): give all sizes but one"),
        (lambda: Reshape(5, 2)(ROWS), r"Reshape\(5, 2\) expects 10 numbers in each row, got 12 in z of shape \(5, 12"),
        (lambda: Reshape(5, -1)(ROWS), "expects a multiple of 5 numbers in each row, got 12"),
        (lambda: Transpose(0, 1), "Transpose expects axis to be an integer other than 0, the batch"),
        (lambda: Transpose(1, 3)(SEQUENCES), r"Transpose\(1, 3\) expects z with an axis 3 beside the batch"),
        (lambda: Slice(1.0, 2), "Slice expects start to be an integer or None, got 1.0"),
        (lambda: Slice(1, 2, 0), "expects a step other than 0"),
        (lambda: Slice(0, 1, axis=0), "Slice expects axis to be an integer other than 0, the batch"),
        (
            lambda: Slice(9, None)(ROWS[:, :9]),
            r"Slice\(9, None, axis=-1\) leaves nothing of axis 1 of z of shape \(5, 9",
        ),
        (lambda: Pad(((1, -1),)), r"Pad expects integers of 0 or more, got -1 in \(\(1, -1\),\): Slice crops"),
        (lambda: Pad(2), r"a pair for each of the last axes, \(\(1, 1\), \(2, 2\)\), got 2"),
        (lambda: Pad((1, 1)), r"a pair for each of the last axes, .*got \(1, 1\)"),
        (lambda: Pad(((1, 1), (1, 1)))(ROWS), r"expects z with 2 axes after the batch, or more, got shape \(5, 12\)"),
        (lambda: Dropout(1.5), "Dropout expects p to be a probability, from 0 to 1, got 1.5"),
        (lambda: Embedding(3, 2, 3), "padding_idx to be one of 3 rows, got 3"),
        (lambda: Embedding(3, 0), "expects embedding_dim to be a positive integer, got 0"),
        (
            lambda: Embedding(3, 2)(np.array([[0, 1], [3, 2]])),
            r"expects integers from 0 to 2, got 3 in z\[1, 0\] \(1 of 4\): give num_embeddings the size of the vocab",
        ),
        (lambda: Embedding(3, 2)(np.array([0, -1])), r"from 0 to 2, got -1 in z\[1\]"),
        (lambda: Embedding(3, 2)(np.array(1)), r"got \(\): z\[np.newaxis\] is a batch of one"),
        (lambda: PositionalEncoding(1.0), "expects base to be a number above 1, got 1.0"),
        (
            lambda: PositionalEncoding()(ROWS),
            r"expects z of shape \(batch, time, features\), got \(5, 12\): z\[np.newax",
        ),
        (lambda: LearnedPositionalEncoding(5, 4)(SEQUENCES), "sequences of at most 5 steps, got 6 .*raise max_length"),
        (lambda: LearnedPositionalEncoding(6, 3)(SEQUENCES), r"z of shape \(batch, time, 3\), got \(5, 6, 4\)"),
    ],
)
def test_bad_values_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: Embedding(3, 2)(np.ones(2)),
            r"array of integers, got ndarray of float64 and shape \(2,\): pass z.ast",
        ),
        (lambda: Embedding(3, 2)([1, 2]), r"array of integers, got list: pass np.asarray\(z\)"),
        (lambda: Pad(((1, 1),), "0"), "Pad expects value to be a number, got '0'"),
        (lambda: Dropout()([1.0]), "expects z to be a NumPy array, got list"),
        (lambda: Flatten()(np.ones((2, 2), int)), "expects z of a floating type, got int64"),
    ],
)
def test_bad_types_are_named(make, message):
    with pytest.raises(TypeError, match=message):
        make()


@pytest.mark.parametrize(
    ("layer", "z"),
    [
        (Flatten(), IMAGES),
        (Reshape(3, 4), ROWS),
        (Transpose(1, 2), IMAGES),
        (Slice(0, 2), ROWS),
        (Pad(((1, 1),)), ROWS),
        (Dropout(), ROWS),
        (Embedding(3, 2), np.array([0, 1])),
        (PositionalEncoding(), SEQUENCES),
        (LearnedPositionalEncoding(9, 4), SEQUENCES),
    ],
    ids=repr,
)
def test_a_delta_of_another_shape_is_refused(layer, z):
    _, cache = layer.forward(z)
    with pytest.raises(ValueError, match="expects delta of the shape of its output"):
        layer.backward(np.ones((1, 1)), cache)
    if layer.parameter_names:
        with pytest.raises(ValueError, match="expects delta of the shape of its output"):
            layer.parameter_gradients(np.ones((1, 1)), cache)


@pytest.mark.parametrize(
    ("layer", "said"),
    [
        (Flatten(), "Flatten()"),
        (Flatten(2), "Flatten(2, -1)"),
        (Reshape(2, -1), "Reshape(2, -1)"),
        (Transpose(1, 2), "Transpose(1, 2)"),
        (Slice(0, None, 2, axis=1), "Slice(0, None, 2, axis=1)"),
        (Pad(((1, 0),), 2), "Pad(((1, 0),), value=2)"),
        (Dropout(0.25), "Dropout(0.25)"),
        (Embedding(10, 3, -1), "Embedding(10 -> 3, padding_idx=9)"),
        (PositionalEncoding(), "PositionalEncoding()"),
        (LearnedPositionalEncoding(8), "LearnedPositionalEncoding(8, ?)"),
    ],
)
def test_reprs_teach(layer, said):
    assert repr(layer) == said
