"""Convolution and pooling, by their options."""

import numpy as np
from case import Case, Sizes

from minigrad import Layer, Sequential, Tanh
from minigrad.layers.convolution import Conv1d, Conv2d, ConvTranspose2d
from minigrad.layers.global_pooling import GlobalAveragePool, GlobalMaxPool
from minigrad.layers.pooling import (
    AdaptiveAvgPool1d,
    AdaptiveAvgPool2d,
    AvgPool1d,
    AvgPool2d,
    MaxPool1d,
    MaxPool2d,
)


def sequence(s: Sizes) -> tuple[int, ...]:
    return (s.n, s.d, 6)


def image(s: Sizes) -> tuple[int, ...]:
    return (s.n, s.d, 5, 4)


def in_groups(s: Sizes) -> tuple[int, ...]:
    return (s.n, 2 * s.d, 3, 4)


def apart(z: np.ndarray) -> np.ndarray:
    """Numbers in the same order, none closer than 1/4 to another: a maximum has a kink where two are equal."""
    return (np.argsort(np.argsort(z, axis=None, kind="stable")).reshape(z.shape) - z.size / 3) / 4


def convolved_twice(s: Sizes, rng: np.random.Generator) -> Layer:
    """Rules that are handed the order in memory of one another."""
    return Sequential(
        Conv2d(s.d, 2, 3, padding=1, rng=rng), Tanh(), AvgPool2d(2), Conv2d(2, s.k, 2, rng=rng), GlobalAveragePool()
    )


CASES = [
    Case("Conv1d", lambda s, rng: Conv1d(s.d, s.k, 3, rng=rng), sequence),
    Case("Conv1d with options", lambda s, rng: Conv1d(s.d, s.k, 3, 2, 3, 2, rng=rng), sequence),
    Case("Conv2d", lambda s, rng: Conv2d(s.d, s.k, 3, padding=1, rng=rng), image),
    Case("Conv2d without bias", lambda s, rng: Conv2d(s.d, s.k, (2, 3), bias=False, rng=rng), image),
    Case("Conv2d with options", lambda s, rng: Conv2d(s.d, s.k, (3, 2), (2, 1), (2, 0), (1, 2), rng=rng), image),
    Case("Conv2d in groups", lambda s, rng: Conv2d(2 * s.d, 4, 2, padding="same", groups=2, rng=rng), in_groups),
    Case("Conv2d of one entry", lambda s, rng: Conv2d(s.d, s.k, 1, stride=2, rng=rng), image),
    Case("ConvTranspose2d", lambda s, rng: ConvTranspose2d(s.d, s.k, 3, 2, 1, 1, rng=rng), lambda s: (s.n, s.d, 3, 2)),
    Case(
        "ConvTranspose2d in groups",
        lambda s, rng: ConvTranspose2d(2 * s.d, 4, 2, (1, 3), output_padding=(1, 2), groups=2, dilation=2, rng=rng),
        in_groups,
    ),
    Case("MaxPool1d", lambda s, rng: MaxPool1d(2), sequence, domain=apart),
    Case("MaxPool2d", lambda s, rng: MaxPool2d(2), image, domain=apart),
    Case("MaxPool2d, overlapping", lambda s, rng: MaxPool2d((3, 2), 1, padding=1), image, domain=apart),
    Case(
        "MaxPool2d, dilated", lambda s, rng: MaxPool2d(2, (1, 2), dilation=(3, 2), ceil_mode=True), image, domain=apart
    ),
    Case("AvgPool1d", lambda s, rng: AvgPool1d(3, 2, 1), sequence),
    Case("AvgPool2d", lambda s, rng: AvgPool2d(2), image),
    Case("AvgPool2d of what is inside", lambda s, rng: AvgPool2d((3, 2), 1, 1, False, False), image),
    Case("AvgPool2d, ceil_mode", lambda s, rng: AvgPool2d(2, 3, 1, ceil_mode=True), image),
    Case("AdaptiveAvgPool1d", lambda s, rng: AdaptiveAvgPool1d(4), sequence),
    Case("AdaptiveAvgPool2d", lambda s, rng: AdaptiveAvgPool2d((3, 2)), image),
    Case("GlobalAveragePool", lambda s, rng: GlobalAveragePool(), image),
    Case("GlobalMaxPool", lambda s, rng: GlobalMaxPool(), image, domain=apart),
    Case("A small convolutional net", convolved_twice, image),
]
