"""Dropout: noise in training that inference does without."""

from __future__ import annotations

import numpy as np

from minigrad.checks import require_delta, require_floating, require_shape
from minigrad.layer import Layer
from minigrad.layers.activations import Identity
from minigrad.typing import Array, Formulas, Seed, Shape


class Dropout(Layer):
    """In training each number is 0 with probability `p`, else divided by 1 - p; `layer(z)` is z.

        z_next  =  m z,    m = 0 with probability p, else 1 / (1 - p)
        dz      =  m delta

    The mean over m is z, so that inference needs no factor.  The layer draws from its own generator, made from `rng`.
    Srivastava, Hinton, Krizhevsky, Sutskever and Salakhutdinov, "Dropout", 2014.

    ValueError unless 0 <= p <= 1; p = 1 drops everything.  p is told to one part in 2^24.
    """

    state_names = ("rng",)
    formulas = Formulas(
        forward=r"m \odot \z",
        backward=r"m \odot \d",
        where="m is 0 with probability p, else 1 / (1 - p), and drawn anew in every pass of training",
    )

    def __init__(self, p: float = 0.5, rng: Seed = None) -> None:
        if not isinstance(p, int | float | np.integer | np.floating) or isinstance(p, bool) or not 0 <= p <= 1:
            raise ValueError(f"Dropout expects p to be a probability, from 0 to 1, got {p!r}")
        self.p = float(p)
        self.rng = np.random.default_rng(rng)

    def output_shape(self, shape: Shape) -> Shape:
        require_shape(self, shape)
        return shape

    def forward(self, z: Array) -> tuple[Array, Array]:
        require_floating(self, z)
        m = self._noise(z)
        return m * z, m

    def backward(self, delta: Array, m: Array) -> Array:
        require_delta(self, delta, m.shape)
        return m * delta

    def __call__(self, z: Array) -> Array:
        require_floating(self, z)
        return z

    def at_inference(self) -> Layer:
        return Identity()

    def _noise(self, z: Array) -> Array:
        """m, of the precision of z: the same numbers stay in every precision."""
        m: Array = np.asarray(self.rng.random(z.shape, np.float32))  # an array for z of no axes too
        np.greater_equal(m, self.p, out=m, casting="unsafe")  # in place; random numbers are less than 1
        m = m.astype(z.real.dtype, copy=False)
        if 0 < self.p < 1:
            m *= 1 / (1 - self.p)
        return m

    def __repr__(self) -> str:
        return f"Dropout({self.p:g})"
