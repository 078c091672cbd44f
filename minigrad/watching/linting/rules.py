"""The table of rules."""

from __future__ import annotations

from minigrad.watching.linting import activations, biases, data, labels, pairing, parameters, softmaxes, stacking, units
from minigrad.watching.linting.finding import Rule

RULES: tuple[Rule, ...] = (
    *softmaxes.RULES,
    *activations.RULES,
    *labels.RULES,
    *pairing.RULES,
    *biases.RULES,
    *stacking.RULES,
    *units.RULES,
    *data.RULES,
    *parameters.RULES,
)
ERROR, UNCOPIED = parameters.ERROR, parameters.UNCOPIED
CODES = tuple(dict.fromkeys((*(rule.code for rule in RULES), ERROR.code)))
