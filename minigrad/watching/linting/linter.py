"""lint: what trains silently wrong, found in one run of the rules."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from minigrad.checks import require_layer
from minigrad.layer import Layer
from minigrad.typing import Input
from minigrad.watching.linting.finding import Lint
from minigrad.watching.linting.rules import CODES, ERROR, RULES, UNCOPIED
from minigrad.watching.linting.runs import Run


def lint(cost: Layer, x: Input, *arguments: Any, ignore: Iterable[str] = (), **options: Any) -> Lint:
    """What would train silently wrong: a tuple of findings, true where there are any, which prints as paragraphs.

        probabilities   softmax-before-nll, softmax-before-kl, not-log-probabilities, log-softmax-twice, softmax-twice,
                        log-softmax-before-cross-entropy, softmax-before-cross-entropy, sigmoid-before-logits, one-class
        activations     activation-before-scores, target-out-of-reach
        targets         labels-one-hot, target-shape, labels-shifted, labels-signs, labels-not-integers,
                        target-not-probabilities, constant-target, target-broadcast
        stacking        bias-before-normalization, dropout-before-normalization, dropout-after-last, linear-after-linear
        units           dead-units, saturated-units, alike-units
        data            feature-scales, not-finite, integers-for-floats, batch-of-one
        parameters      unused-parameters

    `ignore` leaves out findings of these codes.  A hundred rows or more, all data if they are few, show what a small
    batch does not.  The rules run as in training, on copies that share the parameters and move no state; penalties are
    left out, and of a cost of many numbers the sum is taken.  Nothing is raised for what cost and data are like: an
    error of theirs is explained by a finding, or is one itself, "error".

    >>> from minigrad import Linear, NLLLoss, Sequential, Softmax
    >>> x, labels = np.random.default_rng(0).normal(size=(20, 4)), np.arange(20) % 3
    >>> lint(Sequential(Linear(4, 3, rng=0), Softmax(), NLLLoss()), x, labels).codes
    ('softmax-before-nll',)
    """
    import warnings  # on use: importing minigrad loads little beyond NumPy

    require_layer(lint, cost)
    ignored = _codes(ignore)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        target = {"target": options["target"]} if "target" in options else {}  # the first, in whatever order they came
        run = Run(cost, x, arguments, target | options)
        found = [finding for rule in RULES for finding in rule.findings(run)]
        explained = {rule.code for rule in RULES if rule.explains} & {finding.code for finding in found}
        if not explained:
            found += ERROR.findings(run) + UNCOPIED.findings(run)
    return Lint(finding for finding in found if finding.code not in ignored)


def _codes(ignore: Iterable[str]) -> set[str]:
    if isinstance(ignore, str):
        raise TypeError(f"lint expects ignore to be a tuple of codes, got {ignore!r}: ignore=({ignore!r},)")
    codes = set(ignore)
    for code in sorted(codes, key=str):
        if code not in CODES:
            raise ValueError(
                f"lint expects ignore to hold codes of findings, got {code!r}: they are {', '.join(CODES)}"
            )
    return codes
