"""Layers that do harm, or nothing, where they stand: dropout and linear units."""

from __future__ import annotations

import copy
from collections.abc import Iterable

from minigrad.layers import Dropout, GroupNorm, LayerNorm, Linear, LogSoftmax, RMSNorm, Sigmoid, Softmax
from minigrad.losses import Loss
from minigrad.typing import Array
from minigrad.watching.linting.biases import BATCH_NORMS
from minigrad.watching.linting.finding import Places, Rule
from minigrad.watching.linting.runs import MOVES, Run
from minigrad.watching.passes import layers_by_place
from minigrad.watching.watched import Event, watched

RESET = (LayerNorm, GroupNorm, RMSNorm)  # these take the spread out at inference as in training
SHIFT = 1.05  # of the variance that is worth a word


def dropout_before_normalization(run: Run) -> Places:
    """Dropout whose noise the running variance counts."""
    quiet = run.once(_quiet_inputs)
    found: dict[int, tuple[Event, Event, float]] = {}
    for norm in run.of(BATCH_NORMS):
        ratio = _ratio(norm.given[0], quiet[norm.place]) if norm.place in quiet else 1.0
        if 1 / SHIFT < ratio < SHIFT:
            continue
        # What goes through another normalisation is counted there.
        for drop in _drops(run.upstream(norm, (*RESET, *BATCH_NORMS))):
            found.setdefault(id(drop), (drop, norm, ratio))
    ratios = [ratio for _, _, ratio in found.values()]
    for drop, norm, _ in sorted(found.values(), key=lambda of: _place(run, of[0])):
        yield (
            run.where(drop, below=norm),
            f"In training the variance of what goes into the normalisation is "
            f"{' to '.join(dict.fromkeys(f'{end:.3g}' for end in (min(ratios), max(ratios))))} times what it is where "
            "dropout is off, as at inference.",
        )


def dropout_after_last(run: Run) -> Places:
    """Dropout of scores or predictions."""
    for event in _drops(run.of(Dropout)):
        if any(
            isinstance(taker.layer, Loss)
            or (isinstance(taker.layer, LogSoftmax | Softmax | Sigmoid) and run.scores_of(taker))
            for taker in run.above(event)
        ):
            zeros = float((event.result == 0).mean())
            yield run.where(event), f"Nothing but the loss stands above: {zeros:.0%} of its outputs are set to 0."


def linear_after_linear(run: Run) -> Places:
    """Two linear units that are one."""
    for event in run.of(Linear):
        giver = run.below(event)
        if giver is None or not isinstance(giver.layer, Linear) or not _alone(run, giver, event):
            continue
        lower, upper = giver.layer.weight, event.layer.weight  # type: ignore[attr-defined]
        both_trained = run.name(giver, "weight") is not None and run.name(event, "weight") is not None
        # One that is narrower than both ends bounds the rank, which may be what it is for.
        if both_trained and len(lower) >= min(lower.shape[1], len(upper)):
            yield (
                run.where(event, above=giver),
                f"Nothing stands between the two, and {lower.shape[1]} -> {len(lower)} -> {len(upper)} can give what "
                f"one Linear({lower.shape[1]}, {len(upper)}) can, and nothing else.",
            )


def _alone(run: Run, giver: Event, event: Event) -> bool:
    """All that one gives goes to the other, in rows as they are, and neither stands anywhere else."""
    if giver.result.shape != event.given[0].shape:
        return False
    weights = [getattr(e.layer, "weight", None) for e in run.leaves]
    if any(sum(w is e.layer.weight for w in weights) > 1 for e in (giver, event)):  # type: ignore[attr-defined]
        return False
    taker = giver
    while taker is not event:
        takers = run.takers(taker)
        if len(takers) != 1 or not (takers[0] is event or isinstance(takers[0].layer, MOVES)):
            return False
        (taker,) = takers
    return True


def _drops(events: Iterable[Event]) -> list[Event]:
    return [event for event in events if isinstance(event.layer, Dropout) and event.layer.p > 0]


def _place(run: Run, event: Event) -> int:
    return next(i for i, other in enumerate(run.leaves) if other is event)


def _quiet_inputs(run: Run) -> dict[str, Array]:
    """{place: z} of batch normalisation, where all dropout is off."""
    if run.error is not None or not _drops(run.leaves) or not any(run.of(BATCH_NORMS)):
        return {}
    twin = copy.deepcopy(run.cost)
    for layer in layers_by_place(twin).values():
        if isinstance(layer, Dropout):
            layer.p = 0.0
    events: list[Event] = []
    try:
        watched(twin, events.append).forward(run.x, *run.arguments, **run.options)
    except Exception:
        return {}
    return {e.place: e.given[0] for e in events if isinstance(e.layer, BATCH_NORMS) and e.rule == "forward"}


def _ratio(z: Array, quiet: Array) -> float:
    """The variance of a channel by that of another run, in the mean of all channels that vary."""
    axes = (0, *range(2, z.ndim))
    noisy, still = z.var(axis=axes), quiet.var(axis=axes)
    vary = still > 0
    return float((noisy[vary] / still[vary]).mean()) if vary.any() else 1.0


RULES = (
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
