"""Multi-head attention: projections below and above the scaled dot product."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from minigrad.checks import (
    ShapeError,
    require_count,
    require_flag,
    require_float_dtype,
    require_floating,
    require_tuple,
)
from minigrad.containers import Container
from minigrad.initializers import initialize, xavier_uniform, zeros
from minigrad.kernels import affine, transposed_product
from minigrad.layer import Layer
from minigrad.layers.attention import ScaledDotProductAttention, require_mask
from minigrad.layers.linear import Linear
from minigrad.shapes import is_shape, require_shape, require_shapes
from minigrad.typing import Array, Delta, Formulas, Gradients, Seed, Shape, Shapes


class MultiHeadAttention(Container):
    """Attention in `num_heads` subspaces at once; Vaswani et al., 2017.  PyTorch's MultiheadAttention.

        (q, k, v) = z W_in^T + b_in,    y = (attention of each head, side by side) W_out^T + b_out
        z (N, T, embed_dim)  ->  y (N, T, embed_dim)

    z attends to itself, or is a tuple (q, k, v) of q (N, T, embed_dim), k and v (N, S, embed_dim), which is projected
    part by part; rule 2 then returns a tuple.  `causal` and the masks are those of ScaledDotProductAttention; a mask
    given to forward has the shape (N, T, S), the same for all heads, or (N, num_heads, T, S), where any axis may be 1.
    True says "may attend": the opposite of the boolean masks of torch.nn.MultiheadAttention.

    Parameters: in_proj_weight (3 embed_dim, embed_dim), the blocks of q, k and v, uniform on
    +-sqrt(6 / (4 embed_dim)) at the start (Glorot and Bengio, 2010); out_proj, a Linear; biases start at 0.

    ValueError unless embed_dim is a multiple of num_heads, and where shapes disagree.
    """

    in_proj_bias: Array | None

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        bias: bool = True,
        causal: bool = False,
        mask: Array | None = None,
        *,
        rng: Seed = None,
        dtype: Any = np.float64,
    ) -> None:
        self.embed_dim = require_count(MultiHeadAttention, "embed_dim", embed_dim)
        self.num_heads = require_count(MultiHeadAttention, "num_heads", num_heads)
        if self.embed_dim % self.num_heads:
            fits = ", ".join(str(i) for i in range(1, self.embed_dim + 1) if self.embed_dim % i == 0)
            raise ValueError(
                f"MultiHeadAttention expects embed_dim to be a multiple of num_heads, got {embed_dim} and {num_heads}: "
                f"{embed_dim} divides by {fits}"
            )
        require_flag(MultiHeadAttention, "bias", bias)
        require_flag(MultiHeadAttention, "causal", causal)
        dtype = require_float_dtype(MultiHeadAttention, dtype)
        self.attention = ScaledDotProductAttention(causal, mask)
        rng = np.random.default_rng(rng)
        e = self.embed_dim
        self.in_proj_weight = initialize(xavier_uniform(), (3 * e, e), rng, dtype)
        self.out_proj = Linear(e, e, bias, bias_initializer=zeros(), rng=rng, dtype=dtype)
        self.in_proj_bias = initialize(zeros(), (3 * e,), rng, dtype) if bias else None
        self.parameter_names = ("in_proj_weight", "in_proj_bias") if bias else ("in_proj_weight",)

    def children(self) -> Sequence[tuple[str, Layer]]:
        return (("out_proj", self.out_proj),)

    @property
    def formulas(self) -> Formulas:  # type: ignore[override]
        """Of a z that attends to itself, where f is out_proj."""
        of_heads = r", \quad [\bar{A}_1, \bar{A}_2, \dots] = \d \cdot \frac{\partial f}{\partial A}"
        gradients = {
            "in_proj_weight": rf"\sum_n [\bar{{q}}_n, \bar{{k}}_n, \bar{{v}}_n]^\top \z_n{of_heads}",
            "in_proj_bias": rf"\sum_{{n, t}} [\bar{{q}}_{{n, t}}, \bar{{k}}_{{n, t}}, \bar{{v}}_{{n, t}}]{of_heads}",
        }
        b, symbols = " + b", {"in_proj_weight": "W", "in_proj_bias": "b"}
        if self.in_proj_bias is None:
            b, symbols = "", {"in_proj_weight": "W"}
        of_head = rf"A_i = {self.attention.written('q_i', 'k_i')} v_i"
        return Formulas(
            forward=rf"f(A), \quad {of_head}, \quad [q, k, v] = \z W^\top{b}",
            backward=rf"[\bar{{q}}, \bar{{k}}, \bar{{v}}] W{of_heads}",
            gradients={name: gradients[name] for name in symbols},
            symbols=symbols,
            where=f"A = [A_1, A_2, ...] is what goes into out_proj, one A_i for each of the {self.num_heads} heads, of "
            "width E; n is a row of the batch and t a step; a bar is dC/dA, and so dC/dq, dC/dk, dC/dv, which "
            "come from it by rule 2 of ScaledDotProductAttention" + self.attention.of_mask(),
        )

    def formulas_at(self, z: Any, mask: Array | None = None) -> Formulas | None:
        """With a mask that is given, and of (q, k, v)."""
        formulas = self.formulas
        if formulas is None:
            return None
        if mask is not None and not self.attention.of_mask():
            of_head = self.attention.written("q_i", "k_i"), self.attention.written("q_i", "k_i", True)
            formulas = formulas._replace(
                forward=formulas.forward.replace(*of_head), where=formulas.where + self.attention.of_mask(True)
            )
        if type(z) is not tuple:
            return formulas
        b = r" + [b_Q, b_K, b_V]" if self.in_proj_bias is not None else ""
        _, *further = formulas.gradients["in_proj_weight"].split(r", \quad ")
        blocks = [rf"\bar{{{p}}}_n^\top (\z_{i})_n" for i, p in enumerate("qkv")]
        of_weight = r", \quad ".join([rf"\sum_n [{', '.join(blocks)}]", *further])
        return formulas._replace(
            forward=formulas.forward.rpartition(" = ")[0] + rf" = [\z_0 W_Q^\top, \z_1 W_K^\top, \z_2 W_V^\top]{b}",
            backward=r", \quad ".join([r"(\bar{q} W_Q, \bar{k} W_K, \bar{v} W_V)", *further]),
            gradients={**formulas.gradients, "in_proj_weight": of_weight},
            where=f"{formulas.where}; z = (q, k, v) before the projections, and W_Q, W_K, W_V are the blocks of W, one "
            "below the other, as those of its gradient",
        )

    def output_shape(self, shape: Shapes) -> Shape:
        given = bool(shape) and not is_shape(shape)
        shapes = shape if given else (shape,) * 3
        require_shapes(self, shapes, 3, "z = (q, k, v)")
        for name, part in zip("qkv" if given else "zzz", shapes, strict=True):
            require_shape(self, part, name)
        self._require_shapes(shapes, given)
        return shapes[0]

    def multiply_adds(self, shape: Shapes) -> int:
        shapes = (shape,) * 3 if is_shape(shape) else shape
        projections = (*shapes, shapes[0])  # of q, k and v, and back from all heads
        of_heads = self.attention.multiply_adds(tuple(map(self._shape_apart, shapes)))
        return of_heads + sum(math.prod(part) * self.embed_dim for part in projections)

    def forward(self, z: Any, mask: Array | None = None) -> tuple[Array, Any]:
        parts = self._require_input(z)
        if mask is not None:
            mask = self._mask_of_heads(mask, parts)
        if type(z) is tuple:
            q_k_v = [affine(part, weight, bias) for part, weight, bias in zip(parts, *self._blocks(), strict=True)]
        else:
            q_k_v = np.split(affine(z, self.in_proj_weight, self.in_proj_bias), 3, axis=-1)
        heads, of_attention = self.attention.forward(tuple(self._apart(part) for part in q_k_v), mask)
        z_next, of_out = self.out_proj.forward(_together(heads))
        return z_next, (z, of_attention, of_out)

    __call__ = Layer.__call__  # inference is rule 1: out_proj is no other in training

    def backward(self, delta: Array, cache: Any) -> Delta:
        return self._to_input(self._to_projections(self.out_proj.backward(delta, cache[2]), cache), cache)

    def parameter_gradients(self, delta: Array, cache: Any) -> Gradients:
        delta, of_out = self.out_proj.backpropagate(delta, cache[2])
        return self._to_parameters(self._to_projections(delta, cache), cache) | self.gather([of_out])

    def backpropagate(self, delta: Array, cache: Any) -> tuple[Delta, Gradients]:
        delta, of_out = self.out_proj.backpropagate(delta, cache[2])
        d_q_k_v = self._to_projections(delta, cache)
        return self._to_input(d_q_k_v, cache), self._to_parameters(d_q_k_v, cache) | self.gather([of_out])

    def _to_projections(self, delta: Array, cache: Any) -> tuple[Array, ...]:
        """The deltas of the projections of q, k and v, from that of all heads side by side."""
        return tuple(_together(part) for part in self.attention.backward(self._apart(delta), cache[1]))

    def _to_input(self, d_q_k_v: tuple[Array, ...], cache: Any) -> Delta:
        if type(cache[0]) is tuple:
            return tuple(part @ weight for part, weight in zip(d_q_k_v, self._blocks()[0], strict=True))
        return np.concatenate(d_q_k_v, axis=-1) @ self.in_proj_weight

    def _to_parameters(self, d_q_k_v: tuple[Array, ...], cache: Any) -> Gradients:
        """Of the arrays of its own."""
        z = cache[0]
        parts = z if type(z) is tuple else (z,) * 3
        rows = [part.reshape(-1, self.embed_dim) for part in d_q_k_v]
        products = [
            transposed_product(d, part.reshape(-1, self.embed_dim)) for d, part in zip(rows, parts, strict=True)
        ]
        gradients = {"in_proj_weight": np.concatenate(products)}
        if self.in_proj_bias is not None:
            gradients["in_proj_bias"] = np.concatenate([np.add.reduce(d, axis=0) for d in rows])
        return gradients

    def _blocks(self) -> tuple[list[Array], Sequence[Array | None]]:
        """The weights of q, k and v, and their biases."""
        biases = (None,) * 3 if self.in_proj_bias is None else np.split(self.in_proj_bias, 3)
        return np.split(self.in_proj_weight, 3), biases

    def _apart(self, array: Array) -> Array:
        """(N, T, embed_dim) -> (N, heads, T, embed_dim / heads)."""
        n, heads, times, width = self._shape_apart(array.shape)
        return array.reshape(n, times, heads, width).swapaxes(1, 2)

    def _shape_apart(self, shape: Shape) -> Shape:
        n, times, width = shape
        return (n, self.num_heads, times, width // self.num_heads)

    def _mask_of_heads(self, mask: Array, parts: tuple[Array, ...]) -> Array:
        """A mask for one batch, with an axis for the heads."""
        n, times, of_keys = len(parts[0]), parts[0].shape[1], parts[1].shape[1]
        per_head = getattr(mask, "ndim", 3) == 4
        require_mask(self, mask, (n, self.num_heads, times, of_keys) if per_head else (n, times, of_keys))
        return mask if per_head else mask[:, np.newaxis]

    def _require_input(self, z: Any) -> tuple[Array, Array, Array]:
        parts = z if type(z) is tuple else (z,) * 3
        require_tuple(self, parts, 3, "z = (q, k, v)")
        for name, part in zip("qkv" if type(z) is tuple else "zzz", parts, strict=True):
            require_floating(self, part, name)
        self._require_shapes(tuple(part.shape for part in parts), type(z) is tuple)
        return parts

    def _require_shapes(self, shapes: tuple[Shape, ...], are_given: bool) -> None:
        """Of q, k and v, which are given, or z all three."""
        for name, shape in zip("qkv" if are_given else "zzz", shapes, strict=True):
            if len(shape) != 3 or shape[-1] != self.embed_dim:
                fix = f"{name}[np.newaxis] is a batch of one" if len(shape) == 2 else "Linear brings it to that width"
                raise ShapeError(
                    f"{self!r} expects {name} of shape (batch, sequence, {self.embed_dim}), got {shape}: {fix}"
                )
        q, k, v = shapes
        if not q[0] == k[0] == v[0] or k[1] != v[1] or not k[1]:
            raise ShapeError(
                f"{self!r} expects q (N, T, {self.embed_dim}), k and v (N, S, {self.embed_dim}), S of 1 or more, got "
                f"{q}, {k}, {v}: pad the sequences of a batch to one length, and mask the padding"
            )
        self.attention.require_own_mask(q[1], k[1])

    def outline(self) -> str:
        return repr(self)

    def __repr__(self) -> str:
        bias = ", bias=False" if self.in_proj_bias is None else ""
        options = repr(self.attention).removeprefix("ScaledDotProductAttention(").removesuffix(")")
        return f"{type(self).__name__}({self.embed_dim}, {self.num_heads} heads{bias}{', ' * bool(options)}{options})"


def _together(heads: Array) -> Array:
    """(N, heads, T, d) -> (N, T, heads d)."""
    n, count, times, width = heads.shape
    return heads.swapaxes(1, 2).reshape(n, times, count * width)
