"""Layers that do harm, or nothing, where they stand: dropout, biases and linear units."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import numpy as np

from minigrad.layers import (
    BatchNorm1d,
    BatchNorm2d,
    Bias,
    Bilinear,
    Conv1d,
    Conv2d,
    ConvTranspose2d,
    Dropout,
    GroupNorm,
    LayerNorm,
    Linear,
    LogSoftmax,
    RMSNorm,
    Softmax,
)
from minigrad.typing import Array
from minigrad.watching.linting.finding import Places, Rule
from minigrad.watching.linting.runs import Run
from minigrad.watching.watched import Event, parts_of, watched

BATCH_NORMS = (BatchNorm1d, BatchNorm2d)
UNITS = (Linear, Conv1d, Conv2d, ConvTranspose2d, Bilinear)
RESET = (LayerNorm, GroupNorm, RMSNorm)  # these take the spread out at inference as in training
SHIFT = 1.05  # of the variance that is worth a word


def bias_before_normalization(run: Run) -> Places:
    """Units with a bias directly below batch normalisation."""
    for event, name, change in idle_biases(run):
        (above,) = run.takers(event)
        count = run.parameters[name].size
        yield (
            run.where(event, below=above),
            f"Batch normalisation takes out what is added to a channel: where {name} is moved by one standard "
            f"deviation of z, the cost changes by {change:.1g} of itself. Its {count} numbers have no effect.",
        )


def idle_biases(run: Run) -> Iterator[tuple[Event, str, float]]:
    """(unit, name of its bias, relative change of the cost where that is moved), of trained ones below BatchNorm."""
    for event in run.of((*UNITS, Bias)):
        takers, name = run.takers(event), run.name(event, "bias")
        if name is None or len(takers) != 1 or not isinstance(takers[0].layer, BATCH_NORMS) or not run.gradients:
            continue
        bias = run.parameters[name]
        step = np.random.default_rng(0).standard_normal(bias.shape) * event.result.std()
        change = run.change(name, step)
        if change is not None:
            yield event, name, change


def dropout_before_normalization(run: Run) -> Places:
    """Dropout whose noise the running variance counts."""
    drops = [(i, event) for i, event in enumerate(run.leaves) if isinstance(event.layer, Dropout) and event.layer.p > 0]
    norms = [(i, event) for i, event in enumerate(run.leaves) if isinstance(event.layer, BATCH_NORMS)]
    if not drops or not norms or run.error is not None:
        return
    for i, drop in drops:
        quiet = _inputs(run, drop.place)
        for j, norm in norms:
            if j < i or norm.place not in quiet or any(isinstance(e.layer, RESET) for e in run.leaves[i:j]):
                continue
            ratio = _ratio(norm.given[0], quiet[norm.place])
            if not 1 / SHIFT < ratio < SHIFT:
                yield (
                    run.where(drop, below=norm),
                    f"In training the variance of what goes into the normalisation is {ratio:.3g} times what it is "
                    "where this layer is off, as at inference.",
                )
                break


def dropout_after_last(run: Run) -> Places:
    """Dropout of scores or predictions."""
    for event in run.of(Dropout):
        last = run.scores_of(event) or any(
            isinstance(taker.layer, LogSoftmax | Softmax) and run.scores_of(taker) for taker in run.takers(event)
        )
        if last and event.layer.p > 0:  # type: ignore[attr-defined]
            zeros = float((event.result == 0).mean())
            yield run.where(event), f"Nothing but the loss stands above: {zeros:.0%} of its outputs are set to 0."


def linear_after_linear(run: Run) -> Places:
    """Two linear units that are one."""
    for event in run.of(Linear):
        giver = run.below(event, ())
        if giver is None or not isinstance(giver.layer, Linear) or giver.layer is event.layer:
            continue
        lower, upper = giver.layer.weight, event.layer.weight  # type: ignore[attr-defined]
        both_trained = run.name(giver, "weight") is not None and run.name(event, "weight") is not None
        # One that is narrower than both ends bounds the rank, which may be what it is for.
        if both_trained and len(run.takers(giver)) == 1 and len(lower) >= min(lower.shape[1], len(upper)):
            yield (
                run.where(event, above=giver),
                f"Nothing stands between the two, and {lower.shape[1]} -> {len(lower)} -> {len(upper)} can give what "
                f"one Linear({lower.shape[1]}, {len(upper)}) can, and nothing else.",
            )


def _inputs(run: Run, place: str) -> dict[str, Array]:
    """{place: z} of batch normalisation, where the dropout at `place` is off."""
    twin = copy.deepcopy(run.cost)
    for name, layer in _places(twin):
        if name == place:
            layer.p = 0.0
    events: list[Event] = []
    try:
        watched(twin, events.append).forward(run.x, *run.arguments, **run.options)
    except Exception:
        return {}
    return {e.place: e.given[0] for e in events if isinstance(e.layer, BATCH_NORMS) and e.rule == "forward"}


def _places(layer: object, place: str = "") -> Iterator[tuple[str, Dropout]]:
    if isinstance(layer, Dropout):
        yield place, layer
    for name, part in parts_of(layer):  # type: ignore[arg-type]
        yield from _places(part, ".".join(filter(None, (place, name))))


def _ratio(z: Array, quiet: Array) -> float:
    """The variance of a channel by that of another run, in the mean of all channels that vary."""
    axes = (0, *range(2, z.ndim))
    noisy, still = z.var(axis=axes), quiet.var(axis=axes)
    vary = still > 0
    return float((noisy[vary] / still[vary]).mean()) if vary.any() else 1.0


RULES = (
    Rule(
        "bias-before-normalization",
        bias_before_normalization,
        "Its gradient is rounding, which optimisers such as Adam take for a slope, and it has no standard error.",
        "Make the layer with bias=False: the normalisation has a bias of its own.",
    ),
    Rule(
        "dropout-before-normalization",
        dropout_before_normalization,
        "The running variance is that of training, so that at inference all is scaled wrongly: the cost in training "
        "looks well, and the predictions are worse (Li, Chen, Hu and Yang, 2019).",
        "Put dropout above the last batch normalisation, or take LayerNorm.",
    ),
    Rule(
        "dropout-after-last",
        dropout_after_last,
        "A score of 0 is no missing score: the loss is of random numbers, and falls no further than their noise.",
        "Put the dropout below the last linear unit.",
    ),
    Rule(
        "linear-after-linear",
        linear_after_linear,
        "It trains, as one linear layer would, with more parameters, none of which is identified.",
        "Put an activation between them, or take one out.",
    ),
)
