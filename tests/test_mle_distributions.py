"""Tails of distributions, against closed forms, extended precision and SciPy."""

import math
from decimal import Decimal, localcontext

import numpy as np
import pytest

from minigrad.mle.inference.distributions import (
    DIGITS,
    _log_gamma,
    chi_squared_log_tail,
    chi_squared_tail,
    two_sided,
    two_sided_quantile,
)

FREEDOM = [0.5, 1, 2, 3, 4, 5, 7.3, 10, 33, 100, 801, 5000]
PLACES = [1e-12, 1e-3, 0.1, 0.5, 0.99, 1, 1.5, 2, 3.3, 5, 10, 30, 100, 300, 700, 1300, 5200, 1e5]


@pytest.mark.parametrize("x", [1e-9, 0.3, 1.0, 3.84, 50.0, 700.0, 1300.0])
def test_tails_of_one_two_and_four_degrees_have_closed_forms(x):
    assert chi_squared_tail(x, 2) == pytest.approx(math.exp(-x / 2), rel=1e-15)
    assert chi_squared_tail(x, 4) == pytest.approx(math.exp(-x / 2) * (1 + x / 2), rel=1e-15)
    assert chi_squared_log_tail(x, 2) == pytest.approx(-x / 2, rel=1e-15)
    # z is rounded, and the tail is that of z^2 to z^2 eps.
    assert chi_squared_tail(x, 1) == pytest.approx(two_sided(np.array([math.sqrt(x)]))[0], rel=2e-16 * (4 + x))


def test_tails_agree_with_extended_precision():
    mp = pytest.importorskip("mpmath")
    with mp.workdps(50):
        for df in FREEDOM:
            for x in PLACES:
                exact = mp.gammainc(mp.mpf(df) / 2, mp.mpf(x) / 2, regularized=True)
                if exact < mp.mpf("1e-4000"):
                    continue
                assert abs(chi_squared_log_tail(x, df) - mp.log(exact)) <= 1e-15 * abs(mp.log(exact)) + mp.mpf("1e-29")
                if exact > mp.mpf("1e-306"):
                    assert abs(chi_squared_tail(x, df) / exact - 1) < 2e-16
        for z in np.linspace(-37, 37, 75):
            assert abs(two_sided(np.array([z]))[0] / mp.erfc(abs(mp.mpf(z)) / mp.sqrt(2)) - 1) < 1e-15


def test_the_gamma_function_has_twenty_five_digits():
    mp = pytest.importorskip("mpmath")
    with mp.workdps(50), localcontext(prec=DIGITS):
        for a in (0.25, 0.5, 1, 7.5, 39.75, 40, 400.5, 1e6):
            exact = mp.loggamma(mp.mpf(a))
            assert abs(mp.mpf(str(_log_gamma(Decimal(a)))) - exact) < mp.mpf("1e-25") * max(1, exact)


def test_tails_agree_with_scipy():
    stats = pytest.importorskip("scipy.stats")
    for df in FREEDOM:
        for x in [0.1, 1.0, 10.0, 100.0]:
            assert chi_squared_tail(x, df) == pytest.approx(stats.chi2.sf(x, df), rel=1e-11)


def test_tails_far_out_have_a_logarithm():
    assert chi_squared_tail(3000, 2) == 0
    assert chi_squared_log_tail(3000, 2) == -1500
    assert chi_squared_log_tail(math.inf, 2) == -math.inf
    assert chi_squared_tail(math.inf, 3) == 0
    assert chi_squared_tail(0.0, 3) == chi_squared_tail(-1.0, 3) == 1
    assert math.isnan(chi_squared_tail(math.nan, 3))
    assert np.isnan(two_sided(np.array([math.nan])))[0]
    assert two_sided(np.array([math.inf]))[0] == 0


def test_quantiles_of_the_normal():
    assert two_sided_quantile(0.95) == pytest.approx(1.9599639845400542, rel=1e-15)
    for level in [0.01, 0.5, 0.9, 0.999, 1 - 1e-12]:
        assert two_sided(np.array([two_sided_quantile(level)]))[0] == pytest.approx(1 - level, rel=1e-13)


def test_what_is_no_distribution_is_refused():
    with pytest.raises(ValueError, match="a positive number of degrees of freedom, got 0"):
        chi_squared_tail(1.0, 0)
