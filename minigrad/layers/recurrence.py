"""Recurrent: one cell for every step of a sequence, and the rules back through time."""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

import numpy as np

from minigrad.checks import ShapeError, require_count, require_delta, require_flag, require_floating
from minigrad.initializers import Initializer, uniform
from minigrad.kernels import affine, transposed_product
from minigrad.layers.lazy import LazyLayer, Make
from minigrad.shapes import require_shape
from minigrad.typing import Array, Delta, Formulas, Gradients, Seed, Shape, Shapes

State: TypeAlias = "tuple[Any, ...]"
"""What goes from step to step: (h,), of an LSTM (h, c), each (N, H)."""


class Cell(NamedTuple):
    """A step in LaTeX, of which bars mark the deltas."""

    step: str  # from a_t and u_t to h_t
    step_back: str  # from the delta of h_t to that of a_t
    du: str  # the delta of u_t
    passed_on: str  # what step t + 1 adds to the delta of h_t
    to_others: str = ""  # what it adds to the deltas of other states


class Recurrent(LazyLayer):
    """(h_t, ...) = cell(a_t, u_t, (h_{t-1}, ...)) with a_t = W_ih z_t + b_ih and u_t = W_hh h_{t-1} + b_hh.

        z  (N, T, input_size)  ->  h_1 ... h_T, (N, T, H); with `last=True` h_T alone, (N, H)
        dz_t = da_t W_ih,    dW_ih = sum_t da_t^T z_t,    dW_hh = sum_t du_t^T h_{t-1}
        dh_{t-1} = delta_{t-1} + du_t W_hh + what the cell passes on itself, from the last step to the first

    A subclass writes one step of the cell, forward and backward, and may write both in LaTeX.  z may be a tuple
    (z, h_0), of an LSTM (z, h_0, c_0), each state (N, H): rule 2 then returns a tuple too.  Left out, the states start
    at zero.  No steps, T = 0, leave the states as they are.

    Parameters have PyTorch's names, and G blocks of H rows in PyTorch's order, G the number of gates: weight_ih_l0
    (G H, input_size), weight_hh_l0 (G H, H), bias_ih_l0 and bias_hh_l0 (G H,), all uniform on +-1/sqrt(H) at the
    start.  input_size=None leaves the width to the first batch.  Layers go on top of each other in a Sequential.

    TypeError unless all arrays are floating, ValueError unless they have these shapes.
    """

    gates: int = 1
    states: tuple[str, ...] = ("h_0",)
    written: Cell | None = None  # the cell in LaTeX, for `explain`

    def __init__(
        self,
        input_size: int | None,
        hidden_size: int,
        bias: bool = True,
        *,
        last: bool = False,
        weight_initializer: Initializer | None = None,
        bias_initializer: Initializer | None = None,
        rng: Seed = None,
        dtype: Any = np.float64,
    ) -> None:
        who = type(self)
        self.input_size = None if input_size is None else require_count(who, "input_size", input_size)
        self.hidden_size = require_count(who, "hidden_size", hidden_size)
        require_flag(who, "bias", bias, "several layers are a Sequential of them")
        self.last = require_flag(who, "last", last, "last=True gives h_T alone")
        weights, biases = ("weight_ih_l0", "weight_hh_l0"), ("bias_ih_l0", "bias_hh_l0")
        self.parameter_names = weights + biases if bias else weights
        self._initializers = (weight_initializer, bias_initializer)
        self.start(self.input_size, rng, dtype)

    def create(self, width: int, make: Make) -> None:
        self.input_size = width
        default = uniform(self.hidden_size**-0.5)
        for_weight, for_bias = (initializer or default for initializer in self._initializers)
        rows, has_bias = self.gates * self.hidden_size, "bias_ih_l0" in self.parameter_names
        self.weight_ih_l0 = make(for_weight, (rows, width))
        self.weight_hh_l0 = make(for_weight, (rows, self.hidden_size))
        self.bias_ih_l0 = make(for_bias, (rows,)) if has_bias else None
        self.bias_hh_l0 = make(for_bias, (rows,)) if has_bias else None

    def step(self, a: Array, u: Array, state: State) -> tuple[State, Any]:
        """The cell at one time: (the next state, h first; what `step_back` needs)."""
        raise NotImplementedError(f"{type(self).__name__} lacks step(self, a, u, state) -> (state_next, kept)")

    def step_back(self, delta: State, kept: Any) -> tuple[Array, Array, State]:
        """(da, du, d state) from the deltas of the next state; d state is what does not go through u, or 0."""
        raise NotImplementedError(f"{type(self).__name__} lacks step_back(self, delta, kept) -> (da, du, d_state)")

    @property
    def formulas(self) -> Formulas | None:  # type: ignore[override]
        """Those of the cell, in time."""
        if self.written is None:
            return None
        has_bias, cell = "bias_ih_l0" in self.parameter_names, self.written
        a, u = (r"\z_t W^\top + b", r"h_{t - 1} V^\top + c") if has_bias else (r"\z_t W^\top", r"h_{t - 1} V^\top")
        above = r"[t = T] \d" if self.last else r"\d_t"
        back = rf", \quad {cell.step_back}, \quad \bar{{h}}_t = {above} + {cell.passed_on}"
        gradients = {
            "weight_ih_l0": r"\sum_t \bar{a}_t^\top \z_t",
            "weight_hh_l0": rf"\sum_t {cell.du}_t^\top h_{{t - 1}}",
            "bias_ih_l0": r"\sum_{n, t} \bar{a}_{n, t}",
            "bias_hh_l0": rf"\sum_{{n, t}} {cell.du}_{{n, t}}",
        }
        return Formulas(
            forward=f"{'h_T' if self.last else 'h_t'}, \\quad {cell.step}, \\quad a_t = {a}, \\quad u_t = {u}",
            backward=rf"\bar{{a}}_t W{back}",
            gradients={name: gradients[name] + back for name in self.parameter_names},
            symbols=dict(zip(self.parameter_names, "WVbc", strict=False)),
            where="a bar is dC/da, and so the others; t counts the steps, of which T is the last: "
            "deltas beyond it are 0, and so is the state before the first, unless given",
        )

    def formulas_at(self, z: Any) -> Formulas | None:
        """Of (z, h_0, ...), with the deltas of the states."""
        formulas, cell = self.formulas, self.written
        if formulas is None or cell is None or type(z) is not tuple:
            return formulas
        dz, *further = formulas.backward.split(r", \quad ")
        first = [part.replace("_{t + 1}", "_1") for part in (cell.passed_on, cell.to_others) if part]
        return formulas._replace(
            forward=formulas.forward.replace(r"\z_t", r"(\z_0)_t"),
            backward=r", \quad ".join([f"({', '.join([dz, *first])})", *further]),
            gradients={name: of_it.replace(r"\z_t", r"(\z_0)_t") for name, of_it in formulas.gradients.items()},
            where=f"{formulas.where}; z holds the steps, as its part 0, and after them the states before the first",
        )

    def output_shape(self, shape: Shapes) -> Shape:
        given = bool(shape) and isinstance(shape[0], tuple)
        shapes = shape if given else (shape,)
        self._require_states(len(shapes), given)
        for name, part in zip(("z", *self.states), shapes, strict=False):
            require_shape(self, part, name)
        self._require_shapes(shapes)
        self.require_width(shapes[0][-1])
        rows, times, _ = shapes[0]
        return (rows, self.hidden_size) if self.last else (rows, times, self.hidden_size)

    def multiply_adds(self, shape: Shapes) -> int:
        rows, times, width = shape[0] if isinstance(shape[0], tuple) else shape
        return rows * times * self.gates * self.hidden_size * (width + self.hidden_size)

    def forward(self, z: Any) -> tuple[Array, Any]:
        parts = z if type(z) is tuple else (z,)
        self._require_states(len(parts), type(z) is tuple)
        for name, part in zip(("z", *self.states), parts, strict=False):
            require_floating(self, part, name)
        self._require_shapes(tuple(part.shape for part in parts))
        sequence = parts[0]
        self.see(sequence.shape[-1])
        rows, times, _ = sequence.shape
        dtype = np.result_type(*parts, *self.parameters().values())
        a = affine(sequence, self.weight_ih_l0, self.bias_ih_l0)
        state = parts[1:] or (np.zeros((rows, self.hidden_size), dtype),) * len(self.states)
        h = np.empty((rows, times + 1, self.hidden_size), dtype)
        h[:, 0] = state[0]
        kept = []
        for t in range(times):
            u = affine(state[0], self.weight_hh_l0, self.bias_hh_l0)
            state, of_step = self.step(a[:, t], u, state)
            h[:, t + 1] = state[0]
            kept.append(of_step)
        return (h[:, -1] if self.last else h[:, 1:]), (sequence, h, kept, len(parts) > 1)

    def backward(self, delta: Array, cache: Any) -> Delta:
        da, _, first = self._back_through_time(delta, cache)
        return self._to_input(da, first, cache)

    def parameter_gradients(self, delta: Array, cache: Any) -> Gradients:
        da, du, _ = self._back_through_time(delta, cache)
        return self._to_parameters(da, du, cache)

    def backpropagate(self, delta: Array, cache: Any) -> tuple[Delta, Gradients]:
        # Both rules need the way back through time, which is most of the work.
        da, du, first = self._back_through_time(delta, cache)
        return self._to_input(da, first, cache), self._to_parameters(da, du, cache)

    def _back_through_time(self, delta: Array, cache: Any) -> tuple[Array, Array, State]:
        """da and du (N, T, G H) of all times, and the deltas of the initial states."""
        _, h, kept, _ = cache
        rows, times, width = len(h), len(kept), self.gates * self.hidden_size
        require_delta(self, delta, (rows, self.hidden_size) if self.last else (rows, times, self.hidden_size))
        dtype = np.result_type(delta, h)
        da, du = np.empty((2, rows, times, width), dtype)
        state: State = (np.zeros((rows, self.hidden_size), dtype),) * len(self.states)
        if self.last:
            state = (delta, *state[1:])
        for t in reversed(range(times)):
            dh, *others = state
            if not self.last:
                dh = dh + delta[:, t]
            da[:, t], du[:, t], (dh, *others) = self.step_back((dh, *others), kept[t])
            state = (dh + du[:, t] @ self.weight_hh_l0, *others)
        return da, du, state

    def _to_input(self, da: Array, first: State, cache: Any) -> Delta:
        sequence, _, _, with_states = cache
        dz = (_rows(da) @ self.weight_ih_l0).reshape(sequence.shape)
        return (dz, *first) if with_states else dz

    def _to_parameters(self, da: Array, du: Array, cache: Any) -> Gradients:
        sequence, h, _, _ = cache
        da, du = _rows(da), _rows(du)
        gradients = {
            "weight_ih_l0": transposed_product(da, _rows(sequence)),
            "weight_hh_l0": transposed_product(du, _rows(h[:, :-1])),
        }
        if self.bias_ih_l0 is not None:
            gradients["bias_ih_l0"] = np.add.reduce(da, axis=0)
            gradients["bias_hh_l0"] = np.add.reduce(du, axis=0)
        return gradients

    def _require_states(self, count: int, are_given: bool) -> None:
        """z alone, or with all initial states."""
        if are_given and count != 1 + len(self.states):
            names = ", ".join(("z", *self.states))
            raise ValueError(f"{self!r} expects z or the tuple ({names}), got a tuple of {count}")

    def _require_shapes(self, shapes: tuple[Shape, ...]) -> None:
        """Of z and the initial states that were given with it."""
        sequence, width = shapes[0], self.input_size
        expects = f"{self!r} expects z of shape (batch, time, {'input_size' if width is None else width})"
        if len(sequence) != 3:
            fix = "z[np.newaxis] is a batch of one" if len(sequence) == 2 else "batch first, then time, then features"
            raise ShapeError(f"{expects}, got {sequence}: {fix}")
        if width is not None and sequence[-1] != width:
            takes = f"{type(self).__name__}({sequence[-1]}, {self.hidden_size}) takes {sequence[-1]}"
            raise ShapeError(f"{expects}, got {sequence}: the last axis holds the features of one step, and {takes}")
        expected = (sequence[0], self.hidden_size)
        for name, shape in zip(self.states, shapes[1:], strict=False):
            if shape != expected:
                fix = f"{name}[0] has that shape" if shape == (1, *expected) else "one row for each row of z"
                raise ShapeError(f"{self!r} expects {name} of shape {expected}, got {shape}: {fix}")

    def __repr__(self) -> str:
        bias = "" if "bias_ih_l0" in self.parameter_names else ", bias=False"
        last = ", last=True" if self.last else ""
        return f"{type(self).__name__}({self.input_size or '?'} -> {self.hidden_size}{self._extra()}{bias}{last})"

    def _extra(self) -> str:
        return ""


def _rows(array: Array) -> Array:
    """(N, T, K) as (N T, K)."""
    return array.reshape(-1, array.shape[-1])
