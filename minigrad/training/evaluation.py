"""evaluate: the cost and metrics of data of any size, at inference."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

import numpy as np

from minigrad.checks import kind, label, require_layer
from minigrad.containers import Sequential
from minigrad.derivatives.chunks import value_in_batches
from minigrad.derivatives.reductions import require_independent_rows, single_loss
from minigrad.layer import Layer
from minigrad.losses import Penalized
from minigrad.training.data import Data, Source, source

Metrics: TypeAlias = Mapping[str, Callable[..., Any]]
"""{name: function(output of the model, target) -> number}."""

OWN = ("cost", "validation_cost", "learning_rate", "gradient_norm", "seconds")  # figures that fit has anyway


def evaluate(cost: Layer, data: Data, *, metrics: Metrics | None = None, batch_size: int = 1024) -> dict[str, float]:
    """{"cost": its value, metric: its value}, of all data, at inference: dropout is off, running statistics are used.

    `data` are arrays (x, target[, weights]) or an iterable of batches; whatever their size, the cost is that of all
    rows at once, to rounding.  A loss on top that does not say how it puts rows together counts as their mean.  A
    metric is called once, with the outputs of the model below the loss for all rows, and their targets.

    >>> from minigrad import Linear, LogSoftmax, NLLLoss, Sequential
    >>> cost = Sequential(Linear(3, 2, rng=0), LogSoftmax(), NLLLoss())
    >>> def accuracy(log_p, labels):
    ...     return (log_p.argmax(axis=1) == labels).mean()
    >>> x, labels = np.random.default_rng(0).normal(size=(100, 3)), np.arange(100) % 2
    >>> list(evaluate(cost, (x, labels), metrics={"accuracy": accuracy}))
    ['cost', 'accuracy']
    """
    require_layer(evaluate, cost)
    of_data = source(evaluate, data, batch_size, shuffle=False)
    metrics = require_metrics(evaluate, cost, metrics)
    require_independent_rows(evaluate.__name__, cost, training=False)
    return evaluation(cost, of_data, metrics)


def evaluation(cost: Layer, data: Source, metrics: Metrics) -> dict[str, float]:
    """`evaluate`, of what was checked before."""
    batches = data.batches(np.random.default_rng(0))
    if not metrics:
        return {"cost": float(value_in_batches(cost, batches, _unsaid(cost)))}
    model, loss, penalized = _taken_apart(cost)
    outputs: list[Any] = []
    targets: list[Any] = []

    def with_outputs() -> Iterator[tuple[Any, ...]]:
        for x, *arguments in batches:
            output = model(x)
            outputs.append(output)
            targets.append(arguments[:1])
            yield (output, *arguments)

    value = value_in_batches(loss, with_outputs(), _unsaid(loss))
    for penalties in penalized:
        value = penalties.with_penalties(value)
    given = [_joined(outputs), *map(_joined, zip(*targets, strict=True))]
    return {"cost": float(value)} | {name: _number(name, metric, given) for name, metric in metrics.items()}


def is_sum(cost: Layer) -> bool:
    """The cost is a sum over rows, not a mean."""
    return single_loss("fit", cost, _unsaid(cost))[1] == "sum"


def require_metrics(who: object, cost: Layer, metrics: Metrics | None) -> Metrics:
    """`metrics` as functions by name, of a cost whose model can be told (TypeError, ValueError)."""
    if metrics is None:
        return {}
    if not isinstance(metrics, Mapping) or not all(callable(metric) for metric in metrics.values()):
        raise TypeError(
            f"{label(who)} expects metrics as {{name: function(output, target)}}, got {kind(metrics)}: "
            '{"accuracy": lambda log_p, t: (log_p.argmax(axis=1) == t).mean()}'
        )
    for name in metrics:
        if not isinstance(name, str) or not name or "/" in name or name in OWN:
            raise ValueError(
                f"{label(who)} expects metrics named otherwise than {', '.join(OWN)}, and without a slash, got {name!r}"
            )
    if metrics and not len(_taken_apart(cost)[0]):
        raise TypeError(
            f"{label(who)} expects a stack for metrics, with a model below the loss, got {kind(cost)}: "
            "Sequential(*model, loss) is one"
        )
    return metrics


def _taken_apart(cost: Layer) -> tuple[Sequential, Layer, list[Penalized]]:
    """(the model, the loss on top of it, what penalizes both), of stacks within stacks too."""
    if isinstance(cost, Penalized):
        model, loss, penalized = _taken_apart(cost.cost)
        return model, loss, [*penalized, cost]
    if type(cost) is Sequential and len(cost):
        model, loss, penalized = _taken_apart(cost.layers[-1])
        return Sequential(*cost.layers[:-1], *model), loss, penalized
    return Sequential(), cost, []


def _unsaid(cost: Layer) -> str | None:
    """The reduction "mean", where the loss on top does not say how it puts rows together."""
    try:
        single_loss("fit", cost, None)
    except ValueError:
        return "mean"
    return None


def _joined(parts: Any) -> Any:
    """The rows of all batches, of each array of a tuple."""
    if isinstance(parts[0], tuple):
        return tuple(map(_joined, zip(*parts, strict=True)))
    return np.concatenate(parts)


def _number(name: str, metric: Callable[..., Any], given: list[Any]) -> float:
    try:
        value = metric(*given)
    except Exception as error:
        error.add_note(f"in the metric {name!r}")
        raise
    if not isinstance(value, int | float | np.number | np.ndarray) or np.ndim(value) or not np.isrealobj(value):
        raise TypeError(f"the metric {name!r} is to return one number, got {kind(value)}")
    return float(value)
