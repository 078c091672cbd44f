"""The formulas of penalties: what they take of a parameter, and its derivative."""

from __future__ import annotations

from typing import Any

from minigrad.explaining.tree import Fence, Function, Number, Operator, Symbol, Tree, brackets, partial, with_scripts
from minigrad.losses import L1Penalty, L2Penalty

SUM = Symbol("sum")


def penalty_of(penalty: Any, theta: Tree) -> tuple[Tree, ...]:
    """What is added to the cost for a parameter; R stands for what a penalty of a user takes of it."""
    if isinstance(penalty, L2Penalty):
        return Number(f"{penalty.strength / 2:g}"), SUM, with_scripts(theta, None, Number("2"))
    strength = Number(f"{penalty.strength:g}")
    if isinstance(penalty, L1Penalty):
        return strength, SUM, Fence("|", theta, "|")
    return strength, Symbol("R"), brackets(theta)


def slope_of(penalty: Any, theta: Tree, delta: Tree) -> tuple[Tree, ...]:
    """What it adds to rule 3: delta times its derivative."""
    strength = Number(f"{penalty.strength:g}")
    if isinstance(penalty, L2Penalty):
        return strength, delta, theta
    if isinstance(penalty, L1Penalty):
        return strength, delta, Function("sign"), brackets(theta)
    return strength, delta, Operator("cdot"), partial(Symbol("R"), theta)
