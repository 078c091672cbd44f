"""Bilinear beside PyTorch's; features that PyTorch has not, beside their formula in PyTorch."""

from __future__ import annotations

from itertools import combinations, combinations_with_replacement
from typing import Any

import numpy as np

from benchmarks.agreement.twin import Pair, Twin
from minigrad.layers.bilinear import Bilinear
from minigrad.layers.features import RBF, Polynomial
from minigrad.layers.scaling import Bias, Scale


def rows(rng: np.random.Generator) -> tuple[int, ...]:
    """All axes but the last."""
    return tuple(int(size) for size in rng.integers(1, 5, rng.integers(1, 3)))


def draw_bilinear(rng: np.random.Generator) -> Pair:
    """With a bias or without."""
    import torch

    in1, in2, out = (int(size) for size in rng.integers(1, 7, 3))
    bias = bool(rng.random() < 0.5)
    leading = rows(rng)
    z = (rng.normal(size=(*leading, in1)), rng.normal(size=(*leading, in2)))
    return Pair(Bilinear(in1, in2, out, bias, rng=rng), torch.nn.Bilinear(in1, in2, out, bias), z)


def formula(function: Any, **arrays: np.ndarray) -> Any:
    """A module of the parameters `arrays` that computes `function(z, module)`."""
    import torch

    module = torch.nn.Module()
    for name, array in arrays.items():
        module.register_parameter(name, torch.nn.Parameter(torch.tensor(array)))
    module.forward = lambda z: function(z, module)
    return module


def trailing_shape(rng: np.random.Generator, z: np.ndarray) -> tuple[int, ...]:
    """Some of the last axes of z, some of them stretched."""
    last = z.shape[int(rng.integers(1, z.ndim + 1)) :]
    return tuple(1 if rng.random() < 0.3 else size for size in last)


def draw_scale(rng: np.random.Generator) -> Pair:
    """Factors over any last axes."""
    z = rng.normal(size=(*rows(rng), 3, 2))
    ours = Scale(trailing_shape(rng, z), scale_initializer=lambda shape, rng: rng.normal(size=shape), rng=rng)
    return Pair(ours, formula(lambda z, m: z * m.scale, scale=ours.scale), z)


def draw_bias(rng: np.random.Generator) -> Pair:
    """Shifts over any last axes."""
    z = rng.normal(size=(*rows(rng), 3, 2))
    ours = Bias(trailing_shape(rng, z), bias_initializer=lambda shape, rng: rng.normal(size=shape), rng=rng)
    return Pair(ours, formula(lambda z, m: z + m.bias, bias=ours.bias), z)


def draw_rbf(rng: np.random.Generator) -> Pair:
    """Bumps of any width."""
    in_features, num_centers = (int(size) for size in rng.integers(1, 6, 2))
    ours = RBF(in_features, num_centers, log_gamma_initializer=lambda shape, rng: rng.normal(-1, 1, shape), rng=rng)

    def bumps(z: Any, m: Any) -> Any:
        return (-m.log_gamma.exp() * ((z[..., None, :] - m.centers) ** 2).sum(-1)).exp()

    theirs = formula(bumps, centers=ours.centers, log_gamma=ours.log_gamma)
    return Pair(ours, theirs, rng.normal(size=(*rows(rng), in_features)))


def draw_polynomial(rng: np.random.Generator) -> Pair:
    """Any degrees, over numbers of which some are 0."""
    low, high = sorted(int(degree) for degree in rng.integers(1, 5, 2))
    alone, one = bool(rng.random() < 0.5), bool(rng.random() < 0.5)
    width = int(rng.integers(high if alone else 1, 6))  # products alone need as many inputs as factors
    z = rng.normal(size=(*rows(rng), width)) * rng.choice([0, 1, 1, 1], width)
    choose = combinations if alone else combinations_with_replacement

    def monomials(z: Any) -> Any:
        import torch

        places = [places for degree in range(low, high + 1) for places in choose(range(width), degree)]
        columns = [torch.ones_like(z[..., 0])] * one
        for factors in places:
            column = torch.ones_like(z[..., 0])
            for i in factors:
                column = column * z[..., i]
            columns.append(column)
        return torch.stack(columns, -1)

    return Pair(Polynomial((low, high), interaction_only=alone, include_bias=one), monomials, z)


TWINS = [
    Twin("Bilinear", draw_bilinear),
    Twin("Scale", draw_scale),
    Twin("Bias", draw_bias),
    Twin("RBF", draw_rbf),
    Twin("Polynomial", draw_polynomial),
]
