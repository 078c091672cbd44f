"""Optimizer: what every first-order rule has in common.  A rule itself is one method, `move`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from minigrad.checks import kind, require_gradients, require_layer, require_number
from minigrad.layer import Layer
from minigrad.optim.bounds import all_or_nothing, cannot_overflow, find_largest, gradient_norm, room_for, usual_norm
from minigrad.optim.groups import BLOCK, Group, are_usual, gathered, limited, stretches
from minigrad.optim.records import as_written, require_made_alike
from minigrad.optim.schedules import Schedule, checked_course, require_counted
from minigrad.optim.settings import Settings, checked_groups, checked_settings
from minigrad.parameters import FlatParameters
from minigrad.typing import Array, Gradients


class Optimizer:
    """Steps down the gradient, in place, on all parameters of `cost` as one vector (see FlatParameters).

    Every rule takes, besides its own settings,

        weight_decay   adds weight_decay * theta to the gradient
        decoupled      True: shrinks theta by the factor 1 - learning_rate * weight_decay instead
                       (Loshchilov and Hutter, "Decoupled weight decay regularization", 2019)
        clip_value     limits every entry of the gradient to +-clip_value, before the decay is added
        clip_norm      scales the gradient by clip_norm / (norm + 1e-6) where the norm of all of it is larger
        groups         {pattern of names: {setting: value}} for some of the parameters: groups={"*.bias":
                       {"weight_decay": 0.0}}; where several patterns match, the last one decides
        schedule       how the learning rate changes with steps or epochs: see `Schedule`

    `step` changes all parameters or, where a gradient is missing, misshapen or not finite, a parameter not finite, or a
    number would overflow, none (ValueError, TypeError, FloatingPointError).  `gradient_norm` is that of the last step,
    before clipping; `never_moved` names the parameters whose gradient was 0 at every step so far.  `learning_rate` may
    be set, later to 0 too, as in groups, where nothing is to move; the other settings are those it was made with.

    A subclass writes `move`, what it keeps in `start`, and `check` of its settings.
    """

    def __init__(
        self,
        cost: Layer,
        learning_rate: float,
        own: Settings,
        weight_decay: float = 0.0,
        *,
        decoupled: bool = False,
        groups: Mapping[str, Mapping[str, Any]] | None = None,
        clip_value: float | None = None,
        clip_norm: float | None = None,
        schedule: Schedule | None = None,
        **unknown: Any,
    ) -> None:
        who = type(self)
        common = {"learning_rate": learning_rate, "weight_decay": weight_decay, "decoupled": decoupled}
        if unknown:
            known = [*common, *own, "groups", "clip_value", "clip_norm", "schedule"]
            raise TypeError(f"{who.__name__} takes no {', '.join(unknown)}: it has {', '.join(known)}")
        require_number(who, "learning_rate", learning_rate, above=0.0)
        if not (schedule is None or isinstance(schedule, Schedule)):
            raise TypeError(f"{who.__name__} expects a schedule such as StepLR(10), got {kind(schedule)}")
        self.clip_value = None if clip_value is None else require_number(who, "clip_value", clip_value, above=0.0)
        self.clip_norm = None if clip_norm is None else require_number(who, "clip_norm", clip_norm, above=0.0)
        self.schedule = schedule
        settings = self._checked({**common, **own})
        require_layer(who, cost)
        arrays = cost.parameters()
        for name, array in arrays.items():
            if array.dtype.kind != "f" or not array.flags.writeable:
                wrong = "a read-only array" if array.dtype.kind == "f" else str(array.dtype)
                raise TypeError(f"{who.__name__} expects real parameters to write into, got {wrong} in {name}")
        self.groups, of_names = checked_groups(who, arrays, settings, groups or {}, self._checked)
        if schedule is not None:
            for changed in of_names.values():
                schedule.require_settings(who, settings | changed)
        self.cost = cost
        self.theta = FlatParameters(cost)
        self._working = np.promote_types(self.theta.vector.dtype, np.float32)  # squares overflow in float16
        self._groups: list[Group] = []
        self._group_of: dict[str, Group] = {}
        for name, changed in of_names.items():
            alike = [group for group in self._groups if group.changed == changed]
            self._groups += [] if alike else [Group(changed, self._working)]
            self._group_of[name] = alike[0] if alike else self._groups[-1]
        self.steps = 0
        self.gradient_norm = math.nan
        self.never_moved = {name for name, shape in self.theta.shapes.items() if math.prod(shape)}
        self._made_with = settings
        self._settled = {*settings, "lr", "groups", "clip_value", "clip_norm", "schedule"} - {"learning_rate"}
        self._progress: dict[str, Any] = {} if schedule is None else schedule.start()
        self._set(settings)
        self.vectors = self._started()
        find_largest(self._groups, self.vectors)
        self._bind()

    # What a subclass writes.

    def move(self, theta: Array, g: Array, s: Any, slots: dict[str, Array], scratch: Array) -> None:
        """One step of a block: change `theta` and `slots` in place; `g` is to be read, scratch[0] may be written to.

        `s` has the settings of the block as attributes; `self.steps` is the number of steps before.
        """
        raise NotImplementedError(f"{type(self).__name__} lacks move(self, theta, g, s, slots, scratch)")

    def start(self, s: Any) -> dict[str, float]:
        """The vectors that a rule of the settings `s` keeps beside theta, its slots: {name: what it starts from}."""
        return {}

    def check(self, settings: Settings) -> Settings:
        """The settings of this rule beside those of every rule, as they are to be used (TypeError, ValueError)."""
        return {}

    def reach(self, s: Any, g: float, slots: dict[str, float]) -> float:
        """How far `move` can go: the same on bounds of absolute values, for steps that cannot overflow.

        It raises the bounds `slots` to what they are after the step, and returns a bound of what is taken from theta
        and of every number on the way, for theta of any size.  A rule that does not say so is right too, only slower:
        infinity.
        """
        return math.inf

    # What follows.

    def step(self, gradients: Gradients) -> None:
        """One step down `gradients`, {name: array} as `value_and_gradients` gives them."""
        theta = self.theta.vector
        self.theta.require_writeable(self)
        if are_usual(gradients, self.theta.shapes, self._working):
            flat = gathered(self._stretches, gradients)
            norm = usual_norm(flat)
            norm = norm if norm < math.inf else gradient_norm(self, gradients)
        else:
            require_gradients(self, self._named, gradients)
            norm = gradient_norm(self, gradients)
            with np.errstate(over="ignore", under="ignore"):  # of a wider type: the norm tells whether it overflows
                flat = gathered(self._stretches, gradients)
        factor = 1.0 if self.clip_norm is None else min(1.0, self.clip_norm / (norm + 1e-6))
        self._follow_schedule()
        if cannot_overflow(self, theta, norm, self._groups, self._room):
            self._move_all(flat, factor)
        else:
            try:
                with all_or_nothing(self, self._named, self.vectors):
                    self._move_all(flat, factor)
            except FloatingPointError as error:
                if any(group.settings.base.get("eps") == 0 for group in self._groups):
                    error.add_note("With eps=0 an entry whose gradients are all 0 is 0 / 0: pass eps=1e-8")
                raise
            finally:
                find_largest(self._groups, self.vectors)
        if self.never_moved:
            self.never_moved = {name for name in self.never_moved if not np.any(gradients[name])}
        own = self.__dict__  # __setattr__ stops mistakes of callers; here it would take a twentieth of a small step
        own["gradient_norm"] = norm
        own["steps"] += 1

    def end_epoch(self, monitored: float | None = None) -> None:
        """One epoch is over: schedules that count epochs go on; `monitored` is for those that look at a cost."""
        if self.schedule is not None:
            self._progress = self.schedule.after_epoch(self._progress, monitored)

    @property
    def learning_rate(self) -> float:
        """That of parameters whose group has none of its own; of a schedule, what it starts from."""
        return float(self._settings["learning_rate"])

    @learning_rate.setter
    def learning_rate(self, value: float) -> None:
        self._set(self._settings | {"learning_rate": require_number(type(self), "learning_rate", value, least=0.0)})

    @property
    def current_learning_rate(self) -> float:
        """What the next step will use where no group says otherwise."""
        if self.schedule is None:
            return self.learning_rate
        count = self.schedule.count(self.steps, self._progress)
        return float(self.schedule.settings(self._settings, count)["learning_rate"])

    @property
    def settings(self) -> Settings:
        """The settings of parameters that no group changes; a copy."""
        return dict(self._settings)

    def state(self) -> tuple[dict[str, Array], dict[str, Any]]:
        """(vectors, everything else as JSON has it), copies that `restore` goes on from as if nothing had happened."""
        record = {
            **self._description(),
            "learning_rate": self.learning_rate,
            "steps": self.steps,
            "never_moved": sorted(self.never_moved),
            "progress": dict(self._progress),
        }
        return {name: vector.copy() for name, vector in self.vectors.items()}, record

    def restore(self, vectors: Mapping[str, Array], record: Mapping[str, Any]) -> None:
        """Go on from `state()` of an optimizer that was made alike (ValueError where it was not, nothing changed)."""
        require_made_alike(self, "an optimizer", (vectors, record), (self.vectors, self._description()))
        who = type(self)
        steps = require_counted(who, "steps", record.get("steps"))
        progress = {} if self.schedule is None else self.schedule.require_progress(record.get("progress"))
        never_moved = record.get("never_moved")
        if not isinstance(never_moved, list) or any(name not in list(self._named) for name in never_moved):
            raise ValueError(f"{who.__name__} expects never_moved to be names of parameters, got {never_moved!r}")
        self.learning_rate = record.get("learning_rate")  # type: ignore[assignment] # the setter tests it
        for name, vector in vectors.items():
            self.vectors[name][...] = vector
        self.steps, self.never_moved, self._progress = steps, set(never_moved), progress
        self._followed = -1
        find_largest(self._groups, self.vectors)

    def _checked(self, settings: Settings) -> Settings:
        return checked_settings(type(self), settings, self.check)

    def _set(self, settings: Settings) -> None:
        """Use these settings where no group says otherwise."""
        for group in self._groups:
            group.set(self._checked(settings | group.changed))
        self._settings = settings
        self._followed = -1  # the count for which the groups have what the schedule says

    def _follow_schedule(self) -> None:
        if self.schedule is not None:
            count = self.schedule.count(self.steps, self._progress)
            if count != self._followed:
                changed = [checked_course(type(self), self.schedule, group.base, count) for group in self._groups]
                for group, settings in zip(self._groups, changed, strict=True):
                    group.follow(settings)
                self._followed = count

    def _started(self) -> dict[str, Array]:
        """The slots, as they are before the first step."""
        theta = self.theta.vector
        vectors: dict[str, Array] = {}
        for name, array in self.theta.split(np.arange(len(theta))).items():
            for slot, first in self.start(self._group_of[name].settings).items():
                vectors.setdefault(slot, np.zeros(len(theta), self._working))[array.ravel()] = first
        return vectors

    def _bind(self) -> None:
        """Lay out the views of the vectors that the steps go through."""
        theta = self.theta.vector
        self._named = self.theta.split(theta)
        scratch = np.empty((2, min(BLOCK, theta.size)), self._working)
        self._stretches = stretches(self._named, self._group_of, theta, self.vectors, scratch)
        self._room = room_for(theta)

    def _move_all(self, gradients: list[Array], factor: float) -> None:
        """Move all blocks by the gradients of the stretches."""
        unlimited = factor == 1.0 and self.clip_value is None
        for stretch, gradient in zip(self._stretches, gradients, strict=True):
            s, flat = stretch.group.settings, gradient.ravel()
            as_given = unlimited and flat.dtype == self._working
            for theta, slots, scratch, place in stretch.blocks:
                g = flat[place]
                if not as_given:
                    g = limited(g, factor, self.clip_value, out=scratch[1])
                if s.weight_decay and s.decoupled:
                    theta *= 1 - s.learning_rate * s.weight_decay
                elif s.weight_decay:
                    g = np.add(g, np.multiply(theta, s.weight_decay, out=scratch[0]), out=scratch[1])
                self.move(theta, g, s, slots, scratch)

    def _description(self) -> dict[str, Any]:
        """What an optimizer was made with and for, as a file writes it."""
        return {
            "rule": type(self).__name__,
            "parameters": {name: list(shape) for name, shape in self.theta.shapes.items()},
            "settings": as_written(self._made_with),
            "groups": as_written(self.groups),
            "clip_value": self.clip_value,
            "clip_norm": self.clip_norm,
            "schedule": None if self.schedule is None else repr(self.schedule),
        }

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self.__dict__.get("_settled", ()):
            fix = "set learning_rate" if name == "lr" else "make another, and restore the state"
            raise AttributeError(f"{type(self).__name__}.{name} cannot be set, it would change nothing: {fix}")
        object.__setattr__(self, name, value)

    def __copy__(self) -> Any:
        fix = "copy.deepcopy((cost, optimizer)) copies both, and state() keeps what it has learnt"
        raise TypeError(f"{type(self).__name__} cannot be copied without its cost, as both would train one: {fix}")

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name not in ("_named", "_stretches")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._bind()  # copies of views would be arrays of their own

    def __repr__(self) -> str:
        shown = {name: value for name, value in self._settings.items() if value or name == "learning_rate"}
        more = {"groups": self.groups, "clip_value": self.clip_value, "clip_norm": self.clip_norm}
        shown |= {name: value for name, value in (more | {"schedule": self.schedule}).items() if value}
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in shown.items())})"
