"""Attention: every row of a sequence becomes a weighted mean of rows, weighted by how well they fit."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad.checks import ShapeError, kind, label, require_delta, require_flag, require_floating, require_tuple
from minigrad.layer import Layer
from minigrad.shapes import require_shape, require_shapes
from minigrad.softmax_kernels import softmax
from minigrad.typing import Array, Delta, Formulas, Shape, Shapes


class ScaledDotProductAttention(Layer):
    """y = p v with p = softmax(q k^T / sqrt(E) + mask); Vaswani et al., "Attention is all you need", 2017.

        z = (q, k, v)    q (N, ..., T, E),    k (N, ..., S, E),    v (N, ..., S, F)    ->    y (N, ..., T, F)
        dv = p^T delta,    dq = ds k,    dk = ds^T q    with ds = p (dp - sum_S p dp) / sqrt(E) and dp = delta v^T

    A mask of booleans says which rows of k each row of q may attend to: True is may, as in PyTorch's function of this
    name.  One of floating numbers is added to the scores.  `mask` (T, S) holds for every batch; `causal=True` lets row
    t attend to rows 0 ... t; and forward(z, mask) takes one for this batch, whose axes are those of the scores,
    (N, ..., T, S), or 1: padding that marks (N, S) goes in as padding[:, np.newaxis].  All that are given hold.

    TypeError unless z is a tuple of three floating arrays and masks are boolean or floating.  ValueError where shapes
    disagree, or where a row may attend to nothing: a mean of no rows is not defined.
    """

    def __init__(self, causal: bool = False, mask: Array | None = None) -> None:
        require_flag(type(self), "causal", causal)
        self.causal = bool(causal)
        self.mask = None
        if mask is not None:
            _require_mask_type(type(self), mask)
            if mask.ndim != 2:
                fix = "a mask for one batch is an argument of forward" if mask.ndim > 2 else "one row for each row of q"
                raise ValueError(f"{label(type(self))} expects mask of shape (T, S), got {mask.shape}: {fix}")
            self.mask = mask.copy()

    @property
    def formulas(self) -> Formulas:  # type: ignore[override]
        """With M, where there is a mask."""
        return self._formulas(False)

    def formulas_at(self, z: Any, mask: Array | None = None) -> Formulas | None:
        """With a mask that is given."""
        return self._formulas(mask is not None)

    def _formulas(self, masked: bool) -> Formulas:
        p = self.written("q", "k", masked)
        s = r"S = \frac{1}{\sqrt{E}} P \odot (D - \sum_j P_j D_j)"
        return Formulas(
            forward=f"{p} v",
            backward=rf"(S k, S^\top q, P^\top \d), \quad {s}, \quad D = \d v^\top, \quad P = {p}",
            where="z = (q, k, v), E is the width of q, and softmax and sum go along the rows of k"
            + self.of_mask(masked),
        )

    def written(self, q: str, k: str, masked: bool = False) -> str:
        """The weights in LaTeX, of these letters."""
        added = " + M" if masked or self.causal or self.mask is not None else ""
        return rf"\operatorname{{softmax}}\left( \frac{{{q} {k}^\top}}{{\sqrt{{E}}}}{added} \right)"

    def of_mask(self, masked: bool = False) -> str:
        """What M is, where there is one."""
        if not masked and not self.causal and self.mask is None:
            return ""
        return "; M is 0 where a row may attend, or what the mask adds there, and minus infinity elsewhere"

    def output_shape(self, shape: Shapes) -> Shape:
        require_shapes(self, shape, 3, "z = (q, k, v)")
        for name, part in zip("qkv", shape, strict=True):
            require_shape(self, part, name)
        q, k, v = shape
        self._require_shapes(q, k, v)
        return (*q[:-1], v[-1])

    def multiply_adds(self, shape: Shapes) -> int:
        q, k, v = shape
        return math.prod(q[:-1]) * k[-2] * (q[-1] + v[-1])

    def forward(self, z: Any, mask: Array | None = None) -> tuple[Array, Any]:
        require_tuple(self, z, 3, "z = (q, k, v)")
        for name, part in zip("qkv", z, strict=True):
            require_floating(self, part, name)
        q, k, v = z
        self._require_shapes(q.shape, k.shape, v.shape)
        scores = (q @ k.swapaxes(-1, -2)) * q.shape[-1] ** -0.5
        p = softmax(self._masked(scores, mask))
        return p @ v, (q, k, v, p)

    def backward(self, delta: Array, cache: Any) -> Delta:
        q, k, v, p = cache
        require_delta(self, delta, (*q.shape[:-1], v.shape[-1]))
        scale = q.shape[-1] ** -0.5
        dp = delta @ v.swapaxes(-1, -2)
        ds = p * (dp - (p * dp).sum(axis=-1, keepdims=True))
        ds *= scale
        return ds @ k, ds.swapaxes(-1, -2) @ q, p.swapaxes(-1, -2) @ delta

    def _masked(self, scores: Array, mask: Array | None) -> Array:
        """The scores with additive masks added, and -inf where a row may not attend."""
        masks = []
        if mask is not None:
            require_mask(self, mask, scores.shape)
            masks.append(mask)
        if self.mask is not None:
            masks.append(self.mask)
        if self.causal:
            masks.append(np.tri(*scores.shape[-2:], dtype=bool))
        if not masks:
            return scores
        allowed: Any = True
        for part in masks:
            if part.dtype == bool:
                allowed = allowed & part
            else:
                with np.errstate(over="ignore"):  # what is -1e300 in float64, is -inf in float32, and so are sums
                    part = part.astype(scores.real.dtype)
                    moved = scores + np.where(part == -np.inf, 0, part)
                allowed = allowed & (part != -np.inf) & (moved.real != -np.inf)
                scores = np.where(allowed, moved, 0)
        if not allowed.any(axis=-1).all() and scores.size:
            self._refuse(np.broadcast_to(allowed, scores.shape))
        return np.where(allowed, scores, scores.dtype.type(-np.inf))

    def _refuse(self, allowed: Array) -> None:
        lost = np.argwhere(~allowed.any(axis=-1))
        first = ", ".join(map(str, lost[0].tolist()))
        raise ValueError(
            f"{self!r} expects every row of q to attend to one row of k or more, got a mask that leaves none for "
            f"row [{first}] and {len(lost)} rows in all: let padding attend to itself, "
            "True, or 0 of numbers, where a padded row meets a row of k, and leave its outputs out of the cost"
        )

    def _require_shapes(self, q: Shape, k: Shape, v: Shape) -> None:
        """Of z, and of the mask of all batches."""
        if min(len(q), len(k), len(v)) < 3:
            fix = "the first axis is the batch, the last but one the sequence"
        elif not q[:-2] == k[:-2] == v[:-2]:
            fix = "all axes but the last two agree"
        elif q[-1] != k[-1] or not q[-1]:
            fix = "q and k have one width E, 1 or more"
        elif k[-2] != v[-2] or not k[-2]:
            fix = "k and v have one length S, 1 or more"
        else:
            self.require_own_mask(q[-2], k[-2])
            return
        raise ShapeError(
            f"{self!r} expects q (N, ..., T, E), k (N, ..., S, E) and v (N, ..., S, F), got {q}, {k} and {v}: {fix}"
        )

    def require_own_mask(self, times: int, of_keys: int) -> None:
        """The mask of all batches, where there is one, is for so many rows of q and k (ValueError)."""
        if self.mask is not None:
            require_mask(self, self.mask, (times, of_keys))

    def __repr__(self) -> str:
        options = ["causal"] if self.causal else []
        if self.mask is not None:
            options.append(f"mask {self.mask.shape}")
        return f"{type(self).__name__}({', '.join(options)})"


def require_mask(who: Layer, mask: Any, shape: tuple[int, ...]) -> None:
    """`mask` is boolean or floating (TypeError), and each axis is that of `shape`, or 1 (ValueError)."""
    _require_mask_type(who, mask)
    if mask.ndim != len(shape) or any(m not in (1, s) for m, s in zip(mask.shape, shape, strict=True)):
        if mask.shape == shape[-2:]:
            fix = f"mask[{'np.newaxis, ' * (len(shape) - 2)}:] holds for every row of the batch"
        elif mask.ndim == 2 and len(shape) > 2:
            fix = f"padding of shape (N, S) goes in as mask[:, {'np.newaxis, ' * (len(shape) - 2)}:]"
        else:
            fix = "one number for each pair of a row of q and a row of k"
        raise ShapeError(
            f"{label(who)} expects a mask of shape {shape}, where an axis may be 1, got {mask.shape}: {fix}"
        )


def _require_mask_type(who: object, mask: Any) -> None:
    # np.matrix and masked arrays redefine `*` and drop values: both would go wrong without a word.
    if type(mask) is not np.ndarray or mask.dtype.kind not in "bf":
        raise TypeError(
            f"{label(who)} expects a mask to be an array of booleans, True where a row may attend, or of floating "
            f"numbers to add, got {kind(mask)}: np.asarray(mask, dtype=bool)"
        )
    if mask.dtype.kind == "f" and not (mask < np.inf).all():
        raise ValueError(f"{label(who)} expects a mask without NaN and +inf: 0 leaves a score as it is, -inf hides it")
