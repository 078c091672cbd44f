"""Scale, Bias, RBF, Polynomial and Bilinear."""

from case import Case, OneArray

from minigrad.layers.bilinear import Bilinear
from minigrad.layers.features import RBF, Polynomial
from minigrad.layers.scaling import Bias, Scale

CASES = [
    Case("Scale", lambda s, rng: Scale(s.d)),
    Case("Scale of one number", lambda s, rng: Scale(())),
    Case("Scale of channels", lambda s, rng: Scale((s.d, 1, 1)), lambda s: (s.n, s.d, 2, s.k)),
    Case("Bias", lambda s, rng: Bias(s.d)),
    Case("Bias on sequences", lambda s, rng: Bias(s.d), lambda s: (s.n, 2, s.d)),
    Case("Bias of a shape", lambda s, rng: Bias((s.k, s.d)), lambda s: (s.n, 2, s.k, s.d)),
    Case("RBF", lambda s, rng: RBF(s.d, s.k, rng=rng)),
    Case("RBF on sequences", lambda s, rng: RBF(s.d, s.k, rng=rng), lambda s: (s.n, 2, s.d)),
    Case("Polynomial", lambda s, rng: Polynomial()),
    Case("Polynomial, cubic", lambda s, rng: Polynomial(3, include_bias=False), lambda s: (s.n, 2, s.d)),
    Case("Polynomial, products", lambda s, rng: Polynomial(3, interaction_only=True)),
    Case("Polynomial, degrees", lambda s, rng: Polynomial((2, 4), include_bias=s.k > 2)),
    Case(
        "Bilinear",
        lambda s, rng: OneArray(Bilinear(s.d, s.k, 3, rng=rng), [(s.d,), (s.k,)]),
        lambda s: (s.n, s.d + s.k),
    ),
    Case(
        "Bilinear on sequences, without bias",
        lambda s, rng: OneArray(Bilinear(s.k, s.d, 2, bias=False, rng=rng), [(3, s.k), (3, s.d)]),
        lambda s: (s.n, 3 * (s.d + s.k)),
    ),
]
