"""Checkpoints: all that a run needs to go on as if it had not been interrupted, in one file."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad.checks import kind, require_count, require_number
from minigrad.optim.records import differences
from minigrad.saving import FileError, load_arrays, save_arrays
from minigrad.saving.generators import generator_fault, generator_state
from minigrad.saving.restoring import restoring
from minigrad.saving.states import snapshot
from minigrad.training.description import described
from minigrad.typing import Array

if TYPE_CHECKING:
    from minigrad.training.run import Run

ANEW = "call fit as it was called then, or begin anew with another file"


class Checkpoint:
    """Where and when `fit` writes a checkpoint: after so many epochs, steps or seconds, whichever comes first.

    The file is replaced in one piece: a crash, a full disk or a kill at any moment leaves a whole checkpoint, the old
    or the new.  It is a safetensors file and holds no code.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        every_epochs: int | None = 1,
        every_steps: int | None = None,
        every_seconds: float | None = None,
    ) -> None:
        self.path = os.fsdecode(path)
        self.every_epochs = None if every_epochs is None else require_count(Checkpoint, "every_epochs", every_epochs)
        self.every_steps = None if every_steps is None else require_count(Checkpoint, "every_steps", every_steps)
        self.every_seconds = (
            None if every_seconds is None else require_number(Checkpoint, "every_seconds", every_seconds, above=0.0)
        )
        self._written: float | None = None

    def is_due_in_epoch(self, step: int) -> bool:
        """After the step with this number in all."""
        if self.every_steps is not None and step % self.every_steps == 0:
            return True
        if self.every_seconds is None:
            return False
        if self._written is None:
            self._written = time.monotonic()  # the run has just begun
        return time.monotonic() - self._written >= self.every_seconds

    def is_due_after_epoch(self, epoch: int, is_last: bool) -> bool:
        """After this epoch; after the last one always."""
        return is_last or (self.every_epochs is not None and epoch % self.every_epochs == 0)

    def write(self, run: Run) -> None:
        """All of `run` into the file (OSError: the file that was there is left as it was)."""
        save_arrays(self.path, *contents(run), kind="checkpoint")
        self._written = time.monotonic()

    def __repr__(self) -> str:
        return f"Checkpoint({self.path!r})"


def contents(run: Run) -> tuple[dict[str, Array], dict[str, Any]]:
    """(arrays, record): parameters and state under their names, everything else under names with a slash."""
    arrays, generators = snapshot(run.cost)
    parts: dict[str, Mapping[str, Array]] = {}
    parts["optimizer"], optimizer = run.optimizer.state()
    parts["history"], history = run.history.state()
    parts["best"] = run.best.arrays if run.best is not None else {}
    average = None
    if run.average is not None:
        parts["average"], average = run.average.state()
    record = {
        "made_with": run.made_with,
        "generators": generators,
        "rng": generator_state("rng", run.rng),
        "rng_at_epoch": run.rng_at_epoch,
        "position": run.position(),
        "optimizer": optimizer,
        "history": history,
        "best": None if run.best is None else {"epoch": run.best.epoch, "value": run.best.value},
        "average": average,
        "stopped_early": run.finished if run.stopped_early else None,
    }
    named = {f"{part}/{name}": array for part, own in parts.items() for name, array in own.items()}
    return arrays | named, record


def made_with(run: Run) -> dict[str, Any]:
    """What has to be the same when training goes on."""
    return {
        "cost": described(run.cost),
        "parameters": {name: [array.dtype.str, *array.shape] for name, array in run.cost.parameters().items()},
        "data": run.source.describe(),
        "early_stopping": repr(run.best.rule) if run.best is not None and run.stops_early else None,
        "metrics": list(run.metrics),
        "validation": {} if run.validation is None else run.validation.describe(),
        "schedule": None if run.optimizer.schedule is None else repr(run.optimizer.schedule),
        "average": None if run.average is None else repr(run.average),
        "rng": type(run.rng.bit_generator).__name__,
    }


