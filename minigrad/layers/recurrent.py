"""Recurrent layers: RNN, GRU and LSTM, each one step of its cell; what they share is in recurrence.py."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.kernels import sigmoid
from minigrad.layers.activations import Elementwise, ReLU, Tanh
from minigrad.layers.recurrence import Cell, Recurrent, State
from minigrad.typing import Array


class RNN(Recurrent):
    """h_t = tanh(a_t + u_t), or max(a_t + u_t, 0) with nonlinearity="relu"; Elman, "Finding structure in time", 1990.

    da = du = dh (1 - h_t^2), or dh where h_t > 0
    """

    def __init__(
        self, input_size: int | None, hidden_size: int, nonlinearity: str = "tanh", bias: bool = True, **options: Any
    ) -> None:
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(f"RNN expects nonlinearity to be 'tanh' or 'relu', got {nonlinearity!r}")
        self.nonlinearity = nonlinearity
        self._phi: Elementwise = Tanh() if nonlinearity == "tanh" else ReLU()
        super().__init__(input_size, hidden_size, bias, **options)

    @property
    def written(self) -> Cell:  # type: ignore[override]
        """By its nonlinearity."""
        is_tanh = self.nonlinearity == "tanh"
        return Cell(
            r"h_t = \tanh(a_t + u_t)" if is_tanh else r"h_t = \max(0, a_t + u_t)",
            r"\bar{a}_t = \bar{h}_t \odot " + ("(1 - (h_t)^2)" if is_tanh else "[h_t > 0]"),
            r"\bar{a}",
            r"\bar{a}_{t + 1} V",
        )

    def step(self, a: Array, u: Array, state: State) -> tuple[State, Any]:
        h = self._phi.f(a + u)
        return (h,), h

    def step_back(self, delta: State, h: Array) -> tuple[Array, Array, State]:
        (dh,) = delta
        da = dh * self._phi.df(h)
        return da, da, (0,)

    def _extra(self) -> str:
        return "" if self.nonlinearity == "tanh" else f", {self.nonlinearity}"


class GRU(Recurrent):
    """h_t = (1 - x) n + x h_{t-1}, of a candidate n and two gates r and x; Cho et al., 2014, in PyTorch's form.

        r = sigmoid(a_r + u_r),    x = sigmoid(a_x + u_x),    n = tanh(a_n + r u_n)
        da_n = dh (1 - x) (1 - n^2),    da_x = dh (h_{t-1} - n) x (1 - x),    da_r = da_n u_n r (1 - r)
        du = (da_r, da_x, r da_n),    and dh x goes to h_{t-1}

    The blocks of the parameters stand in the order r, x, n; PyTorch calls x z.
    """

    gates = 3
    written = Cell(
        r"h_t = (1 - k) \odot m + k \odot h_{t - 1}, \quad m = \tanh(a_m + r \odot u_m), \quad r = \sigma(a_r + u_r), "
        r"\quad k = \sigma(a_k + u_k), \quad a_t = [a_r, a_k, a_m], \quad u_t = [u_r, u_k, u_m]",
        r"\bar{a}_t = [\bar{a}_r, \bar{a}_k, \bar{a}_m], \quad \bar{u}_t = [\bar{a}_r, \bar{a}_k, r \odot \bar{a}_m], "
        r"\quad \bar{a}_r = \bar{a}_m \odot u_m \odot r \odot (1 - r), "
        r"\quad \bar{a}_k = \bar{h}_t \odot (h_{t - 1} - m) \odot k \odot (1 - k), "
        r"\quad \bar{a}_m = \bar{h}_t \odot (1 - k) \odot (1 - m^2)",
        r"\bar{u}",
        r"\bar{u}_{t + 1} V + \bar{h}_{t + 1} \odot k_{t + 1}",
    )

    def step(self, a: Array, u: Array, state: State) -> tuple[State, Any]:
        (h,) = state
        one, two = self.hidden_size, 2 * self.hidden_size
        s = a[:, :two] + u[:, :two]
        r, x = _halves(sigmoid(s))
        rest = sigmoid(-s[:, one:])  # 1 - x, to full accuracy where x is nearly 1
        u_n = u[:, two:]
        n = np.tanh(a[:, two:] + r * u_n)
        return (rest * n + x * h,), (h, u_n, r, x, rest, n)

    def step_back(self, delta: State, kept: Any) -> tuple[Array, Array, State]:
        (dh,) = delta
        h, u_n, r, x, rest, n = kept
        da_n = dh * rest * (1 - n * n)
        da_x = dh * (h - n) * x * rest
        da_r = da_n * u_n * r * (1 - r)
        da = np.concatenate((da_r, da_x, da_n), axis=1)
        du = np.concatenate((da_r, da_x, r * da_n), axis=1)
        return da, du, (dh * x,)


class LSTM(Recurrent):
    """h_t = o tanh(c_t) with c_t = f c_{t-1} + i g; Hochreiter and Schmidhuber, 1997, with the gate f of Gers, 2000.

    (i, f, g, o) = (sigmoid, sigmoid, tanh, sigmoid)(a + u), the order of the blocks of the parameters
    dc = dc + dh o (1 - tanh^2 c_t),    and dc f goes to c_{t-1}
    da = du = (dc g i (1 - i),  dc c_{t-1} f (1 - f),  dc i (1 - g^2),  dh tanh(c_t) o (1 - o))
    """

    gates = 4
    states = ("h_0", "c_0")
    written = Cell(
        r"h_t = o \odot \tanh(s_t), \quad s_t = f \odot s_{t - 1} + i \odot g, \quad i = \sigma(a_i + u_i), "
        r"\quad f = \sigma(a_f + u_f), \quad g = \tanh(a_g + u_g), \quad o = \sigma(a_o + u_o), "
        r"\quad a_t = [a_i, a_f, a_g, a_o], \quad u_t = [u_i, u_f, u_g, u_o]",
        r"\bar{a}_t = [\bar{a}_i, \bar{a}_f, \bar{a}_g, \bar{a}_o], "
        r"\quad \bar{a}_i = \bar{s}_t \odot g \odot i \odot (1 - i), "
        r"\quad \bar{a}_f = \bar{s}_t \odot s_{t - 1} \odot f \odot (1 - f), "
        r"\quad \bar{a}_g = \bar{s}_t \odot i \odot (1 - g^2), "
        r"\quad \bar{a}_o = \bar{h}_t \odot \tanh(s_t) \odot o \odot (1 - o), "
        r"\quad \bar{s}_t = \bar{h}_t \odot o \odot (1 - \tanh(s_t)^2) + \bar{s}_{t + 1} \odot f_{t + 1}",
        r"\bar{a}",
        r"\bar{a}_{t + 1} V",
        r"\bar{s}_{t + 1} \odot f_{t + 1}",
    )

    def step(self, a: Array, u: Array, state: State) -> tuple[State, Any]:
        _, c = state
        i_f, g_o = _halves(a + u)
        i, f = _halves(sigmoid(i_f))
        g, o = _halves(g_o)
        g, o = np.tanh(g), sigmoid(o)
        c_next = f * c + i * g
        tanh_c = np.tanh(c_next)
        return (o * tanh_c, c_next), (c, i, f, g, o, tanh_c)

    def step_back(self, delta: State, kept: Any) -> tuple[Array, Array, State]:
        dh, dc = delta
        c, i, f, g, o, tanh_c = kept
        dc = dc + dh * o * (1 - tanh_c * tanh_c)
        parts = (dc * g * i * (1 - i), dc * c * f * (1 - f), dc * i * (1 - g * g), dh * tanh_c * o * (1 - o))
        da = np.concatenate(parts, axis=1)
        return da, da, (0, dc * f)


def _halves(array: Array) -> tuple[Array, Array]:
    """The two halves of each row."""
    half = array.shape[1] // 2
    return array[:, :half], array[:, half:]
