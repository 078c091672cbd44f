"""The examination of one layer: all its cases, and in each of them the laws and the derivatives."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from minigrad.layer import Layer
from minigrad.testing.cases import Case, cases, into_domain
from minigrad.testing.compare import ALL_UP_TO, compare
from minigrad.testing.comparison import Comparison
from minigrad.testing.declarations import complex_unsafe, forgotten, misdeclared_shape, odd_shape, wrong_names
from minigrad.testing.failures import deliberate, finding_of, named, source_of
from minigrad.testing.joined import with_one_output
from minigrad.testing.precision import in_float32, overflow, single_inside, staircase
from minigrad.testing.protocol import broken_laws, wrong_when_empty
from minigrad.testing.report import Diagnosis, Finding, Float32
from minigrad.testing.subject import RuleError, Subject, clone, freeze, read_only
from minigrad.testing.summary import agreements, forgets_a_factor, in_order, rows_independent, wrong_derivatives
from minigrad.testing.variants import any_signs, moved_off
from minigrad.testing.watch import TookTooLong, Watch

PRECISION_CASES = ("the input as given", "numbers of size 30", "numbers around 100", "many ties")
LAW_CASES = ("the input as given", "a batch of 1", "numbers of size 30", "many ties")
ENOUGH = 12
COUPLED = "the rows of the batch influence each other, as in batch normalisation"
BUDGET = 5.0  # seconds, after which a slow layer is checked at no further input


class Examination:
    """One layer, all its cases, and what was found."""

    def __init__(
        self, layer: Layer, z: Any, arguments: tuple[Any, ...], rng: np.random.Generator, watch: Watch, all_cases: bool
    ) -> None:
        self.layer = with_one_output(layer, z, arguments, watch)
        self.z, self.arguments, self.rng, self.watch = z, arguments, rng, watch
        self.all_cases = all_cases
        self.findings: list[Finding] = []
        self.comparisons: list[Comparison] = []
        self.when_empty: list[Finding] = []
        self.notes: list[str] = []
        self.skipped: list[str] = []
        self.count = 0
        self.most = ALL_UP_TO
        self.stochastic = False
        self.protected = True
        self.slow = False
        self.complex_safe: bool | None = None
        self.complex_problem: tuple[int, str] | None = None
        self.float32: Float32 | None = None

    def run(self) -> Diagnosis:
        """Everything, in order: what is found first explains what comes after."""
        begin = time.perf_counter()
        with np.errstate(all="ignore"):
            try:
                self._examine()
            except RuleError as failure:
                self._add(finding_of(Subject(Layer(), np.zeros(0), (), self.watch), failure, layer=self.layer))
        return Diagnosis(
            named(self.layer),
            in_order(self.findings),
            tuple(agreements(self.comparisons)),
            tuple(self.notes),
            self.count,
            self.float32,
            rows_independent(self.comparisons),
            self.stochastic,
            self.complex_safe,
            time.perf_counter() - begin,
        )

    def _examine(self) -> None:
        parameters = self._guarded(self.layer.parameters)
        for finding in forgotten(self.layer):
            self._add(finding)
        if "z" in parameters:
            self._add(Finding(0, "names", "a parameter is called z, as the input is: give it another name"))
            return
        self.initial = freeze(self._guarded(lambda: self.layer.astype(np.float64)))
        self.moved = freeze(self._guarded(lambda: moved_off(self.initial, self.rng)))
        base = self._first_pass()
        if base is None:
            return
        self._declared(base)
        for odd in (odd_shape(base), misdeclared_shape(base), staircase(base, self.rng)):
            if odd is not None:
                self._add(odd)
        for case in cases(self.z, self.arguments, self.rng):
            self._run(case)
            if any(f.cause == "hangs" for f in self.findings):
                break
            if not self.all_cases and case.name == "initial parameters":
                break
            if time.perf_counter() > self.deadline:
                self.notes.append(f"rule 1 is slow: after {BUDGET:g} s the other cases were left out")
                break
        wrong = wrong_derivatives(self.layer, self.comparisons, self.findings)
        if forgets_a_factor(wrong, len(base.arrays)):
            self.notes.append(
                "all derivatives are wrong by one factor: rule 1 forgets it, or rules 2 and 3 both have it too much"
            )
        for finding in wrong:
            self._add(finding)
        known = {(f.rule, f.array) for f in self.findings} | {(f.rule, None) for f in self.findings}
        for finding in self.when_empty:
            if (finding.rule, finding.array) not in known:
                self._add(finding, "an empty batch")
        if rows_independent(self.comparisons) is False:
            if self.layer.rows_independent:
                self._add(Finding(1, "rows_coupled", f"{COUPLED}: say rows_independent = False"))
            else:
                self.notes.append(f"{COUPLED}; the class says so")
        self._complex()
        if self.skipped:
            self.notes.append(f"not in the domain of rule 1, and left out: {', '.join(self.skipped)}")

    def _guarded(self, make: Callable[[], Any]) -> Any:
        try:
            return self.watch.call(make)
        except TookTooLong as error:
            raise RuleError(0, error, "hangs") from error
        except Exception as error:
            raise RuleError(0, error) from error

    def _subject(self, layer: Layer, z: Any, arguments: tuple[Any, ...]) -> Subject:
        subject = Subject(clone(layer), z, arguments, self.watch)
        for array in subject.parameters.values():
            array.flags.writeable = not self.protected
        subject.stochastic, subject.protected, subject.slow = self.stochastic, self.protected, self.slow
        return subject

    def _first_pass(self) -> Subject | None:
        """The input as given, if rule 1 can be run at all; finds out about randomness and writing, and the time."""
        base = self._subject(self.moved, self.z, self.arguments)
        try:
            first, seconds = np.copy(base.forward()[0]), []
            for _ in range(2):
                begin = time.perf_counter()
                second = base.forward()[0]
                seconds.append(time.perf_counter() - begin)
            self._limit(base, min(seconds))
            base.slow = self.slow
            if base.has_drawn or not np.array_equal(second, first, equal_nan=True):
                return self._find_randomness()
        except RuleError as failure:
            if deliberate(failure.error) and self.moved is not self.initial:
                self.moved = self.initial
                self.notes.append(f"checked at the initial parameters alone: others are refused ({failure.error})")
                return self._first_pass()
            self._add(finding_of(base, failure, "the input as given"))
            if failure.code == "mutation" and self.protected:
                self.protected = False
                return self._first_pass()
            return None
        return base

    def _find_randomness(self) -> Subject | None:
        self.stochastic = True
        base = self._subject(self.moved, self.z, self.arguments)
        outputs = [np.copy(base.forward()[0]) for _ in range(3)]
        if all(np.array_equal(output, outputs[0], equal_nan=True) for output in outputs):
            said = "the layer draws random numbers: its generator was wound back before each pass, to hold them fixed"
            self.notes.append(said)
            return base
        said = (
            "rule 1 gives two outputs for one z, and not by a generator that the layer holds: draw from self.rng, a "
            "numpy.random.Generator, and keep nothing of a call"
        )
        self._add(Finding(1, "nondeterministic", said, source=source_of(self.layer, 1)))
        return None

    def _limit(self, base: Subject, seconds: float) -> None:
        """Fewer entries of a layer that is slow or large."""
        entries = sum(array.size for array in base.arrays.values())
        affordable = 2.0 / max(seconds, 2e-6) / (8 * 20 * max(len(base.arrays), 1))
        self.most = ALL_UP_TO if seconds < 2e-3 else int(min(ALL_UP_TO, max(4, affordable)))
        if entries and any(array.size > self.most for array in base.arrays.values()):
            self.notes.append("large arrays or a slow rule 1: a sample of entries was compared, and random directions")
        self.slow = seconds > 0.01
        self.deadline = time.perf_counter() + max(BUDGET, 100 * seconds)

    def _declared(self, base: Subject) -> None:
        """What the class says of itself, beside what is seen."""
        if self.slow:
            self.notes.append("rule 1 is slow: float32 and complex steps were left out, and the laws seen at one input")
            return
        if self.layer.complex_safe:
            self.complex_problem = complex_unsafe(base, self.rng)
        self.complex_safe = self.layer.complex_safe and self.complex_problem is None

    def _complex(self) -> None:
        """Last, and if all else is right: most mistakes show in complex steps too."""
        if self.complex_problem is not None and not self.findings:
            rule, problem = self.complex_problem
            said = f"{problem}: say complex_safe = False, so that second derivatives are not taken by complex steps"
            self._add(Finding(rule, "complex_unsafe", said, source=source_of(self.layer, rule)))

    def _run(self, case: Case) -> None:
        """One case: the rules must run, and their derivatives agree."""
        layer = self.initial if case.parameters == "initial" else self.moved
        if case.parameters != "moved" and not layer.parameters():
            return
        if case.parameters == "other signs":
            layer = freeze(any_signs(layer, self.rng))
        subject = self._subject(layer, read_only(case.z), read_only(case.arguments))
        given = case.name == "the input as given"
        try:
            z_next = np.asarray(subject.forward()[0])
        except RuleError as failure:
            self._failed_forward(subject, failure, case)
            return
        if not np.isfinite(z_next).all():
            finding = overflow(subject, z_next, case.name, self.rng)
            if finding is not None and case.parameters != "other signs":
                self._add(finding)
            if given and finding is None:
                said = "rule 1 is not finite at the input as given: pass a z in its domain"
                self._add(Finding(1, "unstable", said, case=case.name))
            for z in into_domain(case.z):
                subject = self._subject(layer, read_only(z), read_only(case.arguments))
                try:
                    z_next = np.asarray(subject.forward()[0])
                except RuleError:
                    continue
                if np.isfinite(z_next).all():
                    break
            else:
                self.skipped.append(case.name)
                return
        self.count += 1
        if not z_next.size or not any(array.size for array in subject.arrays.values()):
            if not z_next.size or np.isfinite(z_next).all():
                self.when_empty += wrong_when_empty(subject, rows_independent(self.comparisons) is False)
            return
        if case.name in LAW_CASES and (given or not self.slow):
            for finding in broken_laws(subject, self.rng):
                self._add(finding, case.name)
        try:
            fresh = self._subject(layer, subject.z, subject.arguments)
            if given and (names := wrong_names(fresh)):
                self._add(names)
            found = compare(fresh, case.name, self.rng, bool(self.complex_safe), self.most, self._settled())
        except RuleError as failure:
            self._add(finding_of(subject, failure, case.name))
            return
        self.comparisons += found
        if given and (single := single_inside(subject, self.rng)) is not None:
            self._add(single)
        if case.name in PRECISION_CASES and not self.slow:
            self._single(subject, case)

    def _settled(self) -> set[str]:
        """Arrays whose derivative is known to be wrong from enough cases to name the cause."""
        failed = [c.array for c in self.comparisons if c.failed]
        return {name for name in failed if failed.count(name) >= ENOUGH}

    def _single(self, subject: Subject, case: Case) -> None:
        if any(f.cause in ("dtype", "unstable", "float32") for f in self.findings):
            return
        try:
            agreement, finding = in_float32(subject, case.name, self.rng)
        except RuleError as failure:
            if case.name == "the input as given" and not deliberate(failure.error):
                self._add(finding_of(subject, failure, "the input as given, in float32"))
            return
        if finding is not None:
            self._add(finding)
        elif case.name == "the input as given":
            self.float32 = agreement

    def _failed_forward(self, subject: Subject, failure: RuleError, case: Case) -> None:
        if case.name != "the input as given" and (deliberate(failure.error) or case.parameters == "other signs"):
            self.skipped.append(case.name)
            return
        finding = finding_of(subject, failure, case.name)
        if self.arguments and "batch" in case.name:
            self.skipped.append(case.name)  # an argument as long as the batch need not belong to its rows
            return
        if case.name == "an empty batch":
            if rows_independent(self.comparisons) is not True:
                return
            said = f"an empty batch raises {type(failure.error).__name__}: {failure.error}"
            self.when_empty.append(Finding(1, "empty", said, source=finding.source))
            return
        self._add(finding)

    def _add(self, finding: Finding, case: str = "") -> None:
        key = finding.rule, finding.cause, finding.array, finding.place
        if all((f.rule, f.cause, f.array, f.place) != key for f in self.findings):
            if case and not finding.case:
                finding = replace(finding, case=case)
            if not finding.source and finding.rule:
                finding = replace(finding, source=source_of(self.layer, finding.rule))
            self.findings.append(finding)
