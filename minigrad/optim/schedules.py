"""Schedules: how the learning rate changes with steps or epochs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from minigrad.checks import kind, label, require_count, require_number


class Schedule:
    """What the learning rate becomes, as a function of the number of steps or epochs before.

    A subclass writes `rate`.  `each` says what is counted: "epoch", which ends with `optimizer.end_epoch()`, or "step".
    A schedule keeps nothing of any optimizer: one may be given to several.

    >>> class Inverse(Schedule):
    ...     def rate(self, base, count):
    ...         return base / (1 + count)
    >>> [Inverse(each="step").rate(0.1, count) for count in range(3)]
    [0.1, 0.05, 0.03333333333333333]
    """

    each: str = "epoch"

    def __init__(self, *, each: str | None = None) -> None:
        if each is not None:
            if each not in ("step", "epoch"):
                raise ValueError(f"{type(self).__name__} expects each to be 'step' or 'epoch', got {each!r}")
            self.each = each

    def rate(self, base: float, count: int) -> float:
        """The learning rate after `count` steps or epochs, from `base`, that which the optimizer was given."""
        raise NotImplementedError(f"{type(self).__name__} lacks rate(self, base, count)")

    def settings(self, base: dict[str, Any], count: int) -> dict[str, Any]:
        """The settings that it changes, after `count` steps or epochs, from those which the optimizer was given."""
        return {"learning_rate": self.rate(base["learning_rate"], count)}

    def require_settings(self, who: Any, settings: dict[str, Any]) -> None:
        """An optimizer of these settings can follow it (ValueError)."""

    # The progress of one optimizer, which keeps it: a dictionary as JSON has it.

    def start(self) -> dict[str, Any]:
        """The progress before the first step."""
        return {"epochs": 0}

    def require_progress(self, progress: Any) -> dict[str, Any]:
        """`progress`, as another optimizer had it (ValueError)."""
        require_names(type(self), progress, self.start())
        return {"epochs": require_counted(type(self), "epochs", progress["epochs"])}

    def after_epoch(self, progress: dict[str, Any], monitored: float | None) -> dict[str, Any]:
        """The progress when one more epoch is over."""
        return {"epochs": progress["epochs"] + 1}

    def count(self, steps: int, progress: dict[str, Any]) -> int:
        """What `rate` is given."""
        return steps if self.each == "step" else int(progress["epochs"])

    def __repr__(self) -> str:
        own = {"each": self.each} | {name: value for name, value in vars(self).items() if name[0] != "_"}
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in own.items())})"


class StepLR(Schedule):
    """base gamma^floor(t / step_size), t counted in epochs."""

    def __init__(self, step_size: int, gamma: float = 0.1, *, each: str | None = None) -> None:
        super().__init__(each=each)
        self.step_size = require_count(StepLR, "step_size", step_size)
        self.gamma = require_number(StepLR, "gamma", gamma, least=0.0)

    def rate(self, base: float, count: int) -> float:
        return base * self.gamma ** (count // self.step_size)


class MultiStepLR(Schedule):
    """base gamma^(number of milestones up to t), t counted in epochs."""

    def __init__(self, milestones: Sequence[int], gamma: float = 0.1, *, each: str | None = None) -> None:
        super().__init__(each=each)
        self.milestones = _increasing(MultiStepLR, milestones)
        self.gamma = require_number(MultiStepLR, "gamma", gamma, least=0.0)

    def rate(self, base: float, count: int) -> float:
        return base * self.gamma ** _passed(self.milestones, count)


class ExponentialLR(Schedule):
    """base gamma^t, t counted in epochs."""

    def __init__(self, gamma: float, *, each: str | None = None) -> None:
        super().__init__(each=each)
        self.gamma = require_number(ExponentialLR, "gamma", gamma, least=0.0)

    def rate(self, base: float, count: int) -> float:
        return base * self.gamma**count


class LinearLR(Schedule):
    """Warm-up: base (start_factor + (end_factor - start_factor) min(t / total_iters, 1)), t counted in epochs."""

    def __init__(
        self, start_factor: float = 1 / 3, end_factor: float = 1.0, total_iters: int = 5, *, each: str | None = None
    ) -> None:
        super().__init__(each=each)
        self.start_factor = require_number(LinearLR, "start_factor", start_factor, least=0.0)
        self.end_factor = require_number(LinearLR, "end_factor", end_factor, least=0.0)
        self.total_iters = require_count(LinearLR, "total_iters", total_iters)

    def rate(self, base: float, count: int) -> float:
        if count >= self.total_iters:
            return base * self.end_factor
        return base * (self.start_factor + (self.end_factor - self.start_factor) * count / self.total_iters)


class CosineAnnealingLR(Schedule):
    """eta_min + (base - eta_min) (1 + cos(pi t / T_max)) / 2, t counted in epochs: down in T_max, then up, and so on.

    Loshchilov and Hutter, "SGDR: stochastic gradient descent with warm restarts", 2017.
    """

    def __init__(self, T_max: int, eta_min: float = 0.0, *, each: str | None = None) -> None:  # noqa: N803
        super().__init__(each=each)
        self.T_max = require_count(CosineAnnealingLR, "T_max", T_max)
        self.eta_min = require_number(CosineAnnealingLR, "eta_min", eta_min, least=0.0)

    def rate(self, base: float, count: int) -> float:
        return cosine(base, self.eta_min, count / self.T_max)


class CosineAnnealingWarmRestarts(Schedule):
    """Down as `CosineAnnealingLR` in T_0, then from the top again, each time T_mult times as long; counted in epochs.

    Loshchilov and Hutter, "SGDR: stochastic gradient descent with warm restarts", 2017.
    """

    def __init__(self, T_0: int, T_mult: int = 1, eta_min: float = 0.0, *, each: str | None = None) -> None:  # noqa: N803
        super().__init__(each=each)
        self.T_0 = require_count(CosineAnnealingWarmRestarts, "T_0", T_0)
        self.T_mult = require_count(CosineAnnealingWarmRestarts, "T_mult", T_mult)
        self.eta_min = require_number(CosineAnnealingWarmRestarts, "eta_min", eta_min, least=0.0)

    def rate(self, base: float, count: int) -> float:
        length = self.T_0
        if self.T_mult == 1:
            count %= length
        while count >= length:
            count -= length
            length *= self.T_mult
        return cosine(base, self.eta_min, count / length)


class SequentialLR(Schedule):
    """One schedule after the other: from milestones[i] on, schedules[i + 1], which counts from 0 again.

    All of them count the same, steps or epochs.

    >>> warm = SequentialLR([LinearLR(0.5, total_iters=2), CosineAnnealingLR(4)], milestones=[2])
    >>> [round(warm.rate(1.0, epoch), 3) for epoch in range(7)]
    [0.5, 0.75, 1.0, 0.854, 0.5, 0.146, 0.0]
    """

    def __init__(self, schedules: Sequence[Schedule], milestones: Sequence[int]) -> None:
        self.schedules = list(schedules)
        self.milestones = _increasing(SequentialLR, milestones)
        for schedule in self.schedules:
            if not isinstance(schedule, Schedule):
                raise TypeError(f"SequentialLR expects schedules such as StepLR(10), got {kind(schedule)}")
            if type(schedule).after_epoch is not Schedule.after_epoch:
                raise ValueError(f"SequentialLR expects schedules of a fixed course, got {type(schedule).__name__}")
        if len(self.schedules) != len(self.milestones) + 1:
            raise ValueError(
                f"SequentialLR expects one milestone fewer than schedules, got {len(self.milestones)} "
                f"for {len(self.schedules)}"
            )
        counted = sorted({schedule.each for schedule in self.schedules})
        if len(counted) > 1:
            raise ValueError("SequentialLR expects schedules that all count steps or all epochs: give them one each=")
        super().__init__(each=counted[0])

    def settings(self, base: dict[str, Any], count: int) -> dict[str, Any]:
        schedule, count = self._now(count)
        return schedule.settings(base, count)

    def rate(self, base: float, count: int) -> float:
        schedule, count = self._now(count)
        return schedule.rate(base, count)

    def require_settings(self, who: Any, settings: dict[str, Any]) -> None:
        for schedule in self.schedules:
            schedule.require_settings(who, settings)

    def _now(self, count: int) -> tuple[Schedule, int]:
        i = _passed(self.milestones, count)
        return self.schedules[i], count - self.milestones[i - 1] if i else count


def checked_course(who: Any, schedule: Schedule, base: dict[str, Any], count: int) -> dict[str, Any]:
    """`base` as the schedule has it after `count` steps or epochs (ValueError, TypeError where it goes wrong)."""
    where = f"the learning rate of {schedule!r} after {count} {schedule.each}{'s' * (count != 1)}"
    try:
        changed = schedule.settings(base, count)
    except OverflowError:
        raise ValueError(
            f"{label(who)} expects {where} to be a finite number, but it overflows; no parameter was changed"
        ) from None
    require_number(who, where, changed["learning_rate"], least=0.0)
    return {**base, **changed}


def require_counted(who: object, name: str, value: Any) -> int:
    """`value` as a number of things that were counted, 0 or more (ValueError)."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"{label(who)} expects {name} to be a count, got {value!r}")
    return value


def require_names(who: object, progress: Any, own: dict[str, Any]) -> None:
    """`progress` has the entries of `own` (ValueError)."""
    if not isinstance(progress, dict) or progress.keys() != own.keys():
        raise ValueError(f"{label(who)} expects progress with {', '.join(own)}, got {progress!r}")


def cosine(first: float, last: float, part: float) -> float:
    """From `first`, at part 0, to `last`, at 1."""
    return last + (first - last) * (1 + math.cos(math.pi * part)) / 2


def _passed(milestones: Sequence[int], count: int) -> int:
    return sum(milestone <= count for milestone in milestones)


def _increasing(who: object, milestones: Sequence[int]) -> list[int]:
    numbers = [require_count(who, "each milestone", milestone) for milestone in milestones]
    if sorted(set(numbers)) != numbers:
        raise ValueError(f"{label(who)} expects increasing milestones, got {numbers}")
    return numbers
