"""Losses of numbers, and penalties, beside PyTorch's, at random shapes, options and targets."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.agreement.twin import Pair, Twin
from minigrad import Linear, LogSoftmax, NLLLoss, Sequential
from minigrad.losses import (
    BCELoss,
    BCEWithLogitsLoss,
    GaussianNLLLoss,
    HingeLoss,
    HomoscedasticGaussianNLLLoss,
    HuberLoss,
    KLDivLoss,
    L1Loss,
    L1Penalty,
    L2Penalty,
    MSELoss,
    Penalized,
    PoissonNLLLoss,
    QuantileLoss,
    SmoothL1Loss,
)

REDUCTIONS = ("mean", "sum", "none")


def draw_reduction(rng: np.random.Generator) -> str:
    """One of the three."""
    return str(rng.choice(REDUCTIONS))


def draw_shape(rng: np.random.Generator) -> tuple[int, ...]:
    """One to three axes of 1 to 5 entries."""
    return tuple(int(size) for size in rng.integers(1, 6, rng.integers(1, 4)))


def draw_coin(rng: np.random.Generator) -> bool:
    """An option, on or off."""
    return bool(rng.integers(2))


def draw_numbers(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Small, middling or large ones."""
    return rng.normal(scale=rng.choice([0.5, 2.0, 10.0]), size=shape)


