"""RNN, GRU and LSTM against the equations written out number by number, and what PyTorch's users expect of them."""

import math

import numpy as np
import pytest

from minigrad import Sequential, build
from minigrad.initializers import constant
from minigrad.layers.recurrence import Recurrent
from minigrad.layers.recurrent import GRU, LSTM, RNN
from minigrad.testing import check_layer

KINDS = (RNN, GRU, LSTM)
GATES = {RNN: 1, GRU: 3, LSTM: 4}


def sigma(a: float) -> float:
    return 1 / (1 + math.exp(-a))


def unit(layer, k: int, x, h) -> tuple[float, float]:
    """(a, u) of row k of the weights: W_ih x + b_ih and W_hh h + b_hh, as sums of products."""
    a = sum(layer.weight_ih_l0[k, j] * x[j] for j in range(len(x)))
    u = sum(layer.weight_hh_l0[k, j] * h[j] for j in range(len(h)))
    if layer.bias_ih_l0 is None:
        return a, u
    return a + layer.bias_ih_l0[k], u + layer.bias_hh_l0[k]


def elman(layer, x, h, c):
    phi = math.tanh if layer.nonlinearity == "tanh" else (lambda s: max(s, 0.0))
    return [phi(sum(unit(layer, k, x, h))) for k in range(len(h))], c


def gru(layer, x, h, c):
    size, new = len(h), []
    for k in range(size):
        r = sigma(sum(unit(layer, k, x, h)))
        update = sigma(sum(unit(layer, size + k, x, h)))
        a, u = unit(layer, 2 * size + k, x, h)
        new.append((1 - update) * math.tanh(a + r * u) + update * h[k])
    return new, c


def lstm(layer, x, h, c):
    size, new, cells = len(h), [], []
    for k in range(size):
        i, f, g, o = (sum(unit(layer, gate * size + k, x, h)) for gate in range(4))
        cells.append(sigma(f) * c[k] + sigma(i) * math.tanh(g))
        new.append(sigma(o) * math.tanh(cells[-1]))
    return new, cells


def by_hand(layer, z, h=None, c=None):
    """Every output, one row and one step at a time."""
    cell = {RNN: elman, GRU: gru, LSTM: lstm}[type(layer)]
    size = layer.hidden_size
    out = np.zeros((*z.shape[:2], size))
    for n in range(len(z)):
        state = (np.zeros(size) if h is None else h[n], np.zeros(size) if c is None else c[n])
        for t in range(z.shape[1]):
            state = cell(layer, z[n, t], *state)
            out[n, t] = state[0]
    return out


def initial(layer, rows: int, rng) -> tuple:
    return tuple(rng.normal(size=(rows, layer.hidden_size)) for _ in layer.states)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("kind", [*KINDS, lambda *a, **o: RNN(*a, nonlinearity="relu", **o)])
