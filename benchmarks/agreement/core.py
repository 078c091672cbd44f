"""Linear and the softmax beside PyTorch's."""

from __future__ import annotations

import numpy as np

from benchmarks.agreement.twin import Pair, Twin
from minigrad import Linear, LogSoftmax, Softmax


def linear(rng: np.random.Generator) -> Pair:
    """Few and many classes, rows and sequences, with and without a bias."""
    import torch

    features, classes = (int(rng.integers(1, 40)) for _ in range(2))
    shape = tuple(rng.integers(2, 9, rng.integers(1, 3))) if rng.random() < 0.7 else (300,)
    bias = bool(rng.integers(2))
    z = rng.normal(size=(*shape, features))
    return Pair(Linear(features, classes, bias, rng=rng), torch.nn.Linear(features, classes, bias), z)


def log_softmax(rng: np.random.Generator) -> Pair:
    """Few and many classes."""
    import torch

    return Pair(LogSoftmax(), torch.nn.LogSoftmax(-1), _scores(rng))


def softmax(rng: np.random.Generator) -> Pair:
    """Few and many classes."""
    import torch

    return Pair(Softmax(), torch.nn.Softmax(-1), _scores(rng))


def _scores(rng: np.random.Generator) -> np.ndarray:
    classes = int(rng.integers(2, 20)) if rng.random() < 0.7 else int(rng.integers(128, 400))
    return rng.normal(scale=3, size=(*rng.integers(1, 6, rng.integers(1, 3)), classes))


TWINS = [Twin("Linear", linear), Twin("LogSoftmax", log_softmax), Twin("Softmax", softmax)]
