"""Products of matrices equal their formulas, to the last bit where numbers are whole, whichever way they are taken."""

import tracemalloc
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigrad import Linear, kernels
from minigrad.kernels import (
    COLUMNS,
    DEPTH,
    ENTRIES,
    ROWS,
    affine,
    both_affine,
    column_sums,
    softmax_by_class,
    times,
    transposed_product,
)

TYPES = [np.float32, np.float64, np.complex128]


def whole(rng, shape, dtype, order="C"):
    """Whole numbers, read-only: sums of their products are exact in every type and in every order."""
    values = rng.integers(-4, 5, shape)
    if np.dtype(dtype).kind == "c":
        values = values + 1j * rng.integers(-4, 5, shape)
    array = np.asarray(values, dtype, order=order)
    array.flags.writeable = False
    return array


def assert_exact(n, d, k, types=(np.float64,) * 3, orders="CCC"):
    rng = np.random.default_rng((n, d, k))
    z, weight, delta = (
        whole(rng, shape, dtype, order)
        for shape, dtype, order in zip(((n, d), (k, d), (n, k)), (types[0], types[1], types[0]), orders, strict=True)
    )
    bias = whole(rng, k, types[2])
    exact = [a.astype(complex) for a in (z, weight, delta, bias)]
    for b in (bias, None):
        z_next = affine(z, weight, b)
        assert z_next.dtype == np.result_type(z, weight, *([] if b is None else [b]))
        np.testing.assert_array_equal(z_next, np.einsum("nd,kd->nk", *exact[:2]) + (0 if b is None else exact[3]))
    total = transposed_product(delta, z)
    assert total.dtype == z.dtype
    np.testing.assert_array_equal(total, np.einsum("nk,nd->kd", exact[2], exact[0]))
    dz = times(delta, weight)
    assert dz.dtype == np.result_type(delta, weight)
    np.testing.assert_array_equal(dz, np.einsum("nk,kd->nd", exact[2], exact[1]))
    sums = column_sums(delta)
    assert sums.dtype == delta.dtype
    np.testing.assert_array_equal(sums, np.einsum("nk->k", exact[2]))


SHAPES = [
    (1, 784, 256),  # a single row
    (4, 1100, 500),  # few rows by a wide matrix
    (150, 100, 100),  # neither few rows nor few columns
    (256, 784, 10),  # blocks of one size
    (257, 784, 10),  # and a remainder of one row
    (64, 3000, 10),  # blocks, though there are few rows
    (5, 60000, 4),  # the smallest blocks
    (500, DEPTH - 1, 3),
    (ENTRIES + 1, DEPTH, 1),
    (ROWS + 1, 7, COLUMNS),
    (ROWS, 7, COLUMNS + 1),
    (0, 3, 2),
]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", TYPES[:2])
def test_products_of_every_size_are_exact(shape, dtype):
    assert_exact(*shape, (dtype,) * 3)


@pytest.mark.parametrize("types", list(product(TYPES, repeat=2)))
def test_products_of_two_types_have_the_wider(types):
    assert_exact(256, 784, 10, (*types, types[0]))
    assert_exact(4, 1100, 500, (*types, types[1]))


@given(
    st.integers(0, 40),
    st.integers(1, 12),
    st.integers(1, 20),
    st.tuples(*[st.sampled_from(TYPES)] * 3),
    st.tuples(*[st.sampled_from("CF")] * 3),
)
def test_products_in_blocks_are_exact(n, d, k, types, orders):
    # The same arrangements with all sizes a hundredth, so that small arrays meet each of them.
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"SMALL": 150, "ENTRIES": 24, "DEPTH": 2, "ROWS": 6, "SHORTEST": 1 / 8}.items():
            patch.setattr(kernels, name, value)
        assert_exact(n, d, k, types, orders)


