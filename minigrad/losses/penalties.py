"""Penalties: what a cost adds for large parameters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minigrad.checks import ShapeError, kind, require_gradients, require_layers, require_number, shape_of
from minigrad.containers import Container
from minigrad.layer import Layer
from minigrad.losses.formulas import decimal
from minigrad.shapes import is_shape
from minigrad.typing import Array, Delta, Formulas, Gradients, Shapes


class Penalty:
    """A cost of the parameters whose names match `pattern`, times `strength`.

    Patterns are those of a shell: "*.weight", "0.*", "[!4].bias".  A subclass writes `of`, the penalty of one array,
    and `gradient`, its derivative, both of strength 1; and may write both in LaTeX, for `explain`.
    """

    def __init__(self, strength: float, pattern: str = "*") -> None:
        self.strength = require_number(type(self), "strength", strength, least=0.0)
        if not isinstance(pattern, str):
            raise TypeError(f"{type(self).__name__} expects a pattern of names such as '*.weight', got {kind(pattern)}")
        self.pattern = pattern

    def of(self, theta: Array) -> Any:
        """The penalty of one array, as a number."""
        raise NotImplementedError(f"{type(self).__name__} lacks of(self, theta) -> number")

    def gradient(self, theta: Array) -> Array:
        """The derivative of `of`."""
        raise NotImplementedError(f"{type(self).__name__} lacks gradient(self, theta) -> array")

    @property
    def written(self) -> tuple[str, str]:
        r"""What is added to the cost, and to rule 3, in LaTeX: \theta is the parameter, \d the delta of the cost."""
        s = decimal(self.strength)
        return rf"{s} R(\theta)", rf"{s} \d \cdot \frac{{\partial R}}{{\partial \theta}}"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.strength:g}, {self.pattern!r})"


class L2Penalty(Penalty):
    """strength / 2 * sum theta^2, whose derivative is strength * theta: what PyTorch calls weight_decay=strength.

    Of a cost that is a negative log-likelihood, the logarithm of a normal prior of variance 1 / strength.
    """

    @property
    def written(self) -> tuple[str, str]:
        r"""Of strength / 2."""
        return rf"{decimal(self.strength / 2)} \sum \theta^2", rf"{decimal(self.strength)} \d \theta"

    def of(self, theta: Array) -> Any:
        return 0.5 * np.sum(theta * theta)

    def gradient(self, theta: Array) -> Array:
        return theta


class L1Penalty(Penalty):
    """strength * sum |theta|, whose derivative is strength * sign(theta), 0 at the kink."""

    @property
    def written(self) -> tuple[str, str]:
        r"""With the sign."""
        s = decimal(self.strength)
        return rf"{s} \sum |\theta|", rf"{s} \d \operatorname{{sign}}(\theta)"

    def of(self, theta: Array) -> Any:
        return np.sum(theta * np.sign(theta.real))

    def gradient(self, theta: Array) -> Array:
        return np.sign(theta.real)


class Penalized(Container):
    """`cost` plus penalties of its parameters, which keep the names they have there.

        value       C + sum of penalties,   C = the value of `cost`
        dz          as of `cost`
        parameters  dC/dtheta + delta strength (theta or sign theta), for each penalty that it matches

    An array that stands in several places has the name of the first, and counts once.  The penalties are added to the
    mean or sum of the batch as they are: they do not grow with N.  `.cost` is the cost alone.  ValueError where a
    pattern matches no parameter, or the cost is not one number.

    >>> from minigrad import Linear, LogSoftmax, NLLLoss, Sequential
    >>> cost = Sequential(Linear(4, 3), LogSoftmax(), NLLLoss())
    >>> Penalized(cost, L2Penalty(0.1, "*.weight"), L1Penalty(0.01))
    Penalized(
      cost: Sequential(
        0: Linear(4 -> 3)
        1: LogSoftmax()
        2: NLLLoss(mean)
      )
      + L2Penalty(0.1, '*.weight')
      + L1Penalty(0.01, '*')
    )
    """

    rows_independent = False

    def __init__(self, cost: Layer, *penalties: Penalty) -> None:
        require_layers(Penalized, (cost,))
        for penalty in penalties:
            if not isinstance(penalty, Penalty):
                raise TypeError(f"Penalized expects penalties after the cost, got {kind(penalty)}: L2Penalty(0.1)")
        self._cost, self._penalties = cost, penalties
        try:
            parameters = cost.parameters()
        except ValueError:
            return  # widths were left out: the names are looked at with the first batch
        self._penalized(parameters)

    @property
    def cost(self) -> Layer:
        """The cost alone."""
        return self._cost

    @property
    def penalties(self) -> tuple[Penalty, ...]:
        """To change them make another Penalized: it shares the parameters."""
        return self._penalties

    def __getitem__(self, place: Any) -> Any:
        """What stands there in the cost: `cost[:-1]` is the model, as of a Sequential."""
        return self.cost[place]  # type: ignore[index]

    def children(self) -> Sequence[tuple[str, Layer]]:
        return (("cost", self.cost),)

    def parameters(self) -> dict[str, Array]:
        return self.cost.parameters()

    def parameter_places(self) -> list[tuple[str, Layer, str]]:
        return self.cost.parameter_places()

    def state(self) -> dict[str, Any]:
        return self.cost.state()

    @property
    def formulas(self) -> Formulas:  # type: ignore[override]
        """Those of the penalties, around the cost c."""
        of_each = dict.fromkeys(self.cost.parameters(), r"\d \cdot \frac{\partial c}{\partial \theta}")
        added = ""
        for penalty, name, _ in self._penalized(self.cost.parameters()):
            of_each[name] += f" + {penalty.written[1]}"
        for penalty in self.penalties:
            added += f" + {penalty.written[0]}"
        return Formulas(
            forward=rf"c(\z){added}",
            backward=r"\d \cdot \frac{\partial c}{\partial \z}",
            gradients=of_each,
            where="c is the cost alone; each penalty is a sum over the parameters theta that it matches",
        )

    def output_shape(self, shape: Shapes) -> Shapes:
        found = self.cost.output_shape(shape)
        if found is not None and found != ():
            raise self._no_number(str(found) if is_shape(found) else "tuple")
        return found

    def forward(self, z: Any, *arguments: Any, **options: Any) -> tuple[Any, Any]:
        value, cache = self.cost.forward(z, *arguments, **options)
        return self.with_penalties(value), cache

    def backward(self, delta: Delta, cache: Any) -> Any:
        return self.cost.backward(delta, cache)

    def parameter_gradients(self, delta: Delta, cache: Any) -> Gradients:
        return self.with_gradients(delta, self.cost.parameter_gradients(delta, cache))

    def backpropagate(self, delta: Delta, cache: Any) -> tuple[Any, Gradients]:
        dz, gradients = self.cost.backpropagate(delta, cache)
        return dz, self.with_gradients(delta, gradients)

    def __call__(self, z: Any, *arguments: Any, **options: Any) -> Any:
        return self.with_penalties(self.cost(z, *arguments, **options))

    def around(self, cost: Layer) -> Penalized:
        """The same penalties on another cost, of the same parameters."""
        return Penalized(cost, *self.penalties)

    def with_penalties(self, value: Any) -> Any:
        """`value` of the cost alone, and the penalties (ValueError unless it is one number)."""
        if np.ndim(value):
            raise self._no_number(shape_of(value))
        for penalty, _, theta in self._penalized(self.cost.parameters()):
            value = value + penalty.strength * penalty.of(theta)
        return value

    def _no_number(self, got: str) -> ValueError:
        fix = "end the stack with a loss of reduction 'mean' or 'sum'"
        return ShapeError(f"{self.outline()} expects a cost that is one number, got {got}: {fix}")

    def with_gradients(self, delta: Delta, gradients: Gradients) -> Gradients:
        """Rule 3, from the gradients of the cost alone."""
        parameters = self.cost.parameters()
        require_gradients(self.cost, parameters, gradients)
        total = dict(gradients)
        for penalty, name, theta in self._penalized(parameters):
            total[name] = total[name] + delta * penalty.strength * penalty.gradient(theta)
        return total

    def _penalized(self, parameters: dict[str, Array]) -> list[tuple[Penalty, str, Array]]:
        """Each penalty with each array that it matches."""
        from fnmatch import fnmatchcase  # on use: importing minigrad loads little beyond NumPy

        found = []
        for penalty in self.penalties:
            names = [name for name in parameters if fnmatchcase(name, penalty.pattern)]
            if not names:
                raise ValueError(
                    f"{penalty!r} matches no parameter of {self.outline()}: it has {', '.join(parameters) or 'none'}"
                )
            found += [(penalty, name, parameters[name]) for name in names]
        return found

    def __repr__(self) -> str:
        added = "".join(f"\n  + {penalty!r}" for penalty in self.penalties)
        return f"{super().__repr__()[:-2]}{added}\n)"
