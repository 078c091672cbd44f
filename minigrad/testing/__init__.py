"""Checking rules 2 and 3 of a layer against rule 1."""

from minigrad.testing.numeric import Derivative, complex_step, finite_differences
from minigrad.testing.rules import Report, RuleCheck, check_layer, check_rules

__all__ = ["Derivative", "Report", "RuleCheck", "check_layer", "check_rules", "complex_step", "finite_differences"]
