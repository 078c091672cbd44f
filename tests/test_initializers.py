"""Initialisers draw what they say, from the generator that they are given."""

import math

import numpy as np
import pytest

from minigrad import Linear
from minigrad.initializers import (
    GAINS,
    constant,
    fans,
    gain,
    kaiming_normal,
    kaiming_uniform,
    normal,
    orthogonal,
    sparse,
    truncated_normal,
    uniform,
    xavier_normal,
    xavier_uniform,
    zeros,
)

SHAPES = [(40, 60), (60, 40), (30, 20, 3), (12, 18, 3, 5)]


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


def drawn(initializer, shape=(400, 300), seed=0):
    return initializer(shape, np.random.default_rng(seed))


# Fans and gains.


def test_fans_are_those_of_a_weight():
    assert fans((3, 5)) == (5, 3)
    assert fans((3, 5, 2, 4)) == (40, 24)
    with pytest.raises(
        ValueError, match=r"fans expects the shape of a weight, \(out, in, ...\), got \(3,\): scales and biases"
    ):
        fans((3,))


def test_fans_and_gains_are_pytorchs():
    init = pytest.importorskip("torch.nn.init")
    torch = pytest.importorskip("torch")
    for shape in SHAPES:
        assert fans(shape) == init._calculate_fan_in_and_fan_out(torch.empty(shape))
    for name in GAINS:
        assert gain(name) == init.calculate_gain(name)
    for slope in (None, 0, 0.3, -2, 1):
        assert gain("leaky_relu", slope) == init.calculate_gain("leaky_relu", slope)


# Numbers of a stated size.

SIZED = {  # (initialiser, bound of a uniform or standard deviation of a normal one)
    "xavier_uniform": (xavier_uniform(), lambda i, o: math.sqrt(6 / (i + o))),
    "xavier_uniform, gain": (xavier_uniform(5 / 3), lambda i, o: 5 / 3 * math.sqrt(6 / (i + o))),
    "xavier_normal": (xavier_normal(2), lambda i, o: 2 * math.sqrt(2 / (i + o))),
    "kaiming_uniform": (kaiming_uniform(), lambda i, o: math.sqrt(6 / i)),
    "kaiming_uniform as in Linear": (kaiming_uniform(math.sqrt(5)), lambda i, o: 1 / math.sqrt(i)),
    "kaiming_normal": (kaiming_normal(nonlinearity="relu"), lambda i, o: math.sqrt(2 / i)),
    "kaiming_normal, out": (kaiming_normal(0.5, "fan_out"), lambda i, o: math.sqrt(2 / 1.25 / o)),
    "kaiming_normal, tanh": (kaiming_normal(0, "fan_out", "tanh"), lambda i, o: 5 / 3 / math.sqrt(o)),
}


@pytest.mark.parametrize("name", SIZED)
@pytest.mark.parametrize("shape", [(120, 500), (30, 40, 5, 10)])
def test_the_size_of_numbers_is_that_of_the_formula(name, shape):
    initializer, formula = SIZED[name]
    field = math.prod(shape[2:])
    size = formula(shape[1] * field, shape[0] * field)
    numbers = drawn(initializer, shape)
    assert numbers.shape == shape
    assert abs(numbers.mean()) < 4 * size / math.sqrt(numbers.size)
    if "uniform" in name:
        assert 0.999 * size < np.abs(numbers).max() <= size
        assert numbers.std() == pytest.approx(size / math.sqrt(3), rel=0.02)
    else:
        assert numbers.std() == pytest.approx(size, rel=0.02)
        assert np.mean(np.abs(numbers) < size) == pytest.approx(math.erf(1 / math.sqrt(2)), abs=0.01)


TORCH = [
    (lambda: xavier_uniform(1.5), "xavier_uniform_", {"gain": 1.5}),
    (lambda: xavier_normal(1.5), "xavier_normal_", {"gain": 1.5}),
    (lambda: kaiming_uniform(0.3, "fan_out"), "kaiming_uniform_", {"a": 0.3, "mode": "fan_out"}),
    (lambda: kaiming_normal(0.3, "fan_in", "selu"), "kaiming_normal_", {"a": 0.3, "nonlinearity": "selu"}),
    (lambda: truncated_normal(0.7, -0.5, 1.2, 0.2), "trunc_normal_", {"std": 0.7, "a": -0.5, "b": 1.2, "mean": 0.2}),
    (lambda: sparse(0.35, 0.2), "sparse_", {"sparsity": 0.35, "std": 0.2}),
]


@pytest.mark.parametrize(("ours", "name", "options"), TORCH, ids=[name for _, name, _ in TORCH])
def test_numbers_are_distributed_as_pytorchs(ours, name, options):
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    theirs = getattr(torch.nn.init, name)(torch.empty(400, 500), **options).numpy()
    quantiles = np.linspace(0, 1, 41)
    np.testing.assert_allclose(
        np.quantile(drawn(ours(), (400, 500)), quantiles)[1:-1],
        np.quantile(theirs, quantiles)[1:-1],
        atol=0.03 * theirs.std(),
    )
    if name == "sparse_":
        assert ((theirs == 0).sum(axis=0) == (drawn(ours(), (400, 500)) == 0).sum(axis=0)).all()


