"""Scale, Bias, RBF, Polynomial and Bilinear against plain loops."""

import math
from itertools import combinations, combinations_with_replacement

import numpy as np
import pytest

from minigrad import Parallel, Sequential, build
from minigrad.initializers import constant, normal
from minigrad.layers.activations import Identity
from minigrad.layers.bilinear import Bilinear
from minigrad.layers.features import RBF, Polynomial
from minigrad.layers.scaling import Bias, Scale

RNG = np.random.default_rng(0)


# Scale and Bias.


def test_scale_and_bias_by_feature():
    z, delta = RNG.normal(size=(2, 5, 4, 3))
    scale, bias = Scale(3, scale_initializer=normal(1), rng=1), Bias(3, bias_initializer=normal(1), rng=2)
    scaled, of_scale = scale.forward(z)
    shifted, of_bias = bias.forward(z)
    for n, t, d in np.ndindex(z.shape):
        assert scaled[n, t, d] == z[n, t, d] * scale.scale[d]
        assert shifted[n, t, d] == z[n, t, d] + bias.bias[d]
    for d in range(3):
        ds = sum(delta[n, t, d] * z[n, t, d] for n in range(5) for t in range(4))
        assert scale.parameter_gradients(delta, of_scale)["scale"][d] == pytest.approx(ds, rel=1e-12)
        db = sum(delta[n, t, d] for n in range(5) for t in range(4))
        assert bias.parameter_gradients(delta, of_bias)["bias"][d] == pytest.approx(db, rel=1e-12)


def test_they_start_as_the_identity():
    z = RNG.normal(size=(5, 3))
    for layer in (Scale(3), Bias(3), Scale(()), Bias((1,)), Scale(None), Bias(None)):
        np.testing.assert_array_equal(layer(z), z)
        assert all(array.dtype == np.float64 for array in layer.parameters().values())
    assert Scale(3, dtype=np.float32)(z.astype(np.float32)).dtype == np.float32


@pytest.mark.parametrize("shape", [(), (1,), (2,), (3, 1, 1), (3, 4, 2), (1, 4, 1)])
def test_an_axis_of_length_1_is_stretched(shape):
    z, delta = RNG.normal(size=(2, 5, 3, 4, 2))
    scale, bias = Scale(shape, scale_initializer=normal(1), rng=1), Bias(shape)
    full = np.broadcast_to(scale.scale, z.shape)
    z_next, cache = scale.forward(z)
    np.testing.assert_array_equal(z_next, z * full)
    expected = np.zeros(shape)
    for place in np.ndindex(z.shape):
        own = tuple(0 if size == 1 else i for i, size in zip(place[z.ndim - len(shape) :], shape, strict=True))
        expected[own] += (delta * z)[place]
    np.testing.assert_allclose(scale.parameter_gradients(delta, cache)["scale"], expected, rtol=1e-12, atol=1e-12)
    ones, of_bias = bias.forward(z)
    sums = bias.parameter_gradients(np.ones_like(ones), of_bias)["bias"]
    assert sums.shape == shape
    np.testing.assert_array_equal(sums, z.size / math.prod(shape))


# RBF.


def test_rbf_is_a_bump_around_each_centre():
    z, delta = RNG.normal(size=(6, 2)), RNG.normal(size=(6, 3))
    layer = RBF(2, 3, log_gamma_initializer=normal(1), rng=0)
    y, cache = layer.forward(z)
    dz, gradients = layer.backpropagate(delta, cache)
    c, gamma = layer.centers, np.exp(layer.log_gamma)
    expected = {"dz": np.zeros((6, 2)), "centers": np.zeros((3, 2)), "log_gamma": np.zeros(3)}
    for n in range(6):
        for k in range(3):
            square = math.dist(z[n], c[k]) ** 2
            bump = math.exp(-gamma[k] * square)
            assert y[n, k] == pytest.approx(bump, rel=1e-14)
            toward = 2 * delta[n, k] * bump * gamma[k] * (z[n] - c[k])
            expected["dz"][n] -= toward
            expected["centers"][k] += toward
            expected["log_gamma"][k] -= delta[n, k] * bump * gamma[k] * square
    np.testing.assert_allclose(dz, expected["dz"], rtol=1e-12, atol=1e-14)
    for name in ("centers", "log_gamma"):
        np.testing.assert_allclose(gradients[name], expected[name], rtol=1e-12, atol=1e-14)


