"""evaluate: the cost and metrics of data of any size, at inference."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np

from minigrad.checks import kind, label, require_layer
from minigrad.derivatives.chunks import value_in_batches
from minigrad.derivatives.reductions import single_loss
from minigrad.layer import Layer
from minigrad.training.data import Data, Source, source

Metrics: TypeAlias = Mapping[str, Callable[..., Any]]
"""{name: function(output of the model, target) -> number}."""


def evaluate(cost: Layer, data: Data, *, metrics: Metrics | None = None, batch_size: int = 1024) -> dict[str, float]:
    """{"cost": its value, metric: its value}, of all data, at inference: dropout is off, running statistics are used.

    `data` are arrays (x, target[, weights]) or an iterable of batches; whatever their size, the cost is that of all
    rows at once, to rounding.  A loss on top that does not say how it puts rows together counts as their mean.  A
    metric is called once, with the outputs of the model below the loss, `cost[:-1]`, for all rows, and their targets.

    >>> from minigrad import Linear, LogSoftmax, NLLLoss, Sequential
    >>> cost = Sequential(Linear(3, 2, rng=0), LogSoftmax(), NLLLoss())
    >>> def accuracy(log_p, labels):
    ...     return (log_p.argmax(axis=1) == labels).mean()
    >>> x, labels = np.random.default_rng(0).normal(size=(100, 3)), np.arange(100) % 2
    >>> list(evaluate(cost, (x, labels), metrics={"accuracy": accuracy}))
    ['cost', 'accuracy']
    """
    require_layer(evaluate, cost)
    return evaluation(cost, source(evaluate, data, batch_size, shuffle=False), require_metrics(evaluate, cost, metrics))


def evaluation(cost: Layer, data: Source, metrics: Metrics) -> dict[str, float]:
    """`evaluate`, of what was checked before."""
    unused = np.random.default_rng(0)
    value = float(value_in_batches(cost, data.batches(unused), _unsaid(cost)))
    if not metrics:
        return {"cost": value}
    model = cost[:-1]  # type: ignore[index]
    outputs, targets = [], []
    for x, *arguments in data.batches(unused):
        outputs.append(model(x))
        targets.append(arguments[0])
    output, target = np.concatenate(outputs), np.concatenate(targets)
    return {"cost": value} | {name: _number(name, metric(output, target)) for name, metric in metrics.items()}


def is_sum(cost: Layer) -> bool:
    """The cost is a sum over rows, not a mean."""
    return single_loss("fit", cost, _unsaid(cost))[1] == "sum"


def _unsaid(cost: Layer) -> str | None:
    """The reduction "mean", where the loss on top does not say how it puts rows together."""
    try:
        single_loss("fit", cost, None)
    except ValueError:
        return "mean"
    return None


def require_metrics(who: object, cost: Layer, metrics: Metrics | None) -> Metrics:
    """`metrics` as functions by name, of a cost whose model can be told (TypeError, ValueError)."""
    if metrics is None:
        return {}
    if not isinstance(metrics, Mapping) or not all(callable(metric) for metric in metrics.values()):
        raise TypeError(
            f"{label(who)} expects metrics as {{name: function(output, target)}}, got {kind(metrics)}: "
            '{"accuracy": lambda log_p, t: (log_p.argmax(axis=1) == t).mean()}'
        )
    if taken := metrics.keys() & {"cost", "validation_cost", "learning_rate", "gradient_norm", "seconds"}:
        raise ValueError(
            f"{label(who)} has figures of its own named {', '.join(sorted(taken))}: name the metric otherwise"
        )
    if metrics and not hasattr(cost, "__getitem__"):
        raise TypeError(
            f"{label(who)} expects a stack for metrics, whose model is cost[:-1], got {kind(cost)}: "
            "Sequential(*model, loss) is one"
        )
    return metrics


def _number(name: str, value: Any) -> float:
    if np.ndim(value) or not np.isrealobj(value):
        raise TypeError(f"the metric {name!r} is to return one number, got {kind(value)}")
    return float(value)
