"""Naming the probable cause of a wrong derivative: guesses, tested in order on all that failed."""

from __future__ import annotations

from minigrad.testing.comparison import Comparison
from minigrad.testing.evidence import Evidence
from minigrad.testing.guess import Guess
from minigrad.testing.regions import border, region
from minigrad.testing.relations import TESTS, exchanged, wrong_shape
from minigrad.testing.structure import structure

CAUSES = {
    "additive": "a term missing or extra",
    "aliasing": "a returned array shares memory that is written to",
    "axis": "the wrong axis",
    "batch_1_only": "right only for a batch of one",
    "border": "wrong at the first or last index of an axis",
    "branch": "wrong in a region of the input",
    "broadcast": "a broadcast not reduced, or axes kept",
    "chain_factor": "a factor of the chain rule forgotten or extra",
    "complex_unsafe": "complex steps do not go through, and the class does not say so",
    "declared_shape": "output_shape is not the shape of the output",
    "delta_ignored": "does not depend on delta",
    "delta_twice": "delta enters twice",
    "diagonal": "only the diagonal of the Jacobian is right",
    "dtype": "the floating type is not kept",
    "empty": "an empty batch fails",
    "exchanged": "the gradients of two arrays exchanged",
    "extra_sum": "summed over an axis over which it should not be",
    "factor": "a constant factor",
    "float32": "computed in single precision",
    "hangs": "does not return",
    "identity": "the local derivative skipped",
    "initial_only": "right only at the initial parameters",
    "layout": "depends on the layout in memory",
    "leak": "delta flows where nothing depends",
    "mean_for_sum": "mean for sum, or sum for mean",
    "missing_rule": "a rule is not written",
    "missing_sum": "the sum over the batch, or over broadcast axes, is missing",
    "mutation": "an argument is written to",
    "names": "names of the gradients are wrong",
    "nondeterministic": "two answers to one question",
    "nonlinear": "not linear in delta",
    "ones_only": "right only for a delta of ones",
    "order": "reversed, rolled or permuted",
    "raises": "raises an error",
    "rows_coupled": "rows of the batch influence each other",
    "shape": "the shape is wrong",
    "sign": "the sign",
    "small_error": "a small relative error",
    "stale_cache": "something of another call is used",
    "statistic": "a dependence through a statistic is missing",
    "sweep": "backpropagate disagrees with rules 2 and 3",
    "ties": "wrong where entries are tied",
    "transposed": "transposed",
    "unknown": "no simple pattern",
    "unlisted_parameter": "a parameter is not listed",
    "unstable": "overflow, or digits lost",
    "wrong_point": "the derivative taken at the output for the input, or the reverse",
    "wrong_type": "a rule returns the wrong type",
    "zero": "wrong at zero",
    "zeros": "the rule gives zeros",
}
"""The codes that findings use, in words."""


def guesses(failed: list[Comparison], passed: list[Comparison], others: list[Comparison]) -> list[Guess]:
    """Causes that explain all comparisons of one array that failed, the most probable first.

    `passed` are those of the same array that did not fail, `others` those of other arrays, for exchanges.
    """
    misshapen = [c for c in failed if c.misshapen]
    most = 2 if failed[0].subject.slow else 8
    evidence = [Evidence(c) for c in (misshapen or _most_telling(failed))[:most]]
    if misshapen:
        return [wrong_shape(evidence)]
    found = list(region(failed, passed)) if not any(c.wrong.any() for c in failed) else []
    for test in TESTS:
        if any(guess.confidence >= 0.9 for guess in found):
            break
        found += [guess for guess in (test(evidence),) if guess is not None]
    if not any(guess.confidence >= 0.9 for guess in found):
        found += [*region(failed, passed), *border(failed), *structure(evidence)]
        found += [g for g in (exchanged(evidence, others), _only_in(failed, passed)) if g is not None]
    found.sort(key=lambda guess: -guess.confidence)
    unique = list({guess.cause: guess for guess in reversed(found)}.values())[::-1]
    if unique:
        return unique
    wrong, seen = sum(int(c.wrong.sum()) for c in failed), sum(int(c.seen.sum()) for c in failed)
    return [Guess("unknown", f"no simple pattern: {wrong} of {seen} entries are wrong", 0.3)]


ORDINARY = (
    "as given",
    "ordinary",
    "a batch of",
    "integers",
    "negative",
    "positive",
    "size 5",
    "initial",
    "other signs",
)


def _most_telling(failed: list[Comparison]) -> list[Comparison]:
    """Those with ordinary numbers, where there are any: elsewhere much underflows, and any relation seems to hold."""
    wrong = [c for c in failed if c.misshapen or c.wrong.any()] or failed
    plain = [c for c in wrong if any(word in c.case for word in ORDINARY)]
    chosen = plain or wrong
    return sorted(chosen, key=lambda c: (c.numeric.value.size < 2, c.numeric.kink.any()))


def _only_in(failed: list[Comparison], passed: list[Comparison]) -> Guess | None:
    """The kinds of cases in which it fails, and in which it does not."""
    bad, good = {c.case for c in failed}, {c.case for c in passed if c.size > 1e-9 * c.scale}
    good -= {"zeros", "many zeros", "numbers near 0", "tiny numbers"}
    if good == {"a batch of 1"} and len(bad) > 2:
        return Guess("batch_1_only", "it is right for a batch of 1, and for no other", 0.7)
    if "initial parameters" in good and "the input as given" in bad:
        return Guess("initial_only", "it is right at the initial parameters, and at no others", 0.7)
    return None