def test_rbf_keeps_its_digits_far_from_0():
    """By |z|^2 - 2 z c + |c|^2, or the difference of two sums, six to ten digits would be lost here."""
    z, delta = RNG.normal(size=(4, 2)), RNG.normal(size=(4, 3))
    near = RBF(2, 3, rng=0)
    offset = 2.0**20
    z, centers = (
        np.round(z * 2**20) / 2**20,
        np.round(near.centers * 2**20) / 2**20,
    )  # so that the offset rounds nothing
    near = near.with_parameters({"centers": centers})
    far = near.with_parameters({"centers": centers + offset})
    y, cache = near.forward(z)
    y_far, cache_far = far.forward(z + offset)
    np.testing.assert_array_equal(y_far, y)
    expected, found = near.backpropagate(delta, cache), far.backpropagate(delta, cache_far)
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-13, atol=1e-13)
    np.testing.assert_allclose(found[1]["centers"], expected[1]["centers"], rtol=1e-13, atol=1e-13)


def test_rbf_starts_at_samples_if_asked_and_at_a_width_that_suits_the_dimension():
    x = RNG.normal(size=(50, 4))
    layer = RBF(4, 7, centers_initializer=lambda shape, rng: rng.choice(x, shape[0], replace=False), rng=0)
    assert all((x == centre).all(axis=1).any() for centre in layer.centers)
    np.testing.assert_allclose(np.exp(layer.log_gamma), 1 / 4)
    np.testing.assert_array_equal(np.diagonal(layer(layer.centers)), 1)
    assert RBF(None, 7)(x).shape == (50, 7)


# Polynomial.


def by_definition(z, degrees, alone, one):
    choose = combinations if alone else combinations_with_replacement
    columns = [[1.0] * len(z)] * one
    columns += [
        [math.prod(row[i] for i in places) for row in z]
        for degree in range(degrees[0], degrees[1] + 1)
        for places in choose(range(z.shape[1]), degree)
    ]
    return np.array(columns).T.reshape(len(z), len(columns))


@pytest.mark.parametrize("degree", [1, 2, 4, (2, 3), (3, 3)])
@pytest.mark.parametrize("alone", [False, True])
@pytest.mark.parametrize("one", [False, True])
def test_polynomials_are_all_monomials_in_the_order_of_scikit_learn(degree, alone, one):
    z = RNG.normal(size=(5, 4))
    degrees = degree if isinstance(degree, tuple) else (1, degree)
    layer = Polynomial(degree, alone, one)
    np.testing.assert_allclose(layer(z), by_definition(z, degrees, alone, one), rtol=1e-14)
    np.testing.assert_array_equal(layer(z.reshape(5, 2, 2)), layer(z.reshape(10, 2)).reshape(5, 2, -1))


@pytest.mark.parametrize("options", [{}, {"interaction_only": True}, {"include_bias": False}, {"degree": (2, 3)}])
def test_polynomials_equal_those_of_scikit_learn(options):
    preprocessing = pytest.importorskip("sklearn.preprocessing")
    z = RNG.normal(size=(5, 4))
    options = {"degree": 3, **options}
    theirs = preprocessing.PolynomialFeatures(**options).fit_transform(z)
    np.testing.assert_allclose(Polynomial(**options)(z), theirs, rtol=1e-14)


@pytest.mark.parametrize("alone", [False, True])
def test_the_derivative_of_a_monomial_is_exact_at_zeros(alone):
    z = RNG.integers(-2, 3, (40, 4)).astype(float)  # products of small integers are exact
    layer = Polynomial(4, interaction_only=alone)
    z_next, cache = layer.forward(z)
    choose = combinations if alone else combinations_with_replacement
    places = [places for degree in range(5) for places in choose(range(4), degree)]
    for column, factors in enumerate(places):
        delta = np.zeros_like(z_next)
        delta[:, column] = 1
        expected = np.zeros_like(z)
        for j, i in enumerate(factors):
            expected[:, i] += [math.prod(row[k] for k in factors[:j] + factors[j + 1 :]) for row in z]
        np.testing.assert_array_equal(layer.backward(delta, cache), expected)