def test_outputs_are_those_of_the_equations(kind, bias):
    rng = np.random.default_rng(0)
    layer = kind(3, 4, bias=bias, rng=rng)
    z = rng.normal(size=(2, 5, 3))
    states = initial(layer, 2, rng)
    np.testing.assert_allclose(layer(z), by_hand(layer, z), rtol=1e-13, atol=1e-15)
    np.testing.assert_allclose(layer((z, *states)), by_hand(layer, z, *states), rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("kind", KINDS)
def test_many_rows_give_what_each_gives(kind):
    """More rows than a small product has: the kernels take another way."""
    rng = np.random.default_rng(1)
    layer = kind(2, 2, rng=rng)
    z = rng.normal(size=(200, 3, 2))
    np.testing.assert_allclose(layer(z)[[0, 99, 199]], by_hand(layer, z[[0, 99, 199]]), rtol=1e-13)


@pytest.mark.parametrize("kind", [RNN, GRU])
def test_a_sequence_goes_on_from_the_last_output(kind):
    rng = np.random.default_rng(2)
    layer = kind(3, 4, rng=rng)
    z = rng.normal(size=(2, 7, 3))
    first = layer(z[:, :3])
    np.testing.assert_allclose(layer((z[:, 3:], first[:, -1])), layer(z)[:, 3:], rtol=1e-13)


@pytest.mark.parametrize("kind", KINDS)
def test_last_is_the_last_output_and_its_delta_comes_from_there(kind):
    rng = np.random.default_rng(3)
    every = kind(3, 4, rng=5)
    last = kind(3, 4, last=True, rng=5)
    z = rng.normal(size=(2, 6, 3))
    z_next, cache = last.forward(z)
    outputs, of_every = every.forward(z)
    assert np.array_equal(z_next, outputs[:, -1])
    delta = np.zeros_like(outputs)
    delta[:, -1] = rng.normal(size=z_next.shape)
    dz, gradients = last.backpropagate(delta[:, -1], cache)
    expected, of_parameters = every.backpropagate(delta, of_every)
    np.testing.assert_allclose(dz, expected, rtol=1e-13, atol=1e-16)
    for name, gradient in gradients.items():
        np.testing.assert_allclose(gradient, of_parameters[name], rtol=1e-13, atol=1e-16)


def test_an_open_cell_carries_its_content_and_its_delta_unchanged():
    """The constant error carousel of 1997: f = 1 and i = 0 for 300 steps."""
    layer = LSTM(1, 2, weight_initializer=constant(0.0), bias_initializer=constant(0.0))
    layer.bias_ih_l0[:] = np.repeat([-800.0, 800.0, 0.0, 800.0], 2)
    c = np.array([[0.3, -1.2]])
    z_next, cache = layer.forward((np.ones((1, 300, 1)), np.zeros((1, 2)), c))
    assert np.array_equal(z_next, np.broadcast_to(np.tanh(c), (1, 300, 2)))
    delta = np.zeros((1, 300, 2))
    delta[:, -1] = [[2.0, 3.0]]
    dz, dh, dc = layer.backward(delta, cache)
    np.testing.assert_allclose(dc, [[2.0, 3.0]] / np.cosh(c) ** 2, rtol=1e-13)
    assert not dz.any()
    assert not dh.any()


def test_a_linear_recurrence_has_powers_for_gradients():
    """With h_t = w h_{t-1} + v z_t > 0, dh_T/dz_t = w^{T-t} v; and dh_T/dw = T w^{T-1} h_0 where v = 0."""
    layer = RNN(1, 1, "relu", bias=False, last=True)
    layer.weight_hh_l0[:], layer.weight_ih_l0[:] = 0.9, 0.5
    z = np.ones((1, 20, 1))
    dz, gradients = layer.backpropagate(np.ones((1, 1)), layer.forward(z)[1])
    np.testing.assert_allclose(dz[0, :, 0], 0.5 * 0.9 ** np.arange(19, -1, -1), rtol=1e-13)
    np.testing.assert_allclose(gradients["weight_ih_l0"], [[(1 - 0.9**20) / 0.1]], rtol=1e-13)
    layer.weight_ih_l0[:] = 0
    _, cache = layer.forward((z, np.array([[2.0]])))
    (_, dh), gradients = layer.backpropagate(np.ones((1, 1)), cache)
    np.testing.assert_allclose(dh, [[0.9**20]], rtol=1e-13)
    np.testing.assert_allclose(gradients["weight_hh_l0"], [[2 * 20 * 0.9**19]], rtol=1e-13)


def test_the_rules_of_a_recurrent_relu_are_derivatives():
    rng = np.random.default_rng(0)
    z, h = rng.normal(size=(2, 4, 3)), rng.normal(size=(2, 6))
    for last in (True, False):
        layer = RNN(3, 6, "relu", last=last, rng=0)
        assert 0.2 < (layer((z, h)) > 0).mean() < 0.8
        check_layer(layer, (z, h), cases="given")


@pytest.mark.parametrize("kind", KINDS)
def test_parameters_have_the_names_shapes_and_start_of_pytorch(kind):
    layer = kind(3, 400, rng=0)
    rows = GATES[kind] * 400
    shapes = {"weight_ih_l0": (rows, 3), "weight_hh_l0": (rows, 400), "bias_ih_l0": (rows,), "bias_hh_l0": (rows,)}
    assert {name: array.shape for name, array in layer.parameters().items()} == shapes
    for array in layer.parameters().values():
        assert 0.045 < np.abs(array).max() <= 0.05
        assert abs(array.std() - 0.05 / math.sqrt(3)) < 0.003
    assert list(kind(3, 2, bias=False).parameters()) == ["weight_ih_l0", "weight_hh_l0"]


def test_initializers_are_those_that_are_given():
    layer = GRU(2, 3, weight_initializer=constant(2.0), bias_initializer=constant(1.0), dtype=np.float32)
    assert (layer.weight_ih_l0 == 2).all()
    assert (layer.weight_hh_l0 == 2).all()
    assert (layer.bias_ih_l0 == 1).all()
    assert (layer.bias_hh_l0 == 1).all()
    assert layer.bias_hh_l0.dtype == np.float32


@pytest.mark.parametrize("kind", KINDS)
def test_no_steps_and_no_rows(kind):
    layer = kind(3, 4, rng=0)
    z_next, cache = layer.forward(np.zeros((2, 0, 3)))
    assert z_next.shape == (2, 0, 4)
    dz, gradients = layer.backpropagate(z_next, cache)
    assert dz.shape == (2, 0, 3)
    assert not any(gradient.any() for gradient in gradients.values())
    assert layer(np.zeros((0, 5, 3))).shape == (0, 5, 4)
    # After no steps the last state is the first, and its delta goes there.
    last = kind(3, 4, last=True, rng=0)
    states = initial(last, 2, np.random.default_rng(0))
    z_next, cache = last.forward((np.zeros((2, 0, 3)), *states))
    assert np.array_equal(z_next, states[0])
    delta = np.arange(8.0).reshape(2, 4)
    assert np.array_equal(last.backward(delta, cache)[1], delta)


@pytest.mark.parametrize("kind", KINDS)
def test_large_numbers_saturate_quietly(kind):
    layer = kind(1, 2, rng=0)
    with np.errstate(all="raise", under="ignore"):
        z_next, cache = layer.forward(np.array([[[1e6], [-1e6], [1e6]]]))
        dz, _ = layer.backpropagate(np.ones_like(z_next), cache)
    assert np.isfinite(z_next).all()
    assert np.isfinite(dz).all()


def test_an_almost_closed_gate_still_lets_something_in():
    """1 - x is sigmoid(-s): the difference would be 0 where x rounds to 1."""
    layer = GRU(1, 1, weight_initializer=constant(0.0), bias_initializer=constant(0.0))
    layer.bias_ih_l0[:] = 0.0, 50.0, 1.0
    z_next, cache = layer.forward(np.zeros((1, 1, 1)))
    np.testing.assert_allclose(z_next, math.tanh(1) / (1 + math.exp(50)), rtol=1e-12)
    gradient = layer.parameter_gradients(np.ones((1, 1, 1)), cache)["bias_ih_l0"]
    np.testing.assert_allclose(
        gradient[1:], np.array([-math.tanh(1), 1 / math.cosh(1) ** 2]) * math.exp(-50), rtol=1e-12
    )


@pytest.mark.parametrize("kind", KINDS)
def test_both_rules_share_the_way_back_through_time(kind, monkeypatch):
    layer = kind(3, 4, rng=0)
    z_next, cache = layer.forward(np.ones((2, 6, 3)))
    calls = []
    step_back = layer.step_back
    monkeypatch.setattr(layer, "step_back", lambda *arguments: (calls.append(1), step_back(*arguments))[1])
    layer.backpropagate(z_next, cache)
    assert len(calls) == 6


def test_widths_are_left_to_the_first_batch():
    model = Sequential(GRU(None, 5, rng=0), LSTM(None, 2, last=True, rng=0))
    assert repr(model[0]) == "GRU(? -> 5)"
    with pytest.raises(ValueError, match="has no arrays yet"):
        model.parameters()
    build(model, (7, 3))
    assert repr(model[0]) == "GRU(3 -> 5)"
    assert model(np.ones((4, 7, 3))).shape == (4, 2)
    assert np.array_equal(model[0].weight_ih_l0, GRU(3, 5, rng=0).weight_ih_l0)


def test_reprs_say_what_is_not_the_default():
    assert repr(RNN(3, 4)) == "RNN(3 -> 4)"
    assert repr(RNN(3, 4, "relu", bias=False)) == "RNN(3 -> 4, relu, bias=False)"
    assert repr(LSTM(3, 4, last=True)) == "LSTM(3 -> 4, last=True)"


def test_one_complex_parameter_is_enough():
    layer = GRU(2, 3, rng=0)
    layer.bias_hh_l0 = layer.bias_hh_l0 + 1e-3j
    z_next, cache = layer.forward(np.ones((1, 4, 2)))
    assert z_next.dtype == np.complex128
    assert layer.backward(np.ones((1, 4, 3)), cache).dtype == np.complex128
    assert GRU(2, 3, rng=0).forward(np.ones((1, 4, 2), np.float32))[0].dtype == np.float64


@pytest.mark.parametrize(
    ("z", "error", "message"),
    [
        (
            np.ones((2, 5, 4)),
            ValueError,
            r"time, 3\), got \(2, 5, 4\): the last axis holds the features of one step, and GRU\(4, 2\) takes 4$",
        ),
        (np.ones((5, 3)), ValueError, r"got \(5, 3\): z\[np.newaxis\] is a batch of one"),
        (np.ones((2, 1, 5, 3)), ValueError, r"got \(2, 1, 5, 3\): batch first, then time, then features"),
        (np.ones((2, 5, 3), int), TypeError, "expects z of a floating type, got int64"),
        ([np.ones((2, 5, 3))], TypeError, "expects z to be a NumPy array, got list"),
        (
            (np.ones((2, 5, 3)), np.ones((3, 2))),
            ValueError,
            r"expects h_0 of shape \(2, 2\), got \(3, 2\): one row for e",
        ),
        ((np.ones((2, 5, 3)), np.ones((1, 2, 2))), ValueError, r"got \(1, 2, 2\): h_0\[0\] has that shape"),
        ((np.ones((2, 5, 3)), None), TypeError, "expects h_0 to be a NumPy array, got None"),
        ((np.ones((2, 5, 3)),) * 3, ValueError, r"expects z or the tuple \(z, h_0\), got a tuple of 3"),
        ((np.ones((2, 5, 3)),), ValueError, r"expects z or the tuple \(z, h_0\), got a tuple of 1"),
    ],
)
def test_wrong_inputs_are_told_what_is_expected(z, error, message):
    with pytest.raises(error, match=message):
        GRU(3, 2).forward(z)


def test_wrong_options_and_deltas_are_told_what_is_expected():
    with pytest.raises(ValueError, match="RNN expects nonlinearity to be 'tanh' or 'relu', got 2"):
        RNN(3, 4, 2)
    with pytest.raises(TypeError, match="LSTM expects bias to be True or False, got int: several layers are a Sequen"):
        LSTM(3, 4, 2)
    with pytest.raises(TypeError, match="GRU expects last to be True or False, got int: last=True gives h_T alone"):
        GRU(3, 4, last=1)
    with pytest.raises(ValueError, match="LSTM expects hidden_size to be a positive integer, got 0"):
        LSTM(3, 0)
    with pytest.raises(ValueError, match=r"GRU expects input_size to be a positive integer, got 1\.5"):
        GRU(1.5, 2)
    layer = LSTM(3, 4)
    _, cache = layer.forward(np.ones((2, 5, 3)))
    with pytest.raises(ValueError, match=r"expects delta of the shape of its output, \(2, 5, 4\), got \(2, 4\)"):
        layer.backward(np.ones((2, 4)), cache)
    with pytest.raises(ValueError, match=r"expects delta of the shape of its output, \(2, 5, 4\), got \(2, 5, 3\)"):
        layer.parameter_gradients(np.ones((2, 5, 3)), cache)
    with pytest.raises(ValueError, match=r"LSTM\(3 -> 4\) expects c_0 of shape \(2, 4\), got \(2, 3\)"):
        layer.forward((np.ones((2, 5, 3)), np.ones((2, 4)), np.ones((2, 3))))


def test_a_cell_without_steps_says_what_it_lacks():
    layer = Recurrent(2, 2)
    with pytest.raises(NotImplementedError, match=r"Recurrent lacks step\(self, a, u, state\)"):
        layer.forward(np.ones((1, 1, 2)))
    with pytest.raises(NotImplementedError, match=r"Recurrent lacks step_back\(self, delta, kept\)"):
        layer.step_back((), None)
