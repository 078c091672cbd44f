"""Losses of class labels beside PyTorch's, at random shapes, options and targets.

Classes stand on the last axis here and on axis 1 in PyTorch, so that theirs are given z with that axis moved.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.agreement.losses import draw_coin, draw_logits, draw_numbers, draw_reduction, draw_shape
from benchmarks.agreement.twin import Pair, Twin
from minigrad import LogSoftmax, NLLLoss, Sequential
from minigrad.losses import BernoulliNLLLoss, CrossEntropyLoss, MultiMarginLoss


def _class_last(theirs: Any, probabilities: bool = False) -> Any:
    def loss(z: Any, target: Any) -> Any:
        return theirs(z.movedim(-1, 1).contiguous(), target.movedim(-1, 1) if probabilities else target)

    return loss


def _of_classes(rng: np.random.Generator, most: int = 200) -> tuple[np.ndarray, dict[str, Any], dict[str, Any]]:
    """Scores, and the options of ours and theirs that losses of classes share."""
    import torch

    classes = int(rng.choice([1, 2, 5, most]))
    z = draw_numbers(rng, (int(rng.integers(4, 9)), *draw_shape(rng)[1:], classes))
    ours: dict[str, Any] = {"reduction": draw_reduction(rng)}
    theirs = dict(ours)
    if draw_coin(rng):
        ours["class_weights"] = rng.uniform(0.5, 2, classes)
        theirs["weight"] = torch.tensor(ours["class_weights"])
    return z, ours, theirs


def _labels(rng: np.random.Generator, z: np.ndarray, ours: dict[str, Any], theirs: dict[str, Any]) -> np.ndarray:
    labels = rng.integers(0, z.shape[-1], z.shape[:-1])
    if draw_coin(rng):
        ours["ignore_index"] = theirs["ignore_index"] = int(rng.choice([-100, -1, 0]))
        labels[rng.random(labels.shape) < 0.3] = ours["ignore_index"]
        labels.flat[0] = z.shape[-1] - 1
        if ours["ignore_index"] == z.shape[-1] - 1:
            ours["reduction"] = theirs["reduction"] = "sum"  # a mean of none: an error here, NaN there
    return labels


def _cast(module: Any) -> Any:
    """PyTorch's loss with its weights in the precision of the scores."""
    import torch

    class Cast(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.module = module

        def forward(self, z: Any, target: Any) -> Any:
            weight = module.weight
            if weight is not None:
                module.weight = weight.to(z.dtype)
            return _class_last(module, target.is_floating_point())(z, target)

    return Cast()


def _nll(rng: np.random.Generator) -> Pair:
    import torch

    z, ours, theirs = _of_classes(rng)
    labels = _labels(rng, z, ours, theirs)
    log_p = z - np.log(np.exp(z).sum(axis=-1, keepdims=True))
    return Pair(NLLLoss(**ours), _cast(torch.nn.NLLLoss(**theirs)), log_p, (labels,))


def _cross_entropy(rng: np.random.Generator) -> Pair:
    import torch

    z, ours, theirs = _of_classes(rng)
    labels = _labels(rng, z, ours, theirs)
    ours["label_smoothing"] = theirs["label_smoothing"] = float(rng.choice([0, 0.1, 0.7, 1]))
    return Pair(CrossEntropyLoss(**ours), _cast(torch.nn.CrossEntropyLoss(**theirs)), z, (labels,))


def _cross_entropy_of_probabilities(rng: np.random.Generator) -> Pair:
    import torch

    z, ours, theirs = _of_classes(rng)
    z /= max(1, np.abs(z).max() / 2)  # where p is nearly q, both lose digits of p - q
    ours["label_smoothing"] = theirs["label_smoothing"] = float(rng.choice([0, 0.1, 0.7, 1]))
    q = rng.dirichlet(np.ones(z.shape[-1]), z.shape[:-1])
    return Pair(CrossEntropyLoss(**ours), _cast(torch.nn.CrossEntropyLoss(**theirs)), z, (q,))


def _fused(rng: np.random.Generator) -> Pair:
    import torch

    z = draw_numbers(rng, (int(rng.integers(1, 40)), int(rng.choice([2, 10, 300]))))
    labels = rng.integers(0, z.shape[1], len(z))
    log_softmax = torch.nn.LogSoftmax(-1)
    return Pair(
        Sequential(LogSoftmax(), NLLLoss()), lambda z, t: torch.nn.functional.nll_loss(log_softmax(z), t), z, (labels,)
    )


def _bernoulli(rng: np.random.Generator) -> Pair:
    import torch

    reduction = draw_reduction(rng)
    z, t = draw_logits(rng, (int(rng.integers(1, 9)), 1)), rng.integers(0, 2, 8)
    theirs = torch.nn.BCEWithLogitsLoss(reduction=reduction)
    return Pair(
        BernoulliNLLLoss(reduction), lambda z, t: theirs(z[:, 0], t.to(z.dtype)), z, (t[: len(z)].astype(np.int64),)
    )


def _multi_margin(rng: np.random.Generator) -> Pair:
    import torch

    z, ours, theirs = _of_classes(rng, most=20)
    z = z.reshape(-1, z.shape[-1])
    ours["p"] = theirs["p"] = int(rng.choice([1, 2]))
    ours["margin"] = theirs["margin"] = float(rng.choice([0.5, 1, 3]))
    labels = rng.integers(0, z.shape[1], len(z))
    return Pair(MultiMarginLoss(**ours), _cast(torch.nn.MultiMarginLoss(**theirs)), z, (labels,))


TWINS = [
    Twin("NLLLoss", _nll),
    Twin("CrossEntropyLoss", _cross_entropy),
    Twin("CrossEntropyLoss of probabilities", _cross_entropy_of_probabilities),
    Twin("LogSoftmax, NLLLoss", _fused),
    Twin("BernoulliNLLLoss", _bernoulli),
    Twin("MultiMarginLoss", _multi_margin),
]