def test_polynomials_of_few_inputs():
    assert Polynomial(3, interaction_only=True)(np.full((1, 2), 3.0)).tolist() == [[1, 3, 3, 9]]
    assert Polynomial(3)(np.full((2, 1), 2.0)).tolist() == [[1, 2, 4, 8]] * 2
    assert Polynomial((3, 3), True, False)(np.ones((2, 2))).shape == (2, 0)
    assert Polynomial()(np.ones((0, 3))).shape == (0, 10)


# Bilinear.


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("leading", [(5,), (200,), (3, 4), (0,)])
def test_bilinear_is_a_sum_of_products(bias, leading):
    layer = Bilinear(3, 4, 2, bias=bias, rng=0)
    u, v, delta = (RNG.normal(size=(*leading, width)) for width in (3, 4, 2))
    y, cache = layer.forward((u, v))
    dz, gradients = layer.backpropagate(delta, cache)
    assert type(dz) is tuple
    w = layer.weight
    expected_y = np.zeros_like(delta) + (layer.bias if bias else 0)
    du, dv, dw = np.zeros_like(u), np.zeros_like(v), np.zeros_like(w)
    for place in np.ndindex(leading):
        for o, i, j in np.ndindex(2, 3, 4):
            expected_y[place][o] += u[place][i] * w[o, i, j] * v[place][j]
            du[place][i] += delta[place][o] * w[o, i, j] * v[place][j]
            dv[place][j] += delta[place][o] * w[o, i, j] * u[place][i]
            dw[o, i, j] += delta[place][o] * u[place][i] * v[place][j]
    for found, expected in zip((y, *dz, gradients["weight"]), (expected_y, du, dv, dw), strict=True):
        assert found.shape == expected.shape
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)
    assert list(gradients) == (["weight", "bias"] if bias else ["weight"])
    if bias:
        np.testing.assert_allclose(gradients["bias"], delta.sum(axis=tuple(range(len(leading)))), rtol=1e-12)


def test_bilinear_starts_as_pytorchs():
    layer = Bilinear(100, 10, 50, rng=0)
    for array in (layer.weight, layer.bias):
        assert np.abs(array).max() < 0.1
        assert array.std() == pytest.approx(0.1 / math.sqrt(3), rel=0.1)
    layer = Bilinear(2, 2, 1, weight_initializer=constant(2), bias_initializer=constant(1), dtype=np.float32)
    assert layer((np.ones((1, 2), np.float32),) * 2).tolist() == [[9]]


@pytest.mark.parametrize("widths", [(None, None), (3, None), (None, 4)])
def test_bilinear_takes_its_widths_from_the_first_batch(widths):
    model = build(Sequential(Parallel(Identity(), Identity()), Bilinear(*widths, 2)), ((3,), (4,)))
    assert model.parameters()["1.weight"].shape == (2, 3, 4)
    assert repr(model.layers[1]) == "Bilinear(3, 4 -> 2)"


@pytest.mark.parametrize(
    ("layer", "shape", "count"),
    [
        (Bilinear(3, 4, 2), ((5, 3), (5, 4)), 5 * 3 * 4 * 2),
        (Bilinear(3, None, 2, bias=False), ((5, 6, 3), (5, 6, 4)), 5 * 6 * 3 * 4 * 2),
        (RBF(3, 7), (5, 3), 5 * 3 * 7),
        (RBF(None, 7), (5, 2, 3), 5 * 2 * 3 * 7),
    ],
)
def test_multiply_adds(layer, shape, count):
    assert layer.multiply_adds(shape) == count


# All.

