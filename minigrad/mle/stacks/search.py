"""The search for a maximum of the likelihood of a stack, which need be neither convex nor well scaled."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from minigrad.mle.likelihood import Local
from minigrad.mle.search.maximize import Maximum
from minigrad.mle.stacks.checks import require_agreement
from minigrad.mle.stacks.digits import digits_of
from minigrad.mle.stacks.far import FLAT, rays
from minigrad.mle.stacks.rules import OUTSIDE
from minigrad.mle.stacks.stack import Stack
from minigrad.mle.stacks.trust_region import Quadratic, equilibrated
from minigrad.typing import Array

RESTARTS = 10
LEFT = 50  # steps, however many were taken before
RADII = (0.1, 0.01, 100.0, 10.0)  # to begin with, relative to the variables
FAR = 1e8  # |D u| grows beyond so many times what it was: the search goes off
CLOSE = 1e-3  # a decrement from which on Newton's steps are taken as they come
ORDER = {"converged": 0, "diverges": 1}  # of ends as low as each other
SAME = 1e-9  # of two values of J that are alike, relative
LEAST = 1e-14  # a decrement that is rounding
ENOUGH = 1e-9  # a decrement of a maximum that was found, where rounding allows it
FADE = 0.5  # of the axes of a trust region, where the curvature is less
MOST_BENT = 0.375  # of a step, its acceleration
STEADY = 6  # steps that do not become shorter while the decrement vanishes: there is no maximum


class Point(NamedTuple):
    """u, J with the penalty and its gradient; the variance of a normal distribution is at its best."""

    u: Array
    value: float
    gradient: Array
    perfect: bool  # the residuals are rounding


def search(stack: Stack, start: Array | None = None, max_iterations: int = 500) -> Maximum:
    """The u near `start` at which J(u) + penalty(u) is least, locally: of several minima the one that is met.

    Scoring, or Newton's method, within a trust region whose axes follow the curvature; then Newton's method to
    rounding, with the trained variance of a normal distribution at its best after each step.  For least squares,
    scoring is the method of Levenberg and Marquardt (More, Lecture Notes in Mathematics 630 (1978) 105-116).  Where a
    search does not arrive, another begins with shorter or longer steps.

    ValueError where the rules of the stack are found to disagree.
    """
    first = stack.start if start is None else np.asarray(start, dtype=float)
    if not stack.size:
        local = stack.evaluate(first)
        return Maximum(first, local, local, 0, "converged", 0.0, 1.0, 15.0, np.zeros((0, 0)))
    require_agreement(stack, first)
    ends: list[Maximum] = []
    level = _level(stack) if start is None else first
    tries = [(level, radius) for radius in RADII]
    for place, radius in tries if level is first else [*tries, (first, RADII[0])]:
        ends.append(_from(stack, place, radius, max_iterations))
        last = ends[-1]
        if last.digits > 0 or last.reason == "perfect" or sum(end.reason == "converged" for end in ends) > 1:
            break
    best = _best(ends)
    if best.reason == "converged":
        require_agreement(stack, best.u)
    elif best.reason == "perfect":
        best = best._replace(reason="diverges")
    return best._replace(iterations=sum(end.iterations for end in ends))


def _level(stack: Stack) -> Array:
    """The start, with 0 for a Linear that is alone below the loss: how its weights were drawn does not count."""
    if stack.variables.bottom is None or stack.variables.bottom != stack.variables.last:
        return stack.start
    level = stack.profiled(stack.variables.without_units(stack.start))[0]
    if np.array_equal(level, stack.start) or not math.isfinite(stack.value_and_gradient(level)[0]):
        return stack.start
    return level


def _best(ends: list[Maximum]) -> Maximum:
    """The maximum that was found, unless J is lower where a search went off; else the lowest, at rest if one was."""
    last = ends[-1]
    off = [end for end in ends if end.reason == "diverges"]
    lower = [end for end in off if end.objective.value < last.objective.value - SAME * (1 + abs(last.objective.value))]
    if last.reason == "perfect" or (last.digits > 0 and not lower):
        return last
    if last.digits > 0:
        return min(lower, key=lambda end: end.objective.value)
    least = min(end.objective.value for end in ends)
    if not math.isfinite(least):
        return ends[0]
    as_low = [end for end in ends if end.objective.value <= least + SAME * (1 + abs(least))]
    return min(as_low, key=lambda end: ORDER.get(end.reason, len(ORDER)))


def _from(stack: Stack, start: Array, radius: float, max_iterations: int) -> Maximum:
    """One search; where it rests while J still falls along a direction, it goes on from where J is least there."""

    def curvature(u: Array) -> tuple[Array, None]:
        return stack.evaluate(u).hessian, None

    point, spent = _at(stack, start), 0
    went_off: Maximum | None = None
    for _ in range(RESTARTS):
        if stack.has_expected and not point.perfect:
            point, more = _descend(stack, point, radius, stack.scoring, max(max_iterations - spent, LEFT))
            spent += more
        if not point.perfect:
            point, more = _descend(stack, point, radius, curvature, max(max_iterations - spent, LEFT))
            spent += more
        if point.perfect:
            return _ended(stack, point.u, spent, "perfect")
        found = _polished(stack, point.u, spent)
        spent = found.iterations
        if found.reason == "converged" and found.digits > 1 and found.condition < 1 / FLAT:
            return found
        if found.reason == "diverges" and went_off is None:
            went_off = found
        seen = list(rays(lambda u: objective_at(stack, u), found))
        if found.reason == "converged" and not any(ray.gains for ray in seen):
            # Where all is flat, and the way there was seen to lead off, it is no maximum.
            return found if found.digits > 0 or went_off is None else went_off._replace(iterations=spent)
        if any(ray.gains and (math.isinf(ray.reach) or (ray.ended and ray.reach >= 4)) for ray in seen):
            return found._replace(reason="diverges")
        farther = [ray for ray in seen if ray.gains]
        if not farther and found.reason == "diverges":
            return found
        if not farther:
            break
        point = _at(stack, max(farther, key=lambda ray: ray.gain).best)
    return found._replace(reason="no_progress", digits=0.0)


def _descend(
    stack: Stack, point: Point, radius: float, of_model: Callable[[Array], Any], limit: int
) -> tuple[Point, int]:
    """Steps within a trust region, until Newton's decrement by `of_model` is small, or nothing is gained."""
    units = np.zeros(stack.size)
    length = math.inf
    count = 0
    stalled = 0
    while count < limit:
        with np.errstate(all="ignore"):
            model, bend = of_model(point.u)
            if stack.penalized:
                model = model + stack.penalty(point.u).hessian
        if not np.isfinite(model).all():
            break
        diagonal = np.sqrt(np.abs(np.diagonal(model)))
        units = np.maximum(FADE * units, np.where(diagonal > 0, diagonal, 0.0))
        used = np.where(units > 0, units, 1.0)
        if math.isinf(length):
            length = radius * (float(np.linalg.norm(used * point.u)) or 1.0)
        quadratic = Quadratic(point.gradient, model, used)
        _, decrement = quadratic.newton()
        if not quadratic.bent_down and decrement < CLOSE:
            break
        if float(np.linalg.norm(used * point.u)) > FAR * max(1.0, radius) and decrement < 1.0:
            break
        moved = False
        while count < limit:
            count += 1
            step, fall = quadratic.step(length)
            size = float(np.linalg.norm(used * step))
            if bend is not None:
                step = step + _acceleration(quadratic, bend, step, used)
            found, value = _tried(stack, point.u + step)
            gain = (point.value - value) / fall if fall > 0 else -1.0
            if not gain >= 0.25:
                length = 0.25 * min(size, length)
            elif gain > 0.75 or size < 0.99 * length:
                length = max(length, 2 * size)
            if gain > 1e-4 and found is not None and found.value < point.value:
                stalled = stalled + 1 if point.value - found.value <= 1e-14 * abs(point.value) else 0
                point, moved = found, True
                break
            if length <= 1e-14 * float(np.linalg.norm(used * point.u)) or length < 1e-300:
                break
        if not moved or point.perfect or stalled > 3:
            break
    return point, count


