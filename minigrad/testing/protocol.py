"""The laws of the contract other than the derivatives: purity, repetition, linearity, memory, layout."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from minigrad.layer import Layer
from minigrad.testing.failures import deliberate, finding_of
from minigrad.testing.numeric import EPS, largest
from minigrad.testing.report import Finding
from minigrad.testing.subject import RuleError, Subject, copied, read_only
from minigrad.typing import Array

Results = dict[str, Array]


def broken_laws(subject: Subject, rng: np.random.Generator) -> list[Finding]:
    """The laws that the layer breaks at this input, the most basic first."""
    findings: list[Finding] = []
    try:
        z_next, cache = subject.forward()
        delta = read_only(rng.normal(size=np.shape(z_next))[()])
        first = rules_apart(subject, delta, cache)
        if broken := next(_not_repeated(subject, delta, cache, first), None):
            return [broken]
        findings += _not_linear(subject, delta, cache, first, rng)
        findings += _kept_or_reused(subject, delta, rng)
        findings += _shared_memory(subject, delta, cache, z_next)
        findings += _other_sweep(subject, delta, cache)
        if np.ndim(z_next) == 0:
            subject.rules(1.0, cache)  # as every sweep begins
        if not findings:
            findings += _layout_matters(subject, delta, z_next, first)
    except RuleError as error:
        findings.append(finding_of(subject, error))
    return findings


def rules_apart(subject: Subject, delta: Any, cache: Any) -> Results:
    """Rules 2 and 3 on one cache, copied at once."""
    return {name: array.copy() for name, array in subject.rules(delta, cache).items()}


def rule_of(subject: Subject, name: str) -> int:
    """The rule that gives the derivative with respect to the array `name`."""
    return 2 if name in subject.inputs else 3


def _not_repeated(subject: Subject, delta: Any, cache: Any, first: Results) -> Iterator[Finding]:
    drawn = subject.has_drawn
    try:
        second, third = rules_apart(subject, delta, cache), rules_apart(subject, delta, cache)
    except RuleError as failure:
        said = (
            f"rule {failure.rule} raises when it is called again with the same cache ({failure.error}): it used it up"
        )
        yield Finding(failure.rule, "mutation", said, source=finding_of(subject, failure).source)
        return
    for name, array in first.items():
        again = [other.get(name) for other in (second, third)]
        if all(other is not None and same(other, array) for other in again):
            continue
        rule = rule_of(subject, name)
        after, last = (array if other is None else other for other in again)
        said = f"called again with the same delta and cache, rule {rule} gives another answer"
        steady = after.shape == array.shape and (same(after, last) or near(last - after, after - array, 1e-9))
        if steady and not (subject.has_drawn and not drawn):
            why = "it adds to what the last call gave" if near(after, 2 * array, 1e-9) else "it keeps something"
            said = f"{said}: {why}. Rules are functions of delta and the cache alone"
            yield Finding(rule, "stale_cache", said, array=name)
        else:
            said = f"{said}: draw random numbers in rule 1, and return them in the cache"
            yield Finding(rule, "nondeterministic", said, array=name)


def _not_linear(
    subject: Subject, delta: Any, cache: Any, first: Results, rng: np.random.Generator
) -> Iterator[Finding]:
    other = read_only(rng.normal(size=np.shape(delta))[()])
    zero, twice, negative = (rules_apart(subject, f * delta, cache) for f in (0.0, 2.0, -1.0))
    large, small = (rules_apart(subject, f * delta, cache) for f in (2.0**20, 2.0**-20))
    of_other, of_sum = rules_apart(subject, other, cache), rules_apart(subject, delta + other, cache)
    # Of a saturated softmax, say, nothing is left but rounding of this size.
    reach = max([1.0, *map(largest, subject.inputs.values())])
    floor = 64 * EPS * largest(delta) * reach
    for name, b in first.items():
        rule = rule_of(subject, name)
        size = largest(b)
        if size <= floor or not np.isfinite(b).all():
            continue

        def is_(found: Array, expected: Array, factor: float = 1.0, bound: float = 1e-9 * size + floor) -> bool:
            return found.shape == expected.shape and bool((np.abs(found - expected) <= factor * bound).all())

        if is_(twice[name], b) and is_(small[name], b):
            cause, said = "delta_ignored", "does not depend on the size of delta: 2 delta gives what delta gives"
        elif is_(twice[name], 4 * b):
            cause, said = "delta_twice", "gives 4 times as much for 2 delta: delta enters twice"
        elif largest(zero[name]) > floor:
            cause, said = "additive", "gives something for a delta of 0: a term does not come from delta"
        elif not is_(negative[name], -b):
            cause, said = "nonlinear", "is not odd in delta: -delta does not give minus the result (a mask from delta?)"
        elif not is_(large[name], 2.0**20 * b, 2.0**20) or not is_(twice[name], 2 * b):
            cause, said = "nonlinear", "gives too little for a large delta (clipped?): it must be linear in delta"
        elif not is_(small[name], 2.0**-20 * b, 2.0**-20):
            cause, said = "nonlinear", "loses a small delta (a threshold?): it must be linear in delta"
        elif not (
            np.abs(of_sum[name] - b - of_other[name]) <= 1e-3 * (size + largest(of_other[name])) + floor * reach
        ).all():
            cause, said = "nonlinear", "of a sum of two deltas is not the sum of its results (max or abs of delta?)"
        else:
            continue
        yield Finding(rule, cause, f"rule {rule} {said}", array=name)


def _kept_or_reused(subject: Subject, delta: Any, rng: np.random.Generator) -> Iterator[Finding]:
    """Two passes, one inside the other, beside each of them alone."""
    other = subject.at(_another(subject.z), subject.arguments)
    before = dict(vars(subject.layer))
    next_1, cache_1 = subject.forward()
    expected = copied(next_1), rules_apart(subject, delta, cache_1)
    next_1, cache_1 = subject.forward()
    kept = {"z_next": (1, next_1, np.copy(next_1))}
    other.stochastic = False  # other random numbers, too
    try:
        next_2, cache_2 = other.forward()
        if np.shape(next_2) == np.shape(delta):
            results = other.rules(rng.normal(size=np.shape(delta))[()], cache_2)
            kept |= {name: (rule_of(subject, name), array, array.copy()) for name, array in results.items()}
    except RuleError:
        return  # the other input is not in the domain
    try:
        found = rules_apart(subject, delta, cache_1)
    except RuleError:
        found = {}
    for name, (rule, array, copy) in kept.items():
        if not same(array, copy):
            what = "z_next" if name == "z_next" else f"the gradient of {name}" if rule == 3 else "the delta"
            yield Finding(
                rule,
                "aliasing",
                f"{what} that one call returned is overwritten by a later call: a buffer is used again. Return a new "
                "array each time",
                array=None if name == "z_next" else name,
            )
            return
    for name, array in expected[1].items():
        if name not in found or not same(found[name], array):
            rule = rule_of(subject, name)
            changed = [f"self.{key}" for key, value in vars(subject.layer).items() if before.get(key) is not value]
            by = f" ({', '.join(changed)} was set)" if changed else ""
            yield Finding(
                rule,
                "stale_cache",
                f"rule {rule} gives another answer when another forward ran in between: it uses what the last call "
                f"left behind{by}. Return what rules 2 and 3 need of rule 1 in the cache, and keep nothing of a call "
                "on the layer",
                array=name,
            )
            return


def _another(z: Any) -> Any:
    """Another input of the same shape, of numbers of which each is in the domain."""
    if type(z) is tuple:
        return tuple(_another(part) for part in z)
    rolled = np.roll(z, 1, axis=0) if z.ndim else z
    return read_only(rolled if (rolled != z).any() else (1.25 * z).astype(z.dtype))


def _shared_memory(subject: Subject, delta: Any, cache: Any, z_next: Any) -> Iterator[Finding]:
    theirs = {"delta": delta, **subject.arrays}
    for name, array in subject.parameter_gradients(delta, cache).items():
        for whose, other in theirs.items():
            if isinstance(other, np.ndarray) and np.shares_memory(array, other):
                yield Finding(
                    3,
                    "aliasing",
                    f"the gradient of {name} shares its memory with {whose}: whoever changes the one changes the "
                    "other. Return a copy",
                    array=name,
                )
    for name, array in subject.parameters.items():
        if isinstance(z_next, np.ndarray) and np.shares_memory(z_next, array):
            said = f"z_next shares its memory with {name}, and changes when {name} is trained. Return a copy"
            yield Finding(1, "aliasing", said)


def _other_sweep(subject: Subject, delta: Any, cache: Any) -> Iterator[Finding]:
    if not isinstance(subject.layer, Layer) or type(subject.layer).backpropagate is Layer.backpropagate:
        return
    apart = rules_apart(subject, delta, cache)
    result: Any = subject._guard(0, subject.layer.backpropagate, read_only(delta), cache)
    said = "backpropagate gives something else than rules 2 and 3"
    if type(result) is not tuple or len(result) != 2 or not isinstance(result[1], dict):
        yield Finding(0, "sweep", f"{said}: it must return (dC/dz, {{name: gradient}})")
        return
    parts = result[0] if type(subject.z) is tuple else (result[0],)
    inputs = [f"z[{i}]" for i in range(len(parts))] if type(subject.z) is tuple else ["z"]
    swept = {n: np.asarray(a) for n, a in zip(inputs, parts, strict=True) if n in subject.inputs} | result[1]
    for name in dict.fromkeys([*apart, *swept]):
        if name not in swept or name not in apart or not near(np.asarray(swept[name]), apart[name], 1e-10):
            yield Finding(0, "sweep", f"{said} for {name}", array=name)
            return


LAYOUTS: dict[str, Callable[[Array], Array]] = {
    "in Fortran order": np.asfortranarray,
    "that is every other entry of a longer array": lambda a: np.repeat(a, 2, axis=-1)[..., ::2],
    "that is reversed in memory": lambda a: np.ascontiguousarray(a[::-1])[::-1],
}


def _layout_matters(subject: Subject, delta: Any, z_next: Any, first: Results) -> Iterator[Finding]:
    if type(subject.z) is tuple or subject.z.ndim == 0:
        return
    for name, lay_out in LAYOUTS.items():
        moved = subject.at(lay_out(subject.z), subject.arguments)
        try:
            other_next, cache = moved.forward()
            if not near(np.asarray(other_next), np.asarray(z_next), 1e-6):
                yield Finding(1, "layout", f"rule 1 gives other numbers for z {name}: the same z, laid out otherwise")
                return
            results = moved.rules(lay_out(delta) if np.ndim(delta) else delta, cache)
        except RuleError as error:
            found = finding_of(subject, error)
            said = f"rule {error.rule} raises for z and delta {name}: {error.error}"
            yield Finding(error.rule, "layout", said, source=found.source)
            return
        # What cancels, as the gradient of a bias below batch normalisation, is rounding of delta and nothing else.
        rounding = 1e-9 * np.abs(delta).max(initial=0.0) * math.sqrt(max(np.size(delta), 1))
        for key, array in first.items():
            if not near(results[key], array, 1e-6) and not _all_rounding(results[key], array, rounding):
                rule = rule_of(subject, key)
                said = f"rule {rule} gives other numbers for z and delta {name}: the same numbers, laid out otherwise"
                yield Finding(rule, "layout", said, array=key)
                return


def _all_rounding(found: Array, expected: Array, size: float) -> bool:
    return found.shape == expected.shape and bool(max(largest(found), largest(expected)) <= size)


def wrong_when_empty(subject: Subject, coupled: bool) -> Iterator[Finding]:
    """Rules 2 and 3 of an empty batch: the shapes are kept, and sums over no rows are 0."""
    try:
        delta = np.zeros(np.shape(subject.forward()[0]))[()]
        results = subject.backward(delta, subject.forward()[1])
        results |= subject.parameter_gradients(delta, subject.forward()[1])
    except RuleError as failure:
        if not coupled and not deliberate(failure.error):
            said = f"an empty batch raises {type(failure.error).__name__}: {failure.error}"
            yield Finding(failure.rule, "empty", said, source=finding_of(subject, failure).source)
        return
    for name, array in results.items():
        if name not in subject.arrays:
            continue
        shape = subject.arrays[name].shape
        if array.shape != shape:
            said = f"for an empty batch its shape is {array.shape}, that of {name} is {shape}"
            yield Finding(rule_of(subject, name), "empty", said, array=name)
        elif not np.isfinite(array).all():
            said = "for an empty batch it is not finite: a mean over nothing? The sum over no rows is 0"
            yield Finding(rule_of(subject, name), "empty", said, array=name)


def same(a: Any, b: Any) -> bool:
    """Equal in every bit, NaN to NaN."""
    return bool(np.array_equal(a, b, equal_nan=True))


def near(found: Array, expected: Array, tolerance: float) -> bool:
    """Equal to `tolerance` of the largest entry."""
    if found.shape != expected.shape:
        return False
    if same(found, expected):
        return True
    bound = tolerance * np.abs(expected).max(initial=0.0, where=np.isfinite(expected))
    return bool(((np.abs(found - expected) <= bound) | ~np.isfinite(expected)).all())
