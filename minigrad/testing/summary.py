"""What all comparisons together say: how closely each array agrees, what is wrong with it, and whether rows couple."""

from __future__ import annotations

from minigrad.layer import Layer
from minigrad.testing.causes import guesses
from minigrad.testing.comparison import Comparison
from minigrad.testing.failures import source_of
from minigrad.testing.report import Agreement, Finding

# What makes the numbers of a rule wrong, too.
EXPLAINS = {"additive", "delta_ignored", "delta_twice", "float32", "nonlinear", "nondeterministic", "stale_cache"}
LATE = ("dtype", "layout", "empty", "rows_coupled", "complex_unsafe")  # causes that explain no other


def in_order(findings: list[Finding]) -> tuple[Finding, ...]:
    """The findings that may explain others first."""
    return tuple(sorted(findings, key=lambda finding: finding.cause in LATE))


def wrong_derivatives(layer: Layer, comparisons: list[Comparison], known: list[Finding]) -> list[Finding]:
    """One finding for each array whose derivative is wrong, unless what is known explains it."""
    told = {(f.rule, f.array) for f in known if f.cause in EXPLAINS}
    explained = {f.rule for f in known if f.cause in ("nondeterministic", "mutation", "stale_cache")}
    # Of a staircase there are no derivatives.
    explained |= {f.rule for f in known if f.rule == 1 and f.cause == "float32"}
    found = []
    for name in dict.fromkeys(c.array for c in comparisons):
        all_of = [c for c in comparisons if c.array == name]
        failed = [c for c in all_of if c.failed]
        if not failed or (failed[0].rule, name) in told or {1, failed[0].rule} & explained:
            continue
        passed = [c for c in all_of if not c.failed]
        found.append(_finding(layer, failed, passed, [c for c in comparisons if c.array != name]))
    return found


def _finding(layer: Layer, failed: list[Comparison], passed: list[Comparison], others: list[Comparison]) -> Finding:
    best, *rest = guesses(failed, passed, others)
    wrong = [c for c in failed if c.wrong.any() and not c.misshapen]
    shown = wrong[0] if wrong else failed[0]
    index = analytic = numeric = error = None
    if wrong:
        index = shown.worst()
        analytic, numeric = float(shown.analytic[index]), float(shown.numeric.value[index])
        error = float(shown.numeric.error[index])
    elif shown.broken_directions:
        _, analytic, numeric, error = shown.broken_directions[0]
    return Finding(
        shown.rule,
        best.cause,
        best.words,
        shown.array,
        index,
        analytic,
        numeric,
        error,
        wrong=sum(int(c.wrong.sum()) for c in failed),
        entries=sum(int(c.seen.sum()) for c in (*failed, *passed)),
        confidence=best.confidence,
        case=shown.case,
        also=tuple(guess.cause for guess in rest[:3]),
        source=source_of(layer, shown.rule),
    )


def forgets_a_factor(findings: list[Finding], arrays: int) -> bool:
    """Every array is wrong by the same factor: then rule 1 is as suspect as rules 2 and 3."""
    ratios = [f.analytic / f.numeric for f in findings if f.analytic and f.numeric]
    alike = all(f.cause in ("factor", "sign", "mean_for_sum", "chain_factor") for f in findings)
    if not alike or len(ratios) < max(2, arrays) or {f.rule for f in findings} != {2, 3}:
        return False
    return max(ratios) - min(ratios) < 1e-6 * abs(ratios[0])


def agreements(comparisons: list[Comparison]) -> list[Agreement]:
    """How closely rule and numbers agree, array by array, over all cases."""
    found: dict[str, Agreement] = {}
    for c in comparisons:
        a = found.setdefault(c.array, Agreement(c.rule, c.array, c.numeric.value.shape))
        seen = int(c.seen.sum())
        a.checked += seen
        a.wrong += seen if c.misshapen else int(c.wrong.sum()) or bool(c.broken_directions)
        a.undecided += int(c.undecided.sum())
        a.kinks += int((c.numeric.kink & c.seen).sum())
        if c.case == "the input as given":
            a.difference, a.resolution = c.difference, c.resolution
    return list(found.values())


def rows_independent(comparisons: list[Comparison]) -> bool | None:
    """Whether row n of z_next depends on row n of z alone, as the numbers show it; None where they do not."""
    told = [c.coupled for c in comparisons if c.coupled is not None]
    return not any(told) if told else None
