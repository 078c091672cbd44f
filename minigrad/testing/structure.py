"""Causes that show in the two Jacobians: which output depends on which input, by the rule and by numbers."""

from __future__ import annotations

import numpy as np

from minigrad.testing.evidence import TOLERANCE, Evidence
from minigrad.testing.guess import Guess
from minigrad.testing.numeric import largest
from minigrad.typing import Array


def structure(evidence: list[Evidence]) -> list[Guess]:
    """Guesses from the Jacobians, all of which must explain every comparison."""
    known = [e for e in evidence if e.jacobians() is not None][:5]
    if not known:
        return []
    tests = (_rows_coupled, _diagonal, _additive, _chain_factor, _term, _statistic, _leak, _missing)
    return [guess for test in tests if (guess := test(known)) is not None]


def _pairs(evidence: list[Evidence]) -> list[tuple[Array, Array, Evidence]]:
    return [(*both, e) for e in evidence if (both := e.jacobians()) is not None]


def _zero(jacobian: Array) -> Array:
    """Entries that are zero but for rounding."""
    return np.abs(jacobian) <= 1e-8 * max(largest(jacobian), 1e-300)


def _cross_rows(jacobian: Array, e: Evidence) -> Array | None:
    """The part of the Jacobian that leads from one row of the batch to another."""
    if not (e.y.ndim and e.x.ndim and len(e.y) == len(e.x) == e.rows > 1 and e.c.rule == 2):
        return None
    rows = np.arange(e.rows)
    of_output = np.repeat(rows, e.y.size // e.rows)
    of_input = np.repeat(rows, e.x.size // e.rows)
    return np.where(of_output[:, None] != of_input[None, :], jacobian, 0.0)


def _rows_coupled(evidence: list[Evidence]) -> Guess | None:

    more = less = across = told = 0
    for rule, numbers, e in _pairs(evidence):
        by_rule, by_numbers = _cross_rows(rule, e), _cross_rows(numbers, e)
        if by_rule is None or by_numbers is None:
            continue
        told += 1
        size = max(largest(numbers), largest(rule))
        rule_couples, numbers_couple = largest(by_rule) > 1e-7 * size, largest(by_numbers) > 1e-7 * size
        more += rule_couples and not numbers_couple
        less += numbers_couple and not rule_couples
        within_rule, within_numbers = rule - by_rule, numbers - by_numbers
        couples = e.y.shape == e.x.shape and not _is_diagonal(within_numbers) and _is_diagonal(within_rule)
        across += rule_couples and not numbers_couple and couples
    if told and across and across == more:
        return Guess(
            "axis", "it couples the rows of the batch, where rule 1 couples the entries of a row: the wrong axis", 0.93
        )
    if told and more == told:
        return Guess(
            "rows_coupled", "in the rule the rows of the batch influence each other, in rule 1 they do not", 0.92
        )
    if told and less == told:
        said = (
            "in rule 1 the rows of the batch influence each other, as through a mean over them, in the rule they do not"
        )
        return Guess("statistic", said, 0.92)
    return None


def _is_diagonal(jacobian: Array) -> bool:
    if jacobian.shape[0] != jacobian.shape[1]:
        return False
    return largest(jacobian - np.diag(np.diag(jacobian))) <= 1e-7 * max(largest(jacobian), 1e-300)


def _diagonal(evidence: list[Evidence]) -> Guess | None:
    told, exact = False, True
    for rule, numbers, e in _pairs(evidence):
        if rule.shape[0] != rule.shape[1] or e.y.shape != e.x.shape:
            return None
        own, right = np.diag(rule), np.diag(numbers)
        c = float(own @ right) / max(float(right @ right), 1e-300)
        if not _is_diagonal(rule) or c == 0 or largest(own - c * right) > TOLERANCE * abs(c) * largest(numbers):
            return None
        exact &= abs(c - 1) < TOLERANCE
        told |= not _is_diagonal(numbers)
    if told:
        said = "only the diagonal of the Jacobian is right"
        return Guess("diagonal", f"{said}: what other entries contribute is missing", 0.96 if exact else 0.85)
    return None


def _statistic(evidence: list[Evidence]) -> Guess | None:
    """What is missing has a low rank: it goes through a few numbers, such as a mean or a norm."""
    ranks = []
    for rule, numbers, e in _pairs(evidence):
        missing = numbers - rule
        if min(missing.shape) < 5 or largest(missing) < 1e-9 * largest(numbers) or e.rows < 4:
            continue
        square = rule.shape[0] == rule.shape[1] and e.c.rule == 2
        if square and (_is_diagonal(numbers) or _is_diagonal(missing)):
            return None
        ranks.append((_rank(missing), _rank(numbers), min(missing.shape)))
    if ranks and all(rank <= most / 2 and rank < of_numbers for rank, of_numbers, most in ranks):
        said = "a dependence through a mean, a norm or another statistic is missing or wrong"
        return Guess("statistic", f"{said}: what is off has rank {max(rank for rank, _, _ in ranks)}", 0.72)
    return None


def _rank(matrix: Array) -> int:
    values = np.linalg.svd(matrix, compute_uv=False)
    return int(np.count_nonzero(values > 1e-6 * values[0]))


def _term(evidence: list[Evidence]) -> Guess | None:
    """Entry by entry, a term that is one of the arrays at hand is missing or extra."""
    names: list[set[str]] = []
    for rule, numbers, e in _pairs(evidence):
        if e.c.rule != 2:
            return None
        if _is_diagonal(rule) and _is_diagonal(numbers) and e.y.shape == e.x.shape:
            own, right = np.diag(rule).reshape(e.x.shape), np.diag(numbers).reshape(e.x.shape)
        elif len(rule) == 1:
            own, right = rule.reshape(e.x.shape), numbers.reshape(e.x.shape)
        else:
            return None
        names.append(
            {f"{'has' if sign > 0 else 'lacks'} {name}" for sign in (1, -1) for name in _named(sign * (own - right), e)}
        )
        if e.y.shape == e.x.shape:
            with np.errstate(all="ignore"):
                other = np.where(e.x != 0, e.y / e.x, np.nan)
            told = np.isfinite(other)
            for found in (other, right - other):
                if told.any() and largest((own - found)[told]) <= TOLERANCE * largest(right):
                    names[-1].add("has one term of the product rule alone")
    common = set.intersection(*names) if names else set()
    if common:
        return Guess("additive", f"a term is missing or extra: it {min(common, key=len)}", 0.9)
    return None


def _additive(evidence: list[Evidence]) -> Guess | None:

    constants = []
    for rule, numbers, e in _pairs(evidence):
        if e.y.shape != e.x.shape or rule.shape[0] < 2:
            return None
        off = rule - numbers
        c = float(np.diag(off).mean())
        if abs(c) < 1e-9 or largest(off - c * np.eye(len(off))) > TOLERANCE * max(largest(numbers), abs(c)):
            return None
        constants.append(c)
    if constants and all(abs(c - constants[0]) <= TOLERANCE * abs(c) for c in constants):
        c = constants[0]
        term = "delta" if abs(abs(c) - 1) < TOLERANCE else f"{abs(c):.4g} delta"
        return Guess(
            "additive", f"it {'lacks' if c < 0 else 'has'} the term {term}{'' if c < 0 else ' too much'}", 0.95
        )
    return None


def _chain_factor(evidence: list[Evidence]) -> Guess | None:
    """A factor for each input, or for each output, of the Jacobian."""
    names: list[set[str]] = []
    sides = set()
    for rule, numbers, e in _pairs(evidence):
        if not largest(rule) or not largest(numbers):
            return None
        strong = (np.abs(numbers) > 1e-6 * largest(numbers)) & (np.abs(rule) > 1e-6 * largest(rule))
        weak = max(largest(rule[~strong]) / largest(rule), largest(numbers[~strong]) / largest(numbers), 0.0)
        if weak > 1e-3 or not strong.any() or numbers.size < 4:
            return None
        with np.errstate(all="ignore"):
            ratio = np.where(strong, numbers / rule, np.nan)
        side = next((side for side in (0, 1) if _constant_along(ratio, side)), None)
        if side is None:
            return None
        sides.add(side)
        with np.errstate(all="ignore"):
            factor = np.nanmean(ratio, axis=side).reshape(e.x.shape if side == 0 else e.y.shape)
        names.append(set(_named(factor, e)))
    common = set.intersection(*names) if names else set()
    if common:
        best = min(common, key=len)
        if "z / z_next" in best:
            said = "the derivative is taken at the output for the input, or the reverse"
            return Guess("wrong_point", f"{said}: it is off by the factor {best}", 0.9)
        return Guess("chain_factor", f"a factor of the chain rule is missing or extra: {best}", 0.93)
    if sides:
        where = "input" if sides == {0} else "output"
        return Guess("chain_factor", f"a factor that differs from {where} to {where} is missing, extra or wrong", 0.5)
    return None


def _constant_along(ratio: Array, axis: int) -> bool:
    with np.errstate(all="ignore"):
        low, high = np.nanmin(ratio, axis=axis), np.nanmax(ratio, axis=axis)
    told = ~np.isnan(low)
    return bool(told.any()) and bool((high[told] - low[told] <= 1e-5 * np.abs(high[told])).all())


def _named(factor: Array, e: Evidence) -> list[str]:
    """The arrays at hand that a factor is equal to, to their inverse, or to a multiple of either."""
    told = np.isfinite(factor) & (factor != 0)
    found = []
    for name, array in e.arrays():
        for shaped in _broadcasts(array, factor.shape):
            with np.errstate(all="ignore"):
                for words, ratio in ((name, factor / shaped), (f"1 / {name}", factor * shaped)):
                    r = ratio[told]
                    if r.size > 1 and np.isfinite(r).all() and np.ptp(r) <= 1e-5 * abs(r.mean()):
                        found.append(words)
    return found


def _broadcasts(array: Array, shape: tuple[int, ...]) -> list[Array]:
    if np.size(array) < 2:
        return []
    found = []
    for candidate in (array, np.expand_dims(array, -1)):
        try:
            found.append(np.broadcast_to(candidate, shape))
        except ValueError:
            continue
    return found


def _leak(evidence: list[Evidence]) -> Guess | None:
    exact, dead, told = True, True, 0
    for rule, numbers, _ in _pairs(evidence):
        leaks = ~_zero(rule) & _zero(numbers)
        if not leaks.any() or not largest(numbers):
            continue
        told += 1
        exact &= largest(np.where(leaks, 0.0, rule - numbers)) <= 1e-5 * largest(numbers)
        # The inputs on which nothing depends, though delta flows to them.
        dead &= bool(_zero(numbers)[:, leaks.any(axis=0)].all())
    if not told or (not exact and told < len(evidence)):
        return None
    if exact and dead:
        where = _where_zero(evidence)
        if where:
            return Guess(
                "branch", f"the derivative is 0 {where}, and the rule gives another: a branch is missing", 0.93
            )
        return Guess("leak", "delta flows to entries on which nothing depends; all else is right", 0.91)
    said = "delta flows to entries on which the output does not depend"
    return Guess("leak", f"{said}; all else is right" if exact else said, 0.92 if exact else 0.7)


def _where_zero(evidence: list[Evidence]) -> str:
    """The sign of z at the outputs on which a parameter has no influence, though the rule says so."""
    leaking, other = [], []
    for rule, numbers, e in _pairs(evidence):
        if e.c.rule != 3 or e.y.shape != e.z.shape:
            return ""
        leaks = (~_zero(rule) & _zero(numbers)).any(axis=1)
        leaking.append(e.z.ravel()[leaks])
        other.append(e.z.ravel()[~leaks & ~_zero(numbers).all(axis=1)])
    bad, good = np.concatenate(leaking), np.concatenate(other)
    if not bad.size or not good.size:
        return ""
    return "where z > 0" if bad.min() >= 0 >= good.max() else "where z < 0" if bad.max() <= 0 <= good.min() else ""


def _missing(evidence: list[Evidence]) -> Guess | None:

    for rule, numbers, _ in _pairs(evidence):
        lacks = _zero(rule) & ~_zero(numbers)
        if not lacks.any() or largest(np.where(lacks, 0.0, rule - numbers)) > 1e-5 * largest(numbers):
            return None
    return Guess(
        "additive", "a term is missing: outputs depend on entries to which no delta flows; all else is right", 0.85
    )
