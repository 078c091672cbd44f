"""The table of fusions: which layers, one on top of the other, are run as one, and by what."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import TypeVar
from weakref import WeakKeyDictionary

from minigrad.checks import kind, label, require_layer
from minigrad.containers import Sequential
from minigrad.fusions.base import Fusion
from minigrad.fusions.bernoulli import LinearBernoulliNLLLoss, SigmoidBCELoss
from minigrad.fusions.plan import FusionPlan, Table
from minigrad.fusions.rectified import LinearReLU
from minigrad.fusions.softmax_regression import LinearLogSoftmaxNLLLoss, LogSoftmaxNLLLoss
from minigrad.layer import Layer
from minigrad.layers import Linear, LogSoftmax, ReLU, Sigmoid
from minigrad.losses import BCELoss, BernoulliNLLLoss, CrossEntropyLoss, NLLLoss, Penalized

F = TypeVar("F", bound=type[Fusion])

_table: Table = {
    (Linear, LogSoftmax, NLLLoss): LinearLogSoftmaxNLLLoss,
    (Linear, CrossEntropyLoss): LinearLogSoftmaxNLLLoss,
    (LogSoftmax, NLLLoss): LogSoftmaxNLLLoss,
    (Linear, BernoulliNLLLoss): LinearBernoulliNLLLoss,
    (Sigmoid, BCELoss): SigmoidBCELoss,
    (Linear, ReLU): LinearReLU,
}
FUSIONS: Mapping[tuple[type[Layer], ...], type[Fusion]] = MappingProxyType(_table)
"""{types of layers, from the lowest up: the fusion that they make}.  Only exact types count: a subclass may have other
rules.  `fuses` adds to it."""

_plans: WeakKeyDictionary[Layer, FusionPlan | None] = WeakKeyDictionary()
_is_on: ContextVar[bool] = ContextVar("fusions are on", default=True)


def fuses(*types: type[Layer]) -> Callable[[F], F]:
    """A class decorator: layers of these very types, from the lowest up, are run as the Fusion below it.

    A later entry for the same types takes the place of an earlier one.  TypeError unless these are classes of layers,
    two or more, and of a Fusion.
    """
    for wrong in types:
        if not (isinstance(wrong, type) and issubclass(wrong, Layer)):
            raise TypeError(f"fuses expects classes of layers, got {kind(wrong)}: @fuses(Linear, Tanh)")
        if wrong is Sequential:
            raise TypeError("fuses expects the layers of a stack, got Sequential: a Sequential is looked into")
    if len(types) < 2:
        raise TypeError(f"fuses expects two layers or more, got {len(types)}: @fuses(Linear, Tanh)")

    def add(fusion: F) -> F:
        if not (isinstance(fusion, type) and issubclass(fusion, Fusion)):
            raise TypeError(f"fuses expects a class derived from Fusion below it, got {kind(fusion)}")
        _table[types] = fusion
        _plans.clear()
        return fusion

    return add


@contextmanager
def off() -> Iterator[None]:
    """A context in which every layer is run by its own rules, in this thread: `with fusions.off(): ...`."""
    token = _is_on.set(False)
    try:
        yield
    finally:
        _is_on.reset(token)


def plan(cost: Layer) -> FusionPlan | None:
    """How `cost` is run; None where no layers are fused, so that its own rules are."""
    if not _is_on.get() or type(cost) not in (Sequential, Penalized):
        return None
    try:
        return _plans[cost]
    except KeyError:
        pass
    found = FusionPlan(cost, _table)
    form = found if any(isinstance(part.layer, Fusion) for part in found.parts) else None
    _plans[cost] = form
    return form


def explain(cost: Layer) -> str:
    """How the layers of `cost` are run by `value_and_gradients`, `fit` and the solvers: those in one line, as one.

    >>> from minigrad import Linear, LogSoftmax, NLLLoss, ReLU, Sequential
    >>> print(explain(Sequential(Linear(4, 3), ReLU(), Linear(3, 2), LogSoftmax(), NLLLoss())))
    0, 1  LinearReLU: Linear + ReLU, as one
    2     Linear(3 -> 2)
    3, 4  LogSoftmaxNLLLoss: LogSoftmax + NLLLoss, as one
    """
    require_layer(explain, cost)
    found = plan(cost)
    if found is None:
        why = "fusions are off" if not _is_on.get() else "no layers are fused"
        return f"{label(cost)}: {why}, every layer runs by its own rules"
    lines = []
    for part in found.parts:
        if isinstance(part.layer, Fusion):
            what = f"{type(part.layer).__name__}: {' + '.join(type(layer).__name__ for layer in part.layer.layers)}"
            what += ", in one pass" if part is found.top else ", as one"
        else:
            what = label(part.layer)
        lines.append((", ".join(part.places), what))
    width = max(len(places) for places, _ in lines)
    penalties = [f"and {penalty!r}" for inner in found.penalized for penalty in inner.penalties]
    return "\n".join([f"{places:<{width}}  {what}" for places, what in lines] + penalties)