def _acceleration(quadratic: Quadratic, bend: Callable[[Array], Array], step: Array, units: Array) -> Array:
    """a / 2, by which the path along which the model is as it is linear departs from a straight step; 0 if far.

    Transtrum and Sethna, "Improvements to the Levenberg-Marquardt algorithm", arXiv:1201.5885 (2012).
    """
    with np.errstate(all="ignore"):
        try:
            half = -0.5 * quadratic.solve(bend(step))
        except OUTSIDE:
            return np.zeros_like(step)
        near = float(np.linalg.norm(units * half)) <= MOST_BENT * float(np.linalg.norm(units * step))
    return half if near else np.zeros_like(step)


def _tried(stack: Stack, u: Array) -> tuple[Point | None, float]:
    """The point at u, and J there before the variance is set to its best."""
    value = objective_at(stack, u)
    if not math.isfinite(value):
        return None, math.inf
    found = _at(stack, u)
    return (found if math.isfinite(found.value) else None), value


def _at(stack: Stack, u: Array) -> Point:
    u, perfect = stack.profiled(u)
    value, gradient = stack.value_and_gradient(u)
    if stack.penalized:
        penalty = stack.penalty(u)
        value, gradient = value + penalty.value, gradient + penalty.gradient
    return Point(u, value, gradient, perfect)


