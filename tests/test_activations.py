"""Activations against scalar mathematics, in the tails against 50 digits, and at their kinks."""

import math

import numpy as np
import pytest

from minigrad import Linear, Sequential, build
from minigrad.kernels import CENTRE, FAR, MILLS, normal_cdf, normal_pdf, normal_quantile
from minigrad.layers.activations import Identity
from minigrad.layers.rectifiers import ELU, SELU, HardSigmoid, Hardtanh, LeakyReLU, PReLU
from minigrad.layers.smooth_activations import GELU, Mish, SiLU, Softplus, Softsign

GRID = np.array([-37, -20.5, -5, -3, -2.5, -1, -0.3, -1e-9, 0, 1e-9, 0.2, 1, 2, 2.9, 3, 8, 20.5, 41, 500])
ROOT_2 = math.sqrt(2)


def softplus(x: float) -> float:
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))


def tanh_gelu(x: float) -> float:
    return 0.5 * x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


SCALARS = {
    "Identity": (Identity(), lambda x: x),
    "LeakyReLU": (LeakyReLU(), lambda x: x if x > 0 else x / 100),
    "LeakyReLU, falling": (LeakyReLU(-2), lambda x: abs(x) + abs(min(x, 0))),
    "PReLU": (PReLU(init=0.125), lambda x: x if x > 0 else x / 8),
    "ELU": (ELU(0.5), lambda x: x if x > 0 else (math.exp(x) - 1) / 2),
    "SELU": (SELU(), lambda x: 1.0507009873554805 * (x if x > 0 else 1.6732632423543772 * math.expm1(x))),
    "Hardtanh": (Hardtanh(-0.5, 2), lambda x: sorted((-0.5, x, 2))[1]),
    "HardSigmoid": (HardSigmoid(), lambda x: sorted((0, x / 6 + 0.5, 1))[1]),
    "GELU": (GELU(), lambda x: x * (1 + math.erf(x / ROOT_2)) / 2),
    "GELU tanh": (GELU("tanh"), tanh_gelu),
    "SiLU": (SiLU(), lambda x: x / (1 + math.exp(-x))),
    "Mish": (Mish(), lambda x: x * math.tanh(softplus(x))),
    "Softplus": (Softplus(), lambda x: x if x > 20 else softplus(x)),
    "Softplus, beta": (Softplus(0.25, 30), lambda x: softplus(x / 4) * 4),
    "Softsign": (Softsign(), lambda x: x / (1 + abs(x))),
}


