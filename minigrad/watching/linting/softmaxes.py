"""Probabilities, their logarithms and raw scores: each loss takes one of them."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from minigrad.layers import HardSigmoid, LogSoftmax, Sigmoid, Softmax
from minigrad.losses import BCEWithLogitsLoss, BernoulliNLLLoss, CrossEntropyLoss, KLDivLoss, Loss, NLLLoss
from minigrad.watching.linting.finding import Places, Rule
from minigrad.watching.linting.runs import Run
from minigrad.watching.watched import Event

OFF = 1e-3  # by which the sum of probabilities may differ from 1, by rounding of float32
EPSILON = 1e-4  # which may be added to each of them below a logarithm


def softmax_before_nll(run: Run) -> Places:
    """p for log p."""
    for event, giver in _pairs(run, NLLLoss, Softmax):
        if not isinstance(event.layer, CrossEntropyLoss):
            yield run.where(giver, below=event), f"The loss takes log p and is given p: {_value(run, event)}."


def softmax_before_kl(run: Run) -> Places:
    """q for log q."""
    for event, giver in _pairs(run, KLDivLoss, Softmax):
        yield run.where(giver, below=event), f"The loss takes log q and is given q: {_value(run, event)}."


def not_log_probabilities(run: Run) -> Places:
    """Anything but log-probabilities at an NLLLoss or a KLDivLoss."""
    for event in run.of(NLLLoss | KLDivLoss):
        if isinstance(event.layer, CrossEntropyLoss) or event.error is not None:
            continue
        if isinstance(event.layer, KLDivLoss) and not _are_probabilities(event):
            continue
        giver, z = run.below(event), event.given[0]
        if giver is not None and isinstance(giver.layer, Softmax | LogSoftmax):
            continue
        sums = np.exp(z.real).sum(axis=-1)
        if not np.isnan(sums).any() and (np.abs(sums - 1) > OFF + EPSILON * z.shape[-1]).any():
            digits = 3 if (np.abs(sums - 1) > 0.1).all() else 6
            ends = dict.fromkeys(f"{end:.{digits}g}" for end in (sums.min(), sums.max()))
            said = f"e^z of a row sums to {' up to '.join(ends)}, where probabilities sum to 1"
            yield run.where(event), f"What the loss is given are no log-probabilities: {said}."


def log_softmax_twice(run: Run) -> Places:
    """One LogSoftmax on another."""
    for event, giver in _pairs(run, LogSoftmax, LogSoftmax):
        change = np.abs(event.result - event.given[0]).max()
        yield run.where(event, above=giver), f"It is given log-probabilities, and changes them by {change:.1g} at most."


def softmax_twice(run: Run) -> Places:
    """A softmax of probabilities."""
    for event, giver in _pairs(run, LogSoftmax | Softmax, Softmax):
        yield run.where(giver, below=event), _flattened(event)


def log_softmax_before_cross_entropy(run: Run) -> Places:
    """Log-probabilities for raw scores."""
    for event, giver in _pairs(run, CrossEntropyLoss, LogSoftmax):
        yield run.where(giver, below=event), "The loss takes raw scores, and applies LogSoftmax itself."


def softmax_before_cross_entropy(run: Run) -> Places:
    """Probabilities for raw scores."""
    for event, giver in _pairs(run, CrossEntropyLoss, Softmax):
        yield run.where(giver, below=event), _flattened(event)


def sigmoid_before_logits(run: Run) -> Places:
    """Probabilities for logits."""
    for event, giver in _pairs(run, BCEWithLogitsLoss | BernoulliNLLLoss, Sigmoid | HardSigmoid):
        y = event.given[0]
        said = f"from {y.min():.3g} to {y.max():.3g}, are taken for logits: no P(t = 1) is below 0.5 or above 0.731"
        yield run.where(giver, below=event), f"Probabilities, {said}."


def one_class(run: Run) -> Places:
    """A softmax over one class."""
    for event in run.once(one_class_events):
        shape = event.given[0].shape
        yield run.where(event), f"z has the shape {shape}: of one class the probability is 1, whatever z is."


def one_class_events(run: Run) -> list[Event]:
    """Runs of a softmax over one class."""
    return [
        event
        for event in run.of(LogSoftmax | Softmax | CrossEntropyLoss)
        if np.ndim(event.given[0]) > 1
        and event.given[0].shape[-1] == 1
        and (isinstance(event.layer, Loss) or run.scores_of(event))
    ]


def _pairs(run: Run, kinds: type | object, of_giver: type | object) -> Iterator[tuple[Event, Event]]:
    """Leaves of a kind, with the one directly below where that is of another."""
    for event in run.of(kinds):
        giver = run.below(event)
        if giver is not None and isinstance(giver.layer, of_giver):  # type: ignore[arg-type]
            yield event, giver


def _value(run: Run, event: Event) -> str:
    z = event.given[0]
    low, high = z.min(), z.max()
    value = "" if event.result is None or np.ndim(event.result) else f", and the value is {float(event.result):.4g}"
    return f"z lies between {low:.3g} and {high:.3g}, its rows sum to 1{value}"


def _flattened(event: Event) -> str:
    """What a softmax of probabilities can still say."""
    z = event.given[0]
    most, classes = most_probable(1.0, z.shape[-1]), z.shape[-1]
    return f"Probabilities are taken for scores: of {classes} classes none gets a probability above {most:.3g}."


def _are_probabilities(event: Event) -> bool:
    """The target has rows that sum to 1: a divergence may be of other things."""
    t = np.asarray(event.given[1], dtype=float)
    sums = (np.exp(t) if event.layer.log_target else t).sum(axis=-1)  # type: ignore[attr-defined]
    return bool(np.allclose(sums, 1, atol=OFF))


def most_probable(width: float, classes: int) -> float:
    """The largest probability of a class, where scores lie in an interval of this width."""
    return 1 / (1 + (classes - 1) * math.exp(-width))


RULES = (
    Rule(
        "softmax-before-nll",
        softmax_before_nll,
        "The cost falls in training all the same, as p[t] grows, but a row that is surely wrong, of p[t] = 0, hardly "
        "pulls, and the number is no likelihood.",
        "Put LogSoftmax() in place of Softmax(), or take both out for CrossEntropyLoss().",
    ),
    Rule(
        "softmax-before-kl",
        softmax_before_kl,
        "The cost falls in training all the same, but it is no divergence, and q is not drawn to the target.",
        "Put LogSoftmax() in place of Softmax().",
    ),
    Rule(
        "not-log-probabilities",
        not_log_probabilities,
        "Where scores are free, the cost falls without bound as all of them grow, whatever the labels are.",
        "Put LogSoftmax() below the loss, or take CrossEntropyLoss() for raw scores.",
    ),
    Rule(
        "log-softmax-twice",
        log_softmax_twice,
        "The numbers are right, so that nothing shows it; it costs a pass up and a pass down.",
        "Take one of them out.",
    ),
    Rule(
        "softmax-twice",
        softmax_twice,
        "It trains, towards probabilities that can never be sure; the cost stays far from 0 on data that are fitted.",
        "Take the lower one out.",
    ),
    Rule(
        "log-softmax-before-cross-entropy",
        log_softmax_before_cross_entropy,
        "The numbers are right, since a second one changes nothing, so that nothing shows it; it costs a pass.",
        "Take LogSoftmax() out, or put NLLLoss() in place of the loss.",
    ),
    Rule(
        "softmax-before-cross-entropy",
        softmax_before_cross_entropy,
        "The loss applies a softmax itself. It trains, towards probabilities that can never be sure; the cost stays "
        "far from 0 on data that are fitted.",
        "Take Softmax() out of the stack: np.exp of LogSoftmax()(scores) gives the probabilities.",
    ),
    Rule(
        "sigmoid-before-logits",
        sigmoid_before_logits,
        "The loss applies a sigmoid itself. It trains, towards probabilities that can never be sure, and none for "
        "t = 0.",
        "Take the layer out, or put BCELoss() in place of the loss.",
    ),
    Rule(
        "one-class",
        one_class,
        "The derivative is 0 everywhere, so that nothing below is trained.",
        "Give each class a score of its own; for a yes or no by one score, take BCEWithLogitsLoss().",
    ),
)
