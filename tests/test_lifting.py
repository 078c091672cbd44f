"""Linear equations in whole numbers by lifting, against elimination without fractions."""

from fractions import Fraction
from time import process_time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigrad.existence import exact, lifting
from minigrad.existence.exact import dot, echelon, null_basis, solve, whole


def matrix(seed, rows, columns):
    """Entries of very unequal sizes, many of them 0; some rows are sums of others."""
    rng = np.random.default_rng(seed)
    bits = rng.integers(1, 90)
    entries = [[int(rng.integers(-9, 10)) << int(rng.integers(0, bits)) for _ in range(columns)] for _ in range(rows)]
    entries = [[v * bool(rng.random() < 0.7) for v in row] for row in entries]
    if rng.random() < 0.4:
        entries[3] = [a + 2 * b for a, b in zip(entries[0], entries[1], strict=True)]
    return entries


@given(seed=st.integers(0, 10**6), size=st.integers(exact.SMALL + 1, exact.SMALL + 6))
def test_a_solution_is_that_of_elimination(seed, size):
    a = matrix(seed, size, size)
    b = np.random.default_rng(seed).integers(-(10**9), 10**9, size).tolist()
    reduced, pivots, value = echelon([[*row, v] for row, v in zip(a, b, strict=True)], size)
    found = solve(a, b)
    if len(pivots) < size:
        assert found is None
    else:
        assert found[1] > 0
        assert [Fraction(v, found[1]) for v in found[0]] == [Fraction(row[-1], value) for row in reduced]


@given(seed=st.integers(0, 10**6), rows=st.integers(exact.SMALL + 1, 40), columns=st.integers(exact.SMALL + 1, 18))
def test_a_null_space_is_whole_and_nothing_else(seed, rows, columns):
    a = matrix(seed, rows, columns)
    basis = null_basis(a, columns)
    assert len(basis) == columns - len(echelon(a)[1])
    assert not basis or len(echelon(basis)[1]) == len(basis)
    assert all(dot(row, v) == 0 for row in a for v in basis)


@pytest.mark.parametrize("prime", lifting.PRIMES)
def test_the_primes_are_prime(prime):
    assert prime < 2**31  # products of remainders have 62 bits
    assert all(prime % d for d in range(2, int(prime**0.5) + 1))


def test_rows_that_vanish_modulo_the_prime_are_seen():
    prime = lifting.PRIMES[0]
    size = exact.SMALL + 1
    unit = [[int(i == j) for j in range(size)] for i in range(size)]
    rows = [*unit[:-1], [prime * v for v in unit[-1]]]
    assert null_basis(rows, size) == []
    assert solve(rows, [1] * size) == ([prime] * (size - 1) + [1], prime)


def test_a_hundred_equations_take_no_minutes():
    rng = np.random.default_rng(0)
    a, b = whole(rng.normal(size=(100, 100)))[0], whole(rng.normal(size=(1, 100)))[0][0]
    start = process_time()
    numerators, value = solve(a, b)
    assert process_time() - start < 5  # 0.2 s; by elimination a minute
    assert all(dot(row, numerators) == v * value for row, v in zip(a, b, strict=True))
