"""Causes found by trying: the author's own rule, with another cache, parameter or delta, is right."""

from __future__ import annotations

import numpy as np

from minigrad.testing.evidence import Evidence, all_hold
from minigrad.testing.guess import Guess
from minigrad.typing import Array


def parameter_edited(evidence: list[Evidence]) -> Guess | None:
    """The author's own rule, with the transpose of a square parameter, is right, or adds what is missing."""

    def edited(e: Evidence) -> str | None:
        for name, array in e.c.subject.parameters.items():
            if array.ndim != 2 or array.shape[0] != array.shape[1] or array.shape[0] < 2:
                continue
            other = e.rule_with(name, array.T.copy())
            if other is None or other.shape != e.n.shape:
                continue
            if e.is_(other, e.n):
                return f"transposed: it uses {name} where the transpose of {name} belongs"
            if e.is_(e.a + other, e.n) or e.is_((e.a + other) / 2, e.n):
                return f"transposed: the term with the transpose of {name} is missing"
        return None

    telling = [e for e in evidence if e.telling]
    found = [edited(e) for e in telling]
    if telling and all(found):
        cause, words = str(found[0]).split(": ")
        return Guess(cause, words, 0.95)
    return None


def wrong_point(evidence: list[Evidence]) -> Guess | None:
    """The author's own rule, with z for z_next in the cache or the reverse, is right."""

    def edited(e: Evidence) -> str | None:
        if type(e.c.subject.z) is tuple or e.z.shape != e.y.shape:
            return None
        z_next, cache = e.c.subject.forward()
        for name, old, new in (("output", e.z, np.asarray(z_next)), ("input", np.asarray(z_next), e.z)):
            other, count = _replaced(cache, old, new)
            answer = e.rule(e.delta, other) if count else None
            if answer is not None and e.is_(answer, e.n):
                return name
        return None

    telling = [e for e in evidence if e.telling]
    found = [edited(e) for e in telling]
    if telling and all(found):
        other = {"output": "input", "input": "output"}[str(found[0])]
        said = f"the derivative is taken at the {other}, with the {found[0]} in its place in the cache it is right"
        # What multiplies with z in rule 3 may as well lack a factor.
        return Guess("wrong_point", said, 0.95 if evidence[0].c.rule == 2 else 0.85)
    return None


def _replaced(cache: object, old: Array, new: Array) -> tuple[object, int]:
    """`cache` with `new` wherever `old` stands, and how often that is."""
    if isinstance(cache, np.ndarray):
        hit = cache.shape == old.shape and np.array_equal(cache, old) and not np.array_equal(old, new)
        return (new, 1) if hit else (cache, 0)
    if type(cache) in (tuple, list):
        parts = [_replaced(item, old, new) for item in cache]  # type: ignore[attr-defined]
        return type(cache)(part for part, _ in parts), sum(count for _, count in parts)  # type: ignore[call-arg]
    if isinstance(cache, dict):
        pairs = {key: _replaced(item, old, new) for key, item in cache.items()}
        return {key: part for key, (part, _) in pairs.items()}, sum(count for _, count in pairs.values())
    return cache, 0


def ones_only(evidence: list[Evidence]) -> Guess | None:
    """For a delta of ones the rule is right."""

    def holds(e: Evidence) -> bool:
        ones = np.ones(e.delta.shape)
        answer = e.rule(ones)
        if e.delta.size < 2 or answer is None or e.numeric_jacobian is None:
            return False
        right = (ones.ravel() @ e.numeric_jacobian).reshape(e.n.shape)
        return e.is_(answer, right) and bool(np.abs(right).max(initial=0.0) > 1e-9)

    shaped = [e for e in evidence if e.shaped and e.delta.size > 1]
    if shaped and all_hold(shaped, holds):
        return Guess("ones_only", "for a delta of ones it is right, for any other it is not", 0.75)
    return None
