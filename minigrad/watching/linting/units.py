"""Units that give nothing, that hardly respond, or that do all the same."""

from __future__ import annotations

import numpy as np

from minigrad.layers import BatchNorm1d, Conv1d, Conv2d, Linear, LogSoftmax, Softmax
from minigrad.losses import Loss
from minigrad.typing import Array
from minigrad.watching.linting.finding import Places, Rule
from minigrad.watching.linting.runs import Run
from minigrad.watching.responses import Response, response
from minigrad.watching.watched import Event

ENOUGH = 30  # values of each unit
MANY = 0.75  # of the units, or of the outputs: half of the units of a sound net may be dead by chance
STEPS, RATE = 3, 0.1  # of descent on a copy; the largest entry moves by this much


def dead(run: Run) -> Places:
    """Layers most of whose units give 0 for all rows."""
    for event, found in run.once(_responses):
        if found.dead > MANY * found.units:
            yield (
                run.where(event),
                f"{found.dead} of {found.units} units are 0 for each of {found.values} values, and do not respond.",
            )


def saturated(run: Run) -> Places:
    """Layers most of whose outputs hardly respond."""
    for event, found in run.once(_responses):
        # The probabilities of a model that has learned are 0 and 1.
        if found.saturated > MANY >= found.dead / found.units and not run.scores_of(event):
            z = event.given[0]
            yield (
                run.where(event),
                f"{found.saturated:.0%} of its outputs hardly respond: what goes in spreads by {z.std():.3g} around "
                f"{z.mean():.3g}.",
            )


def alike(run: Run) -> Places:
    """Units that start alike, and stay so in descent."""
    if not run.gradients or not any(np.any(gradient) for gradient in run.gradients.values()):
        return
    found = []
    for event in run.of((Linear, Conv1d, Conv2d)):
        names = [name for name in (run.name(event, "weight"), run.name(event, "bias")) if name is not None]
        if (
            run.name(event, "weight")
            and not _on_top(run, event)
            and all(_alike(run.parameters[name]) for name in names)
        ):
            found.append((event, names))
    try:
        later = _later(run) if found else {}
    except Exception:  # further on a layer may refuse what it is given
        return
    for event, names in found:
        if all(_alike(later[name]) for name in names):
            weight = run.parameters[names[0]]
            yield (
                run.where(event),
                f"Its {len(weight)} units have the same numbers in {' and '.join(names)}, and after {STEPS} steps of "
                "descent on a copy they have so still.",
            )


def unresponsive(run: Run) -> list[Event]:
    """Runs of rule 1 of dead and of saturated layers."""
    of = run.once(_responses)
    return [event for event, found in of if found.dead > MANY * found.units or found.saturated > MANY]


def _responses(run: Run) -> list[tuple[Event, Response]]:
    all_found: list[tuple[Event, Response]] = []
    if run.nonfinite is not None:
        return all_found
    for event in run.leaves:
        if event.error is None and not isinstance(event.layer, Loss | LogSoftmax | Softmax):
            trained = event
            while not trained.layer.parameter_names and (below := run.below(trained, ())) is not None:
                trained = below
            channels_first = np.ndim(event.result) == 4 or isinstance(trained.layer, Conv1d | BatchNorm1d)
            found = response(event, 1 if channels_first else -1)
            if found is not None and found.values >= ENOUGH:
                all_found.append((event, found))
    return all_found


def _on_top(run: Run, event: Event) -> bool:
    """Its units have a target each."""
    return run.scores_of(event) or any(
        isinstance(taker.layer, LogSoftmax | Softmax) or run.scores_of(taker) for taker in run.above(event)
    )


def _alike(array: Array) -> bool:
    rows = array.reshape(len(array), -1)
    return len(rows) > 1 and bool((np.abs(rows - rows[0]) <= 1e-6 * np.abs(rows).max()).all())


def _later(run: Run) -> dict[str, Array]:
    arrays, gradients = run.parameters, run.gradients
    for _ in range(STEPS):
        largest = max(float(np.abs(gradient).max(initial=0.0)) for gradient in gradients.values()) or 1.0
        arrays = {name: a - (RATE / largest * gradients[name]).astype(a.dtype) for name, a in arrays.items()}
        gradients = run.gradients_at(arrays)
    return arrays


RULES = (
    Rule(
        "dead-units",
        dead,
        "No delta comes through them, so that they stay as they are, and a smaller net is trained than it seems.",
        "Scale the data to mean 0 and variance 1, start from an initialiser that fits, or lower the learning rate.",
    ),
    Rule(
        "saturated-units",
        saturated,
        "Hardly any delta comes through, so that what stands below learns slowly or not at all.",
        "Scale the data to mean 0 and variance 1, or start from smaller weights.",
    ),
    Rule(
        "alike-units",
        alike,
        "They get the same gradient for ever: all of them together are one unit.",
        "Start from random weights, which the layer does unless told otherwise.",
    ),
)