def _whole(stack: Stack, u: Array) -> Local:
    """J and the penalty."""
    local = stack.evaluate(u)
    if not stack.penalized:
        return local
    penalty = stack.penalty(u)
    return Local(local.value + penalty.value, local.gradient + penalty.gradient, local.hessian + penalty.hessian)


def _polished(stack: Stack, u: Array, spent: int) -> Maximum:
    """Newton's method to rounding."""
    objective = _whole(stack, u)
    best: tuple[float, Array] = (math.inf, u)
    steady, last, before = 0, math.inf, math.inf
    reason, idle = "arrived", 0
    for _ in range(60):
        if not np.isfinite(objective.hessian).all():
            break
        quadratic = Quadratic(objective.gradient, objective.hessian, equilibrated(objective.hessian))
        step, decrement = quadratic.newton()
        if quadratic.bent_down:
            reason = "no_progress"  # a saddle that the descent did not leave
            break
        spent += 1
        longest = float(np.abs(step).max(initial=0.0))
        vanishing = decrement < min(0.1, 0.95 * before) and longest > max(0.85 * last, 1e-3)
        steady = steady + 1 if vanishing else 0
        last, before = longest, decrement
        if steady >= STEADY:
            reason = "diverges"
            best = (decrement, u)
            break
        idle = 0 if decrement < 0.8 * best[0] else idle + 1
        if decrement < best[0]:
            best = (decrement, u)
        if decrement < LEAST or (idle > 3 and best[0] < CLOSE):
            break  # rounding
        u = u + step
        objective = _whole(stack, u)
    decrement, u = best
    return _ended(stack, u, spent, reason, decrement)


def _ended(stack: Stack, u: Array, spent: int, reason: str, decrement: float = math.inf) -> Maximum:
    """What is known at u.  It has arrived if the decrement is as small as rounding leaves it."""
    local, objective = stack.evaluate(u), _whole(stack, u)
    found = Maximum(u, local, objective, spent, reason, decrement)
    if not np.isfinite(objective.hessian).all():
        return found
    quadratic = Quadratic(objective.gradient, objective.hessian, equilibrated(objective.hessian))
    found = found._replace(condition=quadratic.condition)
    if reason != "arrived":
        return found
    digits, covariance, noise = digits_of(stack, found)
    arrived = decrement <= max(ENOUGH, 10 * noise) and decrement < 0.1
    if not arrived:
        return found._replace(reason="no_progress", digits=0.0, covariance=covariance)
    return found._replace(reason="converged", digits=digits, covariance=covariance)


def objective_at(stack: Stack, u: Array) -> float:
    """J and the penalty; infinity where u has gone too far."""
    value = stack.value(u)
    return value + stack.penalty(u).value if stack.penalized and math.isfinite(value) else value
