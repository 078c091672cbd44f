"""What is asked for: one rule of one layer, left blank to be filled in."""

from __future__ import annotations

import copy
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

AT_HAND = ("delta", "z", "z_next", "cache")
RULES = ("forward", "backward", "parameter_gradients")


@dataclass
class Asked:
    """A rule of the layer of `node`; of rule 3, for the parameter `name`, or for all of them where that is None."""

    node: Node
    rule: int
    name: str | None

    @property
    def right(self) -> Any:
        """What it gives, as the layer has it: an array, a tuple of arrays, or of all parameters a dictionary."""
        if self.rule == 3:
            gradients = {name: self.node.gradients[name] for name in self.names}
            return gradients if self.name is None else gradients[self.name]
        return self.node.z_next if self.rule == 1 else self.node.delta

    @property
    def hidden(self) -> list[Any]:
        """The arrays that it gives, whose numbers are not shown."""
        right = self.right
        if isinstance(right, dict):
            return list(right.values())
        return list(right) if type(right) is tuple else [right]

    def is_hidden(self, value: Any) -> bool:
        """It is one of these arrays, and not another of equal numbers."""
        return any(value is array for array in self.hidden)

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
            held = dict(zip(AT_HAND, (node.delta_next, node.z, node.z_next, node.cache), strict=True))
        return held | _taken(node) | parameters_at_hand(node.layer)

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
    asked = {n.place: n for n in everywhere(nodes) if not isinstance(n.layer, Penalized)}
    asked = {place: n for place, n in asked.items() if n.parameters or not n.insides}
    if place not in asked:
        raise ValueError(f"explain finds no layer at place {place!r} to leave blank: there are {', '.join(asked)}")
    node = asked[place]
    if isinstance(rule, str) and rule in RULES:
        rule = RULES.index(rule) + 1
    if not isinstance(rule, int | np.integer) or rule not in (1, 2, 3) or isinstance(rule, bool):
        raise ValueError(f"explain expects a rule to leave blank in {RULES}, got {rule!r}")
    _require_rule(node, int(rule), name)
    return Asked(node, int(rule), name)


def _require_rule(node: Node, rule: int, name: str | None) -> None:
    who = f"layer {node.place}, {label(node.layer)}," if node.place else f"{label(node.layer)}"
    _require_names(node, who)
    if rule != 3:
        if name is not None:
            raise ValueError(f"explain expects the name of a parameter for rule 3 alone, got {name!r} for rule {rule}")
        if node.insides:
            raise ValueError(f"{who} is made of layers, so that rule 3 alone can be left blank, for its own parameters")
        if rule == 2 and (node.delta is None or any(_is_whole(part) for part in _parts(node.z))):
            raise ValueError(f"{who} has no rule 2 to ask for here: its z is {_what(node.z)}, and has no delta")
        if rule == 1 and _draws(node):
            raise ValueError(f"{who} draws random numbers in rule 1, so that no answer can be compared with it")
        return
    if node.frozen or not node.parameters:
        frozen = "is kept as it is" if node.frozen else "has no parameters"
        raise ValueError(f"{who} {frozen}: rule 3 has nothing to give")
    if name is not None and (not isinstance(name, str) or name not in node.parameters):
        raise ValueError(f"{who} has no parameter {name!r}: it has {', '.join(node.parameters)}")


def _require_names(node: Node, who: str) -> None:
    """What is at hand has names of its own (ValueError)."""
    further = [*_taken(node), *parameters_at_hand(node.layer)]
    for i, name in enumerate(further):
        if name in AT_HAND or name in further[:i]:
            raise ValueError(
                f"{who} has a parameter or argument {name!r}, by which an answer gets something else: rename it"
            )


def parameters_at_hand(layer: Layer) -> dict[str, Array]:
    """By names that a function may take: of layers inside, out_proj_weight."""
    return {name.replace(".", "_"): array for name, array in layer.parameters().items()}


def _taken(node: Node) -> dict[str, Any]:
    """What rule 1 takes beside z, by name."""
    names = list(inspect.signature(type(node.layer).forward).parameters)[2:]
    return dict(zip(names, node.arguments, strict=False)) | dict(node.options)


def _draws(node: Node) -> bool:
    """Rule 1 gives something else the second time."""
    layer = copy.deepcopy(node.layer)
    with np.errstate(all="ignore"):
        first, second = (layer.forward(node.z, *node.arguments, **node.options)[0] for _ in range(2))
    return not all(np.array_equal(a, b, equal_nan=True) for a, b in zip(_parts(first), _parts(second), strict=True))


def _parts(z: Any) -> tuple[Any, ...]:
    return z if type(z) is tuple else (z,)


def _is_whole(z: Any) -> bool:
    return np.asarray(z).dtype.kind in "iub"


def _what(z: Any) -> str:
    return kind(z)