def resume(run: Run, path: str) -> None:
    """Put `run` where the checkpoint was written (FileError where it does not fit this run, and nothing is changed)."""
    arrays, record = load_arrays(path, kind="checkpoint")
    parts: dict[str, dict[str, Array]] = {"": {}, "optimizer": {}, "history": {}, "best": {}, "average": {}}
    for name, array in arrays.items():
        part, slash, rest = name.partition("/")
        if slash and part not in parts:
            raise FileError(path, name, "to be a part of a checkpoint", "a name that fit does not write", ANEW)
        parts[part if slash else ""][rest if slash else name] = array
    own = contents(run)[1]
    if found := differences(record.get("made_with"), own.pop("made_with")):
        raise FileError(path, "what was trained", "to be as in this call of fit", f"a run that had {found[0]}", ANEW)
    own["optimizer"].pop("settings")  # what differs there, the optimizer says best
    _require_same_form(path, record, own, "")
    done = record["position"]["epoch"] + (record["position"]["step"] > 0)
    if done > run.epochs:
        raise FileError(
            path, "the run", f"to have {run.epochs} epochs or fewer", f"{done} begun", "ask for more epochs"
        )
    _require_history(path, run, parts["history"], record["position"]["epoch"])
    if record["best"] is not None and record["best"]["epoch"]:
        restoring(run.cost, parts["best"], None, path=path)  # looked at, and not written
    for what in ("rng", "rng_at_epoch"):
        if fault := generator_fault(record[what], run.rng.bit_generator):
            raise FileError(path, what, "to be the state of the generator that orders the rows", fault, ANEW)
    write, _ = restoring(run.cost, parts[""], record["generators"], path=path)
    vectors, before = run.optimizer.state()
    vectors = {name: vector.copy() for name, vector in vectors.items()}
    _restore(path, "optimizer", run.optimizer, parts["optimizer"], record["optimizer"])
    if run.average is not None:
        try:
            _restore(path, "average", run.average, parts["average"], record["average"])
        except FileError:
            run.optimizer.restore(vectors, before)
            raise
    run.history.restore(parts["history"], record["history"])
    if run.best is not None:
        vars(run.best).update(record["best"], arrays=parts["best"])
    write()
    run.go_to(record)


def _require_same_form(path: str, saved: Any, own: Any, place: str) -> None:
    """`saved` has the entries and types of the record that this run would write (FileError)."""
    if isinstance(own, dict) and isinstance(saved, dict):
        for name in own.keys() - saved.keys():
            raise FileError(path, f"{place}{name}", "to be there", "nothing of that name", ANEW)
        for name, value in own.items():
            _require_same_form(path, saved[name], value, f"{place}{name}.")
    elif own is not None and saved is not None:
        numbers = (int, float)
        alike = type(saved) is type(own) or (type(saved) in numbers and type(own) in numbers)
        if not alike:
            raise FileError(path, place[:-1], f"to be {kind(own)}", kind(saved), ANEW)


def _require_history(path: str, run: Run, arrays: dict[str, Array], epochs: int) -> None:
    names = {"/steps", *(run.entries() if epochs else ())}
    if arrays.keys() != names:
        raise FileError(path, "history", f"to be {', '.join(sorted(names))}", ", ".join(sorted(arrays)), ANEW)
    for name, array in arrays.items():
        if array.ndim != 1 or array.dtype != np.float64 or (name != "/steps" and len(array) != epochs):
            raise FileError(path, f"history/{name}", f"to be {epochs} numbers", kind(array), ANEW)


def _restore(path: str, what: str, part: Any, vectors: dict[str, Array], record: dict[str, Any]) -> None:
    try:
        part.restore(vectors, record)
    except ValueError as error:
        raise FileError(path, what, "to be of a run like this one", str(error), ANEW) from error