@given(st.integers(1, 10**5), st.integers(1, 2000))
def test_blocks_are_even(n, most):
    rows = kernels._even(n, most)
    assert 1 <= rows <= most
    assert n % rows <= max(0, n // rows)
    assert n <= most or 2 * rows > min(most, n) // 2


@pytest.mark.parametrize("shape", [(), (0,), (1,), (6,), (2, 3), (0, 3), (ROWS + 1, 2)])
def test_axes_before_the_last_two_are_rows(shape):
    rng = np.random.default_rng(0)
    z, weight, bias = (whole(rng, s, float) for s in ((*shape, 5), (3, 5), (3,)))
    np.testing.assert_array_equal(affine(z, weight, bias), np.einsum("...d,kd->...k", z, weight) + bias)
    np.testing.assert_array_equal(times(z, weight.T), np.einsum("...d,kd->...k", z, weight))
    back = z.transpose(range(z.ndim)[::-1]).copy().transpose(range(z.ndim)[::-1])
    np.testing.assert_array_equal(affine(back, weight, None), np.einsum("...d,kd->...k", z, weight))


@pytest.mark.parametrize("shape", [*SHAPES, (1797, 64, 10), (200, 5, 3)])
@pytest.mark.parametrize("order", "CF")
def test_two_products_as_one_are_exact(shape, order):
    n, d, k = shape
    rng = np.random.default_rng(shape)
    z = whole(rng, (n, d), float, order)
    weights, biases = [whole(rng, (k, d), float) for _ in range(2)], [whole(rng, k, float) for _ in range(2)]
    for kept in (biases, (None, None), (biases[0], None), (None, biases[1])):
        for of_z, of_weight in product((np.float64, np.float32), repeat=2):
            pairs = [(weights[0].astype(of_z), kept[0]), (weights[1].astype(of_weight), kept[1])]
            for found, (weight, bias) in zip(both_affine(z.astype(of_z), *pairs), pairs, strict=True):
                np.testing.assert_array_equal(found, z @ weight.T + (0 if bias is None else bias))
                assert found.dtype == affine(z.astype(of_z), weight, bias).dtype


@pytest.mark.parametrize("dtype", TYPES[:2])
@pytest.mark.parametrize("shape", [(1, 5), (3, 1), (10, 200), (2, 0)])
def test_a_softmax_of_few_classes_is_the_formula(shape, dtype):
    z = np.random.default_rng(0).normal(size=shape) * 30
    z = (z - z.max(axis=0, initial=-1e9)).astype(dtype)
    p = np.exp(z.astype(float)) / np.exp(z.astype(float)).sum(axis=0)
    found = softmax_by_class(z)
    assert found is z
    np.testing.assert_allclose(found, p, rtol=40 * np.finfo(dtype).eps, atol=np.finfo(dtype).tiny)


def test_the_order_of_few_classes():
    rng = np.random.default_rng(0)
    for n, d, k, by_class in [
        (ROWS + 1, 3, COLUMNS, True),
        (ROWS + 1, 100, 2, True),
        (256, 784, 10, True),
        (ROWS, 3, COLUMNS, False),
        (ROWS + 1, 3, COLUMNS + 1, False),
        (4, 1100, 500, False),
    ]:
        flags = affine(whole(rng, (n, d), np.float32), whole(rng, (k, d), np.float32), None).flags
        assert (flags.f_contiguous, flags.c_contiguous) == (by_class, not by_class)


@pytest.mark.parametrize("order", "CF")
@pytest.mark.parametrize("n", [1, 2, 7, 200])
@pytest.mark.parametrize("dtype", TYPES)
def test_sums_show_what_is_not_finite(n, dtype, order):
    delta = np.ones((n, 5), dtype, order=order)
    delta[n // 2, :4] = np.nan, np.inf, -np.inf, np.inf
    delta[-1, 3] = -np.inf
    with np.errstate(invalid="ignore"):
        np.testing.assert_array_equal(column_sums(delta), np.add.reduce(delta, axis=0))


@pytest.mark.parametrize(("n", "d", "k"), [(256, 784, 10), (4, 1100, 500), (150, 20, 100)])
def test_a_row_that_is_not_finite_spoils_no_other(n, d, k):
    rng = np.random.default_rng(0)
    z, weight = rng.normal(size=(n, d)).astype(np.float32), rng.normal(size=(k, d)).astype(np.float32)
    z[n // 2, 0], z[-1, 1] = np.inf, np.nan
    z_next = affine(z, weight, np.zeros(k, np.float32))
    np.testing.assert_array_equal(z_next[n // 2], np.inf * np.sign(weight[:, 0]))
    assert np.isnan(z_next[-1]).all()
    assert np.isfinite(np.delete(z_next, [n // 2, n - 1], axis=0)).all()


@pytest.mark.parametrize(("d", "k"), [(20, 100), (300, 10), (3, 2)])
def test_the_bias_is_added_where_the_product_stands(d, k):
    layer, z = Linear(d, k, rng=0, dtype=np.float32), np.ones((10000, d), np.float32)
    layer.forward(z)
    tracemalloc.start()
    z_next, _ = layer.forward(z)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < z_next.nbytes + 40000  # NumPy has a buffer of 8192 numbers
