"""The table of rules."""

from __future__ import annotations

from minigrad.watching.linting import activations, data, labels, parameters, softmaxes, stacking, units
from minigrad.watching.linting.finding import Rule

RULES: tuple[Rule, ...] = (
    *softmaxes.RULES,
    *activations.RULES,
    *labels.RULES,
    *stacking.RULES,
    *units.RULES,
    *data.RULES,
    *parameters.RULES,
)
ERROR = parameters.ERROR
CODES = (*(rule.code for rule in RULES), ERROR.code)
