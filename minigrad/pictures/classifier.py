"""Classifiers: what a stack, or a result of `mle.fit`, says of rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from minigrad.checks import kind, label
from minigrad.containers import Frozen, Sequential
from minigrad.layers import Flatten, HardSigmoid, Identity, Reshape, Sigmoid
from minigrad.losses import (
    BCELoss,
    BCEWithLogitsLoss,
    BernoulliNLLLoss,
    CrossEntropyLoss,
    HingeLoss,
    Loss,
    MultiMarginLoss,
    NLLLoss,
    Penalized,
)
from minigrad.mle.entry.data import new_target
from minigrad.mle.result import Result
from minigrad.mle.use.prediction import scale_of
from minigrad.typing import Array

SURE = 1e4  # of the largest score before another, beyond which more tells nothing
LARGE = 1e300  # for infinity


class Classifier(NamedTuple):
    """Scores of rows, the largest of which is the class that is said; the rows that are known, as 0, 1, ..."""

    scores: Callable[[Array], Array]  # (N, D) -> (N, K)
    target: Array  # (N,)
    names: list[str]  # of the classes
    features: list[str]

    @property
    def classes(self) -> int:
        return len(self.names)

    def said(self, x: Array) -> Array:
        """The class of each row."""
        return np.asarray(self.scores(x).argmax(axis=1))


def classifier(who: str, model: Any, x: Array, target: Any) -> Classifier:
    """What `model` says of rows such as x, whose classes are `target` (TypeError, ValueError)."""
    if isinstance(model, Result):
        return _of_result(who, model, x, target)
    if isinstance(model, type) or not hasattr(model, "parameter_gradients"):
        raise TypeError(f"{who} expects a stack of layers, or what mle.fit found, got {kind(model)}")
    stack, loss = _parted(model)
    probability = isinstance(loss, BCELoss) if loss is not None else isinstance(_on_top(stack), Sigmoid | HardSigmoid)

    def scores(rows: Array) -> Array:
        return _scores(np.asarray(stack(rows), float), probability)

    shape = np.shape(stack(x[:1]))
    if len(shape) > 2:
        raise ValueError(f"{who} expects a model of one output or of one for each class, got outputs {shape}")
    known = OF_ONE if shape[1:] in ((), (1,)) else OF_SEVERAL
    if loss is not None and not isinstance(loss, known):
        raise ValueError(
            f"{who} expects a classifier, a cost that ends in {_either(known)} for outputs of shape {shape[1:]}, got "
            f"{label(loss)}: pass the model below the loss, whose outputs are then taken for logits"
        )
    found = np.asarray(target)
    if found.dtype.kind not in "biuf":
        raise TypeError(
            f"{who} expects numbers as classes, got {kind(found)}: np.unique(target, return_inverse=True)[1]"
        )
    if found.shape != (len(x),) and found.shape != (len(x), 1):
        raise ValueError(f"{who} expects a target of shape ({len(x)},), one class for each row, got {found.shape}")
    found = found.ravel()
    if len(shape) == 2 and shape[1] > 1:
        _require_labels(who, found, shape[1])
        return Classifier(scores, found.astype(int), [str(k) for k in range(shape[1])], FEATURES)
    values = np.unique(found)
    if len(values) > 2:
        raise ValueError(f"{who} expects two classes for a model of one output, got {len(values)}")
    low = values[0] if len(values) == 2 else min(values[0], 0)
    names = [f"{value:g}" for value in (low, values[-1] if values[-1] != low else 1)]
    return Classifier(scores, (found != low).astype(int), names, FEATURES)


OF_ONE = (BCELoss, BCEWithLogitsLoss, BernoulliNLLLoss, HingeLoss)
OF_SEVERAL = (CrossEntropyLoss, NLLLoss, MultiMarginLoss)
FEATURES = ["first feature", "second feature"]


def _parted(model: Any) -> tuple[Any, Any]:
    """A cost as its model and its loss; a model, and None."""
    layers = _layers(model)
    return (Sequential(*layers[:-1]), layers[-1]) if len(layers) > 1 and isinstance(layers[-1], Loss) else (model, None)


def _layers(model: Any) -> list[Any]:
    """Those of a stack, and of the stacks within it, from the lowest up."""
    if isinstance(model, Frozen | Penalized):
        return _layers(model.children()[0][1])
    return [inner for layer in model for inner in _layers(layer)] if isinstance(model, Sequential) else [model]


def _on_top(model: Any) -> Any:
    """The last layer that does something."""
    moving = Identity | Flatten | Reshape
    return next((layer for layer in reversed(_layers(model)) if not isinstance(layer, moving)), None)


def _either(classes: tuple[type, ...]) -> str:
    *names, last = [each.__name__ for each in classes]
    return f"{', '.join(names)} or {last}"


def _scores(output: Array, probability: bool) -> Array:
    """(N, K) of the outputs of a stack; of one output, 0 and the log odds."""
    output = output.reshape(len(output), -1)
    if output.shape[1] == 1:
        with np.errstate(divide="ignore", invalid="ignore"):
            odds = np.log(output) - np.log1p(-output) if probability else output
        output = np.hstack([np.zeros_like(odds), odds])
    finite = np.nan_to_num(output, nan=-LARGE, posinf=LARGE, neginf=-LARGE)
    return np.maximum(finite - finite.max(axis=1, keepdims=True), -SURE)  # the largest is told from the next


def _of_result(who: str, result: Result, x: Array, target: Any) -> Classifier:
    result.require_estimate(who)
    if scale_of(result.likelihood) != "logit":
        raise ValueError(f"{who} expects a model of probabilities, got one of means")
    found = np.asarray(new_target(result, target, who))
    found = found.argmax(axis=1) if found.ndim == 2 and found.shape[1] > 1 else found.ravel()
    if len(found) != len(x):
        raise ValueError(f"{who} expects a class for each of {len(x)} rows, got {len(found)}")

    def scores(rows: Array) -> Array:
        p = np.asarray(result.predict(rows), float)
        with np.errstate(divide="ignore"):
            return _scores(np.log(p), False) if p.ndim == 2 else _scores(p, True)

    names = result.data.labels or result.data.classes or ["0", "1"]
    return Classifier(scores, found.astype(int), [str(name) for name in names], list(result.data.names or FEATURES))


def _require_labels(who: str, target: Array, classes: int) -> None:
    """0, 1, ..., as many as the model has outputs (ValueError)."""
    wrong = (target != np.floor(target)) | (target < 0) | (target >= classes)
    if wrong.any():
        first = int(wrong.argmax())
        raise ValueError(f"{who} expects classes 0 to {classes - 1}, got {target[first]} in row {first}")