@pytest.mark.parametrize("shape", [*SHAPES, (7, 7), (1, 5), (5, 1)])
@pytest.mark.parametrize("factor", [1.0, 2.5, -1.0])
def test_orthogonal_rows_or_columns(shape, factor):
    numbers = drawn(orthogonal(factor), shape)
    matrix = numbers.reshape(shape[0], -1) / factor
    product = matrix @ matrix.T if matrix.shape[0] <= matrix.shape[1] else matrix.T @ matrix
    np.testing.assert_allclose(product, np.eye(min(matrix.shape)), atol=1e-12)
    assert numbers.shape == shape


def test_orthogonal_matrices_are_uniform():
    """Without the signs of R, the first diagonal entry of Q would always be negative."""
    rng = np.random.default_rng(0)
    matrices = np.array([orthogonal()((3, 3), rng) for _ in range(2000)])
    assert abs(matrices.mean(axis=0)).max() < 0.05  # 4 standard errors of 1/sqrt(3 * 2000)
    np.testing.assert_allclose((matrices**2).mean(axis=0), 1 / 3, atol=0.03)
    assert 0.45 < np.mean(np.linalg.det(matrices) > 0) < 0.55


BOUNDS = [
    (-2, 2),
    (-0.1, 3),
    (0.5, 0.6),
    (3, 40),
    (-20, -19),
    (8, 9),
    (-36.5, -36),
    (-math.inf, 0.3),
    (-math.inf, math.inf),
]


@pytest.mark.parametrize(("low", "high"), BOUNDS)
def test_truncated_normal_numbers_have_the_moments_of_their_distribution(low, high):
    mean, std = 3.0, 0.5
    numbers = (drawn(truncated_normal(std, mean + low * std, mean + high * std, mean)) - mean) / std
    assert low - 1e-14 <= numbers.min()
    assert numbers.max() <= high + 1e-14
    # By quadrature: on a fine grid from the nearer bound, relative to the density there.
    x = np.linspace(max(low, -40), min(high, 40), 400_001)
    density = np.exp(-(x**2 - np.abs(x).min() ** 2) / 2)
    density /= density.sum()
    center = (x * density).sum()
    deviation = math.sqrt(((x - center) ** 2 * density).sum())
    assert numbers.mean() == pytest.approx(center, abs=4 * deviation / math.sqrt(numbers.size))
    assert numbers.std() == pytest.approx(deviation, rel=0.02)


def test_truncated_normal_numbers_lie_within_two_deviations_where_no_bounds_are_given():
    numbers = drawn(truncated_normal(0.02, mean=1.0))
    assert 0.96 <= numbers.min() < 0.9601
    assert 1.0399 < numbers.max() <= 1.04


def test_sparse_has_its_zeros_in_every_column():
    numbers = drawn(sparse(0.1, 2.0), (35, 4000))
    assert ((numbers == 0).sum(axis=0) == 4).all()  # 3.5, rounded up
    np.testing.assert_allclose((numbers == 0).mean(axis=1), 4 / 35, atol=0.025)  # anywhere in the column
    assert numbers[numbers != 0].std() == pytest.approx(2, rel=0.02)
    assert not drawn(sparse(1), (3, 3)).any()
    assert drawn(sparse(0), (3, 3)).all()


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (
            lambda: gain("swish"),
            ValueError,
            "gain expects nonlinearity to be one of leaky_relu, linear, .*, got 'swish'",
        ),
        (lambda: gain("leaky_relu", math.nan), ValueError, "gain expects param to be a finite number, got nan"),
        (lambda: xavier_uniform(0), ValueError, "xavier_uniform expects gain to be a finite number above 0, got 0"),
        (lambda: xavier_normal("relu"), TypeError, "xavier_normal expects gain to be a number, got str"),
        (
            lambda: kaiming_normal(mode="fan"),
            ValueError,
            "kaiming_normal expects mode to be 'fan_in' or 'fan_out', got",
        ),
        (lambda: kaiming_uniform(nonlinearity="x"), ValueError, "gain expects nonlinearity to be one of"),
        (lambda: orthogonal(math.inf), ValueError, "orthogonal expects gain to be a finite number, got inf"),
        (lambda: drawn(orthogonal(), (3,)), ValueError, "fans expects the shape of a weight"),
        (
            lambda: truncated_normal(-1),
            ValueError,
            "truncated_normal expects std to be a finite number above 0, got -1",
        ),
        (lambda: truncated_normal(1, 2, 1), ValueError, "truncated_normal expects lower < upper, got 2.0 and 1.0"),
        (lambda: truncated_normal(1, 5), ValueError, "truncated_normal expects lower < upper, got 5.0 and 2.0"),
        (
            lambda: truncated_normal(1, 38, 50),
            ValueError,
            "expects bounds within 37 deviations of the mean 0, got 38 and",
        ),
        (
            lambda: sparse(1.5),
            ValueError,
            "sparse expects sparsity, the part that is 0, to lie between 0 and 1, got 1.5",
        ),
        (
            lambda: drawn(sparse(0.5), (3, 3, 3)),
            ValueError,
            r"sparse expects a weight of two axes, \(out, in\), got the",
        ),
    ],
)
def test_messages(make, error, message):
    with pytest.raises(error, match=message):
        make()
