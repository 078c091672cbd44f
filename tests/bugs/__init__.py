"""Planted bugs: wrong layers and wrong models, on which the checker is measured."""

from bugs import derivative_combined, derivative_rules, protocol
from bugs.base import Bug
from bugs.models import MODELS

FAMILIES: dict[str, list[Bug]] = {
    "one wrong derivative": derivative_rules.BUGS,
    "two mistakes at once": derivative_combined.BUGS,
    "other laws of the contract": protocol.BUGS,
}
BUGS: list[Bug] = [bug for family in FAMILIES.values() for bug in family]

__all__ = ["BUGS", "FAMILIES", "MODELS", "Bug"]
