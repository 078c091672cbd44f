"""Targets in another form than the loss takes: most raise an error, which is explained; the others do not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from minigrad.losses import (
    BCELoss,
    BCEWithLogitsLoss,
    BernoulliNLLLoss,
    CrossEntropyLoss,
    HingeLoss,
    Loss,
    MultiMarginLoss,
    NLLLoss,
)
from minigrad.typing import Array
from minigrad.watching.linting.activations import OF_NUMBERS, prediction
from minigrad.watching.linting.finding import Places, Rule
from minigrad.watching.linting.runs import Run
from minigrad.watching.watched import Event

CLASSES = (NLLLoss, MultiMarginLoss)  # CrossEntropyLoss is an NLLLoss
BINARY = (BCELoss, BCEWithLogitsLoss, BernoulliNLLLoss)
ENOUGH = 10  # rows of every other class, where that a class is absent says something
MANY_LABELS = 100  # labels, where that all are one class does
MANY = 8  # targets, where that all are one number says something


def one_hot(run: Run) -> Places:
    """Rows of 0 and 1 where class numbers go."""
    for event, t, shape in _targets(run, (*CLASSES, *BINARY), raised=True):
        z = event.given[0]
        is_row = t.ndim > 1 and t.shape[-1] > 1 and t.shape[:-1] in (shape, z.shape[:-1]) and t.shape != shape
        if is_row and ((t == 0) | (t == 1)).all() and (t.sum(axis=-1) == 1).all():
            yield (
                run.where(event),
                f"Each row of the target, of shape {t.shape}, has a single 1: it is one-hot, and the loss takes "
                f"{'class numbers' if isinstance(event.layer, CLASSES) else 'one number'} of shape {shape}.",
            )


def column(run: Run) -> Places:
    """(n, 1) where (n,) goes, or the other way round."""
    for event, t, shape in _targets(run, Loss, raised=True):
        fix = "target[..., 0]" if t.shape == (*shape, 1) else "target[..., np.newaxis]"
        if t.shape == (*shape, 1) or (*t.shape, 1) == shape:
            yield run.where(event), f"The target has the shape {t.shape}, and the loss takes {shape}: {fix}."


def shifted(run: Run) -> Places:
    """Labels that start at 1."""
    for event, t, shape in _targets(run, CLASSES, raised=True):
        top, left_out = event.given[0].shape[-1], getattr(event.layer, "ignore_index", None)
        counted = t[t != left_out]
        if t.shape == shape and counted.size and (counted.min(), counted.max()) == (1, top):
            yield run.where(event), f"The labels go from 1 to {top}, and the loss takes 0 to {top - 1}."
    for event, t, shape in _targets(run, CLASSES, raised=False):
        classes = event.given[0].shape[-1]
        if t.shape != shape or t.dtype.kind not in "iu" or classes < 3 or getattr(event.layer, "ignore_index", -1) == 0:
            continue
        counts = np.bincount(t[(t >= 0) & (t < classes)].ravel(), minlength=classes)  # without ignore_index
        known = getattr(event.layer, "class_weights", None)
        if counts[0] == 0 and counts[1:].min() >= ENOUGH and (known is None or known[0]):
            yield (
                run.where(event),
                f"There are {classes} scores, and the labels go from 1 to {classes - 1}: class 0 is never seen in "
                f"{t.size} rows, and each of the others {counts[1:].min()} times or more.",
            )


def shifted_binary(run: Run) -> Places:
    """Labels 1 and 2 for a yes or no."""
    for event, t, shape in _targets(run, BINARY, raised=True):
        if t.shape == shape and t.size and (t.min(), t.max()) == (1, 2):
            yield run.where(event), "The labels are 1 and 2, and the loss takes 0 and 1."


def signs(run: Run) -> Places:
    """Labels -1 and +1 where 0 and 1 go, or the other way round."""
    for event, t, shape in _targets(run, (*BINARY, HingeLoss), raised=True):
        found = set(np.unique(t).tolist())
        if t.shape != shape or len(found) > 2:
            continue
        if isinstance(event.layer, HingeLoss) and found <= {0, 1}:
            yield run.where(event), "The labels are 0 and 1, and the loss takes -1 and +1: 2 * target - 1."
        elif not isinstance(event.layer, HingeLoss) and -1 in found and found <= {-1, 1}:
            yield run.where(event), "The labels are -1 and +1, and the loss takes 0 and 1: (target + 1) / 2."


def not_integers(run: Run) -> Places:
    """Labels that are floats or strings."""
    for event, t, shape in _targets(run, CLASSES, raised=True, of="fUSO"):
        if t.shape == shape:
            fix = "target.astype(int)" if t.dtype.kind == "f" else "np.unique(target, return_inverse=True)[1]"
            yield run.where(event), f"The labels are of type {t.dtype}, and the loss takes integers: {fix}."


def not_distributions(run: Run) -> Places:
    """Rows of probabilities that do not sum to 1."""
    for event, t, _ in _targets(run, CrossEntropyLoss, raised=False):
        if t.dtype.kind != "f" or t.shape != event.given[0].shape:
            continue
        sums = t.sum(axis=-1)
        off = sums[(np.abs(sums - 1) > 1e-3) & (sums != 0)]  # a row of zeros is one that is left out
        if off.size:
            yield (
                run.where(event),
                f"The targets are probabilities, and {off.size} of {sums.size} rows do not sum to 1, but to "
                f"{off.min():.3g}{f' up to {off.max():.3g}' if off.max() > off.min() else ''}.",
            )


def constant(run: Run) -> Places:
    """Numbers to be predicted that are all one."""
    for event, t, _ in _targets(run, OF_NUMBERS, raised=False):
        # A residual that is to be 0, and the 0 and 1 of an adversary, smoothed or not, are meant so.
        if len(t) >= MANY and t.min() == t.max() and not np.isclose(t.flat[0], (0, 0.1, 0.9, 1)).any():
            yield run.where(event), f"All {t.size} targets are {t.flat[0]:.6g}."
    for event, t, _ in _targets(run, CLASSES, raised=False):
        if t.dtype.kind in "iu" and t.size >= MANY_LABELS and t.min() == t.max():
            yield run.where(event), f"All {t.size} labels are {t.flat[0]}, one of {event.given[0].shape[-1]} classes."


def _targets(run: Run, kinds: Any, *, raised: bool, of: str = "iubf") -> Iterator[tuple[Event, Array, tuple[int, ...]]]:
    """(event, target, the shape that the loss takes) of losses that raised an error, or did not."""
    for event in run.of(kinds):
        z = prediction(event)
        if (event.error is not None) is not raised or len(event.given) < 2 or not isinstance(z, np.ndarray):
            continue
        try:
            t = np.asarray(event.given[1])
        except Exception:
            continue
        if t.dtype.kind in of and z.ndim:
            yield event, t, _shape(event.layer, z)


def _shape(loss: Any, z: Array) -> tuple[int, ...]:
    if isinstance(loss, BernoulliNLLLoss):
        return z.shape[:1]
    several = isinstance(loss, CLASSES) or type(getattr(loss, "q", None)) is tuple
    return z.shape[:-1] if several else z.shape


RULES = (
    Rule(
        "labels-one-hot",
        one_hot,
        "The numbers 0 and 1 are no class numbers, and would be taken for those of the classes 0 and 1.",
        "Pass target.argmax(axis=-1), or, to CrossEntropyLoss(), target.astype(float).",
        explains=True,
    ),
    Rule(
        "target-shape",
        column,
        "Broadcast to each other, the two would compare every pair of rows.",
        "Pass it as said.",
        explains=True,
    ),
    Rule(
        "labels-shifted",
        shifted,
        "With one score more than there are classes it trains without a word, with a class that is nobody's, and each "
        "prediction is one more than where counting starts at 0.",
        "Pass target - 1, with as many scores as there are classes; or ignore this where class 0 is merely rare.",
        explains=True,
    ),
    Rule(
        "labels-shifted",
        shifted_binary,
        "Taken as they are, the formula would draw a score beyond all bounds, since 2 is no probability.",
        "Pass target - 1.",
        explains=True,
    ),
    Rule(
        "labels-signs",
        signs,
        "Taken as they are, the formula would draw scores to numbers that mean nothing.",
        "Map the labels as said.",
        explains=True,
    ),
    Rule(
        "labels-not-integers",
        not_integers,
        "Numbers of a measurement would be cut to integers, and trained on as classes.",
        "Pass integers 0, 1, ...; for measurements take MSELoss() and one output.",
        explains=True,
    ),
    Rule(
        "target-not-probabilities",
        not_distributions,
        "Such a row weighs as much as its sum says. It trains, and the softmax can fit none of them.",
        "Divide each row by its sum; for several labels in a row take BCEWithLogitsLoss().",
    ),
    Rule(
        "constant-target",
        constant,
        "A constant fits that, so that the cost falls nicely, and the inputs are not used.",
        "Look at how the target was read, cut or scaled.",
    ),
)