U, V = np.ones((5, 3)), np.ones((5, 4))


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Scale(0), ValueError, "Scale expects num_features to be a positive integer, got 0"),
        (lambda: Bias((2, -1)), ValueError, "Bias expects num_features to be a positive integer, got -1"),
        (lambda: Scale(3)(V), ValueError, r"Scale\(3\) expects z of shape \(batch, ..., 3\), got \(5, 4\)"),
        (lambda: Bias((5, 4))(V), ValueError, r"Bias\(\(5, 4\)\) expects z of shape \(batch, ..., 5, 4\), got \(5, 4"),
        (lambda: Bias(None)(V[0]), ValueError, r"Bias\(\?\) expects z of shape \(batch, ..., features\), got \(4,\)"),
        (lambda: Scale(3)(U.astype(int)), TypeError, r"Scale\(3\) expects z of a floating type, got int64"),
        (lambda: Scale(3).backward(V, U), ValueError, r"Scale\(3\) expects delta of the shape of its output, \(5, 3\)"),
        (lambda: Bias(3).backward(V, (5, 3)), ValueError, r"Bias\(3\) expects delta of the shape of its output"),
        (lambda: Scale(3).parameter_gradients(V, U), ValueError, r"Scale\(3\) expects delta of the shape"),
        (lambda: Bias(3).parameter_gradients(V, (5, 3)), ValueError, r"Bias\(3\) expects delta of the shape"),
        (lambda: RBF(3, 0), ValueError, "RBF expects num_centers to be a positive integer, got 0"),
        (lambda: RBF(3, 2)(V), ValueError, r"RBF\(3 -> 2\) expects z of shape \(batch, 3\), got \(5, 4\): the last ax"),
        (lambda: RBF(None, 2)(V[0]), ValueError, r"RBF\(\? -> 2\) expects z of shape \(batch, features\), got \(4,\):"),
        (lambda: RBF(None, 2)(V[:, :0]), ValueError, r"RBF\(\? -> 2\) expects z of shape \(batch, features\), got \(5"),
        (lambda: Polynomial(0), ValueError, "Polynomial expects degree to be a positive integer, got 0"),
        (lambda: Polynomial((3, 2)), ValueError, r"Polynomial expects degree=\(lower, upper\) in that order, got \(3,"),
        (lambda: Polynomial((1, 2, 3)), ValueError, r"Polynomial expects degree to be a positive integer, got \(1, 2,"),
        (lambda: Polynomial(2, 1), TypeError, "Polynomial expects interaction_only to be True or False, got int"),
        (lambda: Polynomial()(V[0]), ValueError, r"Polynomial\(2\) expects z of shape \(batch, features\), got \(4,\)"),
        (lambda: Bilinear(3, 4, 2.5), ValueError, "Bilinear expects out_features to be a positive integer, got 2.5"),
        (lambda: Bilinear(3, 4, 2, bias=0), TypeError, "Bilinear expects bias to be True or False, got int: see bias_"),
        (
            lambda: Bilinear(3, 4, 2)(U),
            TypeError,
            r"\(3, 4 -> 2\) expects z to be a tuple of 2 arrays, got one array of",
        ),
        (lambda: Bilinear(3, 4, 2)((V, U)), ValueError, r"shapes \(batch, 3\) and \(batch, 4\), got \(5, 4\) and \(5,"),
        (lambda: Bilinear(3, None, 2)((U, V[:4])), ValueError, r"and \(batch, features\), got \(5, 3\) and \(4, 4\): "),
        (lambda: Bilinear(3, 4, 2)((U, V.astype(int))), TypeError, r"expects z\[1\] of a floating type, got int64"),
        (lambda: Bilinear(3, 4, 2).backward(U, (U, V)), ValueError, r"delta of the shape of its output, \(5, 2\)"),
        (lambda: Bilinear(3, 4, 2).parameter_gradients(U, (U, V)), ValueError, r"delta of the shape of its output"),
    ],
)
def test_messages(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_reprs_say_the_options():
    layers = [Scale(()), Scale((3, 1)), Bias(None), RBF(None, 4), Polynomial((2, 3), True, False), Polynomial(3)]
    assert [repr(layer) for layer in (*layers, Bilinear(None, 2, 3, False))] == [
        "Scale(())",
        "Scale((3, 1))",
        "Bias(?)",
        "RBF(? -> 4)",
        "Polynomial((2, 3), interaction_only=True, include_bias=False)",
        "Polynomial(3)",
        "Bilinear(?, 2 -> 3, bias=False)",
    ]
