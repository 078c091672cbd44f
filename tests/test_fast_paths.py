"""Kernels equal the plain formulas."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigrad import Linear
from minigrad.kernels import COLUMNS, ROWS, affine, transposed_product

ROW_COUNTS = st.sampled_from([0, 1, ROWS - 1, ROWS, ROWS + 1, 2 * ROWS, 2 * ROWS + 5, 32 * ROWS + ROWS + 1])
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


@pytest.mark.parametrize("n", [ROWS, ROWS + 1, 2 * ROWS, 32 * ROWS + ROWS])
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
