"""Kernels and fusions equal the plain formulas."""

import gc
import weakref

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigrad import Linear, LogSoftmax, NLLLoss, Sequential, Tanh, value_and_gradients
from minigrad.fusions import FUSIONS, LinearLogSoftmaxNLLLoss, fused
from minigrad.kernels import COLUMNS, PRODUCTS, ROWS, affine, transposed_product

ROW_COUNTS = st.sampled_from([0, 1, ROWS - 1, ROWS, ROWS + 1, 2 * ROWS, 2 * ROWS + 5, ROWS * PRODUCTS + ROWS + 1])
COLUMN_COUNTS = st.sampled_from([1, 2, COLUMNS, COLUMNS + 1])
DTYPES = st.sampled_from([np.float32, np.float64, np.complex128])


def numbers(rng, shape, dtype):
    values = rng.normal(size=shape)
    # Imaginary parts as of a derivative: small, so that logarithms stay on one branch.
    return (values + (1e-3j * rng.normal(size=shape) if np.dtype(dtype).kind == "c" else 0)).astype(dtype)


@given(ROW_COUNTS, COLUMN_COUNTS, st.integers(1, 3), DTYPES, DTYPES, st.booleans(), st.sampled_from("CF"))
def test_products_equal_einsum(n, k, d, dtype, other, with_bias, order):
    rng = np.random.default_rng((n, k, d))
    z, delta = (np.asarray(numbers(rng, shape, dtype), order=order) for shape in ((n, d), (n, k)))
    weight, bias = numbers(rng, (k, d), other), numbers(rng, (k,), other) if with_bias else None
    eps = max(np.finfo(dtype).eps, np.finfo(other).eps)
    product = affine(z, weight, bias)
    expected = np.einsum("nd,kd->nk", z, weight) + (0 if bias is None else bias)
    assert product.dtype == expected.dtype
    np.testing.assert_allclose(product, expected, rtol=0, atol=40 * eps)
    total = transposed_product(delta, z)
    expected = np.einsum("nk,nd->kd", delta.astype(np.complex128), z.astype(np.complex128))
    assert total.dtype == np.result_type(delta, z)
    np.testing.assert_allclose(total, expected, rtol=0, atol=np.finfo(dtype).eps * 4 * (n + 10))


@given(st.integers(1, 300), st.integers(1, 20), DTYPES, st.sampled_from(["mean", "sum"]), st.booleans(), st.booleans())
def test_the_fused_cost_equals_the_plain_rules(n, k, dtype, reduction, deep, weighted):
    rng = np.random.default_rng((n, k))
    below = [Linear(3, 3, rng=rng), Tanh()] if deep else []
    cost = Sequential(*below, Linear(3, k, rng=rng), LogSoftmax(), NLLLoss(reduction, rng.uniform(1, 2, k)))
    cost = cost.astype(dtype)
    assert isinstance(fused(cost)[-1], LinearLogSoftmaxNLLLoss)
    x, t = numbers(rng, (n, 3), dtype), rng.integers(0, k, n)
    weights = (rng.uniform(size=n),) if weighted else ()
    value, gradients = value_and_gradients(cost, x, t, *weights)
    plain, cache = cost.forward(x, t, *weights)
    expected = cost.parameter_gradients(1.0, cache)
    eps = np.finfo(dtype).eps
    assert value.dtype == plain.dtype == dtype
    np.testing.assert_allclose(value, plain, rtol=50 * eps, atol=4 * eps * n)
    assert list(gradients) == list(expected)
    size = n if reduction == "sum" else 1
    for name, gradient in gradients.items():
        assert gradient.dtype == expected[name].dtype
        np.testing.assert_allclose(gradient, expected[name], rtol=0, atol=100 * eps * size)


