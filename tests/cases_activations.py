"""Activations: rectifiers at their kinks' sides, smooth ones anywhere."""

import math

from case import Case, Sizes

from minigrad.layers.activations import Identity
from minigrad.layers.rectifiers import ELU, SELU, HardSigmoid, Hardtanh, LeakyReLU, PReLU
from minigrad.layers.smooth_activations import GELU, Mish, SiLU, Softplus, Softsign


def images(s: Sizes) -> tuple[int, ...]:
    return (s.n, s.d, 2, s.k)


def sequences(s: Sizes) -> tuple[int, ...]:
    return (s.n, 2, s.d)


CASES = [
    Case("Identity", lambda s, rng: Identity()),
    Case("LeakyReLU", lambda s, rng: LeakyReLU(), kinks=(0.0,)),
    Case("LeakyReLU, falling", lambda s, rng: LeakyReLU(-0.5), sequences, kinks=(0.0,)),
    Case("PReLU", lambda s, rng: PReLU(), kinks=(0.0,)),
    Case("PReLU of one axis", lambda s, rng: PReLU(), lambda s: (s.n,), kinks=(0.0,)),
    Case("PReLU by channel", lambda s, rng: PReLU(s.d), images, kinks=(0.0,)),
    Case("PReLU by feature", lambda s, rng: PReLU(s.d), kinks=(0.0,)),
    Case("ELU", lambda s, rng: ELU(), kinks=(0.0,)),
    Case("ELU, alpha", lambda s, rng: ELU(0.3), sequences, kinks=(0.0,)),
    Case("SELU", lambda s, rng: SELU(), kinks=(0.0,)),
    Case("Hardtanh", lambda s, rng: Hardtanh(), kinks=(-1.0, 1.0)),
    Case("Hardtanh, bounds", lambda s, rng: Hardtanh(-0.5, 2), sequences, kinks=(-0.5, 2.0)),
    Case("HardSigmoid", lambda s, rng: HardSigmoid(), kinks=(-3.0, 3.0)),
    Case("GELU", lambda s, rng: GELU()),
    Case("GELU tanh", lambda s, rng: GELU("tanh"), sequences),
    Case("SiLU", lambda s, rng: SiLU()),
    Case("Mish", lambda s, rng: Mish()),
    Case("Softplus", lambda s, rng: Softplus()),
    Case("Softplus, beta", lambda s, rng: Softplus(2.5, math.inf), sequences),
    Case("Softplus, threshold", lambda s, rng: Softplus(0.5, 100)),
    Case("Softsign", lambda s, rng: Softsign(), kinks=(0.0,)),
]