def draw_logits(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Where y is nearly t, PyTorch's y - t loses digits: with these, two of them."""
    return rng.uniform(-4, 4, shape)


def _bce(rng: np.random.Generator) -> Pair:
    import torch

    shape, reduction = draw_shape(rng), draw_reduction(rng)
    y, t = rng.uniform(size=shape), rng.uniform(size=shape).round(int(rng.integers(3)))
    y[t == 1] = 1  # elsewhere the cut of y (1 - y) counts, which is 1e-12 in single precision in PyTorch
    w = rng.uniform(0.5, 2, shape[-1:]) if draw_coin(rng) else None

    def theirs(y: Any, t: Any) -> Any:
        weight = None if w is None else torch.tensor(w).to(y.dtype)
        return torch.nn.BCELoss(weight, reduction=reduction)(y, t)

    return Pair(BCELoss(reduction, w), theirs, y, (t,))


def _bce_with_logits(rng: np.random.Generator) -> Pair:
    import torch

    shape, reduction = draw_shape(rng), draw_reduction(rng)
    z, t = draw_logits(rng, shape), rng.uniform(size=shape).round(int(rng.integers(3)))
    w, p = (rng.uniform(0.5, 2, shape[-1:]) if draw_coin(rng) else None for _ in range(2))

    def theirs(z: Any, t: Any) -> Any:
        weight, pos_weight = (None if a is None else torch.tensor(a).to(z.dtype) for a in (w, p))
        return torch.nn.BCEWithLogitsLoss(weight, reduction=reduction, pos_weight=pos_weight)(z, t)

    return Pair(BCEWithLogitsLoss(reduction, w, p), theirs, z, (t,))


def _elementwise(rng: np.random.Generator) -> Pair:
    import torch

    shape, reduction, cut = draw_shape(rng), draw_reduction(rng), float(rng.choice([0.3, 1, 2.5]))
    ours, theirs = [
        (MSELoss(reduction), torch.nn.MSELoss(reduction=reduction)),
        (L1Loss(reduction), torch.nn.L1Loss(reduction=reduction)),
        (HuberLoss(reduction, cut), torch.nn.HuberLoss(reduction, cut)),
        (SmoothL1Loss(reduction, cut), torch.nn.SmoothL1Loss(reduction=reduction, beta=cut)),
        (SmoothL1Loss(reduction, 0.0), torch.nn.SmoothL1Loss(reduction=reduction, beta=0.0)),
    ][rng.integers(5)]
    z = draw_numbers(rng, shape)
    t = np.where(rng.random(shape) < 0.1, z, draw_numbers(rng, shape))  # at the kink, too
    return Pair(ours, theirs, z, (t,))


def _kl(rng: np.random.Generator) -> Pair:
    import torch

    reduction, log_target = str(rng.choice([*REDUCTIONS, "batchmean"])), draw_coin(rng)
    z = -np.abs(draw_numbers(rng, draw_shape(rng)))
    t = rng.uniform(size=z.shape) * (rng.random(z.shape) < 0.8)
    if log_target:
        t = draw_numbers(rng, z.shape) / 10
    theirs = torch.nn.KLDivLoss(reduction=reduction, log_target=log_target)
    return Pair(KLDivLoss(reduction, log_target), theirs, z, (t,))


def _poisson(rng: np.random.Generator) -> Pair:
    import torch

    shape, reduction, log_input, full = draw_shape(rng), draw_reduction(rng), draw_coin(rng), draw_coin(rng)
    eps = float(rng.choice([1e-8, 1e-2]))
    z = rng.uniform(-2, 0, shape) if log_input else rng.uniform(0.1, 0.9, shape)  # terms of one sign: none cancel
    theirs = torch.nn.PoissonNLLLoss(log_input, full, eps=eps, reduction=reduction)
    return Pair(PoissonNLLLoss(reduction, log_input, full, eps), theirs, z, (1.0 * rng.poisson(3, shape),))


def _gaussian(rng: np.random.Generator) -> Pair:
    import torch

    shape, reduction, full = draw_shape(rng), draw_reduction(rng), draw_coin(rng)
    eps = float(rng.choice([1e-6, 0.5]))
    v = rng.uniform(0.1, 3, (*shape[:-1], 1) if draw_coin(rng) else shape)
    theirs = torch.nn.GaussianNLLLoss(full=full, eps=eps, reduction=reduction)
    mean = draw_numbers(rng, shape)
    return Pair(
        GaussianNLLLoss(reduction, full, eps), lambda m, v, t: theirs(m, t, v), (mean, v), (draw_numbers(rng, shape),)
    )


def _homoscedastic(rng: np.random.Generator) -> Pair:
    import torch

    n, features = (int(i) for i in rng.integers(1, 6, 2))
    reduction, full = draw_reduction(rng), draw_coin(rng)
    ours = HomoscedasticGaussianNLLLoss(features, reduction, full)
    ours.log_variance[:] = rng.normal(size=features)

    class Theirs(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.log_variance = torch.nn.Parameter(torch.zeros(features))

        def forward(self, z: Any, t: Any) -> Any:
            v = self.log_variance.exp().expand(z.shape)
            return torch.nn.functional.gaussian_nll_loss(z, t, v, full=full, eps=1e-30, reduction=reduction)

    z = draw_numbers(rng, (n, features))
    return Pair(ours, Theirs(), z, (draw_numbers(rng, z.shape),))


def _hinge(rng: np.random.Generator) -> Pair:
    import torch

    shape, squared = draw_shape(rng), draw_coin(rng)

    def theirs(z: Any, t: Any) -> Any:
        return _reduced(torch.relu(1 - t * z) ** (2 if squared else 1), reduction)

    reduction = draw_reduction(rng)
    return Pair(
        HingeLoss(reduction, squared=squared), theirs, draw_numbers(rng, shape), (1.0 * rng.choice([-1, 1], shape),)
    )


def _quantile(rng: np.random.Generator) -> Pair:
    import torch

    q = rng.uniform(0.05, 0.95, 3)
    z = draw_numbers(rng, (*draw_shape(rng), 3))

    def theirs(z: Any, t: Any) -> Any:
        r, quantiles = t[..., None] - z, torch.tensor(q).to(z.dtype)
        return _reduced(torch.maximum(quantiles * r, (quantiles - 1) * r), reduction)

    reduction = draw_reduction(rng)
    return Pair(QuantileLoss(tuple(q), reduction), theirs, z, (draw_numbers(rng, z.shape[:-1]),))


def _reduced(terms: Any, reduction: str) -> Any:
    return terms if reduction == "none" else getattr(terms, reduction)()


def _penalized(rng: np.random.Generator) -> Pair:
    import torch

    d, k = (int(i) for i in rng.integers(1, 6, 2))
    linear = torch.nn.Linear(d, k)

    class Theirs(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.linear = linear

        def forward(self, x: Any, t: Any) -> Any:
            penalty = 0.05 * linear.weight.square().sum() + 0.2 * (linear.weight.abs().sum() + linear.bias.abs().sum())
            return torch.nn.functional.cross_entropy(linear(x), t) + penalty

    cost = Sequential(Linear(d, k, rng=rng), LogSoftmax(), NLLLoss())
    ours = Penalized(cost, L2Penalty(0.1, "*.weight"), L1Penalty(0.2, "0.*"))
    x = rng.normal(size=(int(rng.integers(1, 9)), d))
    names = {"0.weight": "linear.weight", "0.bias": "linear.bias"}
    return Pair(ours, Theirs(), x, (rng.integers(0, k, len(x)),), names)


TWINS = [
    Twin("BCELoss", _bce),
    Twin("BCEWithLogitsLoss", _bce_with_logits),
    Twin("MSELoss, L1Loss, HuberLoss, SmoothL1Loss", _elementwise),
    Twin("KLDivLoss", _kl),
    Twin("PoissonNLLLoss", _poisson),
    Twin("GaussianNLLLoss", _gaussian),
    Twin("HomoscedasticGaussianNLLLoss", _homoscedastic),
    Twin("HingeLoss", _hinge),
    Twin("QuantileLoss", _quantile),
    Twin("Penalized", _penalized),
]
