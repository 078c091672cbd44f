"""Layers that bring numbers to mean 0 and variance 1."""

import numpy as np
from case import Case, HeldFixed, Sizes

from minigrad.layers.batch_normalization import BatchNorm1d, BatchNorm2d
from minigrad.layers.normalization import GroupNorm, LayerNorm, RMSNorm


def spread(z: np.ndarray) -> np.ndarray:
    """Apart from each other: where all are equal, 1 / sqrt(eps) makes the function as steep as a kink."""
    return z + np.cos(2 + 3 * np.arange(z.size)).reshape(z.shape)


def off_zero(z: np.ndarray) -> np.ndarray:
    """Away from 0, where without eps a norm has a kink."""
    return np.where(abs(z) < 0.25, 0.5, z)


def sequences(s: Sizes) -> tuple[int, ...]:
    return (s.n, 3, s.d + 1)


def images(s: Sizes) -> tuple[int, ...]:
    return (s.n, 4, s.d, s.k + 1)


def batches(s: Sizes) -> tuple[int, ...]:
    return (s.n + 1, s.d)


CASES = [
    Case("LayerNorm", lambda s, rng: LayerNorm(s.d + 2), lambda s: (s.n, s.d + 2), domain=spread),
    Case("LayerNorm of one number", lambda s, rng: LayerNorm(1), lambda s: (s.n, 1)),
    Case("LayerNorm of ties", lambda s, rng: LayerNorm(s.d, eps=0.5), domain=lambda z: 0 * z + 0.3),
    Case("LayerNorm without bias", lambda s, rng: LayerNorm(s.d + 1, bias=False), sequences, domain=spread),
    Case("LayerNorm of two axes", lambda s, rng: LayerNorm((3, s.d + 1), eps=0.01), sequences, domain=spread),
    Case("LayerNorm, plain", lambda s, rng: LayerNorm(s.d + 1, 1e-3, False), sequences, domain=spread),
    Case("LayerNorm of images", lambda s, rng: LayerNorm((s.d, s.k + 1)), images, domain=spread),
    Case("RMSNorm", lambda s, rng: RMSNorm(s.d), domain=off_zero),
    Case("RMSNorm of two axes", lambda s, rng: RMSNorm((3, s.d + 1), eps=0.1), sequences),
    Case("RMSNorm, plain", lambda s, rng: RMSNorm(s.d + 1, elementwise_affine=False), sequences, domain=off_zero),
    Case("GroupNorm", lambda s, rng: GroupNorm(2, 4), images, domain=spread),
    Case("GroupNorm of one group", lambda s, rng: GroupNorm(1, 4, eps=0.01), images, domain=spread),
    Case("GroupNorm, plain", lambda s, rng: GroupNorm(4, 4, affine=False), images, domain=spread),
    Case(
        "GroupNorm of features", lambda s, rng: GroupNorm(2, 2 * s.d + 2), lambda s: (s.n, 2 * s.d + 2), domain=spread
    ),
    Case("GroupNorm of sequences", lambda s, rng: GroupNorm(3, 3), sequences, domain=spread),
    Case("BatchNorm1d", lambda s, rng: HeldFixed(BatchNorm1d(s.d)), batches, least_rows=1, domain=spread),
    Case(
        "BatchNorm1d of ties",
        lambda s, rng: HeldFixed(BatchNorm1d(s.d, 0.5)),
        batches,
        least_rows=1,
        domain=lambda z: z[:1] + 0 * z,
    ),
    Case("BatchNorm1d of sequences", lambda s, rng: HeldFixed(BatchNorm1d(3)), sequences, least_rows=1, domain=spread),
    Case(
        "BatchNorm1d, untracked",
        lambda s, rng: BatchNorm1d(s.d, momentum=None, track_running_stats=False),
        batches,
        least_rows=1,
        domain=spread,
    ),
    Case("BatchNorm2d", lambda s, rng: HeldFixed(BatchNorm2d(4)), images, least_rows=1, domain=spread),
    Case(
        "BatchNorm2d, plain",
        lambda s, rng: HeldFixed(BatchNorm2d(4, 0.01, None, False)),
        images,
        least_rows=1,
        domain=spread,
    ),
]
