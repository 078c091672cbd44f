"""Initialisers draw what they say, from the generator that they are given."""

import numpy as np
import pytest

from minigrad import Linear
from minigrad.initializers import constant, normal, uniform, zeros


def test_the_default_of_linear_is_pytorchs():
    layer = Linear(100, 400, rng=0)
    for array in (layer.weight, layer.bias):
        assert np.abs(array).max() < 0.1
        assert array.std() == pytest.approx(0.1 / np.sqrt(3), rel=0.1)
        assert abs(array.mean()) < 0.01


def test_a_seed_repeats_and_a_generator_goes_on():
    np.testing.assert_array_equal(Linear(3, 2, rng=5).weight, Linear(3, 2, rng=5).weight)
    rng = np.random.default_rng(5)
    first, second = Linear(3, 2, rng=rng), Linear(3, 2, rng=rng)
    np.testing.assert_array_equal(first.weight, Linear(3, 2, rng=5).weight)
    assert not np.array_equal(first.weight, second.weight)


def test_no_seed_draws_anew_and_leaves_the_global_generator_alone():
    state = np.random.get_state()[1].copy()  # noqa: NPY002 - the global generator, to see that it stays
    assert not np.array_equal(Linear(3, 2).weight, Linear(3, 2).weight)
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002


def test_each_initialiser():
    rng = np.random.default_rng(0)
    assert not zeros()((2, 3), rng).any()
    assert (constant(2.5)((2, 3), rng) == 2.5).all()
    sample = normal(0.5)((400, 400), rng)
    assert sample.std() == pytest.approx(0.5, rel=0.01)
    sample = uniform(2)((400, 400), rng)
    assert -2 <= sample.min() < -1.99
    assert 1.99 < sample.max() < 2


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_linear_takes_initialisers_and_a_dtype(dtype):
    layer = Linear(3, 2, weight_initializer=constant(1), bias_initializer=zeros(), dtype=dtype)
    assert layer.weight.dtype == layer.bias.dtype == dtype
    np.testing.assert_array_equal(layer(np.ones((1, 3), dtype)), [[3, 3]])
    own = np.ones((2, 3))
    layer = Linear(3, 2, weight_initializer=lambda shape, rng: own)
    assert layer.weight is not own
