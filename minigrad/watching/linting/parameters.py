"""Parameters on which the cost does not depend, and errors that no other rule explains."""

from __future__ import annotations

import numpy as np

from minigrad.layer import Layer
from minigrad.watching.linting.biases import idle_biases
from minigrad.watching.linting.finding import Places, Rule
from minigrad.watching.linting.runs import Run
from minigrad.watching.linting.softmaxes import one_class_events
from minigrad.watching.linting.totals import Total
from minigrad.watching.linting.units import unresponsive
from minigrad.watching.unused import unused_parameters

FEW = 30  # rows, of which it is no wonder that all miss a unit, or meet it where it is a straight line
MOVE, FAR = 0.1, 10  # of the size of a parameter
ROUNDED = "its gradient is 0 to rounding"
WAITS = ("no delta reaches its layer", "its gradient is 0 for this batch")  # as a layer below one that starts at 0 does


def unused(run: Run) -> Places:
    """Parameters whose gradient is 0, and stays so where all parameters are moved."""
    if not run.gradients or run.nonfinite is not None:
        return
    many = _rows(run) >= FEW
    found = _unused(run, run.cost)
    if many and any(why in WAITS for why in found.values()):
        explained = _explained(run)
        found = {name: why for name, why in found.items() if why not in WAITS or name not in explained}
    waiting = [name for name, why in found.items() if why in WAITS]
    still = _elsewhere(run) if waiting and many else {}
    groups: dict[str, list[str]] = {}
    for name, why in found.items():
        if (
            why == "its layer does not run"
            or still.get(name) in WAITS
            or (why == ROUNDED and many and _is_idle(run, name))
        ):
            groups.setdefault(why, []).append(name)
    for why, names in groups.items():
        yield ", ".join(names), f"The cost does not depend on {'it' if len(names) == 1 else 'them'}: {why}."


def _explained(run: Run) -> set[str]:
    """Parameters below what was found to let no delta through, and those that are given what a dead layer gives."""
    causes = [*unresponsive(run), *run.once(one_class_events)]
    reached = [event for cause in causes for event in (*run.upstream(cause), *run.above(cause))]
    names = {run.name(event, name) for event in reached for name in event.layer.parameter_names}
    return {name for name in names if name is not None}


def _elsewhere(run: Run) -> dict[str, str]:
    """The unused parameters, where all are moved a little."""
    rng = np.random.default_rng(0)
    moved = {}
    for name, array in run.parameters.items():
        size = float(np.sqrt((np.abs(array) ** 2).mean())) if array.size else 0.0
        moved[name] = (array + MOVE * (size or 1.0) * rng.standard_normal(array.shape)).astype(array.dtype)
    return _unused(run, run.cost.with_parameters(moved))


def _unused(run: Run, cost: Layer) -> dict[str, str]:
    idle = frozenset(name for _, _, name in run.once(idle_biases).biases)
    try:
        return unused_parameters(Total(cost, idle), run.x, *run.arguments, **run.options)
    except Exception:  # where parameters are moved, a layer may refuse what it is given
        return {}


def _is_idle(run: Run, name: str) -> bool:
    """The cost is the same, wherever the parameter is."""
    array = run.parameters[name]
    step = np.asarray(np.random.default_rng(0).standard_normal(array.shape))
    return run.change({name: step * FAR * max(1.0, float(np.abs(array).max(initial=0.0)))}) is not None


def _rows(run: Run) -> int:
    part = run.x[0] if type(run.x) is tuple and run.x else run.x
    return len(part) if np.ndim(part) else 1


def error(run: Run) -> Places:
    """The error of a cost that raises one."""
    if run.error is not None:
        event = next((event for event in run.leaves if event.error is not None), None)
        notes = "; ".join(getattr(run.error, "__notes__", []))
        text = f"{type(run.error).__name__}: {run.error}{f' ({notes})' if notes else ''}."
        yield "the run" if event is None else run.where(event), text


def uncopied(run: Run) -> Places:
    """That the cost cannot be copied."""
    if run.uncopied is not None:
        yield "the cost", f"lint works on a copy, which cannot be made: {type(run.uncopied).__name__}: {run.uncopied}."


RULES = (
    Rule(
        "unused-parameters",
        unused,
        "What is unused is counted, kept and decayed, and never learns.",
        "Take it out, or find what cuts it off: minigrad.unused_parameters says more.",
    ),
)
ERROR = Rule("error", error, "Training would raise the same.", "Do as it says.")
UNCOPIED = Rule(
    "error",
    uncopied,
    "Training is not concerned.",
    "Let the layer open such things on use, or write __deepcopy__ for it.",
)