def test_an_error_of_the_fused_form_alone_is_not_swallowed():
    class Flaky(Tanh):
        calls = 0

        def forward(self, z):
            type(self).calls += 1
            if self.calls == 1:
                raise OSError("only once")
            return super().forward(z)

    cost = Sequential(Linear(3, 2, rng=0), Flaky(), LogSoftmax(), NLLLoss())
    with pytest.raises(RuntimeError, match="raised what its plain rules do not: OSError"):
        value_and_gradients(cost, np.ones((2, 3)), [0, 1])


def test_only_exact_types_are_fused():
    class Scaled(NLLLoss):
        def backward(self, delta, cache):
            return 2 * super().backward(delta, cache)

    plain = Sequential(Linear(3, 2, rng=0), LogSoftmax(), NLLLoss())
    other = Sequential(plain[0], LogSoftmax(), Scaled())
    x, t = np.ones((4, 3)), np.array([0, 1, 1, 1])
    assert fused(other) is other
    np.testing.assert_array_equal(
        value_and_gradients(other, x, t)[1]["0.bias"],
        2 * plain.parameter_gradients(1.0, plain.forward(x, t)[1])["0.bias"],
    )


def test_the_fused_form_follows_parameters_that_are_replaced():
    cost = Sequential(Linear(3, 2, rng=0), LogSoftmax(), NLLLoss())
    x, t = np.ones((4, 3)), np.array([0, 1, 1, 1])
    value_and_gradients(cost, x, t)
    cost[0].weight = np.zeros((2, 3))
    cost[0].bias = np.zeros(2)
    assert value_and_gradients(cost, x, t)[0] == pytest.approx(np.log(2), rel=1e-15)
    cost[-1].reduction = "sum"
    assert value_and_gradients(cost, x, t)[0] == pytest.approx(4 * np.log(2), rel=1e-15)


def test_a_cost_is_not_kept_alive():
    for top in ([LogSoftmax(), NLLLoss()], [Tanh(), LogSoftmax(), NLLLoss("sum")], []):
        cost = Sequential(Linear(3, 2, rng=0), *top)
        fused(cost)
        gone = weakref.ref(cost)
        del cost
        gc.collect()
        assert gone() is None


def test_errors_of_the_fused_form_name_the_layers_of_the_caller():
    cost = Sequential(Linear(3, 2, rng=0), LogSoftmax(), NLLLoss())
    with pytest.raises(ValueError, match=r"NLLLoss\(mean\) expects labels") as caught:
        value_and_gradients(cost, np.ones((2, 3)), [0, 2])
    assert caught.value.__notes__ == ["in layer 2 of Sequential(Linear, LogSoftmax, NLLLoss)"]


def test_every_fusion_is_in_the_table_of_layers():
    from case import Sizes
    from table import CASES

    made = {type(case.make(Sizes(2, 2, 2), np.random.default_rng(0))) for case in CASES}
    assert set(FUSIONS.values()) <= made


@pytest.mark.parametrize("n", [ROWS, ROWS + 1, 2 * ROWS, ROWS * PRODUCTS + ROWS])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_blocked_products_keep_their_type(n, dtype):
    rng = np.random.default_rng(n)
    z, delta = numbers(rng, (n, 3), dtype), numbers(rng, (n, 2), dtype)
    assert transposed_product(delta, z).dtype == dtype
    np.testing.assert_allclose(transposed_product(delta, z), delta.T @ z, rtol=0, atol=4 * n * np.finfo(dtype).eps)
    bias = np.ones(2) + 1e-30j
    product = affine(z, numbers(rng, (2, 3), dtype), bias)
    assert (product.imag == 1e-30).all()


def test_a_linear_layer_on_long_sequences():
    layer, z = Linear(3, 4, rng=0), np.random.default_rng(0).normal(size=(ROWS + 5, 2, 3))
    expected = np.einsum("ntd,kd->ntk", z, layer.weight) + layer.bias
    np.testing.assert_allclose(layer(z), expected, rtol=0, atol=1e-14)