@pytest.mark.parametrize("name", SCALARS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_values_are_those_of_the_scalar_function(name, dtype):
    layer, function = SCALARS[name]
    layer, z = layer.astype(dtype), GRID.astype(dtype)
    expected = np.array([function(float(x)) for x in z])
    np.testing.assert_allclose(layer(z), expected, rtol=4 * np.finfo(dtype).eps, atol=np.finfo(dtype).eps)
    assert layer(z).dtype == dtype


# One-sided derivatives meet in a kink; which one counts there is PyTorch's choice.
KINKS = [
    (LeakyReLU(0.25), [-1e-9, 0, 1e-9], [0.25, 0.25, 1]),
    (PReLU(init=0.5), [-1e-9, 0, 1e-9], [0.5, 0.5, 1]),
    (ELU(0.5), [0, 1e-9], [0.5, 1]),
    (SELU(), [0, 1e-9], [SELU.scale * SELU.alpha, SELU.scale]),
    (Hardtanh(-0.5, 2), [-0.5, -0.4999, 1.9999, 2], [0, 1, 1, 0]),
    (HardSigmoid(), [-3, -2.999, 2.999, 3], [0, 1 / 6, 1 / 6, 0]),
    (Softplus(2, 4), [2, 2.0001], [1 / (1 + math.exp(-4)), 1]),
    (Softsign(), [0], [1]),
]


@pytest.mark.parametrize(("layer", "z", "derivative"), KINKS, ids=lambda value: repr(value)[:20])
def test_the_derivative_at_a_kink(layer, z, derivative):
    z = np.array(z, float)
    _, cache = layer.forward(z)
    np.testing.assert_allclose(layer.backward(np.full_like(z, 2), cache), 2 * np.array(derivative), rtol=1e-15)


SMOOTH = [name for name in SCALARS if name.startswith(("ELU", "SELU", "GELU", "SiLU", "Mish", "Softplus", "Softsign"))]
TAILS = np.array([-36, -25, -9, -5, -3, -0.1, -1e-5, 1e-5, 0.3, 2, 7, 19])


@pytest.mark.parametrize("name", SMOOTH)
def test_values_and_derivatives_keep_their_digits_in_both_tails(name):
    mp = pytest.importorskip("mpmath")

    def tail(x):  # log(1 + e^x), with the digits of a small e^x
        return mp.log1p(mp.exp(x))

    def tanh_form(x):
        return x / (1 + mp.exp(-2 * mp.sqrt(2 / mp.pi) * (x + mp.mpf(0.044715) * x**3)))

    function = {
        "ELU": lambda x: x if x > 0 else mp.expm1(x) / 2,
        "SELU": lambda x: SELU.scale * (x if x > 0 else SELU.alpha * mp.expm1(x)),
        "GELU": lambda x: x * mp.erfc(-x / mp.sqrt(2)) / 2,
        "GELU tanh": tanh_form,
        "SiLU": lambda x: x / (1 + mp.exp(-x)),
        "Mish": lambda x: x * mp.tanh(tail(x)),
        "Softplus": tail,
        "Softplus, beta": lambda x: 4 * tail(x / 4),
        "Softsign": lambda x: x / (1 + abs(x)),
    }[name]
    layer = SCALARS[name][0]
    z_next, cache = layer.forward(TAILS)
    dz = layer.backward(np.ones_like(TAILS), cache)
    with mp.workdps(50):
        for x, y, slope in zip(TAILS, z_next, dz, strict=True):
            exact, derivative = function(mp.mpf(x)), mp.diff(function, mp.mpf(x), h=mp.mpf(10) ** -20)
            if abs(exact) > 1e-290:  # below, numbers have fewer digits
                # The argument of the tanh form is a cubic: it rounds by so many units, and the exponential with it.
                units = 8 + (abs(x) ** 3 if name == "GELU tanh" else abs(x))
                assert abs(mp.mpf(float(y)) / exact - 1) < units * 2.0**-52, x
                assert abs(mp.mpf(float(slope)) / derivative - 1) < 2 * units * 2.0**-52, x


@pytest.mark.parametrize("name", SCALARS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_huge_numbers_raise_no_warning(name, dtype):
    layer = SCALARS[name][0].astype(dtype)
    huge = np.finfo(dtype).max / 8
    z = np.array([huge, -huge], dtype)
    z_next, cache = layer.forward(z)
    assert np.isfinite(z_next).all()
    assert np.isfinite(layer.backward(np.ones_like(z), cache)).all()


@pytest.mark.parametrize("name", SCALARS)
def test_nan_stays_nan(name):
    layer = SCALARS[name][0]
    if name != "Identity":
        assert np.isnan(layer(np.array([[np.nan, 1.0]]))).tolist() == [[True, False]]


def test_identity_is_its_input():
    z = np.ones((2, 3))
    z_next, cache = Identity().forward(z)
    assert z_next is z
    assert Identity().backward(z, cache) is z


def test_prelu_has_a_slope_for_each_channel_or_one_for_all():
    z = np.random.default_rng(0).normal(size=(4, 3, 2, 5))
    layer = PReLU(3).with_parameters({"weight": np.array([0.1, -0.2, 3.0])})
    z_next, cache = layer.forward(z)
    gradient = layer.parameter_gradients(np.ones_like(z), cache)["weight"]
    for channel, slope in enumerate([0.1, -0.2, 3.0]):
        of_channel = z[:, channel]
        np.testing.assert_array_equal(z_next[:, channel], np.where(of_channel > 0, of_channel, slope * of_channel))
        assert gradient[channel] == pytest.approx(sum(x for x in of_channel.ravel() if x < 0))
    one = PReLU()
    assert one.weight.tolist() == [0.25]
    _, cache = one.forward(z)
    assert one.parameter_gradients(np.ones_like(z), cache)["weight"] == pytest.approx([z[z < 0].sum()])
    assert one(np.array([-4.0, 4.0])).tolist() == [-1, 4]


def test_prelu_takes_its_channels_from_the_first_batch():
    model = build(Sequential(Linear(3, 4), PReLU(None, dtype=np.float32)), (3,))
    assert model.parameters()["1.weight"].tolist() == [0.25] * 4
    assert model.parameters()["1.weight"].dtype == np.float32
    assert repr(PReLU(None)) == "PReLU(?)"
    assert repr(model.layers[1]) == "PReLU(4)"


def test_softplus_jumps_at_its_threshold_as_pytorchs_does():
    layer = Softplus(1, 2)
    below, above = layer(np.array([2.0, np.nextafter(2, 3)]))
    assert below == pytest.approx(math.log1p(math.exp(2)))
    assert above == np.nextafter(2, 3)
    assert Softplus(1, math.inf)(np.array([1e3]))[0] == 1e3


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: LeakyReLU("0.1"), TypeError, "LeakyReLU expects negative_slope to be a number, got str"),
        (lambda: ELU(math.nan), ValueError, "ELU expects alpha to be a finite number, got nan"),
        (lambda: PReLU(0), ValueError, "PReLU expects num_parameters to be a positive integer, got 0"),
        (lambda: PReLU(2, math.inf), ValueError, "PReLU expects init to be a finite number, got inf"),
        (lambda: PReLU(2, dtype=int), TypeError, "PReLU expects a floating dtype, got int64"),
        (lambda: Hardtanh(1, 1), ValueError, "Hardtanh expects min_val < max_val, got 1 and 1"),
        (lambda: GELU("erf"), ValueError, "GELU expects approximate to be 'none' or 'tanh', got 'erf'"),
        (lambda: Softplus(0), ValueError, "Softplus expects beta to be other than 0, by which it divides"),
        (lambda: Softplus(threshold=True), TypeError, "Softplus expects threshold to be a number, got bool"),
        (
            lambda: PReLU(3)(np.ones((2, 4))),
            ValueError,
            r"PReLU\(3\) expects z of shape \(batch, 3, ...\), got \(2, 4\)",
        ),
        (lambda: PReLU(None)(np.ones(2)), ValueError, r"PReLU\(\?\) expects z of shape \(batch, channels, ...\), got"),
        (lambda: Identity()([1.0]), TypeError, r"Identity\(\) expects z to be a NumPy array, got list"),
        (lambda: SiLU()(np.ones(2, int)), TypeError, r"SiLU\(\) expects z of a floating type, got int64"),
        (lambda: Identity().backward(np.ones(2), (3,)), ValueError, r"Identity\(\) expects delta of the shape of its"),
        (lambda: PReLU().backward(np.ones(2), np.ones(3)), ValueError, r"PReLU\(1\) expects delta of the shape of its"),
        (
            lambda: PReLU().parameter_gradients(np.ones((3, 1)), np.ones(3)),
            ValueError,
            r"PReLU\(1\) expects delta of the shape",
        ),
    ],
)
def test_messages(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_reprs_say_the_options():
    layers = [LeakyReLU(), ELU(), SELU(), Hardtanh(), HardSigmoid(), GELU(), GELU("tanh"), Softplus()]
    assert [repr(layer) for layer in layers] == [
        "LeakyReLU(0.01)",
        "ELU(alpha=1)",
        "SELU()",
        "Hardtanh(-1, 1)",
        "HardSigmoid()",
        "GELU()",
        "GELU('tanh')",
        "Softplus(beta=1, threshold=20)",
    ]


# The normal distribution.


def test_the_normal_distribution_to_full_relative_accuracy_in_both_tails():
    mp = pytest.importorskip("mpmath")
    rng = np.random.default_rng(0)
    z = np.concatenate((rng.uniform(-37.5, 9, 600), rng.normal(size=300), [0.0, -0.0, 1e-300, -1e-300, -37.5]))
    with mp.workdps(50):
        for x, p, density in zip(z, normal_cdf(z), normal_pdf(z), strict=True):
            exact = mp.erfc(-mp.mpf(x) / mp.sqrt(2)) / 2
            assert abs(mp.mpf(float(p)) / exact - 1) < 1.5e-15, x
            assert abs(mp.mpf(float(density)) / mp.npdf(mp.mpf(x)) - 1) < 1e-15, x


def test_the_normal_distribution_beside_the_error_function_of_c():
    z = np.linspace(-25, 25, 20001).reshape(3, -1, 1)  # more than a block of numbers
    expected = np.array([0.5 * math.erfc(-x / ROOT_2) for x in z.ravel()]).reshape(z.shape)
    np.testing.assert_allclose(normal_cdf(z), expected, rtol=3e-13)  # the quotient rounds, times x^2
    single = z.astype(np.float32)
    np.testing.assert_allclose(normal_cdf(single), normal_cdf(single.astype(float)), rtol=1e-6, atol=1e-38)
    np.testing.assert_array_equal(normal_cdf(z[:, ::-2]), normal_cdf(z)[:, ::-2])
    np.testing.assert_array_equal(normal_cdf(np.array([np.inf, 1e308, -np.inf, -1e308, 0])), [1, 1, 0, 0, 0.5])
    assert np.isnan(normal_cdf(np.array([np.nan]))).all()
    assert np.isnan(normal_pdf(np.array([np.nan]))).all()


def test_the_normal_distribution_is_analytic_near_the_real_axis():
    mp = pytest.importorskip("mpmath")
    rng = np.random.default_rng(1)
    z = rng.uniform(-12, 6, 200) + 1j * rng.uniform(-0.2, 0.2, 200)
    with mp.workdps(40):
        for x, p in zip(z, normal_cdf(z), strict=True):
            exact = mp.erfc(-mp.mpc(x) / mp.sqrt(2)) / 2
            assert abs(mp.mpc(p) / exact - 1) < 1e-14, x
    z = np.append(rng.uniform(-25, 9, 500), [0.0, -0.0])
    np.testing.assert_allclose(normal_cdf(z + 1e-30j).imag / 1e-30, normal_pdf(z), rtol=1e-12)
    np.testing.assert_allclose(normal_pdf(z + 1e-30j).imag / 1e-30, -z * normal_pdf(z), rtol=1e-12)


def test_the_polynomial_of_the_mills_ratio_is_what_its_comment_says():
    mp = pytest.importorskip("mpmath")
    count = len(MILLS)
    with mp.workdps(50):
        c = mp.mpf(CENTRE)

        def smooth(t):
            x = c * (1 + t) / (1 - t)
            return mp.exp(x * x / 2) * mp.erfc(x / mp.sqrt(2)) / 2 * (1 + x / c)

        top = (FAR - c) / (FAR + c)
        nodes = [((top - 1) + (top + 1) * mp.cos(mp.pi * (2 * j + 1) / (2 * count))) / 2 for j in range(count)]
        powers = mp.matrix(count, count)
        for i, t in enumerate(nodes):
            for j in range(count):
                powers[i, j] = t**j
        coefficients = mp.lu_solve(powers, mp.matrix([smooth(t) for t in nodes]))
        assert [float(a) for a in coefficients] == list(MILLS)
        for i in range(200):
            t = -1 + (top + 1) * mp.mpf(i) / 200
            assert abs(mp.polyval(list(coefficients)[::-1], t) / smooth(t) - 1) < 1e-17


def test_the_quantile_is_the_inverse_of_the_distribution_function():
    p = np.concatenate((10.0 ** -np.linspace(0.5, 299, 500), np.linspace(0.01, 0.99, 99)))
    np.testing.assert_allclose(normal_cdf(normal_quantile(p)), p, rtol=1e-12)  # z of -37 rounds, times z
    np.testing.assert_allclose(normal_quantile(1 - p[500:]), -normal_quantile(p[500:]), rtol=1e-14, atol=1e-15)
