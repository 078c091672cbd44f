"""What is asked for: one rule of one layer, left blank to be filled in."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minigrad.checks import kind, label
from minigrad.explaining.stack import Node, everywhere
from minigrad.layer import Layer
from minigrad.losses import Penalized
from minigrad.typing import Array

RULES = ("forward", "backward", "parameter_gradients")


@dataclass
class Asked:
    """A rule of the layer of `node`; of rule 3, for the parameter `name`, or for all of them where that is None."""

    node: Node
    rule: int
    name: str | None

    @property
    def hidden(self) -> list[Array]:
        """The arrays that it gives, whose numbers are not shown."""
        if self.rule == 3:
            given = [self.node.gradients[name] for name in self.names]
        else:
            value = self.node.z_next if self.rule == 1 else self.node.delta
            given = list(value) if type(value) is tuple else [value]
        return [np.asarray(array) for array in given]

    @property
    def names(self) -> list[str]:
        """The parameters that are asked for."""
        return list(self.node.parameters) if self.name is None else [self.name]

    def hides(self, layer: Layer, rule: int, name: str) -> bool:
        """The formula of this rule would give the answer away."""
        return type(layer) is type(self.node.layer) and rule == self.rule and (rule != 3 or name in self.names)

    def at_hand(self) -> dict[str, Any]:
        """What an answer may be written with, by name."""
        node = self.node
        held: dict[str, Any] = {"z": node.z}
        if self.rule != 1:
            held = {"delta": node.delta_next, "z": node.z, "z_next": node.z_next, "cache": node.cache}
        taken = list(inspect.signature(type(node.layer).forward).parameters)[2:]
        further = dict(zip(taken, node.arguments, strict=False)) | dict(node.options)
        return held | further | node.parameters

    def __str__(self) -> str:
        of = f" for {self.name}" if self.name else ""
        where = f"layer {self.node.place}, " if self.node.place else ""
        return f"rule {self.rule}, {RULES[self.rule - 1]}{of}, of {where}{label(self.node.layer)}"


def asked_for(nodes: list[Node], blank: Any) -> Asked:
    """What `blank` leaves out: (place, rule), or (place, rule, name) for one parameter (TypeError, ValueError)."""
    example = "('0', 'backward'), or ('0', 'parameter_gradients', 'weight')"
    if not isinstance(blank, Sequence) or isinstance(blank, str) or len(blank) not in (2, 3):
        raise TypeError(f"explain expects blank as place and rule, {example}, got {blank!r}")
    place, rule, name = str(blank[0]), blank[1], blank[2] if len(blank) == 3 else None
    leaves = {n.place: n for n in everywhere(nodes) if not n.insides and not isinstance(n.layer, Penalized)}
    if place not in leaves:
        raise ValueError(f"explain finds no layer at place {place!r} to leave blank: there are {', '.join(leaves)}")
    node = leaves[place]
    if rule in RULES:
        rule = RULES.index(rule) + 1
    if rule not in (1, 2, 3) or isinstance(rule, bool):
        raise ValueError(f"explain expects a rule to leave blank in {RULES}, got {rule!r}")
    _require_rule(node, rule, name)
    return Asked(node, rule, name)


def _require_rule(node: Node, rule: int, name: str | None) -> None:
    who = f"layer {node.place}, {label(node.layer)}," if node.place else f"{label(node.layer)}"
    if rule != 3:
        if name is not None:
            raise ValueError(f"explain expects the name of a parameter for rule 3 alone, got {name!r} for rule {rule}")
        if rule == 2 and (node.delta is None or any(_is_whole(part) for part in _parts(node.z))):
            raise ValueError(f"{who} has no rule 2 to ask for here: its z is {_what(node.z)}, and has no delta")
        return
    if node.frozen or not node.parameters:
        frozen = "is kept as it is" if node.frozen else "has no parameters"
        raise ValueError(f"{who} {frozen}: rule 3 has nothing to give")
    if name is not None and name not in node.parameters:
        raise ValueError(f"{who} has no parameter {name!r}: it has {', '.join(node.parameters)}")


def _parts(z: Any) -> tuple[Any, ...]:
    return z if type(z) is tuple else (z,)


def _is_whole(z: Any) -> bool:
    return np.asarray(z).dtype.kind in "iub"


def _what(z: Any) -> str:
    return kind(z)
